//! Odoo's hook. Its body is the state in the middle of a transaction, unsigned and without an id, so nothing of it is
//! used: it only wakes the pull that fetches what was committed. Answered in milliseconds, because Odoo's user waits.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use wharf_domain::ctx::Actor;
use wharf_flows::intake;

use crate::body;
use crate::caller::Perm;
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Verb::Post, "/hooks/odoo/{tenant}/{token}", Perm::HookToken, wake)]
}

/// 202 once the pull is on disk; any number of hooks lead to one pull.
async fn wake(
    State(state): State<ApiState>,
    Segments((tenant, token)): Segments<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let tenant = state.hooked(&tenant, &token)?;
    body::bytes(request).await?;
    let mut tx = state.db().begin().await?;
    intake::request_pull(&mut tx, &Actor::Host("hook".to_owned()), &tenant).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request, header};
    use wharf_store::jobs;

    use crate::testing::House;

    const HOOK: &str = "/hooks/odoo/nordic/hook-secret";

    #[tokio::test]
    async fn many_hooks_queue_one_pull() {
        let house = House::new().await;
        for _ in 0..5 {
            let answer = house.ask(Method::POST, HOOK, None, Some(r#"{"_model":"sale.order","id":42}"#)).await;
            assert_eq!(answer.status, 202);
        }
        let counts = jobs::counts(&house.db).await.expect("counts");
        assert_eq!((counts.ready, counts.total()), (1, 1));
    }

    #[tokio::test]
    async fn an_unknown_tenant_and_a_wrong_token_look_the_same() {
        let house = House::new().await;
        let mut answers = Vec::new();
        for path in [
            "/hooks/odoo/nordic/wrong",
            "/hooks/odoo/nobody/hook-secret",
            "/hooks/odoo/silent/hook-secret",
            "/hooks/odoo/NOT-A-SLUG/hook-secret",
            "/hooks/odoo/nordic/hook-secret/more",
            "/hooks/odoo/nordic/%FF",
        ] {
            let answer = house.ask(Method::POST, path, None, Some("{}")).await;
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0].0, 404);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(jobs::counts(&house.db).await.expect("counts").total(), 0);
    }

    #[tokio::test]
    async fn a_body_that_is_not_small_json_is_refused_and_nothing_is_queued() {
        let house = House::new().await;
        let post = |media: &str, body: Body| {
            Request::post(HOOK).header(header::CONTENT_TYPE, media).body(body).expect("request")
        };
        // One says how long it is and one does not.
        let large = vec![b' '; 64 * 1024 + 1];
        let mut announced = post("application/json", Body::from("{}"));
        announced.headers_mut().insert(header::CONTENT_LENGTH, (64 * 1024 + 1).into());
        for (request, status, code) in [
            (post("text/plain", Body::from("{}")), 415, "not-json"),
            (Request::post(HOOK).body(Body::from("{}")).expect("request"), 415, "not-json"),
            (post("application/json", Body::from(large)), 413, "too-large"),
            (announced, 413, "too-large"),
        ] {
            let answer = house.send(request).await;
            assert_eq!((answer.status, answer.code()), (status, code));
        }
        assert_eq!(jobs::counts(&house.db).await.expect("counts").total(), 0);
        let exact = post("application/json; charset=utf-8", Body::from(vec![b' '; 64 * 1024]));
        assert_eq!(house.send(exact).await.status, 202);
    }

    #[tokio::test]
    async fn a_hook_that_cannot_be_stored_is_not_accepted() {
        let house = House::new().await;
        house.db.close().await;
        let answer = house.ask(Method::POST, HOOK, None, Some("{}")).await;
        assert_eq!((answer.status, answer.code()), (503, "store-unavailable"));
    }
}
