//! `GET /api/v1/tenants/{tenant}/exceptions`: what waits for a person.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use wharf_store::exceptions::{self, ExceptionRow};

use crate::problem::Problem;
use crate::route::{Perm, Row, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Method::GET, "/api/v1/tenants/{tenant}/exceptions", Perm::Admin, open)]
}

async fn open(State(state): State<ApiState>, Path(tenant): Path<String>) -> Result<Json<Vec<ExceptionRow>>, Problem> {
    let tenant = state.tenant(&tenant).ok_or_else(|| Problem::not_found("tenant"))?;
    Ok(Json(exceptions::open(state.db(), &tenant).await?))
}
