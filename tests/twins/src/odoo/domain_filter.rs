//! Search domains: prefix notation of `&`, `|`, `!` over `(field path, operator, value)`.

use std::cmp::Ordering;

use serde_json::Value;

use super::env::Env;
use super::errors::{Raised, Result};
use super::python::repr;
use super::schema::{Field, Kind};
use super::values::is_unset;

/// A domain whose fields and operators have been checked against its model.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Domain {
    Constant(bool),
    Leaf(Leaf),
    Not(Box<Domain>),
    And(Box<Domain>, Box<Domain>),
    Or(Box<Domain>, Box<Domain>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// At least one name.
    path: Vec<String>,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Part of the text, with or without regard to case.
    Like(bool),
    NotLike(bool),
    /// The whole text with `%` and `_`.
    Pattern(bool),
}

impl Domain {
    pub(super) fn parse(env: &Env<'_>, model: &str, domain: &Value) -> Result<Self> {
        let terms = match domain {
            Value::Array(terms) => terms,
            Value::Bool(constant) => return Ok(Self::Constant(*constant)),
            other => {
                let text = format!("Domain() invalid argument type for domain: {}", repr(other));
                return Err(Raised::python_type(text));
            }
        };
        // From the right, as prefix notation asks: an operator takes what was read last.
        let mut stack: Vec<Self> = Vec::new();
        let broken = || Raised::value(format!("Domain() malformed domain {}", repr(domain)));
        for term in terms.iter().rev() {
            let node = match term.as_str() {
                Some("!") => Self::Not(Box::new(stack.pop().ok_or_else(broken)?)),
                Some(sign @ ("&" | "|")) => {
                    let left = Box::new(stack.pop().ok_or_else(broken)?);
                    let right = Box::new(stack.pop().ok_or_else(broken)?);
                    if sign == "&" { Self::And(left, right) } else { Self::Or(left, right) }
                }
                _ => leaf(env, model, term)?,
            };
            stack.push(node);
        }
        let all = stack.into_iter().rev().reduce(|right, left| Self::And(Box::new(left), Box::new(right)));
        Ok(all.unwrap_or(Self::Constant(true)))
    }

    pub(super) fn holds(&self, env: &Env<'_>, model: &str, id: i64) -> bool {
        match self {
            Self::Constant(constant) => *constant,
            Self::Leaf(leaf) => leaf.holds(env, model, id),
            Self::Not(inner) => !inner.holds(env, model, id),
            Self::And(a, b) => a.holds(env, model, id) && b.holds(env, model, id),
            Self::Or(a, b) => a.holds(env, model, id) || b.holds(env, model, id),
        }
    }

    /// Does any condition look at this field of the model itself?
    pub(super) fn mentions(&self, field: &str) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Leaf(leaf) => leaf.path[0] == field,
            Self::Not(inner) => inner.mentions(field),
            Self::And(a, b) | Self::Or(a, b) => a.mentions(field) || b.mentions(field),
        }
    }

    /// A superset of the records it holds for, when an index or a list of ids gives one.
    pub(super) fn candidates(&self, env: &Env<'_>, model: &str) -> Option<Vec<i64>> {
        match self {
            Self::And(a, b) => match (a.candidates(env, model), b.candidates(env, model)) {
                (Some(a), Some(b)) => Some(if a.len() <= b.len() { a } else { b }),
                (a, b) => a.or(b),
            },
            Self::Leaf(Leaf { path, operator: Operator::In, value }) if path.len() == 1 => {
                let values = value.as_array()?;
                if path[0] == "id" {
                    return Some(
                        values.iter().filter_map(Value::as_i64).filter(|id| env.db.exists(model, *id)).collect(),
                    );
                }
                let mut found = Vec::new();
                let by_name = matches!(env.db.model(model)?.field(&path[0])?.kind, Kind::Many2one(_));
                if by_name && values.iter().any(Value::is_string) {
                    return None;
                }
                for value in values {
                    found.extend(env.db.having(model, &path[0], value)?);
                }
                Some(found)
            }
            _ => None,
        }
    }
}

