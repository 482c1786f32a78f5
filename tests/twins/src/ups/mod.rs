//! UPS as its test environment answers: token, rating, shipping, label recovery, void, tracking.
//!
//! Shapes and headers follow exchanges recorded against UPS; every value is made here. Where no recording exists the
//! official specification (Rating, Shipping, Tracking, OAuthClientCredentials) is followed, and error codes that
//! neither shows are marked "not recorded" where they are made. What matters most: the same ship request twice makes
//! two shipments, and only a lookup tells.

mod address;
mod auth;
mod faults;
mod label;
mod ledger;
mod number;
mod price;
mod rating;
mod recovery;
mod reply;
mod request;
mod shipping;
mod tracking;
mod void;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::desk::lock;
use crate::serve::{self, Habits, Running, Twin};

/// One account at UPS.
#[derive(Debug, Clone)]
pub struct UpsConfig {
    /// 0 takes a free one.
    pub port: u16,
    pub client_id: String,
    pub client_secret: String,
    /// The shipper number, six letters or digits.
    pub account: String,
    /// How long a token lives.
    pub token_ttl_s: u64,
    /// How long a new shipment stays invisible to lookups by reference.
    pub read_after_write_ms: u64,
    /// Tracking numbers and identifiers count on from here.
    pub seed: u64,
}

impl Default for UpsConfig {
    fn default() -> Self {
        Self {
            port: 0,
            client_id: "twin-client".to_owned(),
            client_secret: "twin-secret".to_owned(),
            account: "A1B2C3".to_owned(),
            token_ttl_s: 14_399,
            read_after_write_ms: 0,
            seed: 1,
        }
    }
}

/// Starts the twin on the loopback interface.
pub async fn start(config: UpsConfig) -> anyhow::Result<Running> {
    let account = &config.account;
    let plain = account.len() == 6 && account.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    anyhow::ensure!(plain, "`{account}` is not a shipper number: six capital letters or digits");
    let clock = Clock::new();
    let port = config.port;
    let twin = Arc::new(Ups { config, clock: clock.clone(), books: Mutex::default() });
    serve::start(port, twin, clock).await
}

struct Ups {
    config: UpsConfig,
    clock: Clock,
    books: Mutex<Books>,
}

/// Everything that changes.
#[derive(Debug, Default)]
struct Books {
    tokens: auth::Tokens,
    shipments: Vec<ledger::Shipment>,
    effects: Vec<ledger::Effect>,
    /// Tracking numbers given out.
    numbers: u64,
    /// Answers given, for transaction identifiers.
    answers: u64,
}

impl Ups {
    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

impl Twin for Ups {
    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/security/v1/oauth/token", post(auth::token))
            .route("/api/rating/{version}/{option}", post(rating::rate))
            .route("/api/shipments/{version}/ship", post(shipping::ship))
            .route("/api/labels/{version}/recovery", post(recovery::recover))
            .route("/api/shipments/{version}/void/cancel/{id}", delete(void::void))
            .route("/api/track/v1/details/{number}", get(tracking::details))
            .route("/api/track/v1/reference/details/{reference}", get(tracking::by_reference))
            .fallback(async || faults::refusal(StatusCode::NOT_FOUND))
            .method_not_allowed_fallback(async || faults::refusal(StatusCode::METHOD_NOT_ALLOWED))
            .with_state(self)
    }

    fn admin(self: Arc<Self>) -> Router {
        Router::new()
            .route("/__admin/tokens", get(auth::count))
            .route("/__admin/revoke", post(auth::revoke))
            .with_state(self)
    }

    fn effects(&self) -> Value {
        json!(self.books().effects)
    }

    fn reset(&self) {
        *self.books() = Books::default();
    }

    fn refusal(&self, status: StatusCode) -> Response {
        faults::refusal(status)
    }

    fn empty(&self) -> Response {
        faults::empty()
    }

    fn habits(&self) -> Habits {
        Habits { max_body: 16 << 20, ignores_chunked: false }
    }
}

/// Axum's JSON for admin answers.
fn admin_json(value: Value) -> Response {
    Json(value).into_response()
}
