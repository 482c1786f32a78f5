//! The outbox model: a custom model made over the API, no module to install.

use serde_json::{Value, json};
use wharf_domain::fault::Fault;

use super::item::{Cell, Entry, Wanted, ensure as ensure_item};
use super::{Change, Item};
use crate::OUTBOX_MODEL;
use crate::client::Operation;
use crate::fault::unexpected;
use crate::models::outbox::FIELDS;

/// Gives the id of the model's `ir.model` record. No two models have one name, so looking by name is enough.
pub(super) async fn ensure(calls: &mut Operation<'_>, report: &mut Vec<Item>) -> Result<i64, Fault> {
    let search = json!({"domain": [["model", "=", OUTBOX_MODEL]], "fields": ["id"]});
    let found = calls.call("ir.model", "search_read", search).await?;
    let (model, change) = match found.get(0).and_then(|row| row["id"].as_i64()) {
        Some(model) => (model, fields(calls, model).await?),
        None => {
            let fields: Vec<Value> = FIELDS.iter().map(|field| json!([0, 0, values(field)])).collect();
            let model = json!({"name": "Wharf outbox", "model": OUTBOX_MODEL, "state": "manual", "order": "id",
                "field_id": fields});
            let made = calls.call("ir.model", "create", json!({"vals_list": [model]})).await?;
            let id = made.get(0).and_then(Value::as_i64).ok_or_else(|| unexpected("ir.model.create", "no id"))?;
            (id, Change::Created)
        }
    };
    report.push(Item { what: format!("model: the outbox `{OUTBOX_MODEL}`"), change });
    let own = Wanted {
        model: "ir.rule",
        name: "outbox_company".to_owned(),
        cells: vec![
            ("name", Cell::Label("Wharf: events of one's own companies".to_owned())),
            ("model_id", Cell::One(model)),
            ("domain_force", Cell::Text("[('x_company_id', 'in', company_ids)]".to_owned())),
        ],
    };
    let entry = Entry { what: "record rule: each company sees its own events".to_owned(), record: own, child: None };
    ensure_item(calls, report, entry).await?;
    Ok(model)
}

fn values((name, kind, label): &(&str, &str, &str)) -> Value {
    json!({"name": name, "ttype": kind, "field_description": label})
}

/// Adds what an older setup did not make.
async fn fields(calls: &mut Operation<'_>, model: i64) -> Result<Change, Fault> {
    let search = json!({"domain": [["model_id", "=", model]], "fields": ["name"]});
    let found = calls.call("ir.model.fields", "search_read", search).await?;
    let there = |name: &str| found.as_array().is_some_and(|rows| rows.iter().any(|row| row["name"] == name));
    let missing: Vec<Value> = FIELDS
        .iter()
        .filter(|(name, _, _)| !there(name))
        .map(|field| {
            let mut values = values(field);
            values["model_id"] = json!(model);
            values["state"] = json!("manual");
            values
        })
        .collect();
    if missing.is_empty() {
        return Ok(Change::Kept);
    }
    calls.call("ir.model.fields", "create", json!({"vals_list": missing})).await?;
    Ok(Change::Updated)
}
