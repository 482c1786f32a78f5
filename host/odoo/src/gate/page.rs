//! What a search may fetch, and what of the answer a guest gets to see.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wharf_domain::grant::OdooGrant;
use wharf_domain::port::records::{Page, Used};

use super::denial::Denial;
use super::schema::{Field, Kind};
use super::{Gate, Use};

/// Records of one page, whatever is asked.
pub(crate) const MAX_PAGE: u32 = 500;
const MAX_OFFSET: u32 = 1_000_000;
const MAX_FIELDS: usize = 100;
/// Bytes all answers of one call of an adapter may have.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Characters of one text; ids of one list.
const MAX_TEXT: usize = 64 << 10;

/// Fields to fetch, checked, each once.
#[derive(Debug)]
pub(crate) struct Fields<'a>(BTreeMap<&'a str, &'a Field>);

impl<'a> Fields<'a> {
    pub(crate) fn of(gate: &Gate<'a>, grant: &OdooGrant, wanted: &'a [String]) -> Result<Self, Denial> {
        if wanted.len() > MAX_FIELDS {
            let why = format!("{} fields are asked for, at most {MAX_FIELDS} are given", wanted.len());
            return Err(Denial::Invalid { what: "`fields`", why });
        }
        let fields = wanted.iter().map(|name| Ok((name.as_str(), gate.field(grant, name, Use::Read)?)));
        Ok(Self(fields.collect::<Result<_, Denial>>()?))
    }

    /// Never empty: to Odoo, no field is every field.
    pub(crate) fn names(&self) -> Value {
        let others = self.0.keys().copied().filter(|name| *name != "id");
        json!(std::iter::once("id").chain(others).collect::<Vec<_>>())
    }

    /// The page, cut to `most` records: one more was asked for, to know whether there are more.
    pub(crate) fn page(&self, rows: Vec<Value>, most: u32) -> Result<Page, &'static str> {
        let most = most as usize;
        let more = rows.len() > most;
        let mut cut = Vec::new();
        let mut records = Vec::with_capacity(rows.len().min(most));
        for row in rows.into_iter().take(most) {
            let Value::Object(mut row) = row else { return Err("a record is no object") };
            let id = row.get("id").and_then(Value::as_i64).ok_or("a record has no `id`")?;
            let mut record = Map::new();
            record.insert("id".to_owned(), json!(id));
            for (name, field) in self.0.iter().filter(|(name, _)| **name != "id") {
                let (value, whole) = clean(field.kind, row.remove(*name).unwrap_or(Value::Null));
                if !whole {
                    cut.push(format!("{id}.{name}"));
                }
                record.insert((*name).to_owned(), value);
            }
            records.push(Value::Object(record));
        }
        Ok(Page { records: Value::Array(records).to_string(), more, cut })
    }
}

/// A value in the one shape it has for guests, and whether all of it is there. The name of a record behind a relation is
/// a field of the other model, so only its id is handed on; what has another shape than its kind is nothing.
fn clean(kind: Kind, value: Value) -> (Value, bool) {
    let id = |value: &Value| value.as_i64().or_else(|| value.get(0).and_then(Value::as_i64));
    match (kind, value) {
        (Kind::Boolean, Value::Bool(flag)) => (json!(flag), true),
        (Kind::Integer | Kind::Float, Value::Number(number)) => (json!(number), true),
        (Kind::Text | Kind::Date | Kind::Moment, Value::String(text)) => match text.char_indices().nth(MAX_TEXT) {
            Some((end, _)) => (json!(text[..end]), false),
            None => (json!(text), true),
        },
        (Kind::One, value) => (id(&value).map_or(Value::Null, |id| json!(id)), true),
        (Kind::Lines | Kind::Many, Value::Array(list)) => {
            let ids: Vec<i64> = list.iter().filter_map(id).take(MAX_TEXT).collect();
            let whole = ids.len() == list.len();
            (json!(ids), whole)
        }
        (Kind::Lines | Kind::Many, _) => (json!([]), true),
        _ => (Value::Null, true),
    }
}

/// Records this ask may fetch: what is asked for, a page, what is left of the grant.
pub(crate) fn most(grant: &OdooGrant, used: &Used, asked: u32) -> Result<u32, Denial> {
    let left = grant.max_records.saturating_sub(used.records.get(&grant.model).copied().unwrap_or(0));
    match (left, asked) {
        (0, _) => Err(Denial::Records { model: grant.model.clone(), most: grant.max_records }),
        (left, 0) => Ok(MAX_PAGE.min(left)),
        (left, asked) => Ok(asked.min(MAX_PAGE).min(left)),
    }
}

pub(crate) fn offset(asked: u32) -> Result<u32, Denial> {
    if asked > MAX_OFFSET {
        let why = format!("{asked} is over {MAX_OFFSET}; search by `id` instead of counting");
        return Err(Denial::Invalid { what: "`offset`", why });
    }
    Ok(asked)
}

/// Adds a page to what was used; over the budget the page is not handed out.
pub(crate) fn count(grant: &OdooGrant, used: &mut Used, records: u32, bytes: usize) -> Result<(), Denial> {
    used.bytes = used.bytes.saturating_add(bytes);
    let so_far = used.records.entry(grant.model.clone()).or_default();
    *so_far = so_far.saturating_add(records);
    if used.bytes > MAX_BYTES {
        return Err(Denial::Bytes { most: MAX_BYTES });
    }
    Ok(())
}
