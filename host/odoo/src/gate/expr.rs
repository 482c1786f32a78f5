//! Which conditions a guest may set, and what the host adds to them.
//!
//! A search is a question too: whoever may search by a field can find out what is in it. So each segment of a path needs
//! the right to read it in its own model, and a path through another model sees only records of that model the
//! connection may see. Searching a relation by text is refused: Odoo would look at names, addresses and tax numbers.

use serde_json::{Value, json};
use wharf_domain::grant::OdooGrant;

use super::denial::{Denial, shown};
use super::domain::{Expr, parse};
use super::schema::Kind;
use super::{Gate, Use};

/// A domain as it is sent, in bytes of JSON.
const MAX_SENT: usize = 256 << 10;
const MAX_VALUES: usize = 1_000;
const MAX_VALUE: usize = 4 << 10;

/// The field that makes a tree of a model, where it is not `parent_id`.
const PARENTS: [(&str, &str); 1] = [("stock.location", "location_id")];

/// Whose records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of the granted companies, and those of no company, which are everybody's.
    Visible,
    /// Those of the granted companies only: what a write needs.
    Own,
}

impl Gate<'_> {
    /// The guest's domain within what the connection may see of the model.
    pub(crate) fn scoped(&self, grant: &OdooGrant, domain: &str, whose: Whose) -> Result<Value, Denial> {
        let asked = self.allowed(grant, &parse(domain)?, true)?;
        let mut all = self.scope(grant, whose)?;
        all.push(asked);
        let sent = Expr::All(all).to_json();
        match sent.to_string().len() {
            size if size > MAX_SENT => Err(Denial::BadDomain { why: format!("it grows to {size} bytes") }),
            _ => Ok(sent),
        }
    }

    /// Which of `ids` the connection may see, or write, as a domain.
    pub(crate) fn among(&self, grant: &OdooGrant, ids: &[i64], whose: Whose) -> Result<Value, Denial> {
        let mut all = self.scope(grant, whose)?;
        all.push(leaf("id", "in", json!(ids)));
        Ok(Expr::All(all).to_json())
    }

    /// What the host adds: companies, the adapter's own domain, the operator's.
    fn scope(&self, grant: &OdooGrant, whose: Whose) -> Result<Vec<Expr>, Denial> {
        let mut all = Vec::new();
        match (self.schema.company(&grant.model), whose) {
            (Some(field), Whose::Own) => all.push(leaf(field, "in", json!(self.companies))),
            (Some(field), Whose::Visible) => {
                let none = leaf(field, "=", json!(false));
                all.push(Expr::Either(Box::new(leaf(field, "in", json!(self.companies))), Box::new(none)));
            }
            (None, Whose::Own) => return Err(Denial::NoCompany { model: grant.model.clone() }),
            (None, Whose::Visible) => {}
        }
        if let Some(own) = &grant.domain {
            // Its paths are not narrowed again: two models whose domains look at each other would never end.
            all.push(self.allowed(grant, &parse(own)?, false)?);
        }
        if let Some(narrowed) = &grant.narrowed {
            all.push(parse(narrowed)?);
        }
        Ok(all)
    }

    fn allowed(&self, grant: &OdooGrant, expr: &Expr, narrow: bool) -> Result<Expr, Denial> {
        Ok(match expr {
            Expr::All(all) => {
                Expr::All(all.iter().map(|one| self.allowed(grant, one, narrow)).collect::<Result<_, _>>()?)
            }
            Expr::Either(a, b) => {
                Expr::Either(Box::new(self.allowed(grant, a, narrow)?), Box::new(self.allowed(grant, b, narrow)?))
            }
            Expr::Not(one) => Expr::Not(Box::new(self.allowed(grant, one, narrow)?)),
            Expr::Leaf { path, operator, value } => {
                self.through(grant, path, narrow, &|grant, name| self.condition(grant, name, operator, value))?
            }
            Expr::Any { path, negated, inner } => self.through(grant, path, narrow, &|grant, name| {
                let target = self.other_side(grant, name, path)?;
                let inner = Box::new(self.inside(target, self.allowed(target, inner, narrow)?, narrow)?);
                Ok(Expr::Any { path: vec![name.to_owned()], negated: *negated, inner })
            })?,
        })
    }

    /// A path becomes one `any` per relation it goes through, which is what Odoo makes of it.
    fn through(
        &self,
        grant: &OdooGrant,
        path: &[String],
        narrow: bool,
        last: &dyn Fn(&OdooGrant, &str) -> Result<Expr, Denial>,
    ) -> Result<Expr, Denial> {
        match path {
            [] => Err(Denial::Path { path: String::new(), why: "it is empty" }),
            [name] => last(grant, name),
            [name, rest @ ..] => {
                let target = self.other_side(grant, name, path)?;
                let inner = self.through(target, rest, narrow, last)?;
                let inner = Box::new(self.inside(target, inner, narrow)?);
                Ok(Expr::Any { path: vec![name.clone()], negated: false, inner })
            }
        }
    }

    fn other_side(&self, grant: &OdooGrant, name: &str, path: &[String]) -> Result<&OdooGrant, Denial> {
        let field = self.field(grant, name, Use::Read)?;
        if !field.kind.relational() {
            return Err(Denial::Path { path: path.join("."), why: "it goes on after a field that is no relation" });
        }
        self.target(field)
    }

    fn inside(&self, target: &OdooGrant, expr: Expr, narrow: bool) -> Result<Expr, Denial> {
        let mut all = if narrow { self.scope(target, Whose::Visible)? } else { Vec::new() };
        all.push(expr);
        Ok(Expr::All(all))
    }

    /// One condition on a field of the model itself.
    fn condition(&self, grant: &OdooGrant, name: &str, operator: &'static str, value: &Value) -> Result<Expr, Denial> {
        let field = self.field(grant, name, Use::Read)?;
        let refuse = |why| Err(Denial::Operator { path: name.to_owned(), operator: operator.to_owned(), why });
        let tree = matches!(operator, "child_of" | "parent_of");
        let like = operator.ends_with("like");
        let ordered = matches!(operator, "<" | "<=" | ">" | ">=");
        let kind = field.kind;
        if tree {
            let target = match (name, kind.relational()) {
                ("id", _) => grant,
                (_, true) => self.target(field)?,
                _ => return refuse("the field is no relation"),
            };
            let parent = PARENTS.iter().find(|(model, _)| *model == target.model).map_or("parent_id", |(_, f)| f);
            self.field(target, parent, Use::Read)?;
        } else if like && kind != Kind::Text {
            return refuse("the field is no text, and a relation would be searched by its names");
        } else if ordered && (kind.relational() || kind == Kind::Boolean) {
            return refuse("the field has no order");
        }
        let listed = matches!(operator, "in" | "not in");
        match value {
            Value::Array(list) if listed || tree => {
                if list.len() > MAX_VALUES {
                    return refuse("the list of values is too long");
                }
                let list = list.iter().map(|one| operand(kind, one)).collect::<Option<Vec<_>>>();
                match list {
                    Some(list) => Ok(leaf(name, operator, Value::Array(list))),
                    None => refuse(MISFIT),
                }
            }
            one if !listed => match operand(kind, one) {
                Some(one) => Ok(leaf(name, operator, one)),
                None => refuse(MISFIT),
            },
            _ => refuse("the value must be a list"),
        }
    }
}

