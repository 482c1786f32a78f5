//! `GET /api/v1/jobs/counts`: jobs by state, over all tenants.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use wharf_store::jobs::{self, Counts};

use crate::problem::Problem;
use crate::route::{Perm, Row, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Method::GET, "/api/v1/jobs/counts", Perm::Admin, counts)]
}

async fn counts(State(state): State<ApiState>) -> Result<Json<Counts>, Problem> {
    Ok(Json(jobs::counts(state.db()).await?))
}
