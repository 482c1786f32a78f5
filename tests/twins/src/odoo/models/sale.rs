//! Sales orders and their lines: defaults, sums, what is delivered.

use serde_json::{Value, json};

use super::base::next_by_code;
use super::sale_confirm;
use crate::odoo::db::Row;
use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::records::{Vals, vals};

pub(in crate::odoo) const ORDER: &str = "sale.order";
pub(in crate::odoo) const LINE: &str = "sale.order.line";

pub(in crate::odoo) fn value(env: &Env<'_>, id: i64, field: &str) -> Option<Value> {
    let lines = || env.many(ORDER, id, "order_line");
    let sum = |field: &str| json!(cents(lines().into_iter().map(|l| env.number(LINE, l, field)).sum()));
    let value = match field {
        "amount_untaxed" => sum("price_subtotal"),
        "amount_total" => sum("price_total"),
        "amount_tax" => json!(0.0),
        "delivery_count" => json!(env.many(ORDER, id, "picking_ids").len()),
        "delivery_status" => delivery_status(env, id),
        "invoice_status" => {
            let open = lines().into_iter().any(|l| env.number(LINE, l, "qty_to_invoice") > 0.0);
            json!(if open { "to invoice" } else { "no" })
        }
        "effective_date" => {
            let done =
                env.many(ORDER, id, "picking_ids").into_iter().map(|p| env.value("stock.picking", p, "date_done"));
            done.filter(Value::is_string).min_by_key(Value::to_string).unwrap_or(json!(false))
        }
        "expected_date" => env.value(ORDER, id, "date_order"),
        _ => return None,
    };
    Some(value)
}

fn delivery_status(env: &Env<'_>, id: i64) -> Value {
    let pickings = env.many(ORDER, id, "picking_ids");
    let states: Vec<String> = pickings.iter().map(|p| env.text("stock.picking", *p, "state")).collect();
    let open = states.iter().filter(|s| !matches!(s.as_str(), "done" | "cancel")).count();
    let done = states.iter().filter(|s| *s == "done").count();
    match (open, done) {
        (0, 0) => json!(false),
        (0, _) => json!("full"),
        (_, 0) => json!("pending"),
        _ => json!("partial"),
    }
}

pub(in crate::odoo) fn line_value(env: &Env<'_>, id: i64, field: &str) -> Option<Value> {
    let order = || env.one(LINE, id, "order_id");
    let value = match field {
        "price_subtotal" | "price_total" => {
            let discount = 1.0 - env.number(LINE, id, "discount") / 100.0;
            json!(cents(env.number(LINE, id, "product_uom_qty") * env.number(LINE, id, "price_unit") * discount))
        }
        "state" | "currency_id" | "warehouse_id" => env.value(ORDER, order()?, field),
        "order_partner_id" => env.value(ORDER, order()?, "partner_id"),
        "product_template_id" => match env.one(LINE, id, "product_id") {
            Some(product) => env.value("product.product", product, "product_tmpl_id"),
            None => json!(false),
        },
        "qty_delivered" => json!(delivered(env, id)),
        "qty_invoiced" => json!(0.0),
        "qty_to_invoice" => json!(to_invoice(env, id)),
        _ => return None,
    };
    Some(value)
}

fn delivered(env: &Env<'_>, line: i64) -> f64 {
    let moves = env.many(LINE, line, "move_ids");
    let done = moves.into_iter().filter(|m| env.text("stock.move", *m, "state") == "done");
    done.map(|m| env.number("stock.move", m, "quantity")).sum()
}

/// By the product's policy: what was ordered, or what was delivered.
fn to_invoice(env: &Env<'_>, line: i64) -> f64 {
    if env.text(LINE, line, "state") != "sale" {
        return 0.0;
    }
    let product = env.one(LINE, line, "product_id");
    let template = product.and_then(|p| env.one("product.product", p, "product_tmpl_id"));
    match template.map(|t| env.text("product.template", t, "invoice_policy")) {
        Some(policy) if policy == "delivery" => delivered(env, line),
        Some(_) => env.number(LINE, line, "product_uom_qty"),
        None => 0.0,
    }
}

pub(in crate::odoo) fn line_display_name(env: &Env<'_>, id: i64) -> String {
    let order = env.one(LINE, id, "order_id");
    let number = order.map(|o| env.text(ORDER, o, "name")).unwrap_or_default();
    let first = env.text(LINE, id, "name").lines().next().unwrap_or_default().to_owned();
    let partner = order.and_then(|o| env.one(ORDER, o, "partner_id"));
    match partner.map(|p| env.text("res.partner", p, "ref")) {
        Some(reference) if !reference.is_empty() => format!("{number} - {first} ({reference})"),
        _ => format!("{number} - {first}"),
    }
}

/// Half a cent up.
fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

pub(in crate::odoo) fn prepare(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    let now = env.today();
    let partner = vals.get("partner_id").cloned().unwrap_or(json!(false));
    let defaults = [
        ("date_order", json!(now)),
        ("partner_invoice_id", partner.clone()),
        ("partner_shipping_id", partner),
        ("warehouse_id", json!(1)),
        ("user_id", json!(env.uid)),
        ("currency_id", env.value("res.company", 1, "currency_id")),
    ];
    for (field, value) in defaults {
        vals.entry(field).or_insert(value);
    }
    if vals.get("name").is_none_or(|n| n.as_str().unwrap_or_default().is_empty()) {
        let name = next_by_code(env, ORDER)?;
        vals.insert("name".to_owned(), name);
    }
    Ok(())
}

pub(in crate::odoo) fn prepare_line(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    if let Some(product) = vals.get("product_id").and_then(Value::as_i64) {
        let defaults = [
            ("name", json!(env.display_name("product.product", product))),
            ("price_unit", env.value("product.product", product, "lst_price")),
            ("product_uom_id", env.value("product.product", product, "uom_id")),
        ];
        for (field, value) in defaults {
            vals.entry(field).or_insert(value);
        }
    }
    Ok(())
}

/// A line added to a confirmed order ships as well.
pub(in crate::odoo) fn line_created(env: &mut Env<'_>, id: i64) -> Result<()> {
    match env.one(LINE, id, "order_id") {
        Some(order) if env.text(ORDER, order, "state") == "sale" => sale_confirm::launch(env, order, &[id]),
        _ => Ok(()),
    }
}

/// More or less of a confirmed line is more or less of its open move.
pub(in crate::odoo) fn line_written(env: &mut Env<'_>, id: i64, vals: &Vals, before: &Row) -> Result<()> {
    let Some(order) = env.one(LINE, id, "order_id") else { return Ok(()) };
    let old = before.get("product_uom_qty").and_then(Value::as_f64).unwrap_or(0.0);
    let more = env.number(LINE, id, "product_uom_qty") - old;
    if !vals.contains_key("product_uom_qty") || more == 0.0 || env.text(ORDER, order, "state") != "sale" {
        return Ok(());
    }
    let moves = env.many(LINE, id, "move_ids");
    let open = |m: &i64| !matches!(env.text("stock.move", *m, "state").as_str(), "done" | "cancel");
    match moves.into_iter().find(open) {
        Some(target) => {
            let demand = (env.number("stock.move", target, "product_uom_qty") + more).max(0.0);
            env.write("stock.move", &[target], &vals! {"product_uom_qty": demand})
        }
        None => sale_confirm::launch(env, order, &[id]),
    }
}
