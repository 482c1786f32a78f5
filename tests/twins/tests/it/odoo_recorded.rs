//! The Odoo twin against the recorded exchanges: reading and writing, errors, shipping an order.

use serde_json::json;
use wharf_twins::odoo::{OdooConfig, start};

use crate::odoo_replay::{Replay, Step, Who, ask, id_of, orders, step};
use crate::recorded::shared;

/// `read_group` and its successor, and reads of all fields of a real database, are not claimed.
const CRUD: [Step; 20] = [
    step("02-json2-crud/01-search_read"),
    step("02-json2-crud/02-search_read-page2"),
    step("02-json2-crud/03-search_count"),
    step("02-json2-crud/04-search-ids"),
    step("02-json2-crud/05-read"),
    step("02-json2-crud/06-read-load-null"),
    // One of the recorded products has no code.
    step("02-json2-crud/07-web_search_read-nested").allow(&["- /records[]/order_line[]/product_id/default_code bool"]),
    step("02-json2-crud/08-create-dict").learn(&[("dict", "/0")]),
    step("02-json2-crud/09-create-many-nonascii").learn(&[("zoe", "/0"), ("tokyo", "/1")]),
    step("02-json2-crud/10-read-nonascii").set(&[("/ids/0", "zoe"), ("/ids/1", "tokyo")]),
    step("02-json2-crud/11-write").set(&[("/ids/0", "zoe"), ("/ids/1", "tokyo")]),
    step("02-json2-crud/12-write-no-ids"),
    step("02-json2-crud/13-fields_get"),
    step("02-json2-crud/14-context"),
    step("02-json2-crud/15-unlink").set(&[("/ids/0", "dict"), ("/ids/1", "zoe"), ("/ids/2", "tokyo")]),
    step("02-json2-crud/16-default_get"),
    step("02-json2-crud/19-search_read-computed"),
    step("02-json2-crud/22-exists"),
    step("02-json2-crud/23-next_by_code"),
    step("02-json2-crud/24-has_access"),
];

const ERRORS: [Step; 45] = [
    step("03-json2-errors/01-bad-key").by(Who::BadKey),
    step("03-json2-errors/02-no-key").by(Who::Nobody),
    step("03-json2-errors/03-basic-auth").by(Who::Basic),
    step("03-json2-errors/04-wrong-database"),
    step("03-json2-errors/05-no-database-header"),
    step("03-json2-errors/06-unknown-model"),
    step("03-json2-errors/07-unknown-method"),
    step("03-json2-errors/08-private-method"),
    step("03-json2-errors/09-api-private-method"),
    step("03-json2-errors/10-unknown-field-read"),
    step("03-json2-errors/11-unknown-field-domain"),
    step("03-json2-errors/12-unknown-field-write"),
    step("03-json2-errors/13-unknown-field-create"),
    step("03-json2-errors/14-unknown-kwarg"),
    step("03-json2-errors/15-missing-kwarg"),
    step("03-json2-errors/16-missing-record-read"),
    step("03-json2-errors/16b-missing-record-read-mixed"),
    step("03-json2-errors/17-missing-record-write"),
    step("03-json2-errors/17b-missing-record-unlink"),
    step("03-json2-errors/17c-missing-record-action"),
    step("03-json2-errors/19-access-right-write").by(Who::Bot),
    step("03-json2-errors/19b-access-field").by(Who::Bot),
    step("03-json2-errors/20-record-rule").by(Who::Bot),
    step("03-json2-errors/21-required-field"),
    step("03-json2-errors/22-sql-constraint"),
    step("03-json2-errors/23-user-error").set(&[("/ids/0", "confirmed")]),
    step("03-json2-errors/24-user-error-confirm-twice").set(&[("/ids/0", "confirmed")]),
    step("03-json2-errors/26-wrong-type"),
    step("03-json2-errors/26b-wrong-selection"),
    step("03-json2-errors/26c-bad-fk"),
    step("03-json2-errors/26d-bad-date"),
    step("03-json2-errors/26e-iso8601-date"),
    step("03-json2-errors/27-malformed-json"),
    step("03-json2-errors/28-array-body"),
    step("03-json2-errors/28b-null-body"),
    step("03-json2-errors/29-empty-body"),
    step("03-json2-errors/30-wrong-content-type"),
    step("03-json2-errors/30b-text-plain-json"),
    step("03-json2-errors/31-get"),
    step("03-json2-errors/32-path-too-short"),
    step("03-json2-errors/33-ids-on-model-method"),
    step("03-json2-errors/34-ids-not-list"),
    step("03-json2-errors/34b-ids-string"),
    step("03-json2-errors/38-return-none"),
    step("03-json2-errors/40-read-abstract"),
];

