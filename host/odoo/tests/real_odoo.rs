//! The whole room against a real Odoo 19 with demo data: as an administrator, as people, and as the bot.
//!
//! Runs when `WHARF_TEST_ODOO_URL`, `WHARF_TEST_ODOO_DB` and `WHARF_TEST_ODOO_KEY` (an administrator's key) are set.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking and tells what it skips")]

#[path = "real_odoo/attacks.rs"]
mod attacks;
#[path = "real_odoo/gate.rs"]
mod gate;
#[path = "real_odoo/house.rs"]
mod house;
#[path = "real_odoo/setting_up.rs"]
mod setting_up;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use house::{House, knocked_at};
use serde_json::{Value, json};
use setting_up::{looking_for_trouble, setting_up_twice, switching_off};
use tokio::task::JoinSet;
use wharf_domain::fault::FaultKind;
use wharf_domain::order::{AllocationProof, DeliveryState, Order, OrderState};
use wharf_domain::port::erp::{Attachment, Erp, ErpEvent, ErpEventKind, Note, ShippingUpdate};
use wharf_odoo::{EventSource, OdooConfig, OdooErp};

const LABEL: &str = "XlhBXkZPNTAsNTBeRkRXaGFyZl5GU15YWg==";

#[tokio::test]
async fn the_room_works_with_a_real_odoo() {
    let Some(house) = House::open().await else {
        println!("skipped: WHARF_TEST_ODOO_URL, WHARF_TEST_ODOO_DB and WHARF_TEST_ODOO_KEY are not set");
        return;
    };
    let house = Arc::new(house);
    let mut steps = JoinSet::new();
    let all = house.clone();
    // A task of its own, so that the rules are switched off again also when a step fails.
    steps.spawn(async move {
        let (url, mut knocks) = knocked_at();
        let bot = Box::pin(setting_up_twice(&all, &url)).await;
        Box::pin(looking_for_trouble(&all, &bot)).await;
        let erp = Arc::new(OdooErp::new(all.egress.clone(), all.clock.clone(), &bot));
        let order = Box::pin(an_order_is_confirmed(&all, &erp, &mut knocks)).await;
        Box::pin(the_rest_is_reserved(&all, &erp, &order)).await;
        Box::pin(shipping_is_written_twice(&all, &erp, &order)).await;
        Box::pin(a_label_is_attached_once(&all, &erp, &order)).await;
        Box::pin(a_note_is_posted_once(&all, &erp, &order)).await;
        Box::pin(a_packed_order_has_parcels(&all, &erp)).await;
        Box::pin(an_order_is_cancelled(&all, &erp)).await;
        Box::pin(polling_sees_the_same(&all, &bot, &order)).await;
        Box::pin(gate::the_gate_holds(&all, &bot)).await;
    });
    let outcome = steps.join_next().await.expect("one task");
    Box::pin(switching_off(&house)).await;
    outcome.expect("all steps");
}

/// Waiting events of one order, by kind, with their keys.
async fn told(house: &House, erp: &OdooErp, order: i64) -> Vec<ErpEvent> {
    let all = erp.pending_events(&house.job("erp.pull").await, 500).await.expect("events");
    all.into_iter().filter(|event| event.order == order.to_string()).collect()
}

async fn acknowledge(house: &House, erp: &OdooErp, order: i64) {
    let events = told(house, erp, order).await;
    erp.acknowledge(&house.job("erp.pull").await, &events).await.expect("acknowledge");
}

fn kinds(events: &[ErpEvent]) -> BTreeSet<String> {
    events.iter().map(|event| format!("{:?}", event.kind)).collect()
}

async fn order(house: &House, erp: &OdooErp, id: i64) -> Order {
    let ctx = house.job("erp.read-order").await;
    erp.order(&ctx, &id.to_string()).await.expect("read").expect("order")
}

