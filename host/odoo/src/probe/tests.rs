use super::*;
use wharf_domain::fault::{Blame, FaultKind};

fn fault(code: &str, message: &str) -> Fault {
    Fault::new(FaultKind::Forbidden, code, message, Blame::Operator)
}

#[test]
fn each_cause_has_its_own_words_and_remedy() {
    let key = refused(&fault("odoo.unauthorized", "x"));
    assert_eq!((key.code, key.level), ("key", Level::Problem));
    assert!(key.remedy.is_some_and(|remedy| remedy.contains("wharf odoo setup")));
    assert_eq!(refused(&fault("odoo.no-database", "no database `x`")).code, "database");
    assert_eq!(refused(&fault("egress.connect", "connection refused")).code, "unreachable");
    let company = "Odoo denied it: Access to unauthorized or invalid companies";
    assert_eq!(refused(&fault("odoo.access-error", company)).code, "company");
    assert_eq!(refused(&fault("odoo.access-error", "You are not allowed")).code, "failed");
}

#[test]
fn the_last_key_to_end_counts() {
    let now = Timestamp::from_millis(1_795_410_000_000); // 2026-11-23T05:00:00Z
    let row = |end: Value| json!({"id": 1, "name": "wharf", "expiration_date": end});
    let soon = row(json!("2026-12-01 00:00:00"));
    assert_eq!(last_end(std::slice::from_ref(&soon), now), Some(7));
    assert_eq!(last_end(&[soon.clone(), row(json!("2027-02-21 00:00:00"))], now), Some(89));
    assert_eq!(last_end(&[soon, row(json!(false))], now), None, "one without an end");
    assert_eq!(last_end(&[], now), None);
    assert_eq!(last_end(&[row(json!("2026-11-22 00:00:00"))], now), Some(-2), "already over");
}
