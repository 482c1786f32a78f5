//! The settings an adapter asks for, as a JSON Schema of one flat object.
//!
//! A part of JSON Schema 2020-12, with its meaning there. Of the object: `type`, `properties`, `required` and
//! `additionalProperties`, which is always false. Of a property: `type` (`string`, `integer`, `number` or `boolean`),
//! `description`, `default`, `enum`, `pattern`, `minLength`, `maxLength`, `minimum` and `maximum`. Every other keyword is
//! an error, `$ref` with them: nothing is fetched and nothing refers to anything. Patterns are matched in time that grows
//! with the value and no faster, so there is no look-around and no back-reference in them.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// A schema is read by a person before it is read by a host.
const MOST_PROPERTIES: usize = 64;
const MOST_CHOICES: usize = 100;
const LONGEST_PATTERN: usize = 256;
const LONGEST_TEXT: usize = 500;
/// Bytes of one value.
const LONGEST_VALUE: usize = 4 << 10;

/// What settings there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfigSchema {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ObjectType>,
    /// By key.
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
    /// Keys that have to be given, unless they have a default.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub required: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectType {
    Object,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Property {
    pub r#type: Type,
    /// For the person who gives it.
    pub description: String,
    /// What it is when nobody gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values there are.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// Found anywhere in the value unless it has anchors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// In characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    String,
    /// Of 64 bits.
    Integer,
    Number,
    Boolean,
}

impl Type {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// A value as an operator writes it. `None` when it is none of this type.
    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(text.into()),
            Self::Integer => text.parse::<i64>().ok().map(Value::from),
            Self::Number => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::from),
            Self::Boolean => text.parse::<bool>().ok().map(Value::from),
        }
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
        }
    }
}

impl ConfigSchema {
    /// Rules the shape cannot say.
    ///
    /// # Errors
    /// The rule that is broken, naming the key of the manifest.
    pub fn valid(&self) -> Result<(), String> {
        if self.properties.len() > MOST_PROPERTIES {
            return Err(format!("`config.properties` has {} keys, at most {MOST_PROPERTIES}", self.properties.len()));
        }
        if self.additional_properties == Some(true) {
            return Err(
                "`config.additionalProperties` is true; a setting nobody declared is always an error".to_owned()
            );
        }
        if let Some(unknown) = self.required.iter().find(|key| !self.properties.contains_key(*key)) {
            return Err(format!("`config.required` names `{unknown}`, which `config.properties` does not have"));
        }
        for (key, property) in &self.properties {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            if !(1..=63).contains(&key.len()) || !key.bytes().all(plain) {
                return Err(format!("`config.properties.{key}`: use letters, digits, `_` and `-`, at most 63"));
            }
            property.valid().map_err(|rule| format!("`config.properties.{key}.{rule}"))?;
        }
        Ok(())
    }

    /// The settings of a connection: what was given and the defaults of the rest, as text, which is how an adapter gets
    /// them.
    ///
    /// # Errors
    /// The setting that is missing, unknown or breaks a rule, and the rule; never its value.
    pub fn settle(&self, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
        if let Some(unknown) = given.keys().find(|key| !self.properties.contains_key(*key)) {
            let known = self.properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("known are {known}") };
            return Err(format!("`config.{unknown}` is no setting of the adapter; {known}"));
        }
        let mut settled = BTreeMap::new();
        for (key, property) in &self.properties {
            match (given.get(key), &property.default) {
                (Some(text), _) => {
                    property.fits(text).map_err(|rule| format!("`config.{key}` {rule}: {}", property.description))?;
                    settled.insert(key.clone(), text.clone());
                }
                (None, Some(default)) => {
                    settled.insert(key.clone(), text_of(default));
                }
                (None, None) if self.required.contains(key) => {
                    return Err(format!("`config.{key}` is missing: {}", property.description));
                }
                (None, None) => {}
            }
        }
        Ok(settled)
    }

    /// Does a connection have to give it?
    pub fn asks_for(&self, key: &str) -> bool {
        self.required.contains(key) && self.properties.get(key).is_some_and(|property| property.default.is_none())
    }
}