fn leaf(env: &Env<'_>, model: &str, term: &Value) -> Result<Domain> {
    let parts = term.as_array().map(Vec::as_slice).unwrap_or_default();
    let [name, operator, value] = parts else {
        return Err(Raised::value(format!("Domain() invalid item in domain: {}", repr(term))));
    };
    // The old words for everything and nothing.
    if name.is_number() {
        return Ok(Domain::Constant(name == value));
    }
    let shown = format!("({}, {}, {})", repr(name), repr(operator), repr(value));
    let path: Vec<String> = name.as_str().unwrap_or_default().split('.').map(str::to_owned).collect();
    let mut at = model.to_owned();
    for (depth, name) in path.iter().enumerate() {
        let found = env.db.model(&at).and_then(|m| m.field(name).cloned());
        let field = found.ok_or_else(|| Raised::value(format!("Invalid field {at}.{name} in condition {shown}")))?;
        match field.kind.comodel() {
            Some(comodel) => at = comodel.to_owned(),
            None if depth + 1 < path.len() => {
                return Err(Raised::value(format!("Invalid field property '{}' on {at}.{name}", path[depth + 1])));
            }
            None => {}
        }
    }
    let list = |value: &Value| match value {
        Value::Array(_) => value.clone(),
        one => Value::Array(vec![one.clone()]),
    };
    let word = operator.as_str().unwrap_or_default().to_ascii_lowercase();
    let (operator, value) = match word.as_str() {
        "=" | "==" | "in" => (Operator::In, list(value)),
        "!=" | "<>" | "not in" => (Operator::NotIn, list(value)),
        "=?" if is_unset(value) => return Ok(Domain::Constant(true)),
        "=?" => (Operator::In, list(value)),
        "<" => (Operator::Less, value.clone()),
        "<=" => (Operator::LessEqual, value.clone()),
        ">" => (Operator::Greater, value.clone()),
        ">=" => (Operator::GreaterEqual, value.clone()),
        "like" => (Operator::Like(true), value.clone()),
        "ilike" => (Operator::Like(false), value.clone()),
        "not like" => (Operator::NotLike(true), value.clone()),
        "not ilike" => (Operator::NotLike(false), value.clone()),
        "=like" => (Operator::Pattern(true), value.clone()),
        "=ilike" => (Operator::Pattern(false), value.clone()),
        _ => return Err(Raised::value(format!("Invalid operator in condition {shown}"))),
    };
    Ok(Domain::Leaf(Leaf { path, operator, value }))
}

impl Leaf {
    fn holds(&self, env: &Env<'_>, model: &str, id: i64) -> bool {
        let Some(found) = env.db.model(model).and_then(|m| m.field(&self.path[0]).cloned()) else { return false };
        let value = env.value(model, id, &self.path[0]);
        if self.path.len() > 1 {
            let rest = Self { path: self.path[1..].to_vec(), operator: self.operator, value: self.value.clone() };
            let comodel = found.kind.comodel().unwrap_or_default();
            let targets: Vec<i64> = match &value {
                Value::Array(ids) => ids.iter().filter_map(Value::as_i64).collect(),
                one => one.as_i64().into_iter().collect(),
            };
            // Odoo gives a path over nothing the value false.
            return if targets.is_empty() {
                rest.compare(env, &found, &Value::Bool(false))
            } else {
                targets.into_iter().any(|target| rest.holds(env, comodel, target))
            };
        }
        match value {
            Value::Array(all) if found.kind.is_many() => self.compare_many(env, &found, &all),
            one => self.compare(env, &found, &one),
        }
    }

    fn compare_many(&self, env: &Env<'_>, field: &Field, all: &[Value]) -> bool {
        let wants_none = |value: &Value| value.as_array().is_some_and(|v| v.iter().any(is_unset));
        match self.operator {
            Operator::In if all.is_empty() => wants_none(&self.value),
            Operator::NotIn if all.is_empty() => !wants_none(&self.value),
            Operator::NotIn => all.iter().all(|v| self.compare(env, field, v)),
            _ => all.iter().any(|v| self.compare(env, field, v)),
        }
    }

