//! The Odoo twin against the recorded exchanges: automation rules, the outbox, catching up, external ids; and what the
//! webhooks of those rules carried.

use serde_json::{Value, json};
use wharf_twins::odoo::{OdooConfig, start};

use crate::odoo_replay::{Replay, Step, Who, ask, fields_of, id_of, orders, step};
use crate::recorded::{differences, read_json, shared};
use crate::sink::Sink;

/// Vendor bills are not part of the twin: the rule on them is left out.
const RULES: [Step; 6] = [
    step("20-webhook-rules/01-rule-sale-confirmed")
        .set(&[
            ("/vals_list/0/model_id", "order_model"),
            ("/vals_list/0/trigger_field_ids/0/2", "order_state"),
            ("/vals_list/0/action_server_ids/0/2/model_id", "order_model"),
            ("/vals_list/0/action_server_ids/0/2/webhook_url", "url"),
            ("/vals_list/0/action_server_ids/0/2/webhook_field_ids/0/2", "order_fields"),
        ])
        .learn(&[("rule", "/0")]),
    step("20-webhook-rules/02-rule-read").set(&[("/ids/0", "rule")]).learn(&[("action", "/0/action_server_ids/0")]),
    step("20-webhook-rules/03-action-read").set(&[("/ids/0", "action")]),
    step("20-webhook-rules/04-rule-picking-state").set(&[
        ("/vals_list/0/model_id", "picking_model"),
        ("/vals_list/0/trigger_field_ids/0/2", "picking_state"),
        ("/vals_list/0/action_server_ids/0/2/model_id", "picking_model"),
        ("/vals_list/0/action_server_ids/0/2/webhook_url", "url"),
        ("/vals_list/0/action_server_ids/0/2/webhook_field_ids/0/2", "picking_fields"),
    ]),
    step("20-webhook-rules/05-rule-quant").set(&[
        ("/vals_list/0/model_id", "quant_model"),
        ("/vals_list/0/trigger_field_ids/0/2", "quant_quantities"),
        ("/vals_list/0/action_server_ids/0/2/model_id", "quant_model"),
        ("/vals_list/0/action_server_ids/0/2/webhook_url", "url"),
        ("/vals_list/0/action_server_ids/0/2/webhook_field_ids/0/2", "quant_fields"),
    ]),
    step("20-webhook-rules/06-rule-product").set(&[
        ("/vals_list/0/model_id", "product_model"),
        ("/vals_list/0/action_server_ids/0/2/model_id", "product_model"),
        ("/vals_list/0/action_server_ids/0/2/webhook_url", "url"),
        ("/vals_list/0/action_server_ids/0/2/webhook_field_ids/0/2", "product_fields"),
    ]),
];

const OUTBOX: [Step; 4] = [
    step("25-outbox-model/01-create-model").learn(&[("box", "/0")]),
    step("25-outbox-model/02-access-rule").set(&[("/vals_list/0/model_id", "box")]),
    step("25-outbox-model/03-rule")
        .set(&[
            ("/vals_list/0/model_id", "picking_model"),
            ("/vals_list/0/trigger_field_ids/0/2", "picking_state"),
            ("/vals_list/0/action_server_ids/0/2/model_id", "picking_model"),
        ])
        .learn(&[("rule", "/0")]),
    step("25-outbox-model/06-after-ack"),
];

const OUTBOX_FILLED: [Step; 3] = [
    step("25-outbox-model/04-poll").learn(&[("e1", "/0/id"), ("e2", "/1/id"), ("e3", "/2/id"), ("e4", "/3/id")]),
    step("25-outbox-model/05-ack").set(&[("/ids/0", "e1"), ("/ids/1", "e2"), ("/ids/2", "e3"), ("/ids/3", "e4")]),
    step("25-outbox-model/06-after-ack"),
];

