//! `sale.order`, read whole in one nested call: one transaction of Odoo, so the parts fit together.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_domain::fault::Fault;
use wharf_domain::order::{Order, OrderLine, OrderState};

use super::product::{self, Product, Unit};
use super::res_partner::{self, Partner};
use super::stock_picking::{self, Picking};
use crate::fault::unexpected;
use crate::value::{decimal, maybe, text};

pub(crate) const MODEL: &str = "sale.order";

/// Arguments of `web_search_read`. A search and not a read, so that an order that is gone is an empty answer.
pub(crate) fn arguments(id: i64) -> Value {
    let unit = json!({"fields": {"factor": {}}});
    let with_partner = json!({"fields": {"partner_id": res_partner::specification()}});
    json!({
        "domain": [["id", "=", id]],
        "limit": 1,
        "specification": {
            "name": {}, "state": {}, "client_order_ref": {},
            "partner_shipping_id": res_partner::specification(),
            "warehouse_id": with_partner,
            "company_id": with_partner,
            "order_line": {"fields": {
                "name": {}, "product_uom_qty": {}, "is_delivery": {}, "product_uom_id": unit,
                "product_id": product::specification(),
            }},
            "picking_ids": stock_picking::specification(),
        },
    })
}

#[derive(Debug, Deserialize)]
struct Found {
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    id: i64,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    state: String,
    #[serde(deserialize_with = "text")]
    client_order_ref: Option<String>,
    #[serde(deserialize_with = "maybe")]
    partner_shipping_id: Option<Partner>,
    #[serde(deserialize_with = "maybe")]
    warehouse_id: Option<Place>,
    #[serde(deserialize_with = "maybe")]
    company_id: Option<Place>,
    order_line: Vec<Line>,
    picking_ids: Vec<Picking>,
}

/// A warehouse or a company: where goods leave from.
#[derive(Debug, Deserialize)]
struct Place {
    #[serde(deserialize_with = "maybe")]
    partner_id: Option<Partner>,
}

#[derive(Debug, Deserialize)]
struct Line {
    id: i64,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    #[serde(deserialize_with = "decimal")]
    product_uom_qty: Decimal,
    is_delivery: bool,
    /// Absent on sections and notes, as is the product.
    #[serde(deserialize_with = "maybe")]
    product_uom_id: Option<Unit>,
    #[serde(deserialize_with = "maybe")]
    product_id: Option<Product>,
}

/// The order in an answer of `web_search_read`; `None` when there is none.
pub(crate) fn parse(answer: Value) -> Result<Option<Order>, Fault> {
    let what = "sale.order.web_search_read";
    let found: Found = serde_json::from_value(answer).map_err(|err| unexpected(what, err))?;
    let Some(record) = found.records.into_iter().next() else { return Ok(None) };
    let state = match record.state.as_str() {
        "draft" | "sent" => OrderState::Draft,
        // `done` is the locked order of earlier versions.
        "sale" | "done" => OrderState::Confirmed,
        "cancel" => OrderState::Cancelled,
        other => return Err(unexpected(what, format!("order state `{other}` is not known"))),
    };
    let ship_from = record.warehouse_id.and_then(|place| place.partner_id);
    let ship_from = ship_from.or_else(|| record.company_id.and_then(|place| place.partner_id));
    let mut deliveries: Vec<_> = record.picking_ids.into_iter().filter_map(Picking::into_delivery).collect();
    deliveries.sort_by_key(|delivery| delivery.erp_id.parse::<i64>().unwrap_or(i64::MAX));
    Ok(Some(Order {
        erp_id: record.id.to_string(),
        number: record.name.unwrap_or_default(),
        state,
        customer_reference: record.client_order_ref,
        ship_from: ship_from.map(Partner::into_address).unwrap_or_default(),
        ship_to: record.partner_shipping_id.map(Partner::into_address).unwrap_or_default(),
        lines: record.order_line.into_iter().filter_map(line).collect(),
        deliveries,
    }))
}

fn line(line: Line) -> Option<OrderLine> {
    let product = line.product_id.filter(Product::ships)?;
    if line.is_delivery || line.product_uom_qty <= Decimal::ZERO {
        return None;
    }
    Some(OrderLine {
        erp_id: line.id.to_string(),
        sku: product.sku(),
        description: line.name.unwrap_or_default(),
        quantity: line.product_uom_qty,
        unit_weight_g: line.product_uom_id.and_then(|unit| product.weight_g(&unit)),
    })
}

#[cfg(test)]
mod tests;
