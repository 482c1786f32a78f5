//! Values on their way in and out: what Odoo accepts for a field, how it complains, and how it reads back.

use jiff::civil::{Date, DateTime};
use serde_json::{Value, json};

use super::env::Env;
use super::errors::{Raised, Result};
use super::python::repr;
use super::schema::{Field, Kind};

pub(super) fn is_unset(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

/// What an unset field is.
pub(super) fn empty(kind: &Kind) -> Value {
    match kind {
        Kind::Integer | Kind::Reference => json!(0),
        Kind::Float | Kind::Monetary => json!(0.0),
        kind if kind.is_many() => json!([]),
        _ => json!(false),
    }
}

/// A value to store. Lists of records have their own commands and do not come here.
pub(super) fn convert(env: &Env<'_>, model: &str, field: &Field, value: &Value) -> Result<Value> {
    if is_unset(value) {
        return Ok(empty(&field.kind));
    }
    match &field.kind {
        Kind::Char | Kind::Text | Kind::Html | Kind::Binary => Ok(match value {
            Value::String(_) => value.clone(),
            other => Value::String(repr(other)),
        }),
        Kind::Integer | Kind::Reference => integer(value),
        Kind::Float | Kind::Monetary => float(value),
        Kind::Boolean => Ok(json!(truthy(value))),
        Kind::Date => date(value),
        Kind::Datetime => datetime(value),
        Kind::Selection(choices) => {
            let text = value.as_str().map_or_else(|| repr(value), str::to_owned);
            if choices.is_empty() || choices.iter().any(|(known, _)| *known == text) {
                Ok(Value::String(text))
            } else {
                Err(Raised::value(format!("Wrong value for {model}.{}: {}", field.name, repr(value))))
            }
        }
        Kind::Many2one(comodel) => {
            let id = match value {
                Value::Array(pair) => pair.first().and_then(Value::as_i64),
                other => other.as_i64(),
            };
            let id =
                id.ok_or_else(|| Raised::value(format!("Wrong value for {model}.{}: {}", field.name, repr(value))))?;
            if env.db.exists(comodel, id) { Ok(json!(id)) } else { Err(Raised::missing(comodel, &[id], env.uid)) }
        }
        Kind::One2many(..) | Kind::Many2many(_) => Ok(value.clone()),
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
        Value::Null => false,
    }
}

fn integer(value: &Value) -> Result<Value> {
    let parsed = match value {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Value::String(s) => s.trim().parse().ok(),
        Value::Bool(true) => Some(1),
        _ => None,
    };
    let error = || Raised::value(format!("invalid literal for int() with base 10: {}", repr(value)));
    parsed.map(Value::from).ok_or_else(error)
}

fn float(value: &Value) -> Result<Value> {
    let parsed = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok(),
        Value::Bool(true) => Some(1.0),
        _ => None,
    };
    parsed.map(Value::from).ok_or_else(|| Raised::value(format!("could not convert string to float: {}", repr(value))))
}

fn date(value: &Value) -> Result<Value> {
    let text = value.as_str().unwrap_or_default();
    let day = text.get(..10).unwrap_or(text);
    match Date::strptime("%Y-%m-%d", day) {
        Ok(_) => Ok(json!(day)),
        Err(_) => Err(Raised::value(format!("time data {} does not match format '%Y-%m-%d'", repr(value)))),
    }
}

/// `YYYY-MM-DD HH:MM:SS`; a date alone is its midnight. The T and the Z of ISO 8601 are errors, as recorded.
fn datetime(value: &Value) -> Result<Value> {
    let text = value.as_str().unwrap_or_default();
    if text.len() <= 10 {
        return date(value).map(|day| json!(format!("{} 00:00:00", day.as_str().unwrap_or_default())));
    }
    match DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text) {
        Ok(_) => Ok(json!(text)),
        Err(_) => Err(Raised::value(format!("time data {} does not match format '%Y-%m-%d %H:%M:%S'", repr(value)))),
    }
}

/// A stored value as an answer shows it; records as bare ids.
pub(super) fn shown(kind: &Kind, value: Value) -> Value {
    match (kind, value) {
        (Kind::Datetime, Value::String(text)) => json!(text.get(..19).unwrap_or(&text)),
        (_, Value::Null) => json!(false),
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_text_too_and_nonsense_is_pythons_complaint() {
        assert_eq!(float(&json!("2.5")).unwrap(), json!(2.5));
        assert_eq!(integer(&json!("12")).unwrap(), json!(12));
        let error = float(&json!("abc")).unwrap_err();
        assert_eq!((error.status, error.message.as_str()), (500, "could not convert string to float: 'abc'"));
    }

    #[test]
    fn times_have_odoos_format_only() {
        assert_eq!(datetime(&json!("2026-01-02 03:04:05")).unwrap(), json!("2026-01-02 03:04:05"));
        assert_eq!(datetime(&json!("2026-01-02")).unwrap(), json!("2026-01-02 00:00:00"));
        for bad in ["2026-13-45", "2026-01-02T03:04:05Z"] {
            let error = datetime(&json!(bad)).unwrap_err();
            assert!(
                error.message.starts_with(&format!("time data '{bad}' does not match format '%Y-%m-%d")),
                "{error:?}"
            );
        }
        assert_eq!(shown(&Kind::Datetime, json!("2026-01-02 03:04:05.123456")), json!("2026-01-02 03:04:05"));
    }
}