const MORE_ERRORS: [Step; 6] = [
    step("03-json2-errors/35-bad-domain"),
    step("03-json2-errors/35b-bad-operator"),
    step("03-json2-errors/36-positional-args"),
    step("03-json2-errors/39-context-wrong-company"),
    step("03-json2-errors/39b-context-company-not-allowed"),
    step("03-json2-errors/41-duplicate-email-login"),
];

/// The whole folder, in its order: half of one move is missing on stock, the rest goes to a backorder.
const SHIP: [Step; 44] = [
    step("10-ship/01-create-partner").set(&[("/vals_list/0/country_id", "germany")]).learn(&[("partner", "/0")]),
    step("10-ship/02-create-quotation")
        .set(&[
            ("/vals_list/0/partner_id", "partner"),
            ("/vals_list/0/order_line/0/2/product_id", "plenty"),
            ("/vals_list/0/order_line/1/2/product_id", "scarce"),
        ])
        .learn(&[("order", "/0")]),
    step("10-ship/03-confirm").set(&[("/ids/0", "order")]),
    step("10-ship/04-read-order").set(&[("/ids/0", "order")]).learn(&[("picking", "/0/picking_ids/0")]),
    step("10-ship/05-read-picking")
        .set(&[("/ids/0", "picking")])
        .learn(&[("m1", "/0/move_ids/0"), ("m2", "/0/move_ids/1")]),
    step("10-ship/06-read-moves").set(&[("/ids/0", "m1"), ("/ids/1", "m2")]),
    step("10-ship/07-unreserve").set(&[("/ids/0", "picking")]),
    step("10-ship/08-read-after-unreserve").set(&[("/ids/0", "picking")]),
    step("10-ship/09-assign").set(&[("/ids/0", "picking")]),
    step("10-ship/10-read-after-assign").set(&[("/ids/0", "picking")]).learn(&[("l1", "/0/move_line_ids/0")]),
    step("10-ship/11-moves-after-assign").set(&[("/ids/0", "m1"), ("/ids/1", "m2")]),
    step("10-ship/12-move-lines").set(&[("/domain/0/2/0", "picking")]),
    step("10-ship/13-set-carrier").set(&[("/ids/0", "picking"), ("/vals/carrier_id", "carrier")]),
    step("10-ship/14-set-tracking-template").set(&[("/ids/0", "carrier")]),
    step("10-ship/15-read-carrier").set(&[("/ids/0", "picking")]),
    step("10-ship/16-old-package-model"),
    step("10-ship/17-package-type").learn(&[("box", "/0")]),
    step("10-ship/18-package").set(&[("/vals_list/0/package_type_id", "box")]).learn(&[("package", "/0")]),
    step("10-ship/19-assign-package-to-line").set(&[("/ids/0", "l1"), ("/vals/result_package_id", "package")]),
    step("10-ship/20-put-in-pack").set(&[("/ids/0", "picking")]),
    step("10-ship/21-packages-of-picking").set(&[("/domain/0/2/0", "package")]),
    step("10-ship/22-set-quantity-partial").set(&[("/ids/0", "m2")]),
    step("10-ship/23-set-picked").set(&[("/ids/0", "m1")]),
    step("10-ship/24-validate-needs-backorder-wizard").set(&[("/ids/0", "picking")]),
    step("10-ship/25-read-after-first-validate").set(&[("/ids/0", "picking")]),
    step("10-ship/26-backorder-wizard-create")
        .set(&[
            ("/vals_list/0/pick_ids/0/2/0", "picking"),
            ("/context/button_validate_picking_ids/0", "picking"),
            ("/context/default_pick_ids/0/1", "picking"),
        ])
        .learn(&[("wizard", "/0")]),
    step("10-ship/27-backorder-wizard-read").set(&[("/ids/0", "wizard")]),
    step("10-ship/28-backorder-wizard-process")
        .set(&[("/ids/0", "wizard"), ("/context/button_validate_picking_ids/0", "picking")])
        .learn(&[("sms", "/res_id")]),
    step("10-ship/29-read-after-backorder-wizard").set(&[("/ids/0", "picking")]),
    step("10-ship/30-sms-wizard-dont-send")
        .set(&[("/ids/0", "sms"), ("/context/button_validate_picking_ids/0", "picking")]),
    step("10-ship/31-read-done").set(&[("/ids/0", "picking")]),
    step("10-ship/32-read-backorder").set(&[("/domain/0/2/0", "picking")]).learn(&[("backorder", "/0/id")]),
    step("10-ship/33-order-after").set(&[("/ids/0", "order")]),
    step("10-ship/34-order-lines-after").set(&[("/domain/0/2/0", "order")]),
    step("10-ship/35-label-attachment").set(&[("/vals_list/0/res_id", "picking")]).learn(&[("label", "/0")]),
    step("10-ship/36-label-read-back").set(&[("/ids/0", "label")]),
    step("10-ship/37-message-post").set(&[("/ids/0", "picking"), ("/attachment_ids/0", "label")]),
    step("10-ship/38-message-post-html").set(&[("/ids/0", "picking")]),
    step("10-ship/39-messages").set(&[("/domain/1/2", "picking")]),
    step("10-ship/40-write-tracking-on-done").set(&[("/ids/0", "picking")]),
    step("10-ship/41-write-date-done-pod").set(&[("/ids/0", "picking")]),
    step("10-ship/42-validate-twice").set(&[("/ids/0", "picking")]),
    step("10-ship/43-validate-backorder-skip-nothing-picked").set(&[("/ids/0", "backorder")]),
    step("10-ship/44-read-backorder-state").set(&[("/ids/0", "backorder")]),
];

