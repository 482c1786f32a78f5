//! Findings in the Static Analysis Results Interchange Format, version 2.1.0 (OASIS standard of 27 March 2020): what
//! code hosts and editors read. Only what the standard requires, and what a finding has.

use std::path::Path;

use serde_json::{Value, json};
use wharf_sandbox::diff::Weight;
use wharf_sandbox::inspect::Level;

/// One result.
pub(crate) struct Found {
    /// Among the rules of the log.
    pub(crate) rule: &'static str,
    /// `error`, `warning` or `note`.
    pub(crate) level: &'static str,
    pub(crate) text: String,
}

/// The whole log: one run over one file. `rules` are names with what they say.
pub(crate) fn log(rules: &[(&str, &str)], file: &Path, found: impl Iterator<Item = Found>) -> Value {
    let place = json!({ "physicalLocation": { "artifactLocation": { "uri": uri(file) } } });
    let described: Vec<Value> =
        rules.iter().map(|(id, says)| json!({ "id": id, "shortDescription": { "text": says } })).collect();
    let results: Vec<Value> = found
        .map(|one| {
            let mut result = json!({
                "ruleId": one.rule,
                "level": one.level,
                "message": { "text": one.text },
                "locations": [place],
            });
            if let Some(index) = rules.iter().position(|(id, _)| *id == one.rule) {
                result["ruleIndex"] = index.into();
            }
            result
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "wharf",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": described,
            } },
            "results": results,
        }],
    })
}

/// A path as a relative reference (RFC 3986): every other byte than the unreserved ones is written by its number.
fn uri(file: &Path) -> String {
    let mut out = String::new();
    for byte in file.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

pub(crate) fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

/// How much a difference between two versions matters.
pub(crate) fn level_of(weight: Weight) -> &'static str {
    match weight {
        Weight::Narrower => "note",
        Weight::WiderLow => "warning",
        Weight::WiderHigh | Weight::Incompatible => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_what_the_standard_requires() {
        let rules = [("one", "says one"), ("two", "says two")];
        let found = Found { rule: "two", level: "warning", text: "it is so".to_owned() };
        let log = log(&rules, Path::new("a dir/x.wasm"), std::iter::once(found));
        assert_eq!((&log["version"], log["$schema"].is_string()), (&json!("2.1.0"), true));
        let run = &log["runs"][0];
        assert_eq!(
            run["tool"]["driver"]["rules"][1],
            json!({ "id": "two", "shortDescription": { "text": "says two" } })
        );
        let place = json!([{ "physicalLocation": { "artifactLocation": { "uri": "a%20dir/x.wasm" } } }]);
        let result = json!({ "ruleId": "two", "ruleIndex": 1, "level": "warning", "message": { "text": "it is so" }, "locations": place });
        assert_eq!(run["results"], json!([result]));
        let empty = super::log(&rules, Path::new("x"), std::iter::empty());
        assert_eq!(empty["runs"][0]["results"], json!([]), "nothing found is not the same as not looked");
    }
}