async fn an_order_is_confirmed(house: &House, erp: &OdooErp, knocks: &mut Receiver<String>) -> Order {
    let (a, b) = (house.product("RT-A", 1.25, 10).await, house.product("RT-B", 0.5, 3).await);
    let service = house.create("product.product", json!({"name": "Wharf test service", "type": "service"})).await;
    let line = |product: i64, quantity: i64| json!([0, 0, {"product_id": product, "product_uom_qty": quantity}]);
    let lines =
        json!([line(a, 2), line(b, 5), line(service, 1), [0, 0, {"display_type": "line_note", "name": "note"}]]);
    let values = json!({"partner_id": 10, "client_order_ref": "PO-1", "order_line": lines});
    let id = house.create("sale.order", values).await;
    assert!(told(house, erp, id).await.is_empty(), "a quotation tells nothing");
    let draft = order(house, erp, id).await;
    assert_eq!((draft.state, draft.lines.len(), draft.deliveries.len()), (OrderState::Draft, 2, 0));

    house.person("sale.order", "action_confirm", json!({"ids": [id]})).await;
    let events = told(house, erp, id).await;
    assert_eq!(kinds(&events), BTreeSet::from(["OrderChanged".to_owned(), "OrderConfirmed".to_owned()]));
    assert_eq!(told(house, erp, id).await, events, "the same facts have the same keys until they are acknowledged");
    // Others may work in the same Odoo: their orders knock too.
    let ours = format!("\"_id\": {id}, \"_model\": \"sale.order\"");
    while !knocks.recv_timeout(Duration::from_secs(5)).expect("the wake-up").contains(&ours) {}

    let pull = house.job("erp.pull").await;
    erp.acknowledge(&pull, &events).await.expect("acknowledge");
    erp.acknowledge(&pull, &events).await.expect("acknowledging again is harmless");
    assert!(told(house, erp, id).await.is_empty());
    assert!(house.effects(pull.job.expect("job")).await.is_empty(), "no books are kept on acknowledgements");

    let confirmed = order(house, erp, id).await;
    println!("{}", serde_json::to_string_pretty(&confirmed).expect("json"));
    assert_eq!(confirmed.state, OrderState::Confirmed);
    assert_eq!(confirmed.customer_reference.as_deref(), Some("PO-1"));
    assert_eq!(confirmed.lines.iter().map(|l| l.unit_weight_g).collect::<Vec<_>>(), [Some(1250), Some(500)]);
    assert!(!confirmed.ship_from.country.is_empty() && !confirmed.ship_to.country.is_empty());
    let delivery = &confirmed.deliveries[0];
    assert_eq!((delivery.state, delivery.weight_g, delivery.moves.len()), (DeliveryState::Ready, 5000, 2));
    assert!(!AllocationProof::from_reservation("odoo", delivery).is_complete(), "3 of 5 are there");
    assert_eq!(delivery.moves[0].order_line.as_ref(), Some(&confirmed.lines[0].erp_id));
    let gone = erp.order(&house.job("erp.read-order").await, "99999999").await;
    assert_eq!(gone, Ok(None));
    confirmed
}

async fn the_rest_is_reserved(house: &House, erp: &OdooErp, known: &Order) {
    let id = known.erp_id.parse().expect("id");
    let search = json!({"domain": [["default_code", "=", known.lines[1].sku]], "fields": ["id"]});
    let product = house.person("product.product", "search_read", search).await[0]["id"].as_i64().expect("product");
    house.stock(product, 5).await;
    house.person("stock.picking", "action_assign", json!({"ids": [delivery_id(known)]})).await;
    assert_eq!(kinds(&told(house, erp, id).await), BTreeSet::from(["OrderChanged".to_owned()]));
    acknowledge(house, erp, id).await;
    let full = order(house, erp, id).await;
    assert!(AllocationProof::from_reservation("odoo", &full.deliveries[0]).is_complete());
}

fn delivery_id(order: &Order) -> i64 {
    order.deliveries[0].erp_id.parse().expect("id")
}

