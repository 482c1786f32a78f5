//! Fields that are worked out when read, dispatched to the models that know them, and display names.

use serde_json::{Value, json};

use super::env::Env;
use super::models::{base, mail, package, picking, product, sale, stock};

/// `None`: the field is stored as it is.
pub(super) fn value(env: &Env<'_>, model: &str, id: i64, field: &str) -> Option<Value> {
    if field == "display_name" {
        return Some(json!(display_name(env, model, id)));
    }
    match model {
        "product.product" | "product.template" => product::value(env, model, id, field),
        "sale.order" => sale::value(env, id, field),
        "sale.order.line" => sale::line_value(env, id, field),
        "stock.picking" => picking::value(env, id, field),
        "stock.move" => stock::move_value(env, id, field),
        "stock.move.line" => stock::line_value(env, id, field),
        "stock.quant" => stock::quant_value(env, id, field),
        "stock.package" | "stock.package.type" => package::value(env, model, id, field),
        "ir.attachment" | "mail.message" => mail::value(env, model, id, field),
        _ => base::value(env, model, id, field),
    }
}

/// What a many2one shows beside the id.
pub(super) fn display_name(env: &Env<'_>, model: &str, id: i64) -> String {
    if !env.db.exists(model, id) {
        return String::new();
    }
    match model {
        "res.partner" | "stock.location" | "product.category" => env.text(model, id, "complete_name"),
        "res.users" => env.text(model, id, "name"),
        "res.country.state" => {
            let country = env.one(model, id, "country_id").map(|c| env.text("res.country", c, "code"));
            format!("{} ({})", env.text(model, id, "name"), country.unwrap_or_default())
        }
        "product.product" | "product.template" => {
            let name = env.text(model, id, "name");
            match env.text(model, id, "default_code") {
                code if code.is_empty() => name,
                code => format!("[{code}] {name}"),
            }
        }
        "sale.order.line" => sale::line_display_name(env, id),
        "stock.picking.type" => {
            let warehouse = env.one(model, id, "warehouse_id").map(|w| env.text("stock.warehouse", w, "name"));
            format!("{}: {}", warehouse.unwrap_or_default(), env.text(model, id, "name"))
        }
        "stock.move" | "stock.move.line" => {
            let product = env.one(model, id, "product_id").map(|p| display_name(env, "product.product", p));
            product.unwrap_or_default()
        }
        "ir.model.data" => env.text(model, id, "complete_name"),
        "ir.model.fields" => {
            let label = env.one(model, id, "model_id").map(|m| env.text("ir.model", m, "name"));
            format!("{} ({})", env.text(model, id, "field_description"), label.unwrap_or_default())
        }
        _ => named(env, model, id),
    }
}

/// By the field that names records, else `model,id`.
fn named(env: &Env<'_>, model: &str, id: i64) -> String {
    let field = env.db.model(model).and_then(|m| ["name", "x_name"].into_iter().find(|f| m.field(f).is_some()));
    match field.map(|f| env.text(model, id, f)) {
        Some(name) if !name.is_empty() => name,
        _ => format!("{model},{id}"),
    }
}