const LOADS: [Step; 17] = [
    step("40-idempotency/01-load-create").learn(&[("one", "/ids/0")]),
    step("40-idempotency/02-load-again-updates"),
    step("40-idempotency/03-load-without-module"),
    step("40-idempotency/04-external-ids"),
    step("40-idempotency/05-load-with-error-row"),
    step("40-idempotency/06-nothing-kept"),
    step("40-idempotency/07-load-unknown-field"),
    step("40-idempotency/08-load-relations").set(&[("/data/0/3", "germany")]),
    step("40-idempotency/09-load-order-with-lines").set(&[("/data/0/4", "lamp"), ("/data/1/4", "cable")]),
    step("40-idempotency/10-load-order-read"),
    step("40-idempotency/11-load-order-again").set(&[("/data/0/4", "lamp"), ("/data/1/4", "cable")]),
    step("40-idempotency/12-load-order-lines"),
    step("40-idempotency/13-create-plain").learn(&[("two", "/0")]),
    step("40-idempotency/14-external-id-create").set(&[("/vals_list/0/res_id", "two")]),
    step("40-idempotency/15-external-id-duplicate"),
    step("40-idempotency/16-resolve-external-id"),
    step("40-idempotency/17-resolve-by-bot").by(Who::Bot),
];

/// The recorded bot was a salesman; here the administrator stands in for him.
const MORE_LOADS: [Step; 12] = [
    step("40-idempotency/18-create-by-bot").by(Who::Bot).set(&[("/vals_list/0/res_id", "two")]),
    step("40-idempotency/19-load-by-bot").set(&[("/data/0/1", "one")]),
    step("40-idempotency/20-load-by-bot-again").set(&[("/data/0/1", "one")]),
    step("40-idempotency/21-search-read-external-ids-by-bot").by(Who::Bot),
    step("40-idempotency/22-get_external_id"),
    step("40-idempotency/23-export_data").by(Who::Bot),
    step("40-idempotency/24-client_order_ref-not-unique")
        .set(&[("/vals_list/0/partner_id", "one"), ("/vals_list/1/partner_id", "one")]),
    step("40-idempotency/25-default_code-not-unique"),
    step("40-idempotency/26-barcode-unique"),
    step("40-idempotency/27-partner-ref-not-unique"),
    step("40-idempotency/28-package-name-twice"),
    step("40-idempotency/29-name-given").set(&[("/vals_list/0/partner_id", "one"), ("/vals_list/1/partner_id", "one")]),
];

const CATCH_UP: [Step; 4] = [
    step("24-catch-up/01-write_date-seconds").learn(&[("newest", "/0/write_date")]),
    step("24-catch-up/02-cursor-gt-seconds").set(&[("/domain/0/2", "newest")]),
    step("24-catch-up/03-cursor-ge-micro").set(&[("/domain/0/2", "newest_and_more")]),
    step("24-catch-up/04-cursor-keyset").set(&[
        ("/domain/1/2", "newest"),
        ("/domain/3/2", "newest"),
        ("/domain/4/2", "last"),
    ]),
];

#[tokio::test]
async fn external_ids_make_a_create_repeatable_as_recorded() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig::default()).await.unwrap();
    let mut replay = Replay::new(&twin, &shared);
    replay.put("germany", id_of(&twin, "res.country", "code", "DE").await);
    replay.put("lamp", id_of(&twin, "product.product", "default_code", "LAMP-01").await);
    replay.put("cable", id_of(&twin, "product.product", "default_code", "CABLE-02").await);
    replay.run(&LOADS).await;
    replay.run(&MORE_LOADS).await;
    replay.judge();
}

#[tokio::test]
async fn a_cursor_on_write_date_sees_whole_seconds_as_recorded() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 2})).await;
    let mut replay = Replay::new(&twin, &shared);
    replay.put("last", made[1]["deliveries"][0]["id"].clone());
    replay.run(&CATCH_UP[..2]).await;
    let newest = replay.vars["newest"].as_str().unwrap().to_owned();
    replay.put("newest_and_more", json!(format!("{newest}.999999")));
    replay.run(&CATCH_UP[2..]).await;
    replay.judge();
}

