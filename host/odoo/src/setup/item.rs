//! A record that shall exist under an external id with certain values: looked up, compared, loaded when it differs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_domain::fault::Fault;

use super::{Change, Item};
use crate::client::Operation;
use crate::fault::unexpected;
use crate::load::{self, MODULE};
use crate::value::id;

/// A field's wanted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Written with the record, but a person may change it.
    Label(String),
    Text(String),
    Flag(bool),
    /// A many2one, by database id.
    One(i64),
    /// A many2many, by database ids.
    Many(Vec<i64>),
}

impl Cell {
    fn column(&self, field: &str) -> String {
        match self {
            Self::One(_) | Self::Many(_) => format!("{field}/.id"),
            _ => field.to_owned(),
        }
    }

    /// As `load` reads it.
    fn text(&self) -> String {
        match self {
            Self::Label(text) | Self::Text(text) => text.clone(),
            Self::Flag(flag) => u8::from(*flag).to_string(),
            Self::One(id) => id.to_string(),
            Self::Many(ids) => ids.iter().map(i64::to_string).collect::<Vec<_>>().join(","),
        }
    }

    fn is(&self, found: &Value) -> bool {
        match self {
            Self::Label(_) => true,
            Self::Text(text) => found.as_str().unwrap_or_default().trim() == text.trim(),
            Self::Flag(flag) => found.as_bool() == Some(*flag),
            Self::One(wanted) => id(found) == Some(*wanted),
            Self::Many(wanted) => {
                let found: Vec<i64> = found.as_array().into_iter().flatten().filter_map(id).collect();
                found.len() == wanted.len() && wanted.iter().all(|id| found.contains(id))
            }
        }
    }
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) model: &'static str,
    /// The external id's name part.
    pub(super) name: String,
    pub(super) cells: Vec<(&'static str, Cell)>,
}

/// A record and, for a rule, its one action, which are written in one transaction.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// For the report.
    pub(super) what: String,
    pub(super) record: Wanted,
    /// The one2many field and the record in it.
    pub(super) child: Option<(&'static str, Wanted)>,
}

/// Makes sure of one entry. Gives the record's database id.
pub(super) async fn ensure(calls: &mut Operation<'_>, report: &mut Vec<Item>, entry: Entry) -> Result<i64, Fault> {
    let names: Vec<&str> = wanted(&entry).map(|record| record.name.as_str()).collect();
    let known = known(calls, &names).await?;
    let mut same = true;
    for record in wanted(&entry) {
        same = same && matches(calls, record, known.get(&record.name).copied()).await?;
    }
    let there = known.get(&entry.record.name).copied();
    let (id, change) = match (there, same) {
        (Some(id), true) => (id, Change::Kept),
        (there, _) => {
            let answer = calls.call(entry.record.model, "load", arguments(&entry)).await?;
            let id = load::one_id(&format!("{}.load", entry.record.model), answer)?;
            // An external id outlives a record that was deleted behind Odoo's back.
            (id, if there == Some(id) { Change::Updated } else { Change::Created })
        }
    };
    report.push(Item { what: entry.what, change });
    Ok(id)
}

fn wanted(entry: &Entry) -> impl Iterator<Item = &Wanted> {
    std::iter::once(&entry.record).chain(entry.child.iter().map(|(_, child)| child))
}

/// Database ids by external name.
async fn known(calls: &mut Operation<'_>, names: &[&str]) -> Result<BTreeMap<String, i64>, Fault> {
    let domain = json!([["module", "=", MODULE], ["name", "in", names]]);
    let answer =
        calls.call("ir.model.data", "search_read", json!({"domain": domain, "fields": ["name", "res_id"]})).await?;
    let rows = answer.as_array().ok_or_else(|| unexpected("ir.model.data.search_read", "it is not a list"))?;
    Ok(rows.iter().filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["res_id"].as_i64()?))).collect())
}

async fn matches(calls: &mut Operation<'_>, record: &Wanted, id: Option<i64>) -> Result<bool, Fault> {
    let Some(id) = id else { return Ok(false) };
    let fields: Vec<&str> = record.cells.iter().map(|(field, _)| *field).collect();
    let answer = calls.call(record.model, "read", json!({"ids": [id], "fields": fields})).await?;
    Ok(answer.get(0).is_some_and(|row| record.cells.iter().all(|(field, cell)| cell.is(&row[field]))))
}

fn arguments(entry: &Entry) -> Value {
    let mut fields = vec!["id".to_owned()];
    let mut row = vec![format!("{MODULE}.{}", entry.record.name)];
    for (field, cell) in &entry.record.cells {
        fields.push(cell.column(field));
        row.push(cell.text());
    }
    if let Some((column, child)) = &entry.child {
        fields.push(format!("{column}/id"));
        row.push(format!("{MODULE}.{}", child.name));
        for (field, cell) in &child.cells {
            fields.push(format!("{column}/{}", cell.column(field)));
            row.push(cell.text());
        }
    }
    json!({"fields": fields, "data": [row]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_and_its_action_are_one_row() {
        let child = Wanted {
            model: "ir.actions.server",
            name: "act_x".to_owned(),
            cells: vec![("state", Cell::Text("code".to_owned())), ("model_id", Cell::One(7))],
        };
        let record = Wanted {
            model: "base.automation",
            name: "rule_x".to_owned(),
            cells: vec![("active", Cell::Flag(true)), ("trigger_field_ids", Cell::Many(vec![3, 4]))],
        };
        let args = arguments(&Entry { what: "x".to_owned(), record, child: Some(("action_server_ids", child)) });
        let fields = ["id", "active", "trigger_field_ids/.id", "action_server_ids/id", "action_server_ids/state"];
        assert_eq!(args["fields"].as_array().map(|f| f[..5].to_vec()), Some(fields.map(Value::from).to_vec()));
        assert_eq!(args["data"], json!([["__wharf__.rule_x", "1", "3,4", "__wharf__.act_x", "code", "7"]]));
    }

    #[test]
    fn only_a_person_s_label_may_differ() {
        assert!(Cell::Label("a".to_owned()).is(&json!("b")));
        assert!(Cell::Text(String::new()).is(&json!(false)));
        assert!(!Cell::Text("a".to_owned()).is(&json!("b")));
        assert!(Cell::One(3).is(&json!([3, "x"])) && !Cell::One(3).is(&json!(false)));
        assert!(Cell::Many(vec![2, 1]).is(&json!([1, 2])) && !Cell::Many(vec![1]).is(&json!([1, 2])));
        assert!(!Cell::Flag(true).is(&json!(false)));
    }
}
