//! Products: a template with one variant. Fields of the template read through from the variant.

use serde_json::{Value, json};

use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::records::{Vals, vals};

/// On the template, seen through the variant.
const DELEGATED: [&str; 8] =
    ["name", "type", "is_storable", "list_price", "uom_id", "company_id", "tracking", "sale_ok"];
/// On the variant, seen from the template.
const OF_VARIANT: [&str; 2] = ["barcode", "standard_price"];

pub(in crate::odoo) fn value(env: &Env<'_>, model: &str, id: i64, field: &str) -> Option<Value> {
    if field == "weight_uom_name" {
        return Some(json!("kg"));
    }
    if model == "product.template" {
        let variant = || env.many(model, id, "product_variant_ids").first().copied();
        return OF_VARIANT
            .contains(&field)
            .then(|| variant().map_or(json!(false), |v| env.value("product.product", v, field)));
    }
    let template = || env.one(model, id, "product_tmpl_id");
    let value = match field {
        "lst_price" => env.value("product.template", template()?, "list_price"),
        field if DELEGATED.contains(&field) => env.value("product.template", template()?, field),
        "qty_available" => json!(on_hand(env, id).0),
        "free_qty" => {
            let (quantity, reserved) = on_hand(env, id);
            json!(quantity - reserved)
        }
        "outgoing_qty" => json!(outgoing(env, id)),
        "incoming_qty" => json!(0.0),
        "virtual_available" => json!(on_hand(env, id).0 - outgoing(env, id)),
        _ => return None,
    };
    Some(value)
}

/// Quantity and what of it is reserved, over all internal locations.
fn on_hand(env: &Env<'_>, product: i64) -> (f64, f64) {
    let quants = env.db.having("stock.quant", "product_id", &json!(product)).unwrap_or_default();
    let inside = quants.into_iter().filter(|q| {
        env.one("stock.quant", *q, "location_id").is_some_and(|l| env.text("stock.location", l, "usage") == "internal")
    });
    inside.fold((0.0, 0.0), |(quantity, reserved), q| {
        (
            quantity + env.number("stock.quant", q, "quantity"),
            reserved + env.number("stock.quant", q, "reserved_quantity"),
        )
    })
}

fn outgoing(env: &Env<'_>, product: i64) -> f64 {
    let moves = env.db.having("stock.move", "product_id", &json!(product)).unwrap_or_default();
    let open = moves
        .into_iter()
        .filter(|m| !matches!(env.text("stock.move", *m, "state").as_str(), "draft" | "done" | "cancel"));
    open.map(|m| env.number("stock.move", m, "product_uom_qty")).sum()
}

/// A variant made alone gets a template of its own.
pub(in crate::odoo) fn prepare_variant(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    if vals.contains_key("product_tmpl_id") {
        return Ok(());
    }
    let mut template = Vals::new();
    for field in DELEGATED {
        if let Some(value) = vals.get(field) {
            template.insert(field.to_owned(), value.clone());
        }
    }
    for (field, on_template) in [("lst_price", "list_price"), ("default_code", "default_code"), ("weight", "weight")] {
        if let Some(value) = vals.get(field) {
            template.insert(on_template.to_owned(), value.clone());
        }
    }
    env.context.insert(ALONE.to_owned(), json!(true));
    let made = env.create("product.template", template);
    env.context.remove(ALONE);
    vals.insert("product_tmpl_id".to_owned(), json!(made?));
    Ok(())
}

/// Context key while a variant makes its template, which then makes no other variant.
const ALONE: &str = "_variant_comes";

pub(in crate::odoo) fn template_created(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    if env.wants(ALONE) {
        return Ok(());
    }
    let mut variant = vals! {"product_tmpl_id": id};
    for field in ["default_code", "weight", "volume", "barcode", "standard_price"] {
        if let Some(value) = vals.get(field) {
            variant.insert(field.to_owned(), value.clone());
        }
    }
    env.create("product.product", variant).map(|_| ())
}

pub(in crate::odoo) fn variant_written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    let mut template = Vals::new();
    for field in DELEGATED {
        if let Some(value) = vals.get(field) {
            template.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(value) = vals.get("lst_price") {
        template.insert("list_price".to_owned(), value.clone());
    }
    match env.one("product.product", id, "product_tmpl_id") {
        Some(target) if !template.is_empty() => env.write("product.template", &[target], &template),
        _ => Ok(()),
    }
}

/// Weight and code of the template are those of its only variant; a write touches the variant either way.
pub(in crate::odoo) fn template_written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    let mut variant = Vals::new();
    for field in ["default_code", "weight", "volume", "barcode", "standard_price", "active"] {
        if let Some(value) = vals.get(field) {
            variant.insert(field.to_owned(), value.clone());
        }
    }
    let variants = env.many("product.template", id, "product_variant_ids");
    env.write("product.product", &variants, &variant)
}

pub(in crate::odoo) fn check_barcode(env: &Env<'_>, id: i64) -> Result<()> {
    let barcode = env.text("product.product", id, "barcode");
    if barcode.is_empty() {
        return Ok(());
    }
    let all = env.db.ids("product.product");
    let holders: Vec<i64> = all.into_iter().filter(|p| env.text("product.product", *p, "barcode") == barcode).collect();
    if holders.len() < 2 {
        return Ok(());
    }
    let names: Vec<String> = holders.iter().map(|p| env.text("product.product", *p, "name")).collect();
    Err(Raised::validation(format!(
        "Barcode(s) already assigned:\n\n- Barcode \"{barcode}\" already assigned to product(s): {}\n\nNote: products \
         that you don't have access to will not be shown above.",
        names.join(" and ")
    )))
}
