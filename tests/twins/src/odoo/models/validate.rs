//! Validating a delivery: goods leave, what was not picked goes to a backorder or is dropped. Before that Odoo asks, by
//! answering a wizard's action in place of `true`: first about the backorder, then, once per company, about an SMS.

use serde_json::{Value, json};

use super::{picking, reserve, stock};
use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::records::vals;

const MOVE: &str = "stock.move";
const LINE: &str = "stock.move.line";

/// `button_validate`: `true` when done, an action when nothing was done.
pub(in crate::odoo) fn validate(env: &mut Env<'_>, ids: &[i64]) -> Result<Value> {
    env.must_exist(picking::MODEL, ids)?;
    let open: Vec<i64> = ids.iter().copied().filter(|id| env.text(picking::MODEL, *id, "state") != "done").collect();
    for id in &open {
        let quantities = env.many(picking::MODEL, *id, "move_line_ids");
        if quantities.iter().all(|l| env.number(LINE, *l, "quantity") <= 0.0) {
            let text = "Transfer trouble alert! Validating a zero quantity transfer? You're not moving invisible goods \
                        around are you?\nSet some quantities and let's get moving!";
            return Err(Raised::user(text));
        }
        pick_all_if_none(env, *id);
    }
    let short: Vec<i64> = open.iter().copied().filter(|id| is_short(env, *id)).collect();
    if !short.is_empty() && !env.wants("skip_backorder") {
        return Ok(backorder_question(&short, ids));
    }
    if open.iter().any(|id| wants_sms(env, *id)) && !env.wants("skip_sms") {
        return sms_question(env, &open);
    }
    for id in open {
        finish(env, id)?;
    }
    Ok(json!(true))
}

/// Nothing picked means: everything reserved is picked.
fn pick_all_if_none(env: &mut Env<'_>, id: i64) {
    let lines = env.many(picking::MODEL, id, "move_line_ids");
    if lines.iter().any(|l| env.flag(LINE, *l, "picked")) {
        return;
    }
    for line in lines {
        let mut row = env.row(LINE, line);
        row.insert("picked".to_owned(), json!(true));
        env.db.put(LINE, line, Some(row));
    }
}

fn picked(env: &Env<'_>, target: i64) -> f64 {
    let lines = env.many(MOVE, target, "move_line_ids").into_iter().filter(|l| env.flag(LINE, *l, "picked"));
    lines.map(|l| env.number(LINE, l, "quantity")).sum()
}

fn is_short(env: &Env<'_>, id: i64) -> bool {
    picking::open_moves(env, id).into_iter().any(|m| picked(env, m) < env.number(MOVE, m, "product_uom_qty"))
}

fn backorder_question(short: &[i64], ids: &[i64]) -> Value {
    let links: Vec<Value> = short.iter().map(|id| json!([4, id])).collect();
    json!({
        "name": "Create Backorder?",
        "type": "ir.actions.act_window",
        "view_mode": "form",
        "res_model": "stock.backorder.confirmation",
        "views": [[944, "form"]],
        "view_id": 944,
        "target": "new",
        "context": {
            "button_validate_picking_ids": ids,
            "default_show_transfers": ids.len() > 1,
            "default_pick_ids": links,
        },
    })
}

/// Key of the parameter that remembers that the company was asked.
const ASKED: &str = "twin.sms_asked";

fn wants_sms(env: &Env<'_>, id: i64) -> bool {
    let asked = env.db.having("ir.config_parameter", "key", &json!(ASKED)).is_some_and(|ids| !ids.is_empty());
    let partner = env.one(picking::MODEL, id, "partner_id");
    let has_phone = partner.is_some_and(|p| !env.text("res.partner", p, "phone").is_empty());
    !asked && has_phone && env.text(picking::MODEL, id, "picking_type_code") == "outgoing"
}

fn sms_question(env: &mut Env<'_>, ids: &[i64]) -> Result<Value> {
    let wizard = env.create("confirm.stock.sms", vals! {"pick_ids": [[6, 0, ids]]})?;
    let mut context = json!({ "button_validate_picking_ids": ids });
    if env.wants("skip_backorder") {
        context["skip_backorder"] = json!(true);
    }
    Ok(json!({
        "name": "SMS",
        "type": "ir.actions.act_window",
        "view_mode": "form",
        "res_model": "confirm.stock.sms",
        "views": [[1206, "form"]],
        "view_id": 1206,
        "target": "new",
        "res_id": wizard,
        "context": context,
    }))
}

/// `confirm.stock.sms.dont_send_sms` and `send_sms`: the company is not asked again.
pub(in crate::odoo) fn sms_answered(env: &mut Env<'_>) -> Result<Value> {
    env.create("ir.config_parameter", vals! {"key": ASKED, "value": "yes"})?;
    let ids = pickings_in_context(env);
    validate(env, &ids)
}

/// `stock.backorder.confirmation.process` and `process_cancel_backorder`.
pub(in crate::odoo) fn backorder_answered(env: &mut Env<'_>, wizard: i64, keep: bool) -> Result<Value> {
    let ids = pickings_in_context(env);
    if ids.is_empty() {
        return Ok(json!(true));
    }
    env.context.insert("skip_backorder".to_owned(), json!(true));
    if !keep {
        let all = env.value("stock.backorder.confirmation", wizard, "pick_ids");
        env.context.insert("picking_ids_not_to_backorder".to_owned(), all);
    }
    validate(env, &ids)
}

