//! Deliveries: what they show, and the state that follows from their moves.

use serde_json::{Value, json};

use super::mail::note_effect;
use super::{base, package, reserve, stock};
use crate::odoo::automation;
use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::ledger::Kind;
use crate::odoo::records::{Vals, vals};

pub(in crate::odoo) const MODEL: &str = "stock.picking";
const MOVE: &str = "stock.move";
const LINE: &str = "stock.move.line";

pub(in crate::odoo) fn value(env: &Env<'_>, id: i64, field: &str) -> Option<Value> {
    let of_type =
        |field: &str| env.one(MODEL, id, "picking_type_id").map(|t| env.value("stock.picking.type", t, field));
    let of_carrier = |field: &str| env.one(MODEL, id, "carrier_id").map(|c| env.value("delivery.carrier", c, field));
    let value = match field {
        "picking_type_code" => of_type("code").unwrap_or(json!(false)),
        "delivery_type" | "integration_level" => of_carrier(field).unwrap_or(json!(false)),
        "carrier_tracking_url" => tracking_url(env, id),
        "allowed_carrier_ids" => json!(env.db.ids("delivery.carrier")),
        "reference_ids" => json!([]),
        "has_tracking" => json!(false),
        "products_availability" | "products_availability_state" => availability(env, id, field),
        "show_check_availability" => {
            json!(open_moves(env, id).iter().any(|m| env.text(MOVE, *m, "state") != "assigned"))
        }
        "weight" => json!(rounded(moves(env, id).into_iter().map(|m| env.number(MOVE, m, "weight")).sum())),
        "weight_bulk" => json!(rounded(bulk(env, id))),
        "shipping_weight" => json!(shipping_weight(env, id)),
        "weight_uom_name" => json!("kg"),
        "packages_count" => json!(packages(env, id).len()),
        _ => return None,
    };
    Some(value)
}

fn tracking_url(env: &Env<'_>, id: i64) -> Value {
    let reference = env.text(MODEL, id, "carrier_tracking_ref");
    let carrier = env.one(MODEL, id, "carrier_id");
    match carrier.map(|c| env.text("delivery.carrier", c, "tracking_url")) {
        Some(template) if !template.is_empty() && !reference.is_empty() => {
            json!(template.replace("<shipmenttrackingnumber>", &reference))
        }
        _ => json!(false),
    }
}

fn availability(env: &Env<'_>, id: i64, field: &str) -> Value {
    let shown = matches!(env.text(MODEL, id, "state").as_str(), "waiting" | "confirmed" | "assigned");
    if !shown {
        return json!(false);
    }
    let all = open_moves(env, id).iter().all(|m| env.text(MOVE, *m, "state") == "assigned");
    match (field, all) {
        ("products_availability", true) => json!("Available"),
        ("products_availability", false) => json!("Not Available"),
        (_, true) => json!("available"),
        (_, false) => json!("late"),
    }
}

/// Of what lies in no package.
fn bulk(env: &Env<'_>, id: i64) -> f64 {
    let loose =
        env.many(MODEL, id, "move_line_ids").into_iter().filter(|l| env.one(LINE, *l, "result_package_id").is_none());
    loose.map(|l| stock::line_weight(env, l)).sum()
}

/// What a person wrote, until something in the packages changes; else packages and bulk.
fn shipping_weight(env: &Env<'_>, id: i64) -> f64 {
    if let Some(written) = env.row(MODEL, id).get(WRITTEN_WEIGHT).and_then(Value::as_f64) {
        return written;
    }
    let packed: f64 = packages(env, id).into_iter().map(|p| package::weight_to_ship(env, p)).sum();
    rounded(packed + bulk(env, id))
}

const WRITTEN_WEIGHT: &str = "_shipping_weight";

/// Packages changed: the weight is worked out again.
pub(in crate::odoo) fn forget_written_weight(env: &mut Env<'_>, id: i64) {
    let mut row = env.row(MODEL, id);
    if row.remove(WRITTEN_WEIGHT).is_some() {
        env.db.put(MODEL, id, Some(row));
    }
}