const MISFIT: &str = "the value does not fit the field; relations are compared by record id";

/// A value a field of that kind is compared with; `false` is "nothing".
fn operand(kind: Kind, value: &Value) -> Option<Value> {
    match (kind, value) {
        (_, Value::Null | Value::Bool(false)) => Some(json!(false)),
        (Kind::Boolean, Value::Bool(true)) => Some(json!(true)),
        (Kind::One | Kind::Lines | Kind::Many, Value::Number(id)) => {
            id.as_i64().filter(|id| *id > 0).map(|id| json!(id))
        }
        (Kind::Integer | Kind::Float, Value::Number(number)) => Some(json!(number)),
        (Kind::Text | Kind::Date | Kind::Moment, Value::String(text)) if text.len() <= MAX_VALUE => Some(json!(text)),
        _ => None,
    }
}

fn leaf(field: &str, operator: &'static str, value: Value) -> Expr {
    Expr::Leaf { path: vec![field.to_owned()], operator, value }
}

/// Sorting by a field tells about it as well, and sorting by a relation tells about the other model.
pub(crate) fn order(gate: &Gate<'_>, grant: &OdooGrant, terms: &[String]) -> Result<String, Denial> {
    let refuse = |term: &str, why| Err(Denial::Order { term: shown(term), why });
    if terms.len() > MAX_ORDER {
        return refuse(&terms[MAX_ORDER], "there are more than five");
    }
    let mut out = Vec::with_capacity(terms.len() + 1);
    for term in terms {
        let (name, direction) = match term.split(' ').collect::<Vec<_>>()[..] {
            [name] => (name, "asc"),
            [name, direction @ ("asc" | "desc")] => (name, direction),
            _ => return refuse(term, "write `field`, `field asc` or `field desc`"),
        };
        let field = gate.field(grant, name, Use::Read)?;
        if field.kind.relational() {
            return refuse(term, "a relation is sorted by the fields of its own model");
        }
        out.push(format!("{name} {direction}"));
    }
    // Pages fit together only when no two records are equal.
    out.push("id asc".to_owned());
    Ok(out.join(", "))
}

const MAX_ORDER: usize = 5;