#[tokio::test]
async fn an_outbox_made_over_the_api_fills_with_the_change_as_recorded() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig { integration: None, ..OdooConfig::default() }).await.unwrap();
    let mut replay = Replay::new(&twin, &shared);
    replay.put("picking_model", id_of(&twin, "ir.model", "model", "stock.picking").await);
    replay.put("picking_state", fields_of(&twin, "stock.picking", &["state"]).await);
    replay.run(&OUTBOX).await;
    let made = orders(&twin, json!({"count": 1})).await;
    let skip = json!({"skip_backorder": true, "skip_sms": true});
    let validate = json!({"ids": [made[0]["deliveries"][0]["id"]], "context": skip});
    ask(&twin, "stock.picking/button_validate", validate).await;
    replay.run(&OUTBOX_FILLED).await;

    let rule = replay.vars["rule"].clone();
    let made = orders(&twin, json!({"count": 1, "confirm": false})).await;
    replay.put("draft", made[0]["id"].clone());
    for (code, file) in
        [("raise UserError('rule says no')", "07-broken-rule-user-error"), ("1/0", "08-broken-rule-500")]
    {
        let action = ask(&twin, "base.automation/read", json!({"ids": [rule], "fields": ["action_server_ids"]})).await;
        let write = json!({"ids": action[0]["action_server_ids"], "vals": {"code": code}});
        ask(&twin, "ir.actions.server/write", write).await;
        let file: &'static str = format!("25-outbox-model/{file}").leak();
        replay.run(&[step(file).set(&[("/ids/0", "draft")])]).await;
        let state =
            ask(&twin, "sale.order/read", json!({"ids": [made[0]["id"]], "fields": ["state", "picking_ids"]})).await;
        assert_eq!((&state[0]["state"], &state[0]["picking_ids"]), (&json!("draft"), &json!([])), "rolled back");
    }
    ask(&twin, "base.automation/unlink", json!({"ids": [rule]})).await;
    replay.run(&[step("25-outbox-model/09-delete-model").set(&[("/ids/0", "box")])]).await;
    replay.judge();
}

/// The order of the fields is the one of the recorded actions.
const WATCHED: [(&str, &str, &[&str]); 6] = [
    ("order_state", "sale.order", &["state"]),
    (
        "order_fields",
        "sale.order",
        &["name", "state", "client_order_ref", "partner_id", "amount_total", "order_line", "write_date", "date_order"],
    ),
    (
        "picking_fields",
        "stock.picking",
        &[
            "name",
            "state",
            "origin",
            "sale_id",
            "partner_id",
            "carrier_tracking_ref",
            "scheduled_date",
            "backorder_id",
            "move_ids",
            "date_done",
            "write_date",
        ],
    ),
    ("quant_quantities", "stock.quant", &["quantity", "reserved_quantity"]),
    (
        "quant_fields",
        "stock.quant",
        &["product_id", "location_id", "quantity", "reserved_quantity", "lot_id", "owner_id", "write_date"],
    ),
    (
        "product_fields",
        "product.product",
        &["default_code", "barcode", "name", "lst_price", "active", "weight", "write_date"],
    ),
];