async fn shipping_is_written_twice(house: &House, erp: &OdooErp, order: &Order) {
    let mut update = ShippingUpdate {
        delivery: order.deliveries[0].erp_id.clone(),
        carrier: "The Poste".to_owned(),
        tracking_reference: "1Z999".to_owned(),
        weight_g: 7_770,
    };
    let job = house.job("erp.set-shipping").await;
    for _ in 0..2 {
        erp.set_shipping(&job, &update).await.expect("write");
    }
    let effects = house.effects(job.job.expect("job")).await;
    assert_eq!(effects, ["1:POST /json/2/stock.picking/write succeeded"]);
    update.carrier = "Nobody Knows Express".to_owned();
    erp.set_shipping(&house.job("erp.set-shipping").await, &update).await.expect("an unknown carrier is no failure");
    let fields = ["carrier_tracking_ref", "carrier_id", "shipping_weight", "weight"];
    let stored = house.read("stock.picking", delivery_id(order), &fields).await;
    assert_eq!((&stored["carrier_tracking_ref"], &stored["shipping_weight"]), (&json!("1Z999"), &json!(7.77)));
    assert_eq!(stored["carrier_id"][1], "The Poste");
    let own: i64 = order.erp_id.parse().expect("id");
    assert!(told(house, erp, own).await.is_empty(), "what the host writes is no news to it");
    update.delivery = "99999999".to_owned();
    let missing = erp.set_shipping(&house.job("erp.set-shipping").await, &update).await.expect_err("no such delivery");
    assert_eq!(missing.kind, FaultKind::NotFound);
}

async fn count(house: &House, model: &str, domain: Value) -> i64 {
    house.person(model, "search_count", json!({"domain": domain})).await.as_i64().expect("count")
}

async fn a_label_is_attached_once(house: &House, erp: &Arc<OdooErp>, order: &Order) {
    let delivery = delivery_id(order);
    let mut label = Attachment {
        key: format!("label-{}", house.run),
        delivery: delivery.to_string(),
        file_name: "label.zpl".to_owned(),
        media_type: "text/plain".to_owned(),
        content_base64: LABEL.to_owned(),
    };
    // Eight jobs at once: whoever loses the race finds the winner's.
    let mut racing = JoinSet::new();
    for _ in 0..8 {
        let (erp, label, ctx) = (erp.clone(), label.clone(), house.job("erp.attach").await);
        racing.spawn(async move {
            loop {
                match erp.attach(&ctx, &label).await {
                    Err(fault) if fault.retryable() => println!("retried: {fault}"),
                    settled => return settled,
                }
            }
        });
    }
    let ids: BTreeSet<String> = racing.join_all().await.into_iter().map(|id| id.expect("attached")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let job = house.job("erp.attach").await;
    for _ in 0..2 {
        assert!(ids.contains(&erp.attach(&job, &label).await.expect("again")));
    }
    let here = json!([["res_model", "=", "stock.picking"], ["res_id", "=", delivery]]);
    assert_eq!(count(house, "ir.attachment", here).await, 1);
    label.content_base64 = "XlhBXlha".to_owned();
    let other = erp.attach(&house.job("erp.attach").await, &label).await.expect_err("other content, same key");
    assert_eq!(other.kind, FaultKind::Conflict);
}

async fn a_note_is_posted_once(house: &House, erp: &OdooErp, order: &Order) {
    let delivery = delivery_id(order);
    let text = "Label <1Z999> bought & attached\nby the host".to_owned();
    let note = Note { key: format!("note-{}", house.run), delivery: delivery.to_string(), text };
    for _ in 0..2 {
        erp.note(&house.job("erp.note").await, &note).await.expect("note");
    }
    let here = json!([
        ["model", "=", "stock.picking"],
        ["res_id", "=", delivery],
        ["body", "ilike", "1Z999"],
        ["message_type", "=", "comment"]
    ]);
    let search = json!({"domain": here, "fields": ["body", "author_id", "subtype_id"]});
    let found = house.person("mail.message", "search_read", search).await;
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found[0]["body"], "<p>Label &lt;1Z999&gt; bought &amp; attached<br>by the host</p>");
    assert!(found[0]["author_id"][1].as_str().is_some_and(|author| author.contains("odoo-room-test")), "{found}");
}

