//! The port over recorded answers. What a real Odoo makes of the calls is in `tests/real_odoo.rs`.

mod journal;

use super::*;
use secrecy::SecretString;
use wharf_domain::port::erp::ErpEventKind;
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_egress::{EgressConfig, Replay};

const ORDER: &str = include_str!("../../tests/data/order.json");
const LABEL: &str = "XlhBXlha";

/// Answers by `model/method`, each used once, in order; status 0 breaks the connection.
fn erp(answers: &[(&str, u16, Value)]) -> (OdooErp, Arc<Replay>) {
    let exchanges: Vec<Value> = answers
        .iter()
        .map(|(call, status, body)| {
            let request = json!({"method": "POST", "uri": format!("/json/2/{call}")});
            match status {
                0 => json!({"request": request, "error": {"message": body}}),
                _ => json!({"request": request, "response": {"status": status, "headers": [], "body": body}}),
            }
        })
        .collect();
    let replay = Arc::new(Replay::from_json(&json!({"exchanges": exchanges}).to_string()).expect("recording"));
    let clock = Arc::new(ManualClock::at(0));
    let egress = Egress::new(None, clock.clone(), EgressConfig::default(), replay.clone());
    (OdooErp::new(egress, clock, &config()), replay)
}

fn config() -> OdooConfig {
    OdooConfig {
        tenant: TenantId::parse("nordic").expect("tenant"),
        url: "https://odoo.example".to_owned(),
        database: "d".to_owned(),
        api_key: SecretString::from("k"),
        allow_private_address: false,
        company: None,
        events: EventSource::Outbox,
    }
}

fn ctx() -> CallCtx {
    CallCtx {
        tenant: TenantId::parse("nordic").expect("tenant"),
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline: Timestamp::from_millis(60_000),
        urgent: false,
        promised: None,
    }
}

fn label() -> Attachment {
    Attachment {
        key: "k1".to_owned(),
        delivery: "57".to_owned(),
        file_name: "l.zpl".to_owned(),
        media_type: "text/plain".to_owned(),
        content_base64: LABEL.to_owned(),
    }
}

fn busy() -> Value {
    json!({"ids": false, "nextrow": 0, "messages": [{"type": "error", "message": "could not serialize access due to"}]})
}

#[tokio::test]
async fn an_order_is_read_in_one_call() {
    let (erp, replay) = erp(&[("sale.order/web_search_read", 200, serde_json::from_str(ORDER).expect("json"))]);
    let order = erp.order(&ctx(), "33").await.expect("read").expect("order");
    assert_eq!(order.lines.len(), 2);
    assert!(replay.left().is_empty());
    assert_eq!(erp.order(&ctx(), "S00033").await.expect_err("a name is no id").code, "odoo.bad-id");
}

#[tokio::test]
async fn a_busy_row_is_tried_again_and_then_left_to_the_queue() {
    let done = json!({"ids": [934], "messages": [], "nextrow": 0});
    let stored = json!([{"id": 934, "datas": LABEL}]);
    let load = "ir.attachment/load";
    let (erp_ok, _) =
        erp(&[(load, 200, busy()), (load, 200, busy()), (load, 200, done), ("ir.attachment/read", 200, stored)]);
    assert_eq!(erp_ok.attach(&ctx(), &label()).await, Ok("934".to_owned()));
    let (erp_busy, replay) = erp(&[(load, 200, busy()), (load, 200, busy()), (load, 200, busy()), (load, 200, busy())]);
    let fault = erp_busy.attach(&ctx(), &label()).await.expect_err("busy");
    assert!(fault.retryable(), "{fault}");
    assert_eq!(replay.left().len(), 1, "three tries");
}

#[tokio::test]
async fn other_bytes_under_the_same_key_are_a_conflict() {
    let done = json!({"ids": [934], "messages": [], "nextrow": 0});
    let stored = json!([{"id": 934, "datas": "XlhBXlhB"}]);
    let (erp, _) = erp(&[("ir.attachment/load", 200, done), ("ir.attachment/read", 200, stored)]);
    assert_eq!(erp.attach(&ctx(), &label()).await.expect_err("differs").kind, FaultKind::Conflict);
}

