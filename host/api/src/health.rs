//! `GET /healthz`: does the host answer and can it read its database.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use serde_json::{Value, json};
use wharf_store::jobs;

use crate::problem::Problem;
use crate::route::{Perm, Row, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Method::GET, "/healthz", Perm::Open, health)]
}

async fn health(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    jobs::counts(state.db()).await?;
    Ok(Json(json!({ "status": "ok" })))
}
