//! The recorded exchanges and how an answer is compared with one: status and shape, not values.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// `None`, and a line saying so, when the recordings are not there.
pub(crate) fn shared() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the recordings by this variable")]
    let set = std::env::var("WHARF_SHARED").ok().map(PathBuf::from);
    let path = set.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: recorded exchanges not found at {}", path.display());
    None
}

pub(crate) fn read_json(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every place in a value with the type found there: `/a[]/b string`. Elements of a list share one place.
pub(crate) fn shape(value: &Value) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    walk(value, String::new(), &mut places);
    places
}

fn walk(value: &Value, at: String, places: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    places.insert(format!("{at} {kind}"));
    match value {
        Value::Array(all) => all.iter().for_each(|v| walk(v, format!("{at}[]"), places)),
        Value::Object(all) => all.iter().for_each(|(k, v)| walk(v, format!("{at}/{k}"), places)),
        _ => {}
    }
}

/// Differences, one a line: `-` only recorded, `+` only the twin. `allowed` are beginnings of such lines.
pub(crate) fn differences(recorded: &Value, twin: &Value, allowed: &[&str]) -> Vec<String> {
    let (want, got) = (shape(recorded), shape(twin));
    let missing = want.difference(&got).map(|p| format!("- {p}"));
    let extra = got.difference(&want).map(|p| format!("+ {p}"));
    missing.chain(extra).filter(|line| !allowed.iter().any(|a| line.starts_with(a))).collect()
}

#[test]
fn a_list_and_the_one_thing_in_it_are_different_shapes() {
    let one = serde_json::json!({"a": {"b": "x"}});
    let list = serde_json::json!({"a": [{"b": "x"}]});
    assert_eq!(
        differences(&list, &one, &[]),
        ["- /a list", "- /a[] object", "- /a[]/b string", "+ /a object", "+ /a/b string"]
    );
    assert!(differences(&list, &one, &["- /a", "+ /a"]).is_empty());
    assert!(differences(&one, &one, &[]).is_empty());
}
