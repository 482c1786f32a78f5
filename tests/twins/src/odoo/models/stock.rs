//! Moves, move lines and quants.

use serde_json::{Value, json};

use super::{picking, reserve};
use crate::odoo::automation;
use crate::odoo::db::Row;
use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::records::{Vals, vals};

const MOVE: &str = "stock.move";
const LINE: &str = "stock.move.line";
const QUANT: &str = "stock.quant";

pub(in crate::odoo) fn move_value(env: &Env<'_>, id: i64, field: &str) -> Option<Value> {
    let lines = || env.many(MOVE, id, "move_line_ids");
    let value = match field {
        "quantity" => json!(lines().into_iter().map(|l| env.number(LINE, l, "quantity")).sum::<f64>()),
        "picked" => {
            let lines = lines();
            json!(!lines.is_empty() && lines.iter().any(|l| env.flag(LINE, *l, "picked")))
        }
        "product_qty" => json!(env.number(MOVE, id, "product_uom_qty") * ratio(env, MOVE, id)),
        "weight" => {
            let product = env.one(MOVE, id, "product_id")?;
            json!(env.number(MOVE, id, "product_qty") * env.number("product.product", product, "weight"))
        }
        "reference" => env.one(MOVE, id, "picking_id").map_or(json!(false), |p| env.value(picking::MODEL, p, "name")),
        "forecast_availability" => json!(env.number(MOVE, id, "quantity")),
        "description_picking" => json!(""),
        _ => return None,
    };
    Some(value)
}

pub(in crate::odoo) fn line_value(env: &Env<'_>, id: i64, field: &str) -> Option<Value> {
    let of_move = |field: &str| env.one(LINE, id, "move_id").map(|m| env.value(MOVE, m, field));
    let value = match field {
        "state" | "reference" | "origin" => of_move(field).unwrap_or(json!(false)),
        "quant_id" => json!(false),
        "quantity_product_uom" => json!(env.number(LINE, id, "quantity") * ratio(env, LINE, id)),
        _ => return None,
    };
    Some(value)
}

pub(in crate::odoo) fn line_weight(env: &Env<'_>, id: i64) -> f64 {
    let product = env.one(LINE, id, "product_id");
    product.map_or(0.0, |p| env.number("product.product", p, "weight")) * env.number(LINE, id, "quantity_product_uom")
}

/// How many of the product's own unit one unit of the move or line is. Stock is kept in the product's unit.
pub(in crate::odoo) fn ratio(env: &Env<'_>, model: &str, id: i64) -> f64 {
    let unit = env.one(model, id, if model == MOVE { "product_uom" } else { "product_uom_id" });
    let own = env.one(model, id, "product_id").and_then(|p| env.one("product.product", p, "uom_id"));
    match (unit, own) {
        (Some(unit), Some(own)) if unit != own => {
            env.number("uom.uom", unit, "factor") / env.number("uom.uom", own, "factor")
        }
        _ => 1.0,
    }
}

pub(in crate::odoo) fn quant_value(env: &Env<'_>, id: i64, field: &str) -> Option<Value> {
    let value = match field {
        "available_quantity" => json!(env.number(QUANT, id, "quantity") - env.number(QUANT, id, "reserved_quantity")),
        "inventory_quantity_auto_apply" => env.value(QUANT, id, "quantity"),
        "product_uom_id" => {
            env.one(QUANT, id, "product_id").map_or(json!(false), |p| env.value("product.product", p, "uom_id"))
        }
        "warehouse_id" => {
            env.one(QUANT, id, "location_id").map_or(json!(false), |l| env.value("stock.location", l, "warehouse_id"))
        }
        _ => return None,
    };
    Some(value)
}

pub(in crate::odoo) fn prepare_move(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    let now = env.today();
    vals.entry("date").or_insert(json!(now));
    let Some(delivery) = vals.get("picking_id").and_then(Value::as_i64) else { return Ok(()) };
    for field in ["location_id", "location_dest_id", "partner_id", "picking_type_id"] {
        let value = env.value(picking::MODEL, delivery, field);
        vals.entry(field).or_insert(value);
    }
    Ok(())
}

/// A line takes what it does not say from its move.
pub(in crate::odoo) fn prepare_line(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    let now = env.today();
    vals.entry("date").or_insert(json!(now));
    let Some(of) = vals.get("move_id").and_then(Value::as_i64) else { return Ok(()) };
    for field in ["picking_id", "product_id", "location_id", "location_dest_id"] {
        let value = env.value(MOVE, of, field);
        vals.entry(field).or_insert(value);
    }
    let unit = env.value(MOVE, of, "product_uom");
    vals.insert("product_uom_id".to_owned(), unit);
    Ok(())
}

