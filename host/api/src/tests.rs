//! The API through its router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;
use wharf_domain::ids::{IdSource, TenantId};
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_store::{Db, jobs};

use crate::route::Perm;
use crate::{ApiState, TenantAccess, router};

struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn next(&self, _now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(1, self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A state with the tenants `nordic` (Odoo token `hook`) and `bare` (no Odoo), and the admin token `admin`.
async fn state() -> (ApiState, Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("folder");
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let ids = Arc::new(CountingIds(AtomicU64::new(1)));
    let db = Db::open(&dir.path().join("wharf.db"), clock, ids).await.expect("db");
    db.migrate().await.expect("schema");
    let tenant = |name: &str, token: Option<&str>| {
        (TenantId::parse(name).expect("id"), TenantAccess { webhook_token: token.map(str::to_owned) })
    };
    let tenants = BTreeMap::from([tenant("nordic", Some("hook")), tenant("bare", None)]);
    (ApiState::new(db.clone(), tenants, "admin"), db, dir)
}

async fn ask(state: &ApiState, method: Method, path: &str, token: Option<&str>) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    router(state.clone()).oneshot(request.body(Body::empty()).expect("request")).await.expect("answer")
}

async fn json(response: Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("body");
    serde_json::from_slice(&bytes).expect("json")
}

#[tokio::test]
async fn every_admin_endpoint_wants_the_token_and_nothing_else_lets_in() {
    let (state, _db, _dir) = state().await;
    for row in crate::all() {
        let path = row.path.replace("{tenant}", "nordic").replace("{token}", "hook").replace("{order}", "1");
        for token in [None, Some("wrong"), Some("hook"), Some("")] {
            let status = ask(&state, row.method.clone(), &path, token).await.status();
            assert_eq!(status == StatusCode::UNAUTHORIZED, row.perm == Perm::Admin, "{path} with {token:?}: {status}");
        }
        let status = ask(&state, row.method.clone(), &path, Some("admin")).await.status();
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_wake_up_is_one_pull_however_often_it_comes() {
    let (state, db, _dir) = state().await;
    for _ in 0..10 {
        let response = ask(&state, Method::POST, "/hooks/odoo/nordic/hook", None).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }
    assert_eq!(jobs::counts(&db).await.expect("counts").ready, 1);
}

#[tokio::test]
async fn a_wrong_token_and_an_unknown_tenant_look_the_same() {
    let (state, db, _dir) = state().await;
    let mut answers = Vec::new();
    for path in ["/hooks/odoo/nordic/guess", "/hooks/odoo/nobody/hook", "/hooks/odoo/bare/", "/hooks/odoo/bare/hook"] {
        let response = ask(&state, Method::POST, path, None).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        answers.push(json(response).await);
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]), "{answers:?}");
    assert_eq!(jobs::counts(&db).await.expect("counts").ready, 0);
}

#[tokio::test]
async fn a_problem_names_code_detail_and_hint() {
    let (state, _db, _dir) = state().await;
    let response = ask(&state, Method::GET, "/api/v1/tenants/nordic/flows/order/7", Some("admin")).await;
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem = json(response).await;
    assert_eq!((&problem["status"], &problem["code"]), (&404.into(), &"not-found".into()));
    assert!(problem["detail"].is_string() && problem["hint"].is_string(), "{problem}");
}

#[tokio::test]
async fn an_oversized_wake_up_is_refused() {
    let (state, db, _dir) = state().await;
    let request = Request::post("/hooks/odoo/nordic/hook").body(Body::from(vec![b'x'; 65 << 10])).expect("request");
    let response = router(state).oneshot(request).await.expect("answer");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(jobs::counts(&db).await.expect("counts").ready, 0);
}
