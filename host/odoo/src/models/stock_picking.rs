//! `stock.picking` and its moves as a delivery, and what is written back to it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wharf_domain::order::{Delivery, DeliveryMove, DeliveryState};
use wharf_domain::port::erp::ShippingUpdate;
use wharf_domain::shipment::Parcel;

use super::product::{grams, sku, weight_of};
use super::stock_package::{self, Package};
use crate::value::{decimal, maybe, text};

pub(crate) const MODEL: &str = "stock.picking";

pub(crate) fn specification() -> Value {
    json!({"fields": {
        "name": {}, "state": {}, "picking_type_code": {}, "carrier_tracking_ref": {}, "weight": {},
        "weight_uom_name": {},
        "move_ids": {"fields": {
            "state": {}, "product_id": {"fields": {"default_code": {}}}, "product_uom_qty": {}, "quantity": {},
            "sale_line_id": {},
        }},
        "move_line_ids": {"fields": {
            "quantity_product_uom": {}, "product_id": {"fields": {"weight": {}}},
            "result_package_id": stock_package::specification(),
        }},
    }})
}

#[derive(Debug, Deserialize)]
pub(crate) struct Picking {
    id: i64,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    state: String,
    #[serde(deserialize_with = "text")]
    picking_type_code: Option<String>,
    #[serde(deserialize_with = "text")]
    carrier_tracking_ref: Option<String>,
    #[serde(deserialize_with = "decimal")]
    weight: Decimal,
    #[serde(deserialize_with = "text")]
    weight_uom_name: Option<String>,
    move_ids: Vec<Move>,
    move_line_ids: Vec<MoveLine>,
}

#[derive(Debug, Deserialize)]
struct Move {
    id: i64,
    state: String,
    product_id: MoveProduct,
    /// Demand, in the move's own unit, as is `quantity`.
    #[serde(deserialize_with = "decimal")]
    product_uom_qty: Decimal,
    /// Reserved so far, or done.
    #[serde(deserialize_with = "decimal")]
    quantity: Decimal,
    #[serde(deserialize_with = "maybe")]
    sale_line_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct MoveProduct {
    id: i64,
    #[serde(deserialize_with = "text")]
    default_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct MoveLine {
    /// In the unit the product is weighed in.
    #[serde(deserialize_with = "decimal")]
    quantity_product_uom: Decimal,
    product_id: Weighed,
    #[serde(deserialize_with = "maybe")]
    result_package_id: Option<Package>,
}

#[derive(Debug, Deserialize)]
struct Weighed {
    #[serde(deserialize_with = "decimal")]
    weight: Decimal,
}

impl Picking {
    /// `None` for a receipt, an internal step or a cancelled delivery.
    pub(crate) fn into_delivery(self) -> Option<Delivery> {
        let state = state(&self.state)?;
        if self.picking_type_code.as_deref() != Some("outgoing") || state == DeliveryState::Cancelled {
            return None;
        }
        Some(Delivery {
            erp_id: self.id.to_string(),
            name: self.name.unwrap_or_else(|| format!("picking {}", self.id)),
            state,
            moves: self.move_ids.into_iter().filter(|m| m.state != "cancel").map(delivery_move).collect(),
            parcels: parcels(self.move_line_ids),
            tracking_reference: self.carrier_tracking_ref,
            weight_g: grams(self.weight, self.weight_uom_name.as_deref()),
        })
    }
}

fn state(text: &str) -> Option<DeliveryState> {
    Some(match text {
        "draft" => DeliveryState::Draft,
        "waiting" | "confirmed" => DeliveryState::Waiting,
        "assigned" => DeliveryState::Ready,
        "done" => DeliveryState::Done,
        "cancel" => DeliveryState::Cancelled,
        _ => return None,
    })
}

fn delivery_move(m: Move) -> DeliveryMove {
    DeliveryMove {
        erp_id: m.id.to_string(),
        sku: sku(m.product_id.default_code.as_deref(), m.product_id.id),
        order_line: m.sale_line_id.map(|id| id.to_string()),
        demand: m.product_uom_qty,
        reserved: m.quantity,
    }
}

/// Each package once, oldest first.
fn parcels(lines: Vec<MoveLine>) -> Vec<Parcel> {
    let mut packages: BTreeMap<i64, (Package, Decimal)> = BTreeMap::new();
    for line in lines {
        let weight = line.quantity_product_uom.saturating_mul(line.product_id.weight);
        if let Some(package) = line.result_package_id {
            packages.entry(package.id).or_insert((package, Decimal::ZERO)).1 += weight;
        }
    }
    packages.into_values().map(|(package, contents)| package.into_parcel(contents)).collect()
}

/// What must be known of a delivery before it is written.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) packed: bool,
    /// The unit Odoo weighs in.
    pub(crate) weight_unit: Option<String>,
}

/// Lines of a delivery that are in a package. Odoo's own count wants rights on the packages' history.
pub(crate) fn packed_lines(id: i64) -> Value {
    json!({"domain": [["picking_id", "=", id], ["result_package_id", "!=", false]]})
}

/// The values of the write. `shipping_weight` is the weight that sticks on an unpacked delivery, also through its
/// validation; on a packed one Odoo adds it up from the packages and would overwrite it, so it is left alone there.
/// `weight` is always Odoo's own sum of the products.
pub(crate) fn shipping_values(update: &ShippingUpdate, standing: &Standing, carrier: Option<i64>) -> Value {
    let mut values = Map::new();
    values.insert("carrier_tracking_ref".to_owned(), json!(update.tracking_reference));
    if let Some(carrier) = carrier {
        values.insert("carrier_id".to_owned(), json!(carrier));
    }
    if !standing.packed && update.weight_g > 0 {
        let weight = weight_of(update.weight_g, standing.weight_unit.as_deref());
        values.insert("shipping_weight".to_owned(), json!(weight.to_f64().unwrap_or_default()));
    }
    Value::Object(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> ShippingUpdate {
        ShippingUpdate {
            delivery: "57".to_owned(),
            carrier: "Acme".to_owned(),
            tracking_reference: "1Z".to_owned(),
            weight_g: 7770,
        }
    }

    fn standing(packed: bool) -> Standing {
        Standing { packed, weight_unit: Some("kg".to_owned()) }
    }

    #[test]
    fn the_weight_of_a_packed_delivery_is_left_to_odoo() {
        let unpacked = shipping_values(&update(), &standing(false), Some(2));
        assert_eq!(unpacked, json!({"carrier_tracking_ref": "1Z", "carrier_id": 2, "shipping_weight": 7.77}));
        let packed = shipping_values(&update(), &standing(true), None);
        assert_eq!(packed, json!({"carrier_tracking_ref": "1Z"}));
    }
}
