//! The Odoo twin's behaviour: transactions, reservation, outbox, webhooks, HTTP habits, ledger.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharf_twins::Running;
use wharf_twins::odoo::{Integration, OdooConfig, start};
use wharf_twins::scenario::Rule;

use crate::client::Call;
use crate::odoo_replay::{ADMIN, BOT, ask, call, id_of, orders};
use crate::sink::Sink;

async fn events(twin: &Running, order: &Value) -> Vec<String> {
    let search = json!({"domain": [["x_order_id", "=", order]], "fields": ["x_event"], "order": "id"});
    // Not even the administrator may read it: it is the bot's.
    let rows = call(twin, BOT, "x_wharf_outbox/search_read", &search).await.json();
    rows.as_array().unwrap().iter().map(|r| r["x_event"].as_str().unwrap().to_owned()).collect()
}

async fn picking(twin: &Running, id: &Value) -> Value {
    let fields = ["state", "products_availability", "move_ids", "weight", "shipping_weight", "packages_count"];
    ask(twin, "stock.picking/read", json!({"ids": [id], "fields": fields})).await[0].clone()
}

fn with_webhook(url: String) -> OdooConfig {
    let integration = Integration { bot_key: BOT.to_owned(), webhook_url: Some(url) };
    OdooConfig { integration: Some(integration), ..OdooConfig::default() }
}

#[tokio::test]
async fn the_outbox_has_the_rows_a_real_odoo_wrote() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1, "lines": 2})).await;
    let order = &made[0]["id"];
    let confirmed = ["order.sale", "reservation", "delivery", "reservation", "reservation", "reservation"];
    assert_eq!(events(&twin, order).await, confirmed);
    ask(&twin, "sale.order/action_cancel", json!({"ids": [order]})).await;
    let all = events(&twin, order).await;
    assert_eq!(all.last().map(String::as_str), Some("order.cancel"));
    assert!(all[confirmed.len()..].contains(&"delivery".to_owned()), "{all:?}");
}

#[tokio::test]
async fn scarce_goods_are_reserved_as_far_as_they_go_and_come_free_again() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let first = orders(&twin, json!({"count": 1, "product": "TABLE-04", "quantity": 4})).await;
    let second = orders(&twin, json!({"count": 1, "product": "TABLE-04", "quantity": 4})).await;
    let third = orders(&twin, json!({"count": 1, "product": "TABLE-04", "quantity": 1})).await;
    let states = |made: &[Value]| made[0]["deliveries"][0]["state"].clone();
    assert_eq!([states(&first), states(&second), states(&third)], ["assigned", "assigned", "confirmed"]);
    let delivery = &second[0]["deliveries"][0]["id"];
    let moves = json!({"domain": [["picking_id", "=", delivery]], "fields": ["state", "quantity"]});
    let moved = ask(&twin, "stock.move/search_read", moves.clone()).await;
    assert_eq!((&moved[0]["state"], &moved[0]["quantity"]), (&json!("partially_available"), &json!(2.0)));
    assert_eq!(picking(&twin, delivery).await["products_availability"], "Not Available");

    ask(&twin, "sale.order/action_cancel", json!({"ids": [first[0]["id"]]})).await;
    ask(&twin, "stock.picking/action_assign", json!({"ids": [delivery]})).await;
    let moved = ask(&twin, "stock.move/search_read", moves).await;
    assert_eq!((&moved[0]["state"], &moved[0]["quantity"]), (&json!("assigned"), &json!(4.0)));
    let product = id_of(&twin, "product.product", "default_code", "TABLE-04").await;
    let stock = json!({"ids": [product], "fields": ["qty_available", "free_qty"]});
    let stock = ask(&twin, "product.product/read", stock).await;
    assert_eq!((&stock[0]["qty_available"], &stock[0]["free_qty"]), (&json!(6.0), &json!(2.0)));
}