pub(in crate::odoo) fn prepare_quant(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    let now = env.today();
    vals.entry("in_date").or_insert(json!(now));
    vals.entry("reserved_quantity").or_insert(json!(0.0));
    Ok(())
}

/// `inventory_quantity_auto_apply` is the quantity itself, counted.
pub(in crate::odoo) fn quant_counted(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    let Some(counted) = vals.get("inventory_quantity_auto_apply").and_then(Value::as_f64) else { return Ok(()) };
    let mut row = env.row(QUANT, id);
    row.insert("quantity".to_owned(), json!(counted));
    env.db.put(QUANT, id, Some(row));
    Ok(())
}

/// Draft to confirmed.
pub(in crate::odoo) fn confirm_move(env: &mut Env<'_>, id: i64) {
    if env.text(MOVE, id, "state") == "draft" {
        reserve::set_state(env, id, "confirmed");
    }
}

/// A delivery whose moves are still being made has no other state than draft.
pub(in crate::odoo) fn all_confirmed(env: &Env<'_>, delivery: i64) -> bool {
    env.one(picking::MODEL, delivery, "sale_id").is_some() || env.text(picking::MODEL, delivery, "state") != "draft"
}

pub(in crate::odoo) fn move_written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    if vals.contains_key("product_uom_qty") {
        let surplus = env.number(MOVE, id, "quantity") - env.number(MOVE, id, "product_uom_qty");
        if surplus > 0.0 && env.text(MOVE, id, "state") != "done" {
            reserve::take(env, id, surplus)?;
        }
        reserve::refresh_state(env, id)?;
        reserve::reserve(env, id)?;
    }
    if let Some(wanted) = vals.get("quantity").and_then(Value::as_f64) {
        let more = wanted - env.number(MOVE, id, "quantity");
        if more > 0.0 {
            reserve::give(env, id, more)?;
        } else {
            reserve::take(env, id, -more)?;
        }
    }
    if let Some(picked) = vals.get("picked") {
        for line in env.many(MOVE, id, "move_line_ids") {
            let mut row = env.row(LINE, line);
            row.insert("picked".to_owned(), picked.clone());
            env.db.put(LINE, line, Some(row));
        }
    }
    Ok(())
}

/// A line was made (`before` is `None`) or written: the promise of stock, the states and the weights follow.
pub(in crate::odoo) fn line_changed(env: &mut Env<'_>, id: i64, before: Option<&Row>) -> Result<()> {
    let old = reserve::quantity_of(before.and_then(|row| row.get("quantity")));
    let packed = before.is_some_and(|row| row.get("result_package_id") != env.row(LINE, id).get("result_package_id"));
    settle(env, id, env.number(LINE, id, "quantity") - old, packed || before.is_none())
}

/// The line goes; what was promised to it is free again.
pub(in crate::odoo) fn line_removed(env: &mut Env<'_>, id: i64) -> Result<()> {
    let quantity = env.number(LINE, id, "quantity");
    let mut row = env.row(LINE, id);
    row.insert("quantity".to_owned(), json!(0.0));
    env.db.put(LINE, id, Some(row));
    settle(env, id, -quantity, true)
}

fn settle(env: &mut Env<'_>, line: i64, more: f64, packed: bool) -> Result<()> {
    let Some(of) = env.one(LINE, line, "move_id") else { return Ok(()) };
    let state = env.text(MOVE, of, "state");
    if more != 0.0
        && state != "done"
        && let (Some(product), Some(place)) = (env.one(LINE, line, "product_id"), env.one(LINE, line, "location_id"))
    {
        let more = more * ratio(env, LINE, line);
        reserve::promise(env, product, place, more)?;
    }
    if more != 0.0 && !matches!(state.as_str(), "done" | "cancel") {
        // The move's quantity is the sum of its lines: rules on it hear of the change here.
        automation::fire_again(env, MOVE, of, "quantity")?;
        reserve::refresh_state(env, of)?;
    }
    match env.one(LINE, line, "picking_id") {
        Some(delivery) if packed || more != 0.0 => {
            picking::forget_written_weight(env, delivery);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// For the seed and the admin: so much of a product in a place.
pub(in crate::odoo) fn stock_up(env: &mut Env<'_>, product: i64, location: i64, quantity: f64) -> Result<()> {
    env.create(QUANT, vals! {"product_id": product, "location_id": location, "quantity": quantity}).map(|_| ())
}
