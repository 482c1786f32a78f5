//! Answers that are a window's action: Odoo wants something more before it does what was asked.

use serde_json::{Value, json};

use super::picking;
use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};

/// `stock.picking.action_put_in_pack`: a wizard over the lines that have no package yet.
pub(in crate::odoo) fn put_in_pack(env: &Env<'_>, ids: &[i64]) -> Result<Value> {
    env.must_exist(picking::MODEL, ids)?;
    let lines: Vec<i64> = ids.iter().flat_map(|id| env.many(picking::MODEL, *id, "move_line_ids")).collect();
    let loose: Vec<i64> =
        lines.into_iter().filter(|l| env.one("stock.move.line", *l, "result_package_id").is_none()).collect();
    let Some(first) = loose.first() else {
        return Err(Raised::user(
            "There is nothing eligible to put in a pack. Either there are no quantities to put in a \
                                 pack or all products are already in a pack.",
        ));
    };
    let destination = env.value("stock.move.line", *first, "location_dest_id");
    Ok(json!({
        "id": 344,
        "display_name": "Put in Pack",
        "name": "Put in Pack",
        "type": "ir.actions.act_window",
        "xml_id": "stock.action_put_in_pack_wizard",
        "path": false,
        "help": false,
        "binding_model_id": false,
        "binding_type": "action",
        "binding_view_types": "list,form",
        "view_id": false,
        "domain": false,
        "context": {
            "dialog_size": "medium",
            "all_move_line_ids": loose,
            "default_move_line_ids": loose,
            "default_location_dest_id": destination,
            "picking_ids": ids,
            "default_package_carrier_type": "none",
        },
        "res_id": 0,
        "res_model": "stock.put.in.pack",
        "target": "new",
        "view_mode": "form",
        "mobile_view_mode": "kanban",
        "views": [[false, "form"]],
        "limit": 80,
        "group_ids": [],
        "search_view_id": false,
        "embedded_action_ids": [],
        "filter": false,
        "cache": true,
    }))
}

/// `make_key` asks for the password first.
pub(in crate::odoo) fn identity_check(check: i64) -> Value {
    json!({
        "type": "ir.actions.act_window",
        "res_model": "res.users.identitycheck",
        "res_id": check,
        "name": "Access Control",
        "target": "new",
        "views": [[false, "form"]],
        "context": { "dialog_size": "medium" },
    })
}

/// Where the new key is shown, once.
pub(in crate::odoo) fn key_ready(key: &str) -> Value {
    json!({
        "type": "ir.actions.act_window",
        "res_model": "res.users.apikeys.show",
        "name": "API Key Ready",
        "views": [[false, "form"]],
        "target": "new",
        "context": { "default_key": key },
    })
}