#[tokio::test]
async fn a_dozen_is_twelve_on_the_shelf_and_on_the_scale() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let (table, dozen) = (
        id_of(&twin, "product.product", "default_code", "CHAIR-03").await,
        id_of(&twin, "uom.uom", "name", "Dozens").await,
    );
    let line = json!([0, 0, {"product_id": table, "product_uom_qty": 2, "product_uom_id": dozen}]);
    let order = ask(&twin, "sale.order/create", json!({"vals_list": {"partner_id": 10, "order_line": [line]}})).await;
    ask(&twin, "sale.order/action_confirm", json!({"ids": order})).await;
    let delivery = ask(&twin, "sale.order/read", json!({"ids": order, "fields": ["picking_ids"]})).await;
    let delivery = &delivery[0]["picking_ids"][0];
    assert_eq!(picking(&twin, delivery).await["weight"], 100.8);
    let quant = json!({"domain": [["product_id", "=", table]], "fields": ["reserved_quantity"]});
    assert_eq!(ask(&twin, "stock.quant/search_read", quant).await[0]["reserved_quantity"], 24.0);
}

#[tokio::test]
async fn more_or_less_of_a_confirmed_line_moves_the_delivery() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1, "quantity": 3})).await;
    let (order, delivery) = (&made[0]["id"], &made[0]["deliveries"][0]["id"]);
    let line = ask(&twin, "sale.order/read", json!({"ids": [order], "fields": ["order_line"]})).await;
    let line = &line[0]["order_line"];
    let moves = json!({"domain": [["picking_id", "=", delivery]], "fields": ["product_uom_qty", "quantity"]});
    for wanted in [5.0, 1.0] {
        ask(&twin, "sale.order.line/write", json!({"ids": line, "vals": {"product_uom_qty": wanted}})).await;
        let moved = ask(&twin, "stock.move/search_read", moves.clone()).await;
        assert_eq!((&moved[0]["product_uom_qty"], &moved[0]["quantity"]), (&json!(wanted), &json!(wanted)));
    }
    let extra = json!([0, 0, {"product_id": 2, "product_uom_qty": 1}]);
    ask(&twin, "sale.order/write", json!({"ids": [order], "vals": {"order_line": [extra]}})).await;
    assert_eq!(ask(&twin, "stock.move/search_read", moves).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_call_that_fails_leaves_nothing() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let rows = json!([{"name": "tx-ok"}, {"name": "tx-bad", "country_id": 999_999}]);
    assert_eq!(call(&twin, ADMIN, "res.partner/create", &json!({"vals_list": rows})).await.status, 422);
    let count = json!({"domain": [["name", "=like", "tx-%"]]});
    assert_eq!(ask(&twin, "res.partner/search_count", count).await, 0);
    let made = orders(&twin, json!({"count": 1})).await;
    let waiting = events(&twin, &made[0]["id"]).await.len();
    let ids = call(&twin, BOT, "x_wharf_outbox/search", &json!({"domain": []})).await.json();
    let mut more = ids.as_array().unwrap().clone();
    more.push(json!(999_999));
    assert_eq!(call(&twin, BOT, "x_wharf_outbox/unlink", &json!({"ids": more})).await.status, 404);
    assert_eq!(events(&twin, &made[0]["id"]).await.len(), waiting, "none of them is gone");
    let confirm = json!({"ids": [made[0]["id"], 999_999]});
    assert_eq!(call(&twin, ADMIN, "sale.order/action_confirm", &confirm).await.status, 404);
}

#[tokio::test]
async fn a_file_and_a_note_under_an_external_id_are_there_once() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1})).await;
    let delivery = made[0]["deliveries"][0]["id"].to_string();
    let once = json!({"mode": "update", "noupdate": true});
    let file = json!({"fields": ["id", "name", "res_model", "res_id", "mimetype", "datas"], "context": once,
        "data": [["__wharf__.att_1", "label.zpl", "stock.picking", delivery, "text/plain", "XlhB"]]});
    let note = json!({"fields": ["id", "model", "res_id", "body", "message_type", "subtype_id/id"], "context": once,
        "data": [["__wharf__.note_1", "stock.picking", delivery, "<p>bought</p>", "comment", "mail.mt_note"]]});
    for (path, body) in [("ir.attachment/load", file), ("mail.message/load", note)] {
        let first = call(&twin, BOT, path, &body).await.json();
        let mut other = body.clone();
        other["data"][0][3] = json!("1");
        assert_eq!(call(&twin, BOT, path, &other).await.json(), first, "found again and left alone");
    }
    let effects = twin.effects();
    let rows: Vec<(&str, &str)> = effects
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["kind"].as_str().unwrap(), e["order"].as_str().unwrap()))
        .collect();
    assert_eq!(rows, [("attachment", "S00001"), ("note", "S00001")]);
    let digest = "53be336f37903a5e8c8722e1f19e88b8bf6c403fc611017ded71ed8879715859";
    assert_eq!(effects[0]["value"], digest, "of the file, not of its base64");
    let refused = json!({"fields": ["id", "name", "country_id"], "data": [["x.y", "n", "Nowhere"]]});
    let refused = call(&twin, ADMIN, "res.partner/load", &refused).await;
    assert_eq!((refused.status, &refused.json()["ids"]), (200, &json!(false)), "an error with status 200");
}