fn pickings_in_context(env: &Env<'_>) -> Vec<i64> {
    let ids = env.context.get("button_validate_picking_ids").and_then(Value::as_array).cloned();
    ids.unwrap_or_default().iter().filter_map(Value::as_i64).collect()
}

fn finish(env: &mut Env<'_>, id: i64) -> Result<()> {
    let dropped =
        env.context.get("picking_ids_not_to_backorder").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut rest = Vec::new();
    for target in picking::open_moves(env, id) {
        let (done, demand) = (picked(env, target), env.number(MOVE, target, "product_uom_qty"));
        drop_unpicked(env, target)?;
        if done <= 0.0 {
            rest.push((target, None));
            continue;
        }
        if done < demand {
            rest.push((target, Some(demand - done)));
        }
        leave(env, target)?;
        let mut row = env.row(MOVE, target);
        row.insert("product_uom_qty".to_owned(), json!(done));
        env.db.put(MOVE, target, Some(row));
        reserve::set_state(env, target, "done");
    }
    if dropped.contains(&json!(id)) {
        for target in rest.into_iter().filter(|(_, missing)| missing.is_none()).map(|(target, _)| target) {
            reserve::set_state(env, target, "cancel");
        }
    } else if !rest.is_empty() {
        backorder(env, id, &rest)?;
    }
    // Rules see the delivery done before it has its date.
    picking::refresh_state(env, id)?;
    let mut row = env.row(picking::MODEL, id);
    row.insert("date_done".to_owned(), json!(env.today()));
    env.db.put(picking::MODEL, id, Some(row));
    if let Some(order) = env.one(picking::MODEL, id, "sale_id") {
        let mut row = env.row("sale.order", order);
        row.insert("write_date".to_owned(), json!(env.now));
        env.db.put("sale.order", order, Some(row));
    }
    let done = vals! {"model": picking::MODEL, "res_id": id, "body": "", "message_type": "notification", "subtype_id": note(env)};
    env.create("mail.message", done).map(|_| ())
}

fn note(env: &Env<'_>) -> Value {
    env.external("mail.mt_note").map_or(json!(false), |(_, id)| json!(id))
}

fn drop_unpicked(env: &mut Env<'_>, target: i64) -> Result<()> {
    let lines = env.many(MOVE, target, "move_line_ids");
    let unpicked: Vec<i64> = lines.into_iter().filter(|l| !env.flag(LINE, *l, "picked")).collect();
    env.unlink(LINE, &unpicked)
}

/// Per line: the promise ends, the quantity leaves, the quantity arrives.
fn leave(env: &mut Env<'_>, target: i64) -> Result<()> {
    for line in env.many(MOVE, target, "move_line_ids") {
        let quantity = env.number(LINE, line, "quantity_product_uom");
        let (Some(product), Some(from), Some(to)) = (
            env.one(LINE, line, "product_id"),
            env.one(LINE, line, "location_id"),
            env.one(LINE, line, "location_dest_id"),
        ) else {
            continue;
        };
        reserve::promise(env, product, from, -quantity)?;
        reserve::put(env, product, from, -quantity)?;
        reserve::put(env, product, to, quantity)?;
        if let Some(package) = env.one(LINE, line, "result_package_id") {
            let mut row = env.row("stock.package", package);
            row.insert("location_id".to_owned(), json!(to));
            env.db.put("stock.package", package, Some(row));
        }
    }
    Ok(())
}

/// A new delivery for the rest: whole moves go over, the missing part of others becomes a new move.
fn backorder(env: &mut Env<'_>, id: i64, rest: &[(i64, Option<f64>)]) -> Result<()> {
    let of = |env: &Env<'_>, field: &str| env.value(picking::MODEL, id, field);
    let vals = vals! {
        "picking_type_id": of(env, "picking_type_id"), "partner_id": of(env, "partner_id"), "origin": of(env, "origin"),
        "move_type": of(env, "move_type"), "carrier_id": of(env, "carrier_id"), "sale_id": of(env, "sale_id"),
        "scheduled_date": of(env, "scheduled_date"), "backorder_id": id,
    };
    let later = env.create(picking::MODEL, vals)?;
    for (target, missing) in rest {
        let moved = match missing {
            None => {
                let mut row = env.row(MOVE, *target);
                row.insert("picking_id".to_owned(), json!(later));
                env.db.put(MOVE, *target, Some(row));
                *target
            }
            Some(missing) => env.create(
                MOVE,
                vals! {
                    "product_id": env.value(MOVE, *target, "product_id"), "product_uom_qty": missing,
                    "picking_id": later, "sale_line_id": env.value(MOVE, *target, "sale_line_id"),
                    "origin": env.value(MOVE, *target, "origin"), "product_uom": env.value(MOVE, *target, "product_uom"),
                },
            )?,
        };
        stock::confirm_move(env, moved);
        reserve::reserve(env, moved)?;
    }
    picking::refresh_state(env, later)?;
    let name = env.text(picking::MODEL, later, "name");
    let link = format!("<a href=\"#\" data-oe-model=\"stock.picking\" data-oe-id=\"{later}\">{name}</a>");
    let told = vals! {
        "model": picking::MODEL, "res_id": id, "body": format!("<p>The backorder {link} has been created.</p>"),
        "message_type": "notification", "subtype_id": note(env),
    };
    env.create("mail.message", told).map(|_| ())
}
