//! A new record as a `load` under an external id of the host's making: whoever repeats it, it happens once.
//!
//! `load` reads texts, as out of a spreadsheet. Relations are named by record id and never by text, which Odoo would
//! search for; lines follow as rows of their own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_domain::ids::{ConnectionId, TenantId};

use super::child::Command;
use super::denial::Denial;
use super::schema::Kind;
use super::values::{Cell, Row, invalid};

/// Whose key it is.
pub(crate) struct Key<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) connection: &'a ConnectionId,
    pub(crate) model: &'a str,
    pub(crate) key: &'a str,
}

impl Key<'_> {
    /// The name part of the external id; the parts hold no dot but the last, so no two keys share a name.
    pub(crate) fn name(&self) -> Result<String, Denial> {
        let Self { tenant, connection, model, key } = self;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(1..=64).contains(&key.len()) || !key.bytes().all(plain) {
            let why = "use 1 to 64 letters, digits, `_` and `-`".to_owned();
            return Err(Denial::Invalid { what: "`key`", why });
        }
        Ok(format!("rec.{tenant}.{connection}.{key}.{model}"))
    }
}

/// Columns and rows of the record; the first column is the external id `id`.
pub(crate) fn table(id: &str, row: &Row) -> Result<(Vec<String>, Vec<Vec<String>>), Denial> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut lines: Vec<BTreeMap<String, String>> = Vec::new();
    for (name, cell) in row {
        match cell {
            Cell::List { lines: own, commands } if *own || commands.iter().all(|c| matches!(c, Command::Create(_))) => {
                for (at, columns) in children(name, commands)?.into_iter().enumerate() {
                    match lines.get_mut(at) {
                        Some(line) => line.extend(columns),
                        None => lines.push(columns),
                    }
                }
            }
            Cell::List { commands, .. } => first.extend(linked(name, commands)?),
            other => first.extend(column(name, other)),
        }
    }
    first.insert("id".to_owned(), id.to_owned());
    let mut rows = vec![first];
    for (at, line) in lines.into_iter().enumerate() {
        match rows.get_mut(at) {
            Some(row) => row.extend(line),
            None => rows.push(line),
        }
    }
    let names: std::collections::BTreeSet<String> = rows.iter().flat_map(|row| row.keys().cloned()).collect();
    let columns: Vec<String> = names.into_iter().collect();
    let cells = |row: &BTreeMap<String, String>| {
        columns.iter().map(|column| row.get(column).cloned().unwrap_or_default()).collect()
    };
    let data = rows.iter().map(cells).collect();
    Ok((columns, data))
}

/// The arguments of `load`: an existing record stays as it is. Moments are in UTC.
pub(crate) fn arguments(columns: &[String], data: &[Vec<String>], mut context: Value) -> Value {
    context["mode"] = json!("update");
    context["noupdate"] = json!(true);
    context["tz"] = json!("UTC");
    json!({"fields": columns, "data": data, "context": context})
}

/// Lines of a new record. All with the same fields: an empty cell would be taken for "nothing" instead of the default.
fn children(name: &str, commands: &[Command]) -> Result<Vec<BTreeMap<String, String>>, Denial> {
    let mut out: Vec<BTreeMap<String, String>> = Vec::new();
    for command in commands {
        let Command::Create(row) = command else {
            return Err(invalid(format!("`{name}` of a new record takes new lines only")));
        };
        let mut columns = BTreeMap::new();
        for (field, cell) in row {
            if matches!(cell, Cell::List { .. }) {
                return Err(invalid(format!("a new line of `{name}` holds a list of its own; write it afterwards")));
            }
            columns.extend(column(field, cell).map(|(column, text)| (format!("{name}/{column}"), text)));
        }
        let same = out.first().is_none_or(|first| first.keys().eq(columns.keys()));
        if !same || columns.is_empty() {
            return Err(invalid(format!("new lines of `{name}` must all give the same fields")));
        }
        out.push(columns);
    }
    Ok(out)
}

fn linked(name: &str, commands: &[Command]) -> Result<Option<(String, String)>, Denial> {
    let mut ids: Vec<i64> = Vec::new();
    for command in commands {
        match command {
            Command::Link(id) => ids.push(*id),
            Command::Set(set) => ids.clone_from(set),
            _ => return Err(invalid(format!("`{name}` of a new record takes `[4, id]`, `[6, 0, ids]` or new lines"))),
        }
    }
    let text = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    Ok((!text.is_empty()).then(|| (format!("{name}/.id"), text)))
}

/// Column and text; none for "nothing", which is what a new record has anyway.
fn column(name: &str, cell: &Cell) -> Option<(String, String)> {
    let text = match cell {
        Cell::One(id) => return id.map(|id| (format!("{name}/.id"), id.to_string())),
        Cell::Plain(Kind::Boolean, flag) => u8::from(*flag == true).to_string(),
        Cell::Plain(_, Value::String(text)) => text.clone(),
        Cell::Plain(_, Value::Number(number)) => number.to_string(),
        Cell::Plain(..) | Cell::List { .. } => String::new(),
    };
    (!text.is_empty()).then(|| (name.to_owned(), text))
}
