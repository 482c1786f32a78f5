//! What single models do on top of records: defaults, computed fields, consequences of a write, refusals.

pub(super) mod automation_rules;
pub(super) mod base;
pub(super) mod custom;
pub(super) mod mail;
pub(super) mod package;
pub(super) mod picking;
pub(super) mod product;
pub(super) mod reserve;
pub(super) mod sale;
pub(super) mod sale_confirm;
pub(super) mod stock;
pub(super) mod validate;
pub(super) mod wizard;

use serde_json::{Value, json};

use super::db::Row;
use super::env::Env;
use super::errors::{Raised, Result};
use super::records::Vals;

/// Fills in what a create leaves open. Runs before anything is checked.
pub(super) fn prepare(env: &mut Env<'_>, model: &str, vals: &mut Vals) -> Result<()> {
    if vals.get("company_id").is_none_or(Value::is_null) && gets_a_company(model) {
        vals.insert("company_id".to_owned(), json!(1));
    }
    match model {
        "res.users" => base::prepare_user(env, vals),
        "res.users.apikeys.description" => base::check_key_wish(env, vals),
        "ir.attachment" => mail::prepare_attachment(env, vals),
        "mail.message" => mail::prepare_message(env, vals),
        "product.product" => product::prepare_variant(env, vals),
        "sale.order" => sale::prepare(env, vals),
        "sale.order.line" => sale::prepare_line(env, vals),
        "stock.picking" => picking::prepare(env, vals),
        "stock.move" => stock::prepare_move(env, vals),
        "stock.move.line" => stock::prepare_line(env, vals),
        "stock.quant" => stock::prepare_quant(env, vals),
        "stock.package" => package::prepare(env, vals),
        "ir.model" | "ir.model.fields" => custom::prepare(env, model, vals),
        "base.automation" | "ir.actions.server" => automation_rules::prepare(env, model, vals),
        _ => Ok(()),
    }
}

/// Consequences of a create.
pub(super) fn created(env: &mut Env<'_>, model: &str, id: i64, vals: &Vals) -> Result<()> {
    match model {
        "res.users" => {
            base::note_password(env, id, vals);
            Ok(())
        }
        "product.template" => product::template_created(env, id, vals),
        "ir.attachment" => mail::attachment_created(env, id, vals),
        "mail.message" => mail::message_created(env, id),
        "stock.quant" => stock::quant_counted(env, id, vals),
        "stock.move.line" => stock::line_changed(env, id, None),
        "sale.order.line" => sale::line_created(env, id),
        "ir.model" => custom::model_created(env, id),
        "ir.model.fields" => custom::field_created(env, id),
        "stock.picking" => picking::note_tracking(env, id, vals),
        _ => Ok(()),
    }
}

/// Consequences of a write. `before` is the row as it was.
pub(super) fn written(env: &mut Env<'_>, model: &str, id: i64, vals: &Vals, before: &Row) -> Result<()> {
    match model {
        "product.product" => product::variant_written(env, id, vals),
        "product.template" => product::template_written(env, id, vals),
        "res.users" => base::user_written(env, id, vals),
        "ir.attachment" => mail::attachment_written(env, id, vals),
        "sale.order.line" => sale::line_written(env, id, vals, before),
        "stock.picking" => picking::written(env, id, vals),
        "stock.move" => stock::move_written(env, id, vals),
        "stock.move.line" => stock::line_changed(env, id, Some(before)),
        "stock.quant" => stock::quant_counted(env, id, vals),
        "stock.package" => package::written(env, id, vals),
        _ => Ok(()),
    }
}

pub(super) fn check_unlink(env: &Env<'_>, model: &str, ids: &[i64]) -> Result<()> {
    let confirmed = |id: &i64| !matches!(env.text(model, *id, "state").as_str(), "draft" | "cancel");
    match model {
        "sale.order" if ids.iter().any(confirmed) => {
            let text = "You can not delete a sent quotation or a confirmed sales order. You must first cancel it.";
            Err(Raised::user(text))
        }
        "stock.picking" if ids.iter().any(|id| env.text(model, *id, "state") == "done") => {
            Err(Raised::user("You can not delete a done transfer."))
        }
        "ir.model" if ids.iter().any(|id| env.text(model, *id, "state") != "manual") => {
            Err(Raised::user("Model contains module data and cannot be removed."))
        }
        _ => Ok(()),
    }
}

pub(super) fn unlinked(env: &mut Env<'_>, model: &str, id: i64) -> Result<()> {
    match model {
        "ir.model" => custom::model_unlinked(env, id),
        "stock.move.line" => stock::line_removed(env, id),
        _ => Ok(()),
    }
}

/// Lists whose records go with their owner.
pub(super) fn owns(model: &str, list: &str) -> bool {
    matches!(
        (model, list),
        ("sale.order", "order_line")
            | ("base.automation", "action_server_ids")
            | ("ir.model", "field_id" | "access_ids")
            | ("stock.picking", "move_ids")
            | ("stock.move", "move_line_ids")
    )
}

/// Unique constraints of the database.
pub(super) fn check_unique(env: &Env<'_>, model: &str, ids: &[i64]) -> Result<()> {
    for id in ids {
        match model {
            "ir.model.data" => base::check_external_id(env, *id)?,
            "res.users" => base::check_login(env, *id)?,
            "product.product" => product::check_barcode(env, *id)?,
            _ => {}
        }
    }
    Ok(())
}

fn gets_a_company(model: &str) -> bool {
    matches!(
        model,
        "sale.order"
            | "sale.order.line"
            | "stock.picking"
            | "stock.move"
            | "stock.move.line"
            | "stock.quant"
            | "stock.warehouse"
            | "stock.picking.type"
            | "ir.attachment"
            | "res.users"
    )
}
