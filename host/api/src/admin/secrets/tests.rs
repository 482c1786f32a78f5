//! Secrets through the router, with a vault that seals nothing and keeps nothing of the values.

use axum::http::Method;
use serde_json::json;
use wharf_store::audit;

use crate::testing::{Answer, House, START, tenant};

const SLOT: &str = "/api/v1/tenants/nordic/secrets/acme/login";
const CANARY: &str = "canary-password";

async fn ask(house: &House, method: Method, path: &str, body: &str) -> Answer {
    house.ask(method, path, Some("Bearer admin-secret"), Some(body)).await
}

fn value(password: &str, more: &str) -> String {
    format!(r#"{{"values":{{"username":"ana","password":"{password}"}}{more}}}"#)
}

#[tokio::test]
async fn a_value_goes_in_and_only_its_name_version_and_age_come_out() {
    let house = House::new().await;
    let empty = house.get("/api/v1/tenants/nordic/secrets").await;
    assert_eq!(
        empty.body["secrets"],
        json!([{ "connection": "acme", "slot": "login", "kind": "basic", "fields": ["username", "password"],
            "from": "configuration", "versions": [] }])
    );
    let answer = ask(&house, Method::PUT, SLOT, &value(CANARY, "")).await;
    assert_eq!((answer.status, &answer.body["version"], &answer.body["changed"]), (200, &json!(1), &json!(true)));
    house.clock.advance(60_000);
    let next = ask(&house, Method::PUT, SLOT, &value("canary-two", r#","as_next":true"#)).await;
    assert_eq!(next.body["version"], 2);
    let promoted = ask(&house, Method::POST, &format!("{SLOT}/promote"), r#"{"overlap_seconds":5}"#).await;
    assert_eq!((promoted.status, &promoted.body["version"]), (200, &json!(2)));
    let listed = house.get("/api/v1/tenants/nordic/secrets").await;
    let (slot, later) = (&listed.body["secrets"][0], START + 60_000);
    assert_eq!(slot["from"], "vault");
    assert_eq!(
        slot["versions"],
        json!([
            { "connection": "acme", "slot": "login", "version": 1, "stage": "previous", "valid_until": later + 5_000,
                "used_at": null, "actor": "user:admin", "created_at": START, "stage_since": later },
            { "connection": "acme", "slot": "login", "version": 2, "stage": "current", "valid_until": null,
                "used_at": null, "actor": "user:admin", "created_at": later, "stage_since": later },
        ])
    );
    let rows = audit::for_object(&house.db, &tenant(), "secret/acme/login").await.expect("audit");
    let told: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.actor.as_str())).collect();
    let admin = |action| (action, "user:admin");
    assert_eq!(told, [admin("secret.set"), admin("secret.set"), admin("secret.promoted")]);
    let gone = ask(&house, Method::DELETE, SLOT, "").await;
    assert_eq!((gone.status, &gone.body["versions"]), (200, &json!(2)));
    let rows = serde_json::to_string(&rows).expect("json");
    for text in [&answer.body, &next.body, &promoted.body, &listed.body, &gone.body].map(ToString::to_string) {
        assert!(!text.contains("canary"), "{text}");
    }
    assert!(!rows.contains("canary"), "{rows}");
    let again = house.get("/api/v1/tenants/nordic/secrets").await;
    assert_eq!(again.body["secrets"][0]["from"], "configuration");
    assert_eq!(house.ask(Method::GET, SLOT, Some("Bearer admin-secret"), None).await.status, 405, "nobody reads one");
}

#[tokio::test]
async fn what_is_wrong_is_told_without_the_value() {
    let house = House::new().await;
    for (body, code) in [
        (format!(r#"{{"values":"{CANARY}"}}"#), "bad-body"),
        (format!(r#"{{"values":{{"password":["{CANARY}"]}}}}"#), "bad-body"),
        (format!(r#"{{"{CANARY}":1}}"#), "bad-body"),
        (format!(r#"{{"values":{{"password":"{CANARY}"}}"#), "bad-body"),
        (value(CANARY, r#","overlap_seconds":2592001"#), "bad-body"),
        (value(CANARY, r#","account":"whose"#), "bad-body"),
        (format!(r#"{{"values":{{"password":"{CANARY}"}}}}"#), "bad-secret"),
    ] {
        let answer = ask(&house, Method::PUT, SLOT, &body).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{body}");
        assert!(!answer.body.to_string().contains("canary"), "{}", answer.body);
    }
    assert!(house.get("/api/v1/tenants/nordic/secrets").await.body["secrets"][0]["versions"][0].is_null());
}

#[tokio::test]
async fn a_slot_that_is_not_there_is_not_found() {
    let house = House::new().await;
    for path in ["nordic/secrets/acme/other", "nordic/secrets/Acme/login", "silent/secrets/acme/login"] {
        let answer = ask(&house, Method::PUT, &format!("/api/v1/tenants/{path}"), &value("x", "")).await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-secret"), "{path}");
    }
    for (method, path, body) in [(Method::DELETE, SLOT.to_owned(), ""), (Method::POST, format!("{SLOT}/promote"), "{}")]
    {
        let answer = ask(&house, method, &path, body).await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-secret"), "{path}");
    }
    assert_eq!(house.get("/api/v1/tenants/other/secrets").await.code(), "unknown-tenant");
}

#[tokio::test]
async fn a_tenant_is_shredded_when_it_was_named_twice_and_once_only() {
    let house = House::new().await;
    let path = "/api/v1/tenants/nordic/secrets/shred";
    let sure = r#"{"tenant":"nordic","note":"left us"}"#;
    let early = ask(&house, Method::POST, path, sure).await;
    assert_eq!((early.status, early.code()), (409, "nothing-sealed"));
    ask(&house, Method::PUT, SLOT, &value(CANARY, "")).await;
    for body in [r#"{"tenant":"silent","note":"x"}"#, r#"{"tenant":"nordic","note":" "}"#] {
        let answer = ask(&house, Method::POST, path, body).await;
        assert_eq!((answer.status, answer.code()), (400, "bad-body"), "{body}");
    }
    let answer = ask(&house, Method::POST, path, sure).await;
    assert_eq!((answer.status, &answer.body["versions"]), (200, &json!(1)));
    let rows = audit::for_object(&house.db, &tenant(), "vault").await.expect("audit");
    let last = rows.last().expect("a row");
    assert_eq!((last.action.as_str(), &last.detail["note"]), ("vault.shredded", &json!("left us")));
    assert!(house.get("/api/v1/tenants/nordic/secrets").await.body["secrets"][0]["versions"][0].is_null());
}

#[tokio::test]
async fn a_host_without_a_vault_says_what_to_add() {
    let house = House::without_vault().await;
    let answer = ask(&house, Method::PUT, SLOT, &value(CANARY, "")).await;
    assert_eq!((answer.status, answer.code()), (409, "no-vault"));
    assert!(answer.body["hint"].as_str().expect("hint").contains("[vault]"));
    assert_eq!(house.get("/api/v1/tenants/nordic/secrets").await.body, json!({ "secrets": [] }));
}
