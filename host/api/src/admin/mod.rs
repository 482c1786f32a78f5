//! What people see and do. Answers are the store's rows as JSON; times are milliseconds since 1970 (UTC).

pub(crate) mod connections;
pub(crate) mod effects;
pub(crate) mod exceptions;
pub(crate) mod flows;
pub(crate) mod grants;
pub(crate) mod jobs;
pub(crate) mod restore;
pub(crate) mod schedules;
pub(crate) mod secrets;

use serde_json::Value;

/// Texts longer than this many bytes (label files, partners' answers) are shown by their length only.
const LONGEST_TEXT: usize = 2_000;

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => *value = Value::String(format!("… {} bytes", text.len())),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}
