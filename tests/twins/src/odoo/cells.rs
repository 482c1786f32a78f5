//! Cells of `load`: text as a spreadsheet has it, turned into what `create` and `write` take.

use serde_json::{Value, json};

use super::env::Env;
use super::errors::{Raised, Result};
use super::schema::{Field, Kind};

/// A cell of this field. `by` is what follows the slash: `id` external, `.id` database, nothing: the name.
pub(super) fn value(env: &Env<'_>, field: &Field, by: Option<&str>, cell: &Value) -> Result<Value> {
    if matches!(cell, Value::Null | Value::Bool(false)) || cell == "" {
        return Ok(if field.kind.is_many() { json!([]) } else { json!(false) });
    }
    match &field.kind {
        Kind::Boolean => match text(cell).to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(json!(true)),
            "0" | "false" | "no" => Ok(json!(false)),
            other => Err(Raised::validation(format!("Unknown value '{other}' for boolean field '{}'", field.label))),
        },
        Kind::Selection(choices) => {
            let given = text(cell);
            let known = choices.iter().find(|(value, label)| *value == given || *label == given);
            match known {
                Some((value, _)) => Ok(json!(value)),
                None if choices.is_empty() => Ok(json!(given)),
                None => {
                    let text = format!("Value '{given}' not found in selection field '{}'", field.label);
                    Err(Raised::validation(text))
                }
            }
        }
        Kind::Many2one(comodel) => relation(env, field, comodel, by, &text(cell)).map(|id| json!(id)),
        Kind::Many2many(comodel) => {
            let parts = text(cell);
            let ids: Vec<i64> =
                parts.split(',').map(|part| relation(env, field, comodel, by, part.trim())).collect::<Result<_>>()?;
            Ok(json!([[6, 0, ids]]))
        }
        Kind::Integer | Kind::Reference => {
            number(cell).map(Value::from).ok_or_else(|| not_a("an integer", field, cell))
        }
        Kind::Float | Kind::Monetary => {
            let parsed = cell.as_f64().or_else(|| cell.as_str().and_then(|t| t.trim().parse().ok()));
            parsed.map(Value::from).ok_or_else(|| not_a("a number", field, cell))
        }
        _ => Ok(json!(text(cell))),
    }
}

/// A whole number, as number or text.
pub(super) fn number(cell: &Value) -> Option<i64> {
    cell.as_i64().or_else(|| cell.as_str().and_then(|t| t.trim().parse().ok()))
}

fn text(cell: &Value) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)
}

fn not_a(what: &str, field: &Field, cell: &Value) -> Raised {
    Raised::validation(format!("'{}' does not seem to be {what} for field '{}'", text(cell), field.label))
}

fn relation(env: &Env<'_>, field: &Field, comodel: &str, by: Option<&str>, given: &str) -> Result<i64> {
    let found = match by {
        Some("id") => {
            let xml_id = if given.contains('.') { given.to_owned() } else { format!("__import__.{given}") };
            env.external(&xml_id)
                .filter(|(model, id)| model == comodel && env.db.exists(comodel, *id))
                .map(|(_, id)| id)
        }
        Some(".id") => given.parse().ok().filter(|id| env.db.exists(comodel, *id)),
        _ => env.db.ids(comodel).into_iter().find(|id| env.display_name(comodel, *id) == given),
    };
    let kind = match by {
        Some("id") => "external id",
        Some(".id") => "database id",
        _ => "name",
    };
    found.ok_or_else(|| {
        let text = format!("No matching record found for {kind} '{given}' in field '{}'", field.label);
        let mut raised = Raised::validation(text);
        raised.context = json!({ "field": field.name, "field_name": field.label, "moreinfo": possible(comodel) });
        raised
    })
}

fn possible(comodel: &str) -> Value {
    json!({
        "name": "Possible Values",
        "type": "ir.actions.act_window",
        "target": "new",
        "view_mode": "list,form",
        "views": [[false, "list"], [false, "form"]],
        "context": { "create": false },
        "help": "See all possible values",
        "res_model": comodel,
    })
}
