//! Reservation: stock of a place promised to a move. Quants know how much is promised, move lines to whom.

use serde_json::{Value, json};

use super::stock;
use crate::odoo::automation;
use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::records::vals;

const MOVE: &str = "stock.move";
const LINE: &str = "stock.move.line";
const QUANT: &str = "stock.quant";

/// Promises the move as much of what it lacks as there is. Reserving twice changes nothing.
pub(in crate::odoo) fn reserve(env: &mut Env<'_>, target: i64) -> Result<()> {
    let state = env.text(MOVE, target, "state");
    if !matches!(state.as_str(), "confirmed" | "partially_available" | "waiting") {
        return Ok(());
    }
    let (Some(product), Some(location)) = (env.one(MOVE, target, "product_id"), env.one(MOVE, target, "location_id"))
    else {
        return Ok(());
    };
    let lacks = env.number(MOVE, target, "product_uom_qty") - env.number(MOVE, target, "quantity");
    let there = match env.flag("product.product", product, "is_storable") {
        true => free(env, product, location) / stock::ratio(env, MOVE, target),
        false => lacks,
    };
    let taken = lacks.min(there);
    if taken > 0.0 { give(env, target, taken) } else { Ok(()) }
}

/// Adds to the move's loose line, or makes one.
pub(in crate::odoo) fn give(env: &mut Env<'_>, target: i64, quantity: f64) -> Result<()> {
    let lines = env.many(MOVE, target, "move_line_ids");
    let loose = lines.into_iter().find(|l| env.one(LINE, *l, "result_package_id").is_none());
    match loose {
        Some(line) => {
            let sum = env.number(LINE, line, "quantity") + quantity;
            env.write(LINE, &[line], &vals! {"quantity": sum})
        }
        None => env.create(LINE, vals! {"move_id": target, "quantity": quantity}).map(|_| ()),
    }
}

/// Takes from the move's newest lines until `quantity` is gone.
pub(in crate::odoo) fn take(env: &mut Env<'_>, target: i64, mut quantity: f64) -> Result<()> {
    let mut lines = env.many(MOVE, target, "move_line_ids");
    lines.sort_unstable();
    while let Some(line) = lines.pop().filter(|_| quantity > 0.0) {
        let have = env.number(LINE, line, "quantity");
        if have <= quantity {
            env.unlink(LINE, &[line])?;
        } else {
            env.write(LINE, &[line], &vals! {"quantity": have - quantity})?;
        }
        quantity -= have;
    }
    Ok(())
}

/// The quant of a product in a place, if there is one.
pub(in crate::odoo) fn quant(env: &Env<'_>, product: i64, location: i64) -> Option<i64> {
    let all = env.db.having(QUANT, "product_id", &json!(product))?;
    all.into_iter().find(|q| env.one(QUANT, *q, "location_id") == Some(location))
}

fn free(env: &Env<'_>, product: i64, location: i64) -> f64 {
    let Some(quant) = quant(env, product, location) else { return 0.0 };
    (env.number(QUANT, quant, "quantity") - env.number(QUANT, quant, "reserved_quantity")).max(0.0)
}

/// Changes what is promised of a product in a place. Nothing is promised of what is not counted.
pub(in crate::odoo) fn promise(env: &mut Env<'_>, product: i64, location: i64, more: f64) -> Result<()> {
    let inside = env.text("stock.location", location, "usage") == "internal";
    if more == 0.0 || !inside || !env.flag("product.product", product, "is_storable") {
        return Ok(());
    }
    let quant = match quant(env, product, location) {
        Some(quant) => quant,
        None => env.create(QUANT, vals! {"product_id": product, "location_id": location})?,
    };
    let reserved = (env.number(QUANT, quant, "reserved_quantity") + more).max(0.0);
    env.write(QUANT, &[quant], &vals! {"reserved_quantity": reserved})
}

/// Changes how much lies in a place.
pub(in crate::odoo) fn put(env: &mut Env<'_>, product: i64, location: i64, more: f64) -> Result<()> {
    if !env.flag("product.product", product, "is_storable") {
        return Ok(());
    }
    match quant(env, product, location) {
        Some(quant) => {
            let quantity = env.number(QUANT, quant, "quantity") + more;
            env.write(QUANT, &[quant], &vals! {"quantity": quantity})
        }
        None => {
            let vals = vals! {"product_id": product, "location_id": location, "quantity": more};
            env.create(QUANT, vals).map(|_| ())
        }
    }
}

/// The move's state follows from how much it has.
pub(in crate::odoo) fn refresh_state(env: &mut Env<'_>, target: i64) -> Result<()> {
    let state = env.text(MOVE, target, "state");
    if matches!(state.as_str(), "draft" | "done" | "cancel") {
        return Ok(());
    }
    let (demand, have) = (env.number(MOVE, target, "product_uom_qty"), env.number(MOVE, target, "quantity"));
    let now = if have >= demand && have > 0.0 {
        "assigned"
    } else if have > 0.0 {
        "partially_available"
    } else {
        "confirmed"
    };
    if now != state {
        set_state(env, target, now);
    }
    // Rules hear of the delivery before they hear of its move.
    match env.one(MOVE, target, "picking_id") {
        Some(delivery) if stock::all_confirmed(env, delivery) => super::picking::refresh_state(env, delivery)?,
        _ => {}
    }
    if now == state { Ok(()) } else { automation::fire_again(env, MOVE, target, "state") }
}

/// Quietly.
pub(in crate::odoo) fn set_state(env: &mut Env<'_>, target: i64, state: &str) {
    let mut row = env.row(MOVE, target);
    row.insert("state".to_owned(), json!(state));
    row.insert("write_date".to_owned(), json!(env.now));
    env.db.put(MOVE, target, Some(row));
}

/// For a value that may be absent.
pub(in crate::odoo) fn quantity_of(value: Option<&Value>) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(0.0)
}
