//! What a shippable order looks like, and what is sent for one delivery. Every objection names the field.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use wharf_domain::address::Address;
use wharf_domain::fault::FieldFault;
use wharf_domain::order::{Delivery, DeliveryMove, Order};
use wharf_domain::shipment::Parcel;

use super::label::Consignment;
use super::policy::Policy;

/// Countries without postal codes (Universal Postal Union, member data 2024; only those that never use one).
const WITHOUT_POSTAL_CODE: &[&str] = &[
    "AE", "AG", "AO", "AW", "BF", "BI", "BJ", "BS", "BW", "BZ", "CD", "CF", "CG", "CI", "CK", "CM", "DJ", "DM", "ER",
    "FJ", "GA", "GD", "GM", "GQ", "GY", "HK", "KI", "KM", "KN", "KP", "ML", "MO", "MR", "MW", "NR", "NU", "QA", "RW",
    "SB", "SC", "SL", "SR", "ST", "SY", "TD", "TF", "TG", "TK", "TL", "TO", "TV", "UG", "VU", "YE", "ZW",
];

/// More address lines than this fit no label and no carrier's form.
const MAX_LINES: usize = 4;

/// Everything that keeps the order from being shipped, for the deliveries that still need a label. Paths are those
/// of the order: `ship_to.postal_code`, `lines[0].unit_weight_g`, `deliveries[1].parcels[0].weight_g`.
pub(super) fn objections(order: &Order, policy: &Policy, open: impl Fn(&Delivery) -> bool) -> Vec<FieldFault> {
    let mut found = Vec::new();
    address("ship_from", &order.ship_from, &mut found);
    address("ship_to", &order.ship_to, &mut found);
    if order.lines.is_empty() {
        found.push(field("lines", "missing", "the order has a delivery but no line that ships"));
    }
    for (index, line) in order.lines.iter().enumerate() {
        if line.quantity <= Decimal::ZERO {
            found.push(field(&format!("lines[{index}].quantity"), "not-positive", "the quantity must be above 0"));
        }
    }
    for (index, delivery) in order.deliveries.iter().enumerate() {
        if open(delivery) {
            weight(order, index, delivery, policy, &mut found);
        }
    }
    found.dedup();
    found
}

/// Is it about where the parcel goes, rather than about the goods?
pub(super) fn concerns_address(fault: &FieldFault) -> bool {
    fault.path.starts_with("ship_to") || fault.path.starts_with("ship_from")
}

fn address(path: &str, address: &Address, found: &mut Vec<FieldFault>) {
    let mut missing = |name: &str, text: &str| {
        if text.trim().is_empty() {
            found.push(field(&format!("{path}.{name}"), "missing", &format!("`{name}` is needed")));
        }
    };
    missing(
        "name",
        if address.name.trim().is_empty() { address.company.as_deref().unwrap_or("") } else { &address.name },
    );
    missing("lines", address.lines.first().map_or("", String::as_str));
    missing("locality", &address.locality);
    if !WITHOUT_POSTAL_CODE.contains(&address.country.as_str()) {
        missing("postal_code", address.postal_code.as_deref().unwrap_or(""));
    }
    if address.lines.len() > MAX_LINES {
        found.push(field(&format!("{path}.lines"), "too-many", "at most four address lines fit a label"));
    }
    if address.country.len() != 2 || !address.country.bytes().all(|b| b.is_ascii_uppercase()) {
        let text = "a country code of two letters (ISO 3166-1) is needed";
        found.push(field(&format!("{path}.country"), "not-a-country", text));
    }
}

fn weight(order: &Order, index: usize, delivery: &Delivery, policy: &Policy, found: &mut Vec<FieldFault>) {
    for (number, parcel) in delivery.parcels.iter().enumerate() {
        // One parcel alone weighs what the delivery weighs; several must be weighed.
        if parcel.weight_g == 0 && delivery.parcels.len() > 1 && policy.parcel.weight_g.is_none() {
            let path = format!("deliveries[{index}].parcels[{number}].weight_g");
            found.push(field(&path, "missing", "several parcels were packed and this one has no weight"));
        }
    }
    let weighed = delivery.parcels.iter().any(|parcel| parcel.weight_g > 0);
    if weighed || goods_weight(order, delivery).is_some() || policy.parcel.weight_g.is_some() {
        return;
    }
    for (number, line) in order.lines.iter().enumerate() {
        if line.unit_weight_g.unwrap_or(0) == 0 && delivery.moves.iter().any(|m| line_of(order, m) == Some(number)) {
            let text = format!("product `{}` has no weight; enter it, or set `parcel.weight_g`", line.sku);
            found.push(field(&format!("lines[{number}].unit_weight_g"), "missing", &text));
        }
    }
    if delivery.moves.iter().all(|m| line_of(order, m).is_none()) {
        let path = format!("deliveries[{index}].weight_g");
        found.push(field(&path, "missing", "the weight of the delivery cannot be known; set `parcel.weight_g`"));
    }
}

/// What would be sent now; `None` while somebody still has to pack. Only for an order without objections.
pub(super) fn consignment(order: &Order, delivery: &Delivery, policy: &Policy) -> Option<Consignment> {
    let parcels = if delivery.parcels.is_empty() {
        if policy.wait_for_packing {
            return None;
        }
        vec![assumed_parcel(order, delivery, policy)]
    } else {
        packed_parcels(order, delivery, policy)
    };
    Some(Consignment { ship_from: order.ship_from.clone(), ship_to: order.ship_to.clone(), parcels })
}

