//! Odoo's JSON: a missing value is `false`, a number is a float, a many2one is an object or a pair.

use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `false` and `null` are `None`.
pub(crate) fn maybe<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null | Value::Bool(false) => Ok(None),
        value => serde_json::from_value(value).map(Some).map_err(D::Error::custom),
    }
}

/// As [`maybe`], and a text of blanks only is `None` too.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let found: Option<String> = maybe(from)?;
    Ok(found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A float or an integer, read by its shortest decimal form; `false` is zero.
pub(crate) fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    match Value::deserialize(from)? {
        Value::Null | Value::Bool(false) => Ok(Decimal::ZERO),
        Value::Number(number) => {
            let text = number.to_string();
            text.parse()
                .or_else(|_| Decimal::from_scientific(&text))
                .map(|d: Decimal| d.normalize())
                .map_err(D::Error::custom)
        }
        other => Err(D::Error::custom(format!("`{other}` is not a number"))),
    }
}

/// A record id in the answer of a read: a bare id, or `[id, name]`.
pub(crate) fn id(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.get(0).and_then(Value::as_i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(deserialize_with = "text")]
        a: Option<String>,
        #[serde(deserialize_with = "decimal")]
        b: Decimal,
        #[serde(deserialize_with = "maybe")]
        c: Option<i64>,
    }

    fn row(json: Value) -> Row {
        serde_json::from_value(json).expect("row")
    }

    #[test]
    fn false_is_absence_and_floats_keep_their_shortest_form() {
        let r = row(serde_json::json!({"a": false, "b": 0.33, "c": false}));
        assert_eq!((r.a, r.b.to_string().as_str(), r.c), (None, "0.33", None));
        let r = row(serde_json::json!({"a": " x ", "b": 7, "c": 4}));
        assert_eq!((r.a.as_deref(), r.b.to_string().as_str(), r.c), (Some("x"), "7", Some(4)));
        let r = row(serde_json::json!({"a": "  ", "b": 1e-7, "c": null}));
        assert_eq!((r.a, r.b.to_string().as_str()), (None, "0.0000001"));
        assert!(serde_json::from_value::<Row>(serde_json::json!({"a": 1, "b": 0, "c": 0})).is_err());
    }

    #[test]
    fn a_many2one_is_a_pair_or_an_id() {
        assert_eq!(id(&serde_json::json!([3, "x"])), Some(3));
        assert_eq!(id(&serde_json::json!(4)), Some(4));
        assert_eq!(id(&serde_json::json!(false)), None);
    }
}
