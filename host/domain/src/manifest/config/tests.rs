use serde_json::json;

use super::*;

fn schema(value: Value) -> Result<ConfigSchema, String> {
    let schema: ConfigSchema = serde_json::from_value(value).map_err(|err| err.to_string())?;
    schema.valid()?;
    Ok(schema)
}

/// One property `x`.
fn one(keywords: Value) -> Result<ConfigSchema, String> {
    let mut property = json!({ "type": "string", "description": "x" });
    for (name, value) in keywords.as_object().expect("keywords") {
        property[name] = value.clone();
    }
    schema(json!({ "type": "object", "properties": { "x": property }, "additionalProperties": false }))
}

fn given(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("x".to_owned(), text.to_owned())])
}

#[test]
fn a_value_fits_its_rules_or_the_rule_is_named() {
    let table = [
        (json!({ "pattern": "^[A-Z0-9]{6}$" }), "A1B2C3", "a1b2c3", "must match `^[A-Z0-9]{6}$`"),
        (json!({ "pattern": "ab" }), "xaby", "x", "must match"),
        (json!({ "minLength": 2 }), "åå", "å", "at least 2 characters"),
        (json!({ "maxLength": 2 }), "åå", "ååå", "at most 2 characters"),
        (json!({ "enum": ["zpl", "pdf"] }), "pdf", "PDF", "one of `zpl`, `pdf`"),
        (json!({ "type": "integer", "minimum": -1, "maximum": 5 }), "-1", "6", "at most 5"),
        (json!({ "type": "integer", "minimum": -1 }), "0", "-2", "at least -1"),
        (json!({ "type": "integer" }), "7", "7.0", "of type `integer`"),
        (json!({ "type": "integer" }), "7", "9223372036854775808", "of type `integer`"),
        (json!({ "type": "integer", "enum": [1, 2] }), "2", "3", "one of `1`, `2`"),
        (json!({ "type": "number", "minimum": 0.5 }), "0.5", "0.4", "at least 0.5"),
        (json!({ "type": "number", "enum": [1] }), "1.0", "1.5", "one of `1`"),
        (json!({ "type": "number" }), "1e3", "inf", "of type `number`"),
        (json!({ "type": "boolean" }), "true", "yes", "`true` or `false`"),
    ];
    for (keywords, good, bad, rule) in table {
        let schema = one(keywords.clone()).expect("a schema");
        assert_eq!(schema.settle(&given(good)), Ok(given(good)), "{keywords}");
        let error = schema.settle(&given(bad)).expect_err("it breaks the rule");
        assert!(error.starts_with("`config.x` ") && error.contains(rule), "{keywords}: {error}");
    }
    let long = one(json!({})).expect("a schema").settle(&given(&"a".repeat(5_000))).expect_err("too long");
    assert!(long.contains("4096 bytes") && !long.contains("aaaa"), "{long}");
}

#[test]
fn what_is_missing_has_its_default_or_is_named() {
    let schema = schema(json!({
        "properties": {
            "account": { "type": "string", "description": "who pays" },
            "tries": { "type": "integer", "description": "how often", "default": 3 },
            "note": { "type": "string", "description": "free" }
        },
        "required": ["account", "tries"]
    }))
    .expect("a schema");
    let account = BTreeMap::from([("account".to_owned(), "1".to_owned())]);
    let settled = schema.settle(&account).expect("settled");
    assert_eq!(settled.get("tries").map(String::as_str), Some("3"));
    assert!(!settled.contains_key("note"));
    assert_eq!(schema.settle(&BTreeMap::new()), Err("`config.account` is missing: who pays".to_owned()));
    let unknown = schema.settle(&given("1")).expect_err("unknown");
    assert_eq!(unknown, "`config.x` is no setting of the adapter; known are account, note, tries");
    assert!(schema.asks_for("account") && !schema.asks_for("tries") && !schema.asks_for("note"));
}

