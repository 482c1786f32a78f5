//! The values of a write, read into a row: field by field against the grant and the field's kind, with what the row
//! leads to. Commands on lists of records are in `child`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use wharf_domain::grant::OdooGrant;

use super::child::Command;
use super::denial::{Denial, shown};
use super::schema::{COMPANY, Kind};
use super::{Gate, Use, child};

const MAX_TEXT: usize = 256 << 10;
const MAX_FIELDS: usize = 100;
/// Bytes of one text.
const MAX_VALUE: usize = 64 << 10;
/// Records one ask may change, and names of records in it.
pub(crate) const MAX_IDS: usize = 500;

/// One record's values by field, as the host understood them.
pub(crate) type Row = BTreeMap<String, Cell>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// A text, number, date or flag; `false` is nothing, unless it is a flag.
    Plain(Kind, Value),
    One(Option<i64>),
    /// Commands; `lines`: on a one2many, whose records have no other place.
    List {
        lines: bool,
        commands: Vec<Command>,
    },
}

/// What has to hold for a row beside its own fields, and how much it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Records it points at, by model: the connection must be able to see them.
    pub(crate) seen: BTreeMap<String, BTreeSet<i64>>,
    /// Records it changes beside its own: they must be the connection's.
    pub(crate) own: BTreeMap<String, BTreeSet<i64>>,
    /// Records it creates or changes beside its own.
    pub(crate) changed: u32,
}

/// Reads JSON text into a row of `grant`'s model.
pub(crate) fn parse(gate: &Gate<'_>, grant: &OdooGrant, text: &str) -> Result<(Row, Needs), Denial> {
    if text.len() > MAX_TEXT {
        return Err(invalid(format!("they have {} bytes, at most {MAX_TEXT} are written", text.len())));
    }
    let value: Value = serde_json::from_str(text).map_err(|err| invalid(format!("they are not JSON: {err}")))?;
    let mut needs = Needs::default();
    let row = row(gate, grant, &value, 0, &mut needs)?;
    let named: usize = needs.seen.values().chain(needs.own.values()).map(BTreeSet::len).sum();
    if named > MAX_IDS || needs.changed as usize > MAX_IDS {
        return Err(invalid(format!("they name or change more than {MAX_IDS} records")));
    }
    Ok((row, needs))
}

/// `depth`: how many lists of records it is in.
pub(super) fn row(
    gate: &Gate<'_>,
    grant: &OdooGrant,
    value: &Value,
    depth: usize,
    needs: &mut Needs,
) -> Result<Row, Denial> {
    let Value::Object(fields) = value else { return Err(invalid("they are no object".to_owned())) };
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        return Err(invalid(format!("they have {} fields; give 1 to {MAX_FIELDS}", fields.len())));
    }
    let mut row = Row::new();
    for (name, value) in fields {
        let field = gate.field(grant, name, Use::Write)?;
        let cell = match field.kind {
            Kind::One => {
                let target = gate.target(field)?;
                let id = one(name, value)?;
                if let Some(id) = id {
                    needs.seen.entry(target.model.clone()).or_default().insert(id);
                }
                Cell::One(id)
            }
            Kind::Lines | Kind::Many => {
                let commands = child::commands(gate, (grant, name), field, value, depth, needs)?;
                Cell::List { lines: field.kind == Kind::Lines, commands }
            }
            kind => Cell::Plain(kind, plain(kind, name, value)?),
        };
        row.insert(name.clone(), cell);
    }
    Ok(row)
}

/// Puts a new record into the company of the ask. Where the record itself cannot be told, it follows another one's.
pub(crate) fn seat(gate: &Gate<'_>, grant: &OdooGrant, row: &mut Row) -> Result<(), Denial> {
    if !gate.schema.company_can_be_set(&grant.model) {
        return Ok(());
    }
    let [company] = gate.companies else {
        let why = format!("a new record of `{}` needs the option `company`, since several are granted", grant.model);
        return Err(invalid(why));
    };
    row.insert(COMPANY.to_owned(), Cell::One(Some(*company)));
    Ok(())
}

fn one(name: &str, value: &Value) -> Result<Option<i64>, Denial> {
    match value {
        Value::Null | Value::Bool(false) => Ok(None),
        value => id(value).map(Some).ok_or_else(|| misfit(name, "a record id, or null")),
    }
}

/// A record id, or none.
pub(super) fn id(value: &Value) -> Option<i64> {
    value.as_i64().filter(|id| (1..=i64::from(i32::MAX)).contains(id))
}

fn plain(kind: Kind, name: &str, value: &Value) -> Result<Value, Denial> {
    let wanted = match kind {
        Kind::Boolean => "true or false",
        Kind::Integer => "a whole number of 32 bits",
        Kind::Float => "a number",
        Kind::Date => "a date like `2026-01-31`",
        Kind::Moment => "a moment in UTC like `2026-01-31 13:00:00`",
        _ => "a text of at most 65536 bytes without zero bytes",
    };
    let fits = match (kind, value) {
        (_, Value::Null) => return Ok(json!(false)),
        (_, Value::Bool(flag)) => !flag || kind == Kind::Boolean,
        (Kind::Integer, Value::Number(number)) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Kind::Float, Value::Number(number)) => number.as_f64().is_some_and(f64::is_finite),
        (Kind::Date, Value::String(text)) => jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok() && text.len() == 10,
        (Kind::Moment, Value::String(text)) => {
            jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).is_ok() && text.len() == 19
        }
        (Kind::Text, Value::String(text)) => text.len() <= MAX_VALUE && !text.contains('\0'),
        _ => false,
    };
    if fits { Ok(value.clone()) } else { Err(misfit(name, wanted)) }
}

fn misfit(name: &str, wanted: &str) -> Denial {
    invalid(format!("`{}` wants {wanted}", shown(name)))
}

pub(super) fn invalid(why: String) -> Denial {
    Denial::Invalid { what: "`values`", why }
}

/// The row as `write` takes it.
pub(crate) fn to_json(row: &Row) -> Value {
    let cells = row.iter().map(|(name, cell)| {
        let value = match cell {
            Cell::Plain(_, value) => value.clone(),
            Cell::One(id) => id.map_or(json!(false), |id| json!(id)),
            Cell::List { commands, .. } => Value::Array(commands.iter().map(Command::to_json).collect()),
        };
        (name.clone(), value)
    });
    Value::Object(cells.collect::<Map<_, _>>())
}

/// Ids of a read or a write: each once, in order.
pub(crate) fn ids(given: &[i64]) -> Result<Vec<i64>, Denial> {
    let all: BTreeSet<i64> = given.iter().copied().collect();
    let fine = !all.is_empty() && all.len() <= MAX_IDS && all.iter().all(|one| id(&json!(one)).is_some());
    if !fine {
        let why = format!("give 1 to {MAX_IDS} record ids from 1 on");
        return Err(Denial::Invalid { what: "`ids`", why });
    }
    Ok(all.into_iter().collect())
}