#[tokio::test]
async fn webhooks_carry_what_the_recorded_ones_carried_in_the_recorded_order() {
    let Some(shared) = shared() else { return };
    let sink = Sink::start().await;
    let twin = start(OdooConfig { integration: None, ..OdooConfig::default() }).await.unwrap();
    let mut replay = Replay::new(&twin, &shared);
    for (name, model, fields) in WATCHED {
        replay.put(name, fields_of(&twin, model, fields).await);
    }
    replay.put("picking_state", fields_of(&twin, "stock.picking", &["state"]).await);
    for (name, model) in [
        ("order_model", "sale.order"),
        ("picking_model", "stock.picking"),
        ("quant_model", "stock.quant"),
        ("product_model", "product.product"),
    ] {
        replay.put(name, id_of(&twin, "ir.model", "model", model).await);
    }
    replay.put("url", json!(format!("{}/ok", sink.base_url)));
    replay.run(&RULES).await;

    let partner = id_of(&twin, "res.partner", "name", "Azure Interiors").await;
    let (lamp, cable) = (
        id_of(&twin, "product.product", "default_code", "LAMP-01").await,
        id_of(&twin, "product.product", "default_code", "CABLE-02").await,
    );
    let lines = json!([[0, 0, {"product_id": lamp, "product_uom_qty": 3}], [0, 0, {"product_id": cable}]]);
    let order = json!({"vals_list": {"partner_id": partner, "client_order_ref": "HOOK-1", "order_line": lines}});
    let order = ask(&twin, "sale.order/create", order).await;
    sink.take();
    let mut wrong = Vec::new();
    ask(&twin, "sale.order/action_confirm", json!({"ids": order})).await;
    wrong.extend(compare(&shared, "02-order-confirmed", &sink));
    let picking =
        ask(&twin, "sale.order/read", json!({"ids": order, "fields": ["picking_ids"]})).await[0]["picking_ids"].clone();
    ask(&twin, "stock.picking/do_unreserve", json!({"ids": picking})).await;
    wrong.extend(compare(&shared, "03-unreserve", &sink));
    ask(&twin, "stock.picking/action_assign", json!({"ids": picking})).await;
    wrong.extend(compare(&shared, "04-assign", &sink));
    ask(&twin, "stock.picking/write", json!({"ids": picking, "vals": {"carrier_tracking_ref": "X1"}})).await;
    sink.take();
    let skip = json!({"skip_backorder": true, "skip_sms": true});
    ask(&twin, "stock.picking/button_validate", json!({"ids": picking, "context": skip})).await;
    wrong.extend(compare(&shared, "05-validate", &sink));
    ask(&twin, "product.product/write", json!({"ids": [lamp], "vals": {"weight": 0.01, "barcode": "4006381333948"}}))
        .await;
    wrong.extend(compare(&shared, "07-product-write", &sink));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    replay.judge();
}

/// Same number of posts in the same order, same shape, same states and quantities.
fn compare(shared: &std::path::Path, file: &str, sink: &Sink) -> Vec<String> {
    let recorded = read_json(&shared.join(format!("odoo/fixtures/21-webhook-payloads/{file}.json")));
    let got = sink.take();
    let names = |all: &[Value]| -> Vec<String> {
        all.iter().map(|b| format!("{} {} {}", b["_model"], b["state"], b["date_done"])).collect()
    };
    let want: Vec<Value> = recorded.as_array().unwrap().iter().map(|r| r["body"].clone()).collect();
    let have: Vec<Value> = got.iter().map(|r| r.body.clone()).collect();
    let mut wrong = Vec::new();
    if names(&want) != names(&have) {
        wrong.push(format!("{file}:\n  {:?}\n  is not\n  {:?}", names(&have), names(&want)));
    }
    for (want, have) in want.iter().zip(&have) {
        wrong.extend(differences(want, have, &[]).into_iter().map(|line| format!("{file}: {} {line}", want["_model"])));
    }
    let recorded_headers = &recorded[0]["headers"];
    for pair in recorded_headers.as_array().into_iter().flatten() {
        let name = pair[0].as_str().unwrap().to_ascii_lowercase();
        let have = got.first().and_then(|g| g.headers.get(&name));
        if name != "host" && name != "content-length" && have.map(String::as_str) != pair[1].as_str() {
            wrong.push(format!("{file}: header {name} {have:?} is not {}", pair[1]));
        }
    }
    wrong
}
