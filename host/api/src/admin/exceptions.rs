//! Work items for people: what is open, and what a person chose.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wharf_domain::ids::ExceptionId;
use wharf_flows::runner::{self, ChoiceError};
use wharf_store::exceptions::{self, ExceptionRow};

use crate::body;
use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/exceptions", Perm::ExceptionsRead, open),
        route(Verb::Post, "/api/v1/tenants/{tenant}/exceptions/{id}/resolve", Perm::ExceptionsResolve, resolve),
    ]
}

#[derive(Serialize)]
struct Open {
    exceptions: Vec<ExceptionRow>,
}

/// One of the exception's `actions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    action: String,
}

/// Everything open, the gravest and oldest first.
async fn open(State(state): State<ApiState>, Segments(tenant): Segments<String>) -> Result<Json<Open>, Problem> {
    let tenant = state.tenant(&tenant)?;
    Ok(Json(Open { exceptions: exceptions::open(state.db(), &tenant).await? }))
}

/// Takes a person's choice. 202 once it is on disk: the flow acts on it, and closes the exception when its cause is
/// gone.
async fn resolve(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let tenant = state.tenant(&tenant)?;
    let unknown = || Problem::not_found("unknown-exception", format!("there is no open exception `{id}`"));
    let wanted = ExceptionId::parse(&id).map_err(|_| unknown())?;
    let choice: Choice = body::json(request).await?;
    let known = exceptions::open(state.db(), &tenant).await?;
    let exception = known.iter().find(|row| row.id == wanted).ok_or_else(unknown)?;
    let mut tx = state.db().begin().await?;
    runner::choose(&mut tx, &administrator(), exception, &choice.action).await.map_err(refused)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))))
}

fn refused(error: ChoiceError) -> Problem {
    match error {
        ChoiceError::Store(error) => error.into(),
        ChoiceError::UnknownAction { .. } => Problem::bad_request("unknown-action", error.to_string()),
        ChoiceError::Closed(_) | ChoiceError::NoFlow(_) | ChoiceError::Id(_) => {
            Problem::conflict("not-resolvable", error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use serde_json::json;

    use crate::testing::House;

    #[tokio::test]
    async fn open_exceptions_are_listed_per_tenant() {
        let house = House::new().await;
        house.exception().await;
        let answer = house.get("/api/v1/tenants/nordic/exceptions").await;
        assert_eq!(answer.body["exceptions"][0]["code"], "label-unknown");
        assert_eq!(answer.body["exceptions"][0]["actions"], json!(["look-again", "not-bought"]));
        let answer = house.get("/api/v1/tenants/silent/exceptions").await;
        assert_eq!(answer.body, json!({ "exceptions": [] }));
        let answer = house.get("/api/v1/tenants/nobody/exceptions").await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-tenant"));
    }

    #[tokio::test]
    async fn a_choice_is_queued_for_the_flow() {
        let house = House::new().await;
        let id = house.exception().await;
        let path = format!("/api/v1/tenants/nordic/exceptions/{id}/resolve");
        let answer = house.post(&path, r#"{"action":"look-again"}"#).await;
        assert_eq!(answer.status, 202);
        let jobs = house.jobs().await;
        assert_eq!(jobs.len(), 1);
        assert_eq!(
            jobs[0].payload["event"],
            json!({
                "event": "resolved",
                "code": "label-unknown",
                "object": "order/42/WH/OUT/00007",
                "action": "look-again",
                "by": "user:admin",
            })
        );
    }

    #[tokio::test]
    async fn a_choice_that_makes_no_sense_is_refused() {
        let house = House::new().await;
        let id = house.exception().await;
        let path = format!("/api/v1/tenants/nordic/exceptions/{id}/resolve");
        let foreign = format!("/api/v1/tenants/silent/exceptions/{id}/resolve");
        for (path, body, status, code) in [
            (path.as_str(), r#"{"action":"burn-it"}"#, 400, "unknown-action"),
            (path.as_str(), r#"{"action":"look-again","why":1}"#, 400, "bad-body"),
            (path.as_str(), "{", 400, "bad-body"),
            (foreign.as_str(), r#"{"action":"look-again"}"#, 404, "unknown-exception"),
            ("/api/v1/tenants/nordic/exceptions/42/resolve", r#"{"action":"x"}"#, 404, "unknown-exception"),
        ] {
            let answer = house.post(path, body).await;
            assert_eq!((answer.status, answer.code()), (status, code), "{path} {body}");
        }
        let answer = house.ask(Method::POST, &path, Some("Bearer admin-secret"), None).await;
        assert_eq!((answer.status, answer.code()), (415, "not-json"));
        assert_eq!(house.jobs().await.len(), 0);
    }
}
