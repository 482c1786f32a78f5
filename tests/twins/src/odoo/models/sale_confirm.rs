//! Confirming and cancelling an order, in the order of steps in which the rules of a real Odoo saw them: the order, the
//! new delivery (twice, as a draft without moves), then per line its reservation, with the delivery becoming ready at
//! the first.

use serde_json::json;

use super::sale::{LINE, ORDER};
use super::{picking, reserve, stock};
use crate::odoo::automation;
use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::records::vals;

/// `action_confirm`.
pub(in crate::odoo) fn confirm(env: &mut Env<'_>, ids: &[i64]) -> Result<()> {
    env.must_exist(ORDER, ids)?;
    if ids.iter().any(|id| !matches!(env.text(ORDER, *id, "state").as_str(), "draft" | "sent")) {
        return Err(Raised::user("Some orders are not in a state requiring confirmation."));
    }
    for id in ids {
        let now = env.today();
        env.write(ORDER, &[*id], &vals! {"state": "sale", "date_order": now})?;
        let lines = env.many(ORDER, *id, "order_line");
        launch(env, *id, &lines)?;
    }
    Ok(())
}

/// `action_cancel`: what is done stays done.
pub(in crate::odoo) fn cancel(env: &mut Env<'_>, ids: &[i64]) -> Result<()> {
    env.must_exist(ORDER, ids)?;
    for id in ids {
        let open: Vec<i64> =
            env.many(ORDER, *id, "picking_ids").into_iter().filter(|p| picking::is_open(env, *p)).collect();
        picking::cancel(env, &open)?;
        env.write(ORDER, &[*id], &vals! {"state": "cancel"})?;
    }
    Ok(())
}

/// Moves for what the lines still lack, in the order's open delivery or a new one.
pub(in crate::odoo) fn launch(env: &mut Env<'_>, order: i64, lines: &[i64]) -> Result<()> {
    let mut wanted = Vec::new();
    for line in lines {
        let Some(product) = env.one(LINE, *line, "product_id") else { continue };
        let planned: f64 = env
            .many(LINE, *line, "move_ids")
            .into_iter()
            .filter(|m| env.text("stock.move", *m, "state") != "cancel")
            .map(|m| env.number("stock.move", m, "product_uom_qty"))
            .sum();
        let missing = env.number(LINE, *line, "product_uom_qty") - planned;
        if env.text("product.product", product, "type") == "consu" && missing > 0.0 {
            wanted.push((*line, product, missing));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let open = env.many(ORDER, order, "picking_ids").into_iter().find(|p| picking::is_open(env, *p));
    let delivery = match open {
        Some(open) => open,
        None => new_delivery(env, order)?,
    };
    let name = env.text(ORDER, order, "name");
    let mut moves = Vec::new();
    for (line, product, quantity) in wanted {
        let made = env.create(
            "stock.move",
            vals! {
                "product_id": product, "product_uom_qty": quantity, "picking_id": delivery, "sale_line_id": line,
                "origin": name, "product_uom": env.value(LINE, line, "product_uom_id"),
            },
        )?;
        moves.push(made);
    }
    // Only now does the delivery know its order.
    let mut row = env.row(picking::MODEL, delivery);
    row.insert("sale_id".to_owned(), json!(order));
    env.db.put(picking::MODEL, delivery, Some(row));
    for target in &moves {
        stock::confirm_move(env, *target);
    }
    for target in moves {
        reserve::reserve(env, target)?;
    }
    picking::refresh_state(env, delivery)
}

fn new_delivery(env: &mut Env<'_>, order: i64) -> Result<i64> {
    let warehouse = env.one(ORDER, order, "warehouse_id").unwrap_or(1);
    let kind = env.value("stock.warehouse", warehouse, "out_type_id");
    let scheduled = match env.text(ORDER, order, "commitment_date") {
        date if date.is_empty() => env.today(),
        date => date,
    };
    let vals = vals! {
        "picking_type_id": kind,
        "partner_id": env.value(ORDER, order, "partner_shipping_id"),
        "origin": env.value(ORDER, order, "name"),
        "move_type": env.value(ORDER, order, "picking_policy"),
        "carrier_id": env.value(ORDER, order, "carrier_id"),
        "scheduled_date": scheduled,
    };
    let delivery = env.create(picking::MODEL, vals)?;
    // Odoo computes the stored state once more: rules see the draft twice.
    automation::fire_again(env, picking::MODEL, delivery, "state")?;
    Ok(delivery)
}

/// `choose.delivery.carrier.button_confirm`: the carrier on the order, and one line with its price in place of an
/// earlier one.
pub(in crate::odoo) fn choose_carrier(env: &mut Env<'_>, wizard: i64) -> Result<()> {
    const WIZARD: &str = "choose.delivery.carrier";
    let (Some(order), Some(carrier)) = (env.one(WIZARD, wizard, "order_id"), env.one(WIZARD, wizard, "carrier_id"))
    else {
        return Ok(());
    };
    let old: Vec<i64> =
        env.many(ORDER, order, "order_line").into_iter().filter(|l| env.flag(LINE, *l, "is_delivery")).collect();
    env.unlink(LINE, &old)?;
    env.write(ORDER, &[order], &vals! {"carrier_id": carrier})?;
    let product = env.value("delivery.carrier", carrier, "product_id");
    let price = env.number(WIZARD, wizard, "delivery_price");
    let line = vals! {"order_id": order, "product_id": product, "product_uom_qty": 1.0, "price_unit": price, "is_delivery": true};
    env.create(LINE, line).map(|_| ())
}