async fn a_packed_order_has_parcels(house: &House, erp: &OdooErp) {
    let product = house.product("RT-C", 2.0, 10).await;
    let values = json!({"partner_id": 10, "order_line": [[0, 0, {"product_id": product, "product_uom_qty": 2}]]});
    let id = house.create("sale.order", values).await;
    house.person("sale.order", "action_confirm", json!({"ids": [id]})).await;
    let open = order(house, erp, id).await;
    let kind = json!({"name": format!("Test box {}", house.run), "packaging_length": 300, "width": 200,
        "height": 100, "base_weight": 0.2});
    let kind = house.create("stock.package.type", kind).await;
    let boxed = house.create("stock.package", json!({"package_type_id": kind, "shipping_weight": 4.5})).await;
    let lines = json!({"domain": [["picking_id", "=", delivery_id(&open)]], "fields": ["id"]});
    let line = house.person("stock.move.line", "search_read", lines).await[0]["id"].clone();
    house.person("stock.move.line", "write", json!({"ids": [line], "vals": {"result_package_id": boxed}})).await;
    let packed = order(house, erp, id).await;
    let parcel = &packed.deliveries[0].parcels[0];
    assert_eq!(packed.deliveries[0].parcels.len(), 1);
    let size = (parcel.length_mm, parcel.width_mm, parcel.height_mm);
    assert_eq!((parcel.weight_g, size), (4500, (Some(300), Some(200), Some(100))));
    let update = ShippingUpdate {
        delivery: packed.deliveries[0].erp_id.clone(),
        carrier: String::new(),
        tracking_reference: "1ZBOX".to_owned(),
        weight_g: 9_999,
    };
    erp.set_shipping(&house.job("erp.set-shipping").await, &update).await.expect("write");
    let stored = house.read("stock.picking", delivery_id(&packed), &["shipping_weight", "carrier_tracking_ref"]).await;
    assert_eq!((&stored["shipping_weight"], &stored["carrier_tracking_ref"]), (&json!(4.5), &json!("1ZBOX")));
    acknowledge(house, erp, id).await;
}

async fn an_order_is_cancelled(house: &House, erp: &OdooErp) {
    let product = house.product("RT-D", 1.0, 10).await;
    let values = json!({"partner_id": 10, "order_line": [[0, 0, {"product_id": product, "product_uom_qty": 1}]]});
    let id = house.create("sale.order", values).await;
    house.person("sale.order", "action_confirm", json!({"ids": [id]})).await;
    acknowledge(house, erp, id).await;
    house.person("sale.order", "action_cancel", json!({"ids": [id]})).await;
    let events = told(house, erp, id).await;
    assert!(events.iter().any(|event| event.kind == ErpEventKind::OrderCancelled), "{events:?}");
    acknowledge(house, erp, id).await;
    let cancelled = order(house, erp, id).await;
    assert_eq!((cancelled.state, cancelled.deliveries.len()), (OrderState::Cancelled, 0));
}

async fn polling_sees_the_same(house: &House, bot: &OdooConfig, order: &Order) {
    let config = OdooConfig { events: EventSource::Poll { overlap_s: 180, look_back_s: 3600 }, ..bot.clone() };
    let erp = OdooErp::new(house.egress.clone(), house.clock.clone(), &config);
    let id = order.erp_id.parse().expect("id");
    let events = told(house, &erp, id).await;
    assert_eq!(kinds(&events), BTreeSet::from(["OrderChanged".to_owned(), "OrderConfirmed".to_owned()]));
    let all = erp.pending_events(&house.job("erp.pull").await, 500).await.expect("events");
    erp.acknowledge(&house.job("erp.pull").await, &all).await.expect("acknowledge");
    assert!(told(house, &erp, id).await.is_empty(), "what was acknowledged is not told again");
    // Odoo keeps whole seconds: a change in the same second as the last one is the same fact to a poll.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let write = json!({"ids": [delivery_id(order)], "vals": {"origin": "touched"}});
    house.person("stock.picking", "write", write).await;
    assert_eq!(kinds(&told(house, &erp, id).await), BTreeSet::from(["OrderChanged".to_owned()]));
}