pub(in crate::odoo) fn packages(env: &Env<'_>, id: i64) -> Vec<i64> {
    let mut found: Vec<i64> = env
        .many(MODEL, id, "move_line_ids")
        .into_iter()
        .filter_map(|l| env.one(LINE, l, "result_package_id"))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Five places, as a tenth of a gram.
fn rounded(weight: f64) -> f64 {
    (weight * 100_000.0).round() / 100_000.0
}

fn moves(env: &Env<'_>, id: i64) -> Vec<i64> {
    env.many(MODEL, id, "move_ids").into_iter().filter(|m| env.text(MOVE, *m, "state") != "cancel").collect()
}

pub(in crate::odoo) fn open_moves(env: &Env<'_>, id: i64) -> Vec<i64> {
    moves(env, id).into_iter().filter(|m| env.text(MOVE, *m, "state") != "done").collect()
}

pub(in crate::odoo) fn is_open(env: &Env<'_>, id: i64) -> bool {
    !matches!(env.text(MODEL, id, "state").as_str(), "done" | "cancel")
}

pub(in crate::odoo) fn prepare(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    let Some(kind) = vals.get("picking_type_id").and_then(Value::as_i64) else { return Ok(()) };
    let of_type = |env: &Env<'_>, field: &str| env.value("stock.picking.type", kind, field);
    for (field, source) in
        [("location_id", "default_location_src_id"), ("location_dest_id", "default_location_dest_id")]
    {
        let value = of_type(env, source);
        vals.entry(field).or_insert(value);
    }
    let now = env.today();
    vals.entry("scheduled_date").or_insert(json!(now));
    if !vals.contains_key("name") {
        let name = base::next_by_code(env, &format!("stock.picking.type/{kind}"))?;
        vals.insert("name".to_owned(), name);
    }
    Ok(())
}

pub(in crate::odoo) fn written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    if let Some(weight) = vals.get("shipping_weight").and_then(Value::as_f64) {
        let mut row = env.row(MODEL, id);
        row.insert(WRITTEN_WEIGHT.to_owned(), json!(weight));
        env.db.put(MODEL, id, Some(row));
    }
    note_tracking(env, id, vals)
}

/// The ledger counts every write of a tracking reference, also of the same one again.
pub(in crate::odoo) fn note_tracking(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    if let Some(reference) = vals.get("carrier_tracking_ref").filter(|r| r.is_string()) {
        note_effect(env, Kind::Tracking, MODEL.to_owned(), id, reference.clone());
    }
    Ok(())
}

/// The state its moves give it: ready when something is reserved, or with the policy `one` when everything is.
pub(in crate::odoo) fn refresh_state(env: &mut Env<'_>, id: i64) -> Result<()> {
    let all: Vec<String> = env.many(MODEL, id, "move_ids").into_iter().map(|m| env.text(MOVE, m, "state")).collect();
    let live: Vec<&str> = all.iter().map(String::as_str).filter(|s| *s != "cancel").collect();
    let open: Vec<&str> = live.iter().copied().filter(|s| *s != "done").collect();
    let whole = open.iter().all(|s| *s == "assigned");
    let some = open.iter().any(|s| matches!(*s, "assigned" | "partially_available"));
    let state = match (all.len(), live.len(), open.len()) {
        (0, _, _) => "draft",
        (_, 0, _) => "cancel",
        (_, _, 0) => "done",
        _ if open.contains(&"draft") => "draft",
        _ if env.text(MODEL, id, "move_type") == "one" && !whole => "confirmed",
        _ if some => "assigned",
        _ => "confirmed",
    };
    if env.text(MODEL, id, "state") == state { Ok(()) } else { env.write(MODEL, &[id], &vals! {"state": state}) }
}

/// `action_assign`: reserve what is there.
pub(in crate::odoo) fn assign(env: &mut Env<'_>, ids: &[i64]) -> Result<()> {
    env.must_exist(MODEL, ids)?;
    let wanted: Vec<i64> = ids.iter().flat_map(|id| open_moves(env, *id)).collect();
    if wanted.is_empty() {
        return Err(Raised::user("Nothing to check the availability for."));
    }
    for target in wanted {
        stock::confirm_move(env, target);
        reserve::reserve(env, target)?;
    }
    ids.iter().try_for_each(|id| refresh_state(env, *id))
}

/// `do_unreserve`.
pub(in crate::odoo) fn unreserve(env: &mut Env<'_>, ids: &[i64]) -> Result<()> {
    env.must_exist(MODEL, ids)?;
    for id in ids {
        let lines = env.many(MODEL, *id, "move_line_ids");
        env.unlink(LINE, &lines)?;
        refresh_state(env, *id)?;
    }
    Ok(())
}

/// `action_cancel`; a done delivery cannot be.
pub(in crate::odoo) fn cancel(env: &mut Env<'_>, ids: &[i64]) -> Result<()> {
    env.must_exist(MODEL, ids)?;
    for id in ids {
        for target in env.many(MODEL, *id, "move_ids") {
            if env.text(MOVE, target, "state") == "done" {
                let text = "You cannot cancel a stock move that has been set to 'Done'. Create a return in order to reverse \
                            the moves which took place.";
                return Err(Raised::user(text));
            }
            if env.text(MOVE, target, "state") == "cancel" {
                continue;
            }
            let lines = env.many(MOVE, target, "move_line_ids");
            reserve::set_state(env, target, "cancel");
            env.unlink(LINE, &lines)?;
            automation::fire_again(env, MOVE, target, "state")?;
        }
        refresh_state(env, *id)?;
    }
    Ok(())
}