#[tokio::test]
async fn shipping_is_written_to_a_delivery_that_exists() {
    let update = ShippingUpdate {
        delivery: "57".to_owned(),
        carrier: "Acme".to_owned(),
        tracking_reference: "1Z".to_owned(),
        weight_g: 500,
    };
    let (erp_ok, replay) = erp(&[
        ("stock.picking/read", 200, json!([{"id": 57, "weight_uom_name": "kg"}])),
        ("stock.move.line/search_count", 200, json!(0)),
        ("delivery.carrier/search_read", 200, json!([])),
        ("stock.picking/write", 200, json!(true)),
    ]);
    assert_eq!(erp_ok.set_shipping(&ctx(), &update).await, Ok(()));
    assert!(replay.left().is_empty());
    let (erp_gone, _) = erp(&[("stock.picking/read", 200, json!([]))]);
    assert_eq!(erp_gone.set_shipping(&ctx(), &update).await.expect_err("gone").kind, FaultKind::NotFound);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_may_be_repeated() {
    let note = Note { key: "n1".to_owned(), delivery: "57".to_owned(), text: "x".to_owned() };
    let (erp, _) = erp(&[("mail.message/load", 0, json!("connection reset"))]);
    let fault = erp.note(&ctx(), &note).await.expect_err("no answer");
    assert!(fault.retryable(), "{fault:?}");
}

#[tokio::test]
async fn polling_tells_each_change_once() {
    let orders = json!([{"id": 26, "state": "sale", "write_date": "2026-11-23 05:00:01"},
        {"id": 27, "state": "cancel", "write_date": "2026-11-23 05:00:03"}]);
    let pickings = json!([{"id": 57, "sale_id": [26, "S00026"], "write_date": "2026-11-23 05:00:02"}]);
    let (order, picking) = ("sale.order/search_read", "stock.picking/search_read");
    let round = [(order, 200, orders), (picking, 200, pickings)];
    let (mut erp, _) = erp(&[round.clone(), round].concat());
    let start = Timestamp::from_millis(1_795_410_000_000);
    erp.events = Events::Poll(Mutex::new(poll::Cursors::new(start, 180, 60)));
    let events = erp.pending_events(&ctx(), 2).await.expect("events");
    let told: Vec<_> = events.iter().map(|e| (e.key.as_str(), e.kind, e.order.as_str())).collect();
    assert_eq!(
        told,
        [
            ("poll:sale.order:26:2026-11-23T05:00:01", ErpEventKind::OrderConfirmed, "26"),
            ("poll:stock.picking:57:2026-11-23T05:00:02", ErpEventKind::OrderChanged, "26"),
        ]
    );
    erp.acknowledge(&ctx(), &events).await.expect("acknowledge");
    let rest = erp.pending_events(&ctx(), 2).await.expect("events");
    assert_eq!(
        rest.iter().map(|e| (e.kind, e.order.as_str())).collect::<Vec<_>>(),
        [(ErpEventKind::OrderCancelled, "27")]
    );
}

#[tokio::test]
async fn acknowledging_what_is_partly_gone_deletes_the_rest() {
    let missing = json!({"name": "odoo.exceptions.MissingError", "message": "Record does not exist"});
    let rows = json!([{"id": 1, "x_event": "order.sale", "x_order_id": 26},
        {"id": 2, "x_event": "delivery", "x_order_id": 26}]);
    let (erp, replay) = erp(&[
        ("x_wharf_outbox/search_read", 200, rows),
        ("x_wharf_outbox/unlink", 404, missing),
        ("x_wharf_outbox/search", 200, json!([2])),
        ("x_wharf_outbox/unlink", 200, json!(true)),
    ]);
    let events = erp.pending_events(&ctx(), 100).await.expect("events");
    assert_eq!(
        events.iter().map(|e| e.kind).collect::<Vec<_>>(),
        [ErpEventKind::OrderConfirmed, ErpEventKind::OrderChanged]
    );
    assert_eq!(erp.acknowledge(&ctx(), &events).await, Ok(()));
    assert!(replay.left().is_empty());
    assert_eq!(erp.acknowledge(&ctx(), &[]).await, Ok(()), "nothing to forget");
}
