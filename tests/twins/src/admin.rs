//! The admin routes every twin has. They are outside the fault script and are not in the request log.
//!
//! `GET /__admin/requests` · `GET /__admin/effects` · `GET|POST /__admin/scenario?seed=N` (a list of rules) ·
//! `POST /__admin/reset`. A twin adds its own.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::desk::Desk;
use crate::scenario::Rule;
use crate::serve::Twin;

#[derive(Clone)]
struct Office {
    desk: Arc<Desk>,
    twin: Arc<dyn Twin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    #[serde(default)]
    seed: u64,
}

pub(crate) fn router(desk: Arc<Desk>, twin: Arc<dyn Twin>) -> Router {
    Router::new()
        .route("/__admin/requests", get(async |State(o): State<Office>| Json(o.desk.requests())))
        .route("/__admin/effects", get(async |State(o): State<Office>| Json(o.twin.effects())))
        .route("/__admin/scenario", get(async |State(o): State<Office>| Json(o.desk.script())).post(set_script))
        .route("/__admin/reset", post(reset))
        .with_state(Office { desk, twin })
}

async fn set_script(State(office): State<Office>, Query(seed): Query<Seed>, body: Bytes) -> Response {
    let rules: Vec<Rule> = match serde_json::from_slice(&body) {
        Ok(rules) => rules,
        Err(e) => return refused(&format!("not a list of rules: {e}")),
    };
    match office.desk.set_script(rules, seed.seed) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(e) => refused(&e.to_string()),
    }
}

async fn reset(State(office): State<Office>) -> StatusCode {
    office.desk.reset();
    office.twin.reset();
    StatusCode::NO_CONTENT
}

/// What an admin call that makes no sense gets.
pub(crate) fn refused(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response()
}
