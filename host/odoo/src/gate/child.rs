//! Commands on a list of records (`[0, 0, {…}]`, `[1, id, {…}]`, `[4, id]`, …): each is a write of another model in
//! disguise and needs the grant of that model. What deletes a record, or lets Odoo delete it, is refused.

use serde_json::{Value, json};
use wharf_domain::grant::OdooGrant;

use super::denial::Denial;
use super::schema::{Field, Kind};
use super::values::{Needs, Row, id, invalid, row, seat, to_json};
use super::{Gate, Use};

const MAX_COMMANDS: usize = 200;
/// Lists within lists.
const MAX_DEPTH: usize = 2;

/// A command the host has understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Create(Row),
    Update(i64, Row),
    /// Out of the list; both records stay.
    Unlink(i64),
    Link(i64),
    Clear,
    Set(Vec<i64>),
}

impl Command {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Create(row) => json!([0, 0, to_json(row)]),
            Self::Update(id, row) => json!([1, id, to_json(row)]),
            Self::Unlink(id) => json!([3, id, 0]),
            Self::Link(id) => json!([4, id, 0]),
            Self::Clear => json!([5, 0, 0]),
            Self::Set(ids) => json!([6, 0, ids]),
        }
    }
}

/// The commands on a list, `at` the model and field it is in.
pub(super) fn commands(
    gate: &Gate<'_>,
    at: (&OdooGrant, &str),
    field: &Field,
    value: &Value,
    depth: usize,
    needs: &mut Needs,
) -> Result<Vec<Command>, Denial> {
    let target = gate.model(field.relation.as_deref().unwrap_or_default())?;
    let Value::Array(list) = value else {
        return Err(invalid(format!("`{}` wants a list of commands", at.1)));
    };
    if list.len() > MAX_COMMANDS || depth >= MAX_DEPTH {
        let text = format!("`{}` has too many commands, or is too deep; write in parts", at.1);
        return Err(invalid(text));
    }
    let place = Place { gate, at, field, target, depth };
    list.iter().map(|one| place.command(one, needs)).collect()
}

struct Place<'a> {
    gate: &'a Gate<'a>,
    at: (&'a OdooGrant, &'a str),
    field: &'a Field,
    target: &'a OdooGrant,
    depth: usize,
}

impl Place<'_> {
    fn command(&self, value: &Value, needs: &mut Needs) -> Result<Command, Denial> {
        let Value::Array(parts) = value else { return Err(self.unreadable()) };
        let code = parts.first().and_then(Value::as_i64).ok_or_else(|| self.unreadable())?;
        let many = self.field.kind == Kind::Many;
        let tail = parts.get(1..).unwrap_or_default();
        match (code, tail) {
            (0, [zero, values]) if zero == 0 => {
                if !self.target.create {
                    return Err(Denial::Create { model: self.target.model.clone() });
                }
                self.belongs()?;
                needs.changed += 1;
                let mut row = row(self.gate, self.target, values, self.depth + 1, needs)?;
                seat(self.gate, self.target, &mut row)?;
                Ok(Command::Create(row))
            }
            (1, [record, values]) => {
                let id = self.id(record)?;
                self.own(id, needs)?;
                Ok(Command::Update(id, row(self.gate, self.target, values, self.depth + 1, needs)?))
            }
            (2, _) => Err(self.refused(code, "it deletes the record")),
            (3 | 5 | 6, _) if !many => Err(self.refused(code, "what is taken out of the list may be deleted")),
            (3, [record] | [record, _]) => Ok(Command::Unlink(self.seen(record, needs)?)),
            (4, [record] | [record, _]) if many => Ok(Command::Link(self.seen(record, needs)?)),
            (4, [record] | [record, _]) => {
                // The record is taken away from where it was: that is a write of the field that points back.
                let back = self.field.inverse.as_deref();
                let back = back.ok_or_else(|| self.refused(code, "the field that points back is not known"))?;
                self.gate.field(self.target, back, Use::Write)?;
                let id = self.id(record)?;
                self.own(id, needs)?;
                Ok(Command::Link(id))
            }
            (5, [] | [_] | [_, _]) => Ok(Command::Clear),
            (6, [zero, Value::Array(records)]) if zero == 0 => {
                records.iter().map(|record| self.seen(record, needs)).collect::<Result<_, _>>().map(Command::Set)
            }
            _ => Err(self.unreadable()),
        }
    }

    fn id(&self, value: &Value) -> Result<i64, Denial> {
        id(value).ok_or_else(|| self.unreadable())
    }

    fn seen(&self, value: &Value, needs: &mut Needs) -> Result<i64, Denial> {
        let id = self.id(value)?;
        needs.seen.entry(self.target.model.clone()).or_default().insert(id);
        Ok(id)
    }

    /// A record of the other model is changed.
    fn own(&self, id: i64, needs: &mut Needs) -> Result<(), Denial> {
        self.belongs()?;
        needs.own.entry(self.target.model.clone()).or_default().insert(id);
        needs.changed += 1;
        Ok(())
    }

    /// Records that are written have to say whose they are.
    fn belongs(&self) -> Result<(), Denial> {
        let company = self.gate.schema.company(&self.target.model);
        company.map(drop).ok_or_else(|| Denial::NoCompany { model: self.target.model.clone() })
    }

    fn refused(&self, command: i64, why: &'static str) -> Denial {
        Denial::Command { model: self.at.0.model.clone(), field: self.at.1.to_owned(), command, why }
    }

    fn unreadable(&self) -> Denial {
        let text = format!("`{}` holds something that is no command, e.g. `[4, 7]` or `[0, 0, {{…}}]`", self.at.1);
        invalid(text)
    }
}