fn assumed_parcel(order: &Order, delivery: &Delivery, policy: &Policy) -> Parcel {
    let assumed = &policy.parcel;
    Parcel {
        reference: "1".to_owned(),
        weight_g: goods_weight(order, delivery).or(assumed.weight_g).unwrap_or(0),
        length_mm: assumed.length_mm,
        width_mm: assumed.width_mm,
        height_mm: assumed.height_mm,
        packaging: assumed.packaging.clone(),
        declared_value: None,
    }
}

fn packed_parcels(order: &Order, delivery: &Delivery, policy: &Policy) -> Vec<Parcel> {
    let alone = delivery.parcels.len() == 1;
    let assumed = &policy.parcel;
    let complete = |parcel: &Parcel| {
        let goods = if alone { goods_weight(order, delivery) } else { None };
        let known = Some(parcel.weight_g).filter(|grams| *grams > 0);
        let measured = parcel.length_mm.is_some() || parcel.width_mm.is_some() || parcel.height_mm.is_some();
        let mut parcel = parcel.clone();
        parcel.weight_g = known.or(goods).or(assumed.weight_g).unwrap_or(0);
        if !measured {
            (parcel.length_mm, parcel.width_mm, parcel.height_mm) =
                (assumed.length_mm, assumed.width_mm, assumed.height_mm);
        }
        parcel.packaging = parcel.packaging.or_else(|| assumed.packaging.clone());
        parcel
    };
    delivery.parcels.iter().map(complete).collect()
}

/// The weight of a delivery's goods: what the ERP computed, else units times unit weights. `None` when a weight is
/// missing, because a sum without it would be too low.
fn goods_weight(order: &Order, delivery: &Delivery) -> Option<u64> {
    if delivery.weight_g > 0 {
        return Some(delivery.weight_g);
    }
    let mut total = Decimal::ZERO;
    for part in &delivery.moves {
        let unit = order.lines.get(line_of(order, part)?)?.unit_weight_g.filter(|grams| *grams > 0)?;
        total = total.checked_add(part.demand.checked_mul(Decimal::from(unit))?)?;
    }
    total.ceil().to_u64().filter(|grams| *grams > 0)
}

/// The order line a move delivers: by its link, else by product.
fn line_of(order: &Order, part: &DeliveryMove) -> Option<usize> {
    let linked = part.order_line.as_ref().and_then(|id| order.lines.iter().position(|line| &line.erp_id == id));
    linked.or_else(|| order.lines.iter().position(|line| line.sku == part.sku))
}

fn field(path: &str, code: &str, message: &str) -> FieldFault {
    FieldFault { path: path.to_owned(), code: code.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;

    fn paths(order: &Order, policy: &Policy) -> Vec<String> {
        objections(order, policy, |_| true).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn every_objection_names_its_field() {
        let policy = examples::policy();
        let good = examples::order();
        assert_eq!(paths(&good, &policy), Vec::<String>::new());

        let mut bad = good.clone();
        bad.ship_to.lines = vec![" ".to_owned()];
        bad.ship_to.country = "Norway".to_owned();
        bad.ship_to.postal_code = None;
        bad.lines[0].quantity = Decimal::ZERO;
        assert_eq!(
            paths(&bad, &policy),
            ["ship_to.lines", "ship_to.postal_code", "ship_to.country", "lines[0].quantity"]
        );
        assert!(objections(&bad, &policy, |_| true)[..3].iter().all(concerns_address));
    }

    #[test]
    fn a_country_without_postal_codes_needs_none() {
        let mut order = examples::order();
        order.ship_to.country = "HK".to_owned();
        order.ship_to.postal_code = None;
        assert_eq!(paths(&order, &examples::policy()), Vec::<String>::new());
    }

    #[test]
    fn a_company_alone_is_a_name() {
        let mut order = examples::order();
        order.ship_to.name = String::new();
        order.ship_to.company = Some("Fjord AS".to_owned());
        assert_eq!(paths(&order, &examples::policy()), Vec::<String>::new());
    }

    #[test]
    fn a_missing_weight_is_named_unless_the_policy_knows_one() {
        let mut policy = examples::policy();
        policy.parcel.weight_g = None;
        let mut order = examples::order();
        order.lines[0].unit_weight_g = None;
        assert_eq!(paths(&order, &policy), ["lines[0].unit_weight_g"]);
        policy.parcel.weight_g = Some(900);
        assert_eq!(paths(&order, &policy), Vec::<String>::new());
        let sent = consignment(&order, &order.deliveries[0], &policy).expect("consignment");
        assert_eq!(sent.weight_g(), 900);
    }

    #[test]
    fn a_delivery_nobody_packed_is_one_parcel_of_the_goods_weight() {
        let mut policy = examples::policy();
        policy.parcel.length_mm = Some(300);
        let order = examples::order();
        let sent = consignment(&order, &order.deliveries[0], &policy).expect("consignment");
        // Two units of 750 g.
        assert_eq!((sent.parcels.len(), sent.weight_g(), sent.parcels[0].length_mm), (1, 1500, Some(300)));
        policy.wait_for_packing = true;
        assert_eq!(consignment(&order, &order.deliveries[0], &policy), None);
    }

    #[test]
    fn several_parcels_must_each_be_weighed() {
        let mut policy = examples::policy();
        policy.parcel.weight_g = None;
        let mut order = examples::order();
        order.deliveries[0].parcels = vec![examples::parcel("A", 400), examples::parcel("B", 0)];
        assert_eq!(paths(&order, &policy), ["deliveries[0].parcels[1].weight_g"]);
        order.deliveries[0].parcels.truncate(1);
        order.deliveries[0].parcels[0].weight_g = 0;
        let sent = consignment(&order, &order.deliveries[0], &policy).expect("consignment");
        assert_eq!(sent.weight_g(), 1500, "one parcel alone weighs what its goods weigh");
    }
}