#[tokio::test]
async fn records_are_read_and_written_as_recorded() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig::default()).await.unwrap();
    orders(&twin, json!({"count": 25, "lines": 2})).await;
    // One of the recorded orders has a tag.
    let tag = ask(&twin, "crm.tag/create", json!({"vals_list": {"name": "t"}})).await;
    ask(&twin, "sale.order/write", json!({"ids": [1], "vals": {"tag_ids": [[6, 0, tag]]}})).await;
    let mut replay = Replay::new(&twin, &shared);
    replay.run(&CRUD).await;
    replay.judge();
}

#[tokio::test]
async fn errors_have_the_recorded_status_class_and_shape() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1})).await;
    let mut replay = Replay::new(&twin, &shared);
    replay.put("confirmed", made[0]["id"].clone());
    replay.run(&ERRORS).await;
    replay.run(&MORE_ERRORS).await;
    replay.judge();
}

#[tokio::test]
async fn an_order_ships_as_recorded_with_backorder_wizards_and_label() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig::default()).await.unwrap();
    let mut replay = Replay::new(&twin, &shared);
    for (name, model, field, value) in [
        ("germany", "res.country", "code", "DE"),
        ("plenty", "product.product", "default_code", "LAMP-01"),
        ("scarce", "product.product", "default_code", "TABLE-04"),
        ("carrier", "delivery.carrier", "name", "The Poste"),
    ] {
        let id = id_of(&twin, model, field, value).await;
        replay.put(name, id);
    }
    replay.run(&SHIP).await;
    replay.judge();
    let effects = twin.effects();
    let kinds: Vec<&str> = effects.as_array().unwrap().iter().filter_map(|e| e["kind"].as_str()).collect();
    assert_eq!(kinds, ["tracking", "attachment", "note", "note", "tracking"]);
}