#[tokio::test]
async fn a_written_shipping_weight_stands_until_something_is_packed() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1, "lines": 2})).await;
    let delivery = &made[0]["deliveries"][0]["id"];
    ask(&twin, "stock.picking/write", json!({"ids": [delivery], "vals": {"shipping_weight": 7.77}})).await;
    let before = picking(&twin, delivery).await;
    assert_eq!((&before["shipping_weight"], &before["packages_count"]), (&json!(7.77), &json!(0)));
    let lines = ask(&twin, "stock.move.line/search", json!({"domain": [["picking_id", "=", delivery]]})).await;
    let pack = json!({"ids": [lines[0]], "package_type_id": 2, "context": {"from_package_wizard": true}});
    let package = ask(&twin, "stock.move.line/action_put_in_pack", pack).await;
    ask(&twin, "stock.package/write", json!({"ids": package, "vals": {"shipping_weight": 2.5}})).await;
    let after = picking(&twin, delivery).await;
    assert_eq!(after["packages_count"], 1);
    let loose = after["shipping_weight"].as_f64().unwrap() - 2.5;
    assert!(loose > 0.0 && loose < after["weight"].as_f64().unwrap(), "{after}");
}

#[tokio::test]
async fn a_webhook_comes_after_the_commit_and_again_on_demand() {
    let sink = Sink::start().await;
    let twin = start(with_webhook(format!("{}/ok", sink.base_url))).await.unwrap();
    let made = orders(&twin, json!({"count": 1, "confirm": false})).await;
    assert!(sink.take().is_empty(), "a quotation tells nobody");
    ask(&twin, "sale.order/action_confirm", json!({"ids": [made[0]["id"]]})).await;
    let first = sink.take();
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0].body["_model"], &first[0].body["_id"]), (&json!("sale.order"), &made[0]["id"]));
    let again = Call::new("POST", "/__admin/webhook").send(&twin.base_url).await.unwrap();
    assert_eq!((again.status, sink.take()[0].body.clone()), (204, first[0].body.clone()));
    // What fails posts nothing.
    assert_eq!(call(&twin, ADMIN, "sale.order/action_confirm", &json!({"ids": [made[0]["id"]]})).await.status, 422);
    assert!(sink.take().is_empty());
}

#[tokio::test]
async fn a_receiver_that_hangs_costs_the_caller_a_second_and_nothing_else() {
    let sink = Sink::start().await;
    for (path, at_least, at_most) in [("hang", 1000, 2500), ("fail", 0, 900)] {
        let twin = start(with_webhook(format!("{}/{path}", sink.base_url))).await.unwrap();
        let began = Instant::now();
        let made = orders(&twin, json!({"count": 1})).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(at_least) && took < Duration::from_millis(at_most), "{path}: {took:?}");
        assert_eq!(made[0]["deliveries"][0]["state"], "assigned");
        assert_eq!(sink.take().len(), 1, "{path}: no second try");
    }
}

#[tokio::test]
async fn a_chunked_body_is_no_body() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let call = Call::new("POST", "/json/2/res.partner/search")
        .header("authorization", &format!("Bearer {ADMIN}"))
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked")
        .body(b"d\r\n{\"domain\":[]}\r\n0\r\n\r\n");
    let got = call.send(&twin.base_url).await.unwrap();
    assert_eq!((got.status, &got.json()["message"]), (422, &json!("missing a required argument: 'domain'")));
    assert_eq!(got.headers["connection"], "close");
}

