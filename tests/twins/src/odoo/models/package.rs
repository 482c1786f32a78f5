//! Packages and their types.

use serde_json::{Value, json};

use super::{base, picking};
use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::records::{Vals, vals};

const MODEL: &str = "stock.package";
const TYPE: &str = "stock.package.type";
const LINE: &str = "stock.move.line";

pub(in crate::odoo) fn value(env: &Env<'_>, model: &str, id: i64, field: &str) -> Option<Value> {
    let value = match (model, field) {
        (_, "weight_uom_name") => json!("kg"),
        (TYPE, "length_uom_name") => json!("mm"),
        (MODEL, "weight") => json!(weight(env, id)),
        (MODEL, "picking_ids") => json!(pickings(env, id)),
        (MODEL, "valid_sscc") => json!(false),
        (MODEL, "contained_quant_ids") => json!([]),
        (MODEL, "owner_id") => json!(false),
        _ => return None,
    };
    Some(value)
}

/// The empty box, and what is in it once the goods have moved there.
fn weight(env: &Env<'_>, id: i64) -> f64 {
    let empty = env.one(MODEL, id, "package_type_id").map_or(0.0, |t| env.number(TYPE, t, "base_weight"));
    let lines = env.db.having(LINE, "result_package_id", &json!(id)).unwrap_or_default();
    let inside = lines.into_iter().filter(|l| env.text(LINE, *l, "state") == "done");
    empty + inside.map(|l| super::stock::line_weight(env, l)).sum::<f64>()
}

/// What somebody weighed, else what it should weigh.
pub(in crate::odoo) fn weight_to_ship(env: &Env<'_>, id: i64) -> f64 {
    match env.number(MODEL, id, "shipping_weight") {
        0.0 => env.one(MODEL, id, "package_type_id").map_or(0.0, |t| env.number(TYPE, t, "base_weight")),
        weighed => weighed,
    }
}

fn pickings(env: &Env<'_>, id: i64) -> Vec<i64> {
    let lines = env.db.having(LINE, "result_package_id", &json!(id)).unwrap_or_default();
    let mut found: Vec<i64> = lines.into_iter().filter_map(|l| env.one(LINE, l, "picking_id")).collect();
    found.sort_unstable();
    found.dedup();
    found
}

pub(in crate::odoo) fn prepare(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    if vals.get("name").is_none_or(|n| n.as_str().unwrap_or_default().is_empty()) {
        let name = base::next_by_code(env, MODEL)?;
        vals.insert("name".to_owned(), name);
    }
    Ok(())
}

pub(in crate::odoo) fn written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    if vals.contains_key("shipping_weight") {
        for delivery in pickings(env, id) {
            picking::forget_written_weight(env, delivery);
        }
    }
    Ok(())
}

/// `stock.move.line.action_put_in_pack`: a new package around the lines.
pub(in crate::odoo) fn put_in_pack(env: &mut Env<'_>, lines: &[i64], arguments: &Vals) -> Result<i64> {
    env.must_exist(LINE, lines)?;
    let mut package = Vals::new();
    for (argument, field) in [("package_type_id", "package_type_id"), ("package_name", "name")] {
        if let Some(value) = arguments.get(argument) {
            package.insert(field.to_owned(), value.clone());
        }
    }
    let package = env.create(MODEL, package)?;
    env.write(LINE, lines, &vals! {"result_package_id": package})?;
    Ok(package)
}
