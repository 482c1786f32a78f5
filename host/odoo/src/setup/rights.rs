//! The bot's group: read what an order release needs, write deliveries, empty the outbox, and nothing else. Odoo's own
//! groups for the warehouse would also let it confirm orders, validate deliveries and change stock.

use serde_json::{Value, json};
use wharf_domain::fault::{Blame, Fault, FaultKind};

use super::Item;
use super::item::{Cell, Entry, Wanted, ensure as ensure_item};
use crate::client::Operation;

/// Model, the module that brings it, may it be written. Contacts, attachments and messages come with `base.group_user`,
/// where Odoo asks for the right to write the record they are on.
const MODELS: [(&str, &str, bool); 13] = [
    ("sale.order", "sale", false),
    ("sale.order.line", "sale", false),
    ("stock.picking", "stock", true),
    ("stock.picking.type", "stock", false),
    ("stock.move", "stock", false),
    ("stock.move.line", "stock", false),
    ("stock.package", "stock", false),
    ("stock.package.type", "stock", false),
    ("stock.warehouse", "stock", false),
    ("delivery.carrier", "delivery", false),
    ("product.product", "product", false),
    ("product.template", "product", false),
    ("uom.uom", "uom", false),
];

/// Gives the group's id.
pub(super) async fn ensure(calls: &mut Operation<'_>, report: &mut Vec<Item>, outbox: i64) -> Result<i64, Fault> {
    let user = external(calls, "base", "group_user").await?;
    let group = Wanted {
        model: "res.groups",
        name: "group_bot".to_owned(),
        cells: vec![("name", Cell::Label("Wharf bot".to_owned())), ("implied_ids", Cell::Many(vec![user]))],
    };
    let entry = Entry { what: "group: Wharf bot".to_owned(), record: group, child: None };
    let group = ensure_item(calls, report, entry).await?;
    let names: Vec<&str> = MODELS.iter().map(|(model, _, _)| *model).collect();
    let found = models(calls, &names).await?;
    for (model, module, write) in MODELS {
        let id = found.iter().find(|(name, _)| name == model).map(|(_, id)| *id);
        let id = id.ok_or_else(|| {
            let text = format!("Odoo has no model `{model}`; install its module `{module}` and run setup again");
            Fault::new(FaultKind::Unsupported, "odoo.no-such-model", text, Blame::Operator)
        })?;
        ensure_item(calls, report, access(model, id, group, write, false)).await?;
    }
    ensure_item(calls, report, access(crate::OUTBOX_MODEL, outbox, group, false, true)).await?;
    Ok(group)
}

fn access(model: &str, id: i64, group: i64, write: bool, unlink: bool) -> Entry {
    let record = Wanted {
        model: "ir.model.access",
        name: format!("access_{}", model.replace('.', "_")),
        cells: vec![
            ("name", Cell::Label(format!("Wharf bot: {model}"))),
            ("model_id", Cell::One(id)),
            ("group_id", Cell::One(group)),
            ("perm_read", Cell::Flag(true)),
            ("perm_write", Cell::Flag(write)),
            ("perm_create", Cell::Flag(false)),
            ("perm_unlink", Cell::Flag(unlink)),
            ("active", Cell::Flag(true)),
        ],
    };
    let verb = match (write, unlink) {
        (true, _) => "read and write",
        (_, true) => "read and delete",
        _ => "read",
    };
    Entry { what: format!("right: {verb} `{model}`"), record, child: None }
}

/// `ir.model` ids by model name.
pub(super) async fn models(calls: &mut Operation<'_>, names: &[&str]) -> Result<Vec<(String, i64)>, Fault> {
    let search = json!({"domain": [["model", "in", names]], "fields": ["model"]});
    let found = calls.call("ir.model", "search_read", search).await?;
    let rows = found.as_array().into_iter().flatten();
    Ok(rows.filter_map(|row| Some((row["model"].as_str()?.to_owned(), row["id"].as_i64()?))).collect())
}

/// The database id behind one of Odoo's own external ids.
async fn external(calls: &mut Operation<'_>, module: &str, name: &str) -> Result<i64, Fault> {
    let domain = json!([["module", "=", module], ["name", "=", name]]);
    let found = calls.call("ir.model.data", "search_read", json!({"domain": domain, "fields": ["res_id"]})).await?;
    found.get(0).and_then(|row| row["res_id"].as_i64()).ok_or_else(|| {
        let text = format!("Odoo has no record `{module}.{name}`");
        Fault::new(FaultKind::Unsupported, "odoo.missing", text, Blame::Odoo)
    })
}

/// Reads the list of ids out of a many2many.
pub(super) fn ids(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}