impl Property {
    /// The rule that is broken, from the name of its keyword on.
    fn valid(&self) -> Result<(), String> {
        if self.description.trim().is_empty() || self.description.chars().count() > LONGEST_TEXT {
            return Err(format!("description` is for the person who gives it; write 1 to {LONGEST_TEXT} characters"));
        }
        let of_text = [
            ("pattern", self.pattern.is_some()),
            ("minLength", self.min_length.is_some()),
            ("maxLength", self.max_length.is_some()),
        ];
        let of_numbers = [("minimum", self.minimum.is_some()), ("maximum", self.maximum.is_some())];
        let foreign = match self.r#type {
            Type::String => &of_numbers[..],
            Type::Integer | Type::Number => &of_text[..],
            Type::Boolean => &[of_text[0], of_text[1], of_text[2], of_numbers[0], of_numbers[1]],
        };
        if let Some((keyword, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(format!("{keyword}` says nothing about type `{}`; leave it out", self.r#type.as_str()));
        }
        if let Some(pattern) = &self.pattern {
            compiled(pattern).map_err(|why| format!("pattern` {why}"))?;
        }
        if self.min_length.zip(self.max_length).is_some_and(|(min, max)| min > max) {
            return Err("minLength` is over `maxLength`: nothing fits".to_owned());
        }
        if self.r#type == Type::Integer && [&self.minimum, &self.maximum].into_iter().flatten().any(|n| !n.is_i64()) {
            return Err("minimum` and `maximum` of type `integer` are whole numbers".to_owned());
        }
        if self.minimum.as_ref().zip(self.maximum.as_ref()).is_some_and(|(min, max)| below(max, min)) {
            return Err("minimum` is over `maximum`: nothing fits".to_owned());
        }
        if self.choices.len() > MOST_CHOICES {
            return Err(format!("enum` has {} values, at most {MOST_CHOICES}", self.choices.len()));
        }
        if self.choices.iter().any(|choice| !self.r#type.holds(choice)) {
            return Err(format!("enum` has a value that is no `{}`", self.r#type.as_str()));
        }
        let Some(default) = &self.default else { return Ok(()) };
        if !self.r#type.holds(default) {
            return Err(format!("default` is no `{}`", self.r#type.as_str()));
        }
        self.fits(&text_of(default)).map_err(|rule| format!("default` {rule}"))
    }

    /// The rule a value breaks; it fits after the name of the setting.
    fn fits(&self, text: &str) -> Result<(), String> {
        if text.len() > LONGEST_VALUE || text.contains('\0') {
            return Err(format!("must have at most {LONGEST_VALUE} bytes and no zero byte"));
        }
        let value = self.r#type.read(text).ok_or_else(|| {
            let known = if self.r#type == Type::Boolean { ", `true` or `false`" } else { "" };
            format!("must be of type `{}`{known}", self.r#type.as_str())
        })?;
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| same(choice, &value)) {
            let choices = self.choices.iter().map(text_of).collect::<Vec<_>>().join("`, `");
            return Err(format!("must be one of `{choices}`"));
        }
        if let Some(pattern) = &self.pattern
            && !compiled(pattern)?.is_match(text)
        {
            return Err(format!("must match `{pattern}`"));
        }
        let (length, is_text) = (text.chars().count(), self.r#type == Type::String);
        if let Some(min) = self.min_length.filter(|min| is_text && length < *min as usize) {
            return Err(format!("must have at least {min} characters"));
        }
        if let Some(max) = self.max_length.filter(|max| is_text && length > *max as usize) {
            return Err(format!("must have at most {max} characters"));
        }
        let Value::Number(number) = &value else { return Ok(()) };
        match (&self.minimum, &self.maximum) {
            (Some(min), _) if below(number, min) => Err(format!("must be at least {min}")),
            (_, Some(max)) if below(max, number) => Err(format!("must be at most {max}")),
            _ => Ok(()),
        }
    }

    /// Does everything that fitted `before` fit this, too? Certainly, when it says so; another pattern may be as wide and
    /// counts as narrower.
    pub fn no_narrower_than(&self, before: &Self) -> bool {
        let of_type = self.r#type == before.r#type || (self.r#type, before.r#type) == (Type::Number, Type::Integer);
        let choices = self.choices.is_empty()
            || (!before.choices.is_empty()
                && before.choices.iter().all(|old| self.choices.iter().any(|choice| same(choice, old))));
        let pattern = self.pattern.is_none() || self.pattern == before.pattern;
        let low = |new: Option<bool>, given: bool| !given || new.unwrap_or(false);
        let min = low(self.min_length.zip(before.min_length).map(|(new, old)| new <= old), self.min_length.is_some());
        let max = low(self.max_length.zip(before.max_length).map(|(new, old)| new >= old), self.max_length.is_some());
        let bounds = |new: &Option<Number>, old: &Option<Number>, wider: fn(&Number, &Number) -> bool| match (new, old)
        {
            (None, _) => true,
            (Some(new), Some(old)) => wider(new, old),
            (Some(_), None) => false,
        };
        of_type
            && choices
            && pattern
            && min
            && max
            && bounds(&self.minimum, &before.minimum, |new, old| !below(old, new))
            && bounds(&self.maximum, &before.maximum, |new, old| !below(new, old))
    }

    /// Its rules in one line, e.g. `string, matches ^[A-Z]{6}$`.
    pub fn rules(&self) -> String {
        let mut rules = vec![self.r#type.as_str().to_owned()];
        if !self.choices.is_empty() {
            rules.push(format!("one of {}", self.choices.iter().map(text_of).collect::<Vec<_>>().join(" ")));
        }
        rules.extend(self.pattern.as_ref().map(|pattern| format!("matches {pattern}")));
        rules.extend(self.min_length.map(|min| format!("at least {min} characters")));
        rules.extend(self.max_length.map(|max| format!("at most {max} characters")));
        rules.extend(self.minimum.as_ref().map(|min| format!("at least {min}")));
        rules.extend(self.maximum.as_ref().map(|max| format!("at most {max}")));
        rules.extend(self.default.as_ref().map(|default| format!("default {}", text_of(default))));
        rules.join(", ")
    }
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(format!("has {} bytes, at most {LONGEST_PATTERN}", pattern.len()));
    }
    let built = RegexBuilder::new(pattern).size_limit(64 << 10).build();
    built.map_err(|err| format!("is no pattern this host matches: {err}"))
}

/// A text without its quotes; everything else as JSON writes it.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `1` and `1.0` are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => !below(a, b) && !below(b, a),
        _ => a == b,
    }
}

fn below(a: &Number, b: &Number) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a < b),
    }
}

#[cfg(test)]
mod tests;
