//! A carrier nobody has heard of, with one route of every class of effect:
//!
//! - `POST /v1/labels` buys a label, and another one when it is sent again; `GET /v1/labels?reference=` finds it.
//! - `POST /v1/shipments` honours `idempotency-key`: the same key has the first answer within the retention, and 409 with
//!   another body.
//! - `POST /v1/pickups` orders a pickup, and another one when it is sent again; nothing finds it.
//! - `PUT /v1/lanes/{lane}/address` sets what is then so, however often it is sent.
//!
//! Every body is JSON with a `reference`. The ledger (`GET /__admin/effects`) has a row for each request that was
//! carried out, in that order; what a fault kept from being carried out is in the log of requests only.

mod ledger;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

pub use ledger::{Call, Route};

use crate::clock::Clock;
use crate::desk::lock;
use crate::serve::{self, Habits, Running, Twin};

/// How the carrier behaves.
#[derive(Debug, Clone)]
pub struct ParcelConfig {
    /// 0 takes a free one.
    pub port: u16,
    /// How long a new label stays invisible to lookups.
    pub read_after_write_ms: u64,
    /// How long an idempotency key is remembered.
    pub retention_ms: u64,
    /// Numbers count on from here.
    pub seed: u64,
}

impl Default for ParcelConfig {
    fn default() -> Self {
        Self { port: 0, read_after_write_ms: 0, retention_ms: 86_400_000, seed: 1 }
    }
}

/// Starts the twin on the loopback interface.
pub async fn start(config: ParcelConfig) -> anyhow::Result<Running> {
    let clock = Clock::new();
    let port = config.port;
    let twin = Arc::new(Parcel { config, clock: clock.clone(), books: Mutex::default() });
    serve::start(port, twin, clock).await
}

struct Parcel {
    config: ParcelConfig,
    clock: Clock,
    books: Mutex<Books>,
}

/// Everything that changes.
#[derive(Debug, Default)]
struct Books {
    calls: Vec<Call>,
    /// Labels by reference, with the age of the twin when they were made.
    labels: BTreeMap<String, Vec<(String, Duration)>>,
    keys: BTreeMap<String, Remembered>,
    numbers: u64,
}

/// What an idempotency key was first used for.
#[derive(Debug, Clone)]
struct Remembered {
    body: Vec<u8>,
    answer: Value,
    at: Duration,
}

impl Parcel {
    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

impl Twin for Parcel {
    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/labels", post(routes::label).get(routes::find))
            .route("/v1/shipments", post(routes::shipment))
            .route("/v1/pickups", post(routes::pickup))
            .route("/v1/lanes/{lane}/address", put(routes::address))
            .fallback(async || refusal(StatusCode::NOT_FOUND))
            .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED))
            .with_state(self)
    }

    fn admin(self: Arc<Self>) -> Router {
        Router::new()
    }

    fn effects(&self) -> Value {
        json!(self.books().calls)
    }

    fn reset(&self) {
        *self.books() = Books::default();
    }

    fn refusal(&self, status: StatusCode) -> Response {
        refusal(status)
    }

    fn empty(&self) -> Response {
        StatusCode::OK.into_response()
    }

    fn habits(&self) -> Habits {
        Habits { max_body: 1 << 20, ignores_chunked: false }
    }
}

fn refusal(status: StatusCode) -> Response {
    (status, Json(json!({ "error": status.canonical_reason().unwrap_or("failed") }))).into_response()
}