#[test]
fn a_schema_that_makes_no_sense_names_the_keyword() {
    for (keywords, named) in [
        (json!({ "pattern": "(" }), "`config.properties.x.pattern`"),
        (json!({ "pattern": "(a)\\1" }), "`config.properties.x.pattern`"),
        (json!({ "pattern": "a".repeat(257) }), "at most 256"),
        (json!({ "pattern": "(a{200}){200}" }), "`config.properties.x.pattern`"),
        (json!({ "minLength": 3, "maxLength": 2 }), "`maxLength`"),
        (json!({ "minimum": 1 }), "`config.properties.x.minimum` says nothing about type `string`"),
        (json!({ "type": "integer", "pattern": "a" }), "`config.properties.x.pattern` says nothing"),
        (json!({ "type": "boolean", "maximum": 1 }), "`config.properties.x.maximum` says nothing"),
        (json!({ "type": "integer", "minimum": 0.5 }), "whole numbers"),
        (json!({ "type": "number", "minimum": 2, "maximum": 1 }), "`config.properties.x.minimum` is over"),
        (json!({ "enum": [1] }), "`config.properties.x.enum`"),
        (json!({ "default": 1 }), "`config.properties.x.default` is no `string`"),
        (json!({ "default": "c", "enum": ["a"] }), "`config.properties.x.default` must be one of `a`"),
        (json!({ "description": " " }), "`config.properties.x.description`"),
        (json!({ "$ref": "https://evil.example/schema" }), "$ref"),
        (json!({ "format": "email" }), "format"),
        (json!({ "type": "array" }), "array"),
    ] {
        let error = one(keywords.clone()).expect_err("no sense");
        assert!(error.contains(named), "{keywords}: {error}");
    }
    let x = json!({ "type": "string", "description": "x" });
    for (value, named) in [
        (json!({ "properties": {}, "required": ["y"] }), "`config.required` names `y`"),
        (json!({ "properties": { "a b": x } }), "`config.properties.a b`"),
        (json!({ "additionalProperties": true }), "`config.additionalProperties`"),
        (json!({ "type": "array" }), "array"),
        (json!({ "$defs": {} }), "$defs"),
        (json!({ "x": { "description": "the form of before", "required": true } }), "`x`"),
    ] {
        let error = schema(value.clone()).expect_err("no sense");
        assert!(error.contains(named), "{value}: {error}");
    }
}

#[test]
fn a_later_version_is_wider_only_when_everything_still_fits() {
    let property = |keywords: Value| one(keywords).expect("a schema").properties["x"].clone();
    for (before, after, wider) in [
        (json!({}), json!({}), true),
        (json!({ "pattern": "a" }), json!({}), true),
        (json!({}), json!({ "pattern": "a" }), false),
        (json!({ "pattern": "a" }), json!({ "pattern": "a|b" }), false),
        (json!({ "enum": ["a"] }), json!({ "enum": ["b", "a"] }), true),
        (json!({ "enum": ["a", "b"] }), json!({ "enum": ["a"] }), false),
        (json!({}), json!({ "enum": ["a"] }), false),
        (json!({ "maxLength": 3 }), json!({ "maxLength": 4 }), true),
        (json!({ "maxLength": 3 }), json!({ "maxLength": 2 }), false),
        (json!({}), json!({ "minLength": 1 }), false),
        (json!({ "type": "integer", "minimum": 1 }), json!({ "type": "integer", "minimum": 0 }), true),
        (json!({ "type": "integer", "maximum": 1 }), json!({ "type": "integer", "maximum": 0 }), false),
        (json!({ "type": "integer" }), json!({ "type": "number" }), true),
        (json!({ "type": "number" }), json!({ "type": "integer" }), false),
        (json!({ "default": "a" }), json!({ "default": "b", "description": "other words" }), true),
    ] {
        let (old, new) = (property(before.clone()), property(after.clone()));
        assert_eq!(new.no_narrower_than(&old), wider, "{before} -> {after}");
    }
    let shown = property(json!({ "type": "integer", "minimum": 0, "maximum": 9, "default": 3 })).rules();
    assert_eq!(shown, "integer, at least 0, at most 9, default 3");
}