#[tokio::test]
async fn the_fault_script_works_on_odoo_too() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1})).await;
    let busy = json!({"name": "psycopg2.errors.SerializationFailure", "message": "could not serialize access"});
    let rules = json!([
        {"match": {"path_contains": "stock.picking/write"}, "nth": 1, "fault": "answer_lost_after_effect"},
        {"match": {"path_contains": "stock.picking/write"}, "nth": 2, "fault": "reset_before_effect"},
        {"match": {"path_contains": "search_count"}, "nth": 1, "fault": {"status": {"code": 502}}},
        {"match": {"path_contains": "search_count"}, "fault": {"status": {"code": 500, "body": busy.to_string()}}},
    ]);
    let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
    twin.set_script(rules, 0).unwrap();
    let write = json!({"ids": [made[0]["deliveries"][0]["id"]], "vals": {"carrier_tracking_ref": "1Z1"}});
    let write = Call::post("/json/2/stock.picking/write", &write).header("authorization", &format!("Bearer {BOT}"));
    assert!(write.wire(&twin.base_url).await.is_err());
    assert!(write.wire(&twin.base_url).await.is_err());
    assert_eq!(twin.effects().as_array().unwrap().len(), 1, "one of the two was done");
    assert_eq!(write.send(&twin.base_url).await.unwrap().status, 200);
    let bad_gateway = call(&twin, BOT, "sale.order/search_count", &json!({"domain": []})).await;
    assert_eq!((bad_gateway.status, bad_gateway.headers["content-type"].as_str()), (502, "text/html; charset=utf-8"));
    let again = call(&twin, BOT, "sale.order/search_count", &json!({"domain": []})).await;
    assert_eq!((again.status, again.headers["content-type"].as_str()), (500, "application/json"));
    assert_eq!(again.json(), busy);
    assert!(twin.requests().iter().all(|r| r.headers.get("authorization").is_none_or(|a| a == "<redacted>")));
}

#[tokio::test]
async fn a_reset_brings_the_first_database_back() {
    let twin = start(OdooConfig { seed: 41, ..OdooConfig::default() }).await.unwrap();
    let first = orders(&twin, json!({"count": 3})).await;
    assert_eq!(first[0]["name"], "S00041");
    twin.reset();
    assert_eq!(ask(&twin, "sale.order/search_count", json!({"domain": []})).await, 0);
    assert_eq!(orders(&twin, json!({"count": 3})).await, first);
}

#[tokio::test]
async fn domains_mean_what_they_mean_in_odoo() {
    let twin = start(OdooConfig::default()).await.unwrap();
    orders(&twin, json!({"count": 6, "lines": 2})).await;
    ask(&twin, "sale.order/action_cancel", json!({"ids": [2]})).await;
    let cases = [
        (json!([["state", "=", "sale"], ["id", "<", 4]]), vec![1, 3]),
        (json!(["|", ["id", "=", 1], ["state", "=", "cancel"]]), vec![1, 2]),
        (json!(["!", ["state", "=", "sale"]]), vec![2]),
        (json!(["&", "!", ["state", "=", "cancel"], ["id", ">=", 5]]), vec![5, 6]),
        (json!([["id", "not in", [1, 2, 3]], ["id", "!=", 6]]), vec![4, 5]),
        (json!([["partner_id.name", "ilike", "azure"]]), vec![1]),
        (json!([["partner_id", "=", "Azure Interiors"]]), vec![1]),
        (json!([["partner_id.state_id.code", "in", ["FL", "GA"]]]), vec![1, 2]),
        (json!([["name", "=like", "S0000_"], ["name", "not like", "00003"], ["id", "<=", 3]]), vec![1, 2]),
        (json!([["client_order_ref", "=", false], ["id", "=", 1]]), vec![1]),
        (json!([["client_order_ref", "!=", false]]), vec![]),
        (json!([["picking_ids.state", "=", "cancel"]]), vec![2]),
        (json!([["order_line.product_id.default_code", "=", "CHAIR-03"], ["id", "<", 4]]), vec![2, 3]),
        (json!([["picking_ids", "!=", false], ["id", "in", [6, 99]]]), vec![6]),
        (json!([["create_date", ">", "2100-01-01"]]), vec![]),
    ];
    for (domain, want) in cases {
        let got = ask(&twin, "sale.order/search", json!({"domain": domain, "order": "id"})).await;
        assert_eq!(got, json!(want), "{domain}");
    }
    let newest = json!({"domain": [], "order": "state desc, id desc", "limit": 2, "offset": 1});
    assert_eq!(ask(&twin, "sale.order/search", newest).await, json!([5, 4]));
}