    fn compare(&self, env: &Env<'_>, field: &Field, have: &Value) -> bool {
        let among = |value: &Value| value.as_array().is_some_and(|all| all.iter().any(|w| same(env, field, have, w)));
        match self.operator {
            Operator::In => among(&self.value),
            Operator::NotIn => !among(&self.value),
            Operator::Like(case) => contains(&text(env, field, have), &self.value, case),
            Operator::NotLike(case) => !contains(&text(env, field, have), &self.value, case),
            Operator::Pattern(case) => matches(&text(env, field, have), &self.value, case),
            Operator::Less => ranks(field, have, &self.value) == Some(Ordering::Less),
            Operator::Greater => ranks(field, have, &self.value) == Some(Ordering::Greater),
            Operator::LessEqual => matches!(ranks(field, have, &self.value), Some(Ordering::Less | Ordering::Equal)),
            Operator::GreaterEqual => {
                matches!(ranks(field, have, &self.value), Some(Ordering::Greater | Ordering::Equal))
            }
        }
    }
}

/// `have` is stored, `want` came in the domain.
fn same(env: &Env<'_>, field: &Field, have: &Value, want: &Value) -> bool {
    match (&field.kind, want) {
        (Kind::Boolean, want) => (have == &Value::Bool(true)) == (want == &Value::Bool(true)),
        // A number is never unset: zero is equal to false.
        (kind, want) if kind.is_number() && is_unset(want) => have.as_f64().unwrap_or(0.0) == 0.0,
        (_, want) if is_unset(want) => is_unset(have),
        (Kind::Many2one(comodel), Value::String(name)) => {
            have.as_i64().is_some_and(|id| env.display_name(comodel, id) == *name)
        }
        (Kind::Datetime, Value::String(_)) => ranks(field, have, want) == Some(Ordering::Equal),
        _ => match (have.as_f64(), want.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => have == want,
        },
    }
}

/// Times compare by whole seconds, although more is stored.
fn ranks(field: &Field, have: &Value, want: &Value) -> Option<Ordering> {
    match (have, want) {
        (Value::String(a), Value::String(b)) if field.kind == Kind::Datetime => {
            let seconds = |t: &str| t.get(..19).unwrap_or(t).to_owned();
            // A date alone is its midnight.
            let want = if b.len() == 10 { format!("{b} 00:00:00") } else { seconds(b) };
            Some(seconds(a).cmp(&want))
        }
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => have.as_f64()?.partial_cmp(&want.as_f64()?),
    }
}

fn text(env: &Env<'_>, field: &Field, have: &Value) -> String {
    match (&field.kind, have) {
        (Kind::Many2one(comodel) | Kind::Many2many(comodel) | Kind::One2many(comodel, _), Value::Number(id)) => {
            env.display_name(comodel, id.as_i64().unwrap_or(0))
        }
        (_, Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn contains(have: &str, want: &Value, case: bool) -> bool {
    let want = want.as_str().unwrap_or_default();
    if want.contains(['%', '_']) {
        return matches(have, &Value::from(format!("%{want}%")), case);
    }
    if case { have.contains(want) } else { have.to_lowercase().contains(&want.to_lowercase()) }
}

fn matches(have: &str, pattern: &Value, case: bool) -> bool {
    let pattern = pattern.as_str().unwrap_or_default();
    let fold = |t: &str| if case { t.to_owned() } else { t.to_lowercase() };
    let (have, pattern): (Vec<char>, Vec<char>) = (fold(have).chars().collect(), fold(pattern).chars().collect());
    // reach[n]: the pattern so far fits the first n characters.
    let mut reach: Vec<bool> = (0..=have.len()).map(|n| n == 0).collect();
    for p in pattern {
        let before = reach.clone();
        for n in 0..=have.len() {
            reach[n] = match p {
                '%' => before[n] || (n > 0 && reach[n - 1]),
                '_' => n > 0 && before[n - 1],
                c => n > 0 && before[n - 1] && have[n - 1] == c,
            };
        }
    }
    reach[have.len()]
}
