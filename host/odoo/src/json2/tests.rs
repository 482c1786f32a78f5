use std::path::PathBuf;

use super::*;
use wharf_domain::fault::{FaultKind, Retry};

fn response(status: u16, body: &str) -> Response {
    Response { status, headers: vec![("retry-after".to_owned(), "7".to_owned())], body: Bytes::from(body.to_owned()) }
}

fn fault(status: u16, body: &str) -> Fault {
    answer("m.x", "odoo19", &response(status, body)).expect_err("a failure")
}

fn named(status: u16, name: &str, message: &str) -> Fault {
    let debug = "Traceback (most recent call last): password=hunter2";
    let body = json!({"name": name, "message": message, "arguments": [message], "context": {}, "debug": debug});
    let fault = fault(status, &body.to_string());
    assert!(!format!("{fault:?}").contains("hunter2"), "the traceback goes nowhere");
    fault
}

#[test]
fn a_return_value_comes_bare() {
    assert_eq!(answer("m.x", "d", &response(200, "null")), Ok(Value::Null));
    assert_eq!(answer("m.x", "d", &response(200, "[9]")), Ok(json!([9])));
    assert_eq!(answer("m.x", "d", &response(200, "<html>")).expect_err("html").code, "odoo.unexpected-answer");
}

#[test]
fn only_a_busy_database_is_worth_another_try() {
    for name in ["SerializationFailure", "LockNotAvailable", "DeadlockDetected"] {
        assert!(named(500, &format!("psycopg2.errors.{name}"), "could not").retryable(), "{name}");
    }
    assert!(named(409, "odoo.exceptions.LockError", "locked").retryable());
    for name in ["builtins.ValueError", "builtins.ZeroDivisionError", "odoo.exceptions.UserError", "some.NewError"] {
        assert!(!named(500, name, "x").retryable(), "{name}");
    }
}

#[test]
fn a_refused_key_says_how_to_make_one() {
    let fault = named(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey");
    assert_eq!(fault.kind, FaultKind::Unauthorized);
    assert!(fault.message.contains("wharf odoo setup"), "{fault}");
}

#[test]
fn html_is_read_by_its_status() {
    let missing = fault(404, "<!DOCTYPE html><title>404 Not Found</title>");
    assert_eq!(missing.code, "odoo.no-database");
    assert!(missing.message.contains("`odoo19`"), "{missing}");
    assert_eq!(fault(502, "<html>bad gateway</html>").kind, FaultKind::Outage);
    assert_eq!(fault(503, "").retry, Retry::Later { after_ms: Some(7_000) });
    assert_eq!(fault(429, "slow down").kind, FaultKind::RateLimited);
    assert_eq!(fault(415, "<html>").code, "odoo.not-odoo");
}

#[test]
fn a_broken_automation_rule_is_named() {
    let body = json!({"name": "odoo.exceptions.UserError", "message": "rule says no", "context":
        {"exception_class": "base_automation", "base_automation": {"id": 10, "name": "OUTBOX picking"}}});
    let fault = fault(422, &body.to_string());
    assert_eq!(fault.message, "automation rule `OUTBOX picking` failed: rule says no");
}

#[test]
fn a_company_narrows_the_context_and_keeps_what_is_in_it() {
    let args = in_company(json!({"ids": [1], "context": {"noupdate": true}}), Some(3));
    assert_eq!(args, json!({"ids": [1], "context": {"noupdate": true, "allowed_company_ids": [3]}}));
    assert_eq!(in_company(json!({"ids": [1]}), None), json!({"ids": [1]}));
}

/// What each recorded error of a real Odoo means here.
const RECORDED: [(&str, &str); 24] = [
    ("01-bad-key", "odoo.unauthorized"),
    ("02-no-key", "odoo.unauthorized"),
    ("04-wrong-database", "odoo.no-database"),
    ("06-unknown-model", "odoo.no-such-model"),
    ("08-private-method", "odoo.access-error"),
    ("10-unknown-field-read", "odoo.no-such-field"),
    ("11-unknown-field-domain", "odoo.no-such-field"),
    ("12-unknown-field-write", "odoo.refused-call"),
    ("14-unknown-kwarg", "odoo.refused-call"),
    ("17-missing-record-write", "odoo.missing"),
    ("17b-missing-record-unlink", "odoo.missing"),
    ("18-access-right-model", "odoo.access-error"),
    ("20-record-rule", "odoo.access-error"),
    ("21-required-field", "odoo.validation-error"),
    ("22-sql-constraint", "odoo.validation-error"),
    ("23-user-error", "odoo.user-error"),
    ("26-wrong-type", "odoo.refused-call"),
    ("26c-bad-fk", "odoo.missing"),
    ("26d-bad-date", "odoo.refused-call"),
    ("27-malformed-json", "odoo.refused-call"),
    ("30-wrong-content-type", "odoo.not-odoo"),
    ("33-ids-on-model-method", "odoo.refused-call"),
    ("35-bad-domain", "odoo.refused-call"),
    ("39b-context-company-not-allowed", "odoo.access-error"),
];

#[test]
fn recorded_errors_are_understood() {
    let Some(folder) = recorded() else { return };
    let read = |path: PathBuf| -> Option<Value> {
        let text = std::fs::read_to_string(&path).ok()?;
        Some(serde_json::from_str(&text).expect("json"))
    };
    for (name, code) in RECORDED {
        let exchange = read(folder.join("03-json2-errors").join(format!("{name}.json"))).expect(name);
        let fault = replayed(&exchange).expect_err(name);
        assert_eq!(fault.code, code, "{name}: {fault}");
        assert!(!fault.retryable(), "{name}");
        assert!(!format!("{fault:?}").contains("Traceback"), "{name}");
    }
    let busy = read(folder.join("30-concurrency/serialization-gave-up.json")).expect("recorded");
    assert!(replayed(&busy).expect_err("busy").retryable());
    let broken = read(folder.join("25-outbox-model/08-broken-rule-500.json")).expect("recorded");
    assert!(replayed(&broken).expect_err("broken").message.starts_with("automation rule `OUTBOX picking`"));
    // Every other failure on record has a place too.
    let mut seen = 0;
    for file in std::fs::read_dir(folder.join("03-json2-errors")).expect("folder") {
        let exchange = read(file.expect("entry").path()).expect("text");
        if let Err(fault) = replayed(&exchange) {
            assert_ne!(fault.code, "odoo.unknown-error", "{fault:?}");
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen} failures on record");
}

fn replayed(exchange: &Value) -> Result<Value, Fault> {
    let answered = &exchange["response"];
    let status = answered["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("status");
    let body = match &answered["body"] {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    answer("m.x", "odoo19", &Response { status, headers: Vec::new(), body: Bytes::from(body) })
}

/// The folder of recorded exchanges, when it is there.
fn recorded() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let shared = std::env::var_os("WHARF_SHARED").map_or_else(|| root.join("shared"), PathBuf::from);
    let folder = shared.join("odoo/fixtures");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: recorded exchanges not found at {}", folder.display());
    None
}
