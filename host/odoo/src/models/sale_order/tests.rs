use super::*;
use wharf_domain::order::DeliveryState;

/// An answer of Odoo 19 to [`arguments`]: 2 dozen and 5 pieces, a service, a note, a delivery charge; partly reserved,
/// packed in two boxes of which one was weighed.
const ANSWER: &str = include_str!("../../../tests/data/order.json");

fn answer() -> Value {
    serde_json::from_str(ANSWER).expect("json")
}

fn order(change: impl FnOnce(&mut Value)) -> Order {
    let mut json = answer();
    change(&mut json["records"][0]);
    parse(json).expect("fits").expect("order")
}

#[test]
fn only_what_goes_into_a_box_is_a_line() {
    let order = order(|_| {});
    let lines: Vec<_> = order.lines.iter().map(|l| (l.sku.as_str(), l.quantity.to_string(), l.unit_weight_g)).collect();
    // A bolt weighs 130 g and is sold by the dozen here.
    assert_eq!(lines, [("WT-BOLT", "2".to_owned(), Some(1560)), ("WT-CASE", "5".to_owned(), Some(2400))]);
    assert_eq!(order.state, OrderState::Confirmed);
    assert_eq!(order.customer_reference.as_deref(), Some("PO-77"));
    assert_eq!(
        (order.ship_to.name.as_str(), order.ship_to.company.as_deref()),
        ("Ada Example", Some("Gemini Furniture"))
    );
    assert_eq!((order.ship_to.lines.len(), order.ship_to.region.as_deref()), (2, Some("NC")));
    assert_eq!(order.ship_from.name, "My Company (San Francisco)");
}

#[test]
fn a_delivery_tells_demand_reservation_and_boxes() {
    let order = order(|_| {});
    let delivery = &order.deliveries[0];
    assert_eq!((delivery.state, delivery.weight_g), (DeliveryState::Ready, 15_120));
    let moves: Vec<_> = delivery.moves.iter().map(|m| (m.sku.as_str(), m.demand, m.reserved)).collect();
    assert_eq!(moves, [("WT-BOLT", 24.into(), 24.into()), ("WT-CASE", 5.into(), 3.into())]);
    assert_eq!(delivery.moves[0].order_line.as_ref(), Some(&order.lines[0].erp_id));
    let parcels: Vec<_> = delivery.parcels.iter().map(|p| (p.reference.as_str(), p.weight_g, p.length_mm)).collect();
    // 24 bolts of 130 g in a carton of 300 g; and one that somebody put on a scale.
    assert_eq!(parcels, [("PACK-A", 3420, Some(400)), ("PACK-B", 7500, None)]);
    assert_eq!(delivery.parcels[0].packaging.as_deref(), Some("CTN"));
}

#[test]
fn receipts_internal_steps_and_cancelled_deliveries_are_left_out() {
    for (field, value) in [("picking_type_code", "incoming"), ("picking_type_code", "internal"), ("state", "cancel")] {
        let order = order(|record| record["picking_ids"][0][field] = json!(value));
        assert!(order.deliveries.is_empty(), "{value}");
    }
    let order = order(|record| record["picking_ids"][0]["move_ids"][1]["state"] = json!("cancel"));
    assert_eq!(order.deliveries[0].moves.len(), 1);
}

#[test]
fn a_warehouse_without_an_address_ships_from_the_company() {
    let order = order(|record| {
        record["warehouse_id"] = json!(false);
        record["company_id"]["partner_id"]["city"] = json!("Elsewhere");
    });
    assert_eq!(order.ship_from.locality, "Elsewhere");
}

#[test]
fn the_state_is_known_or_the_answer_is_refused() {
    for (state, wanted) in [
        ("draft", OrderState::Draft),
        ("sent", OrderState::Draft),
        ("sale", OrderState::Confirmed),
        ("cancel", OrderState::Cancelled),
    ] {
        assert_eq!(order(|record| record["state"] = json!(state)).state, wanted);
    }
    let mut json = answer();
    json["records"][0]["state"] = json!("teleported");
    assert_eq!(parse(json).expect_err("unknown").code, "odoo.unexpected-answer");
    assert_eq!(parse(json!({"length": 0, "records": []})), Ok(None));
    assert!(parse(json!([])).is_err());
}
