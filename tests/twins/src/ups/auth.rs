//! The token route (client credentials over Basic) and the check of tokens on every API route.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::reply::{Refusal, token_answer};
use super::{Ups, admin_json};

#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Token requests, refused ones too.
    asked: u64,
    /// Token to the age of the twin at which it ends.
    live: HashMap<String, Duration>,
}

impl Ups {
    /// Refuses a request without a live token.
    ///
    /// 250002 for an unknown or expired token is known from public reports, not recorded.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let refusal = || Refusal {
            status: StatusCode::UNAUTHORIZED,
            code: "250002",
            message: "Invalid Authentication Information.".to_owned(),
        };
        let given = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (scheme, token) = given.split_once(' ').unwrap_or_default();
        let now = self.clock.elapsed();
        let live = self.books().tokens.live.get(token.trim()).is_some_and(|end| *end > now);
        if scheme.eq_ignore_ascii_case("bearer") && live { Ok(()) } else { Err(refusal()) }
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (scheme, pair) = given.split_once(' ').unwrap_or_default();
        let expected = format!("{}:{}", self.config.client_id, self.config.client_secret);
        scheme.eq_ignore_ascii_case("basic")
            && STANDARD.decode(pair.trim()).is_ok_and(|bytes| bytes == expected.as_bytes())
    }
}

/// `POST /security/v1/oauth/token`. The codes of its refusals are not recorded.
pub(super) async fn token(State(ups): State<Arc<Ups>>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = {
        let mut books = ups.books();
        books.tokens.asked += 1;
        books.tokens.asked
    };
    if !ups.knows(&headers) {
        let refusal =
            Refusal { status: StatusCode::UNAUTHORIZED, code: "10401", message: "ClientId is Invalid".to_owned() };
        return refusal.into_response();
    }
    let client_credentials =
        url::form_urlencoded::parse(&body).any(|(k, v)| k == "grant_type" && v == "client_credentials");
    if !client_credentials {
        return Refusal::new("10400", "Invalid or missing grant_type").into_response();
    }
    let token = hex::encode(Sha256::digest(format!("token {} {asked}", ups.config.seed)));
    let end = ups.clock.elapsed() + Duration::from_secs(ups.config.token_ttl_s);
    ups.books().tokens.live.insert(token.clone(), end);
    let answer = json!({
        "token_type": "Bearer",
        "issued_at": ups.clock.now().as_millisecond().to_string(),
        "client_id": ups.config.client_id,
        "access_token": token,
        // A string, as recorded.
        "expires_in": ups.config.token_ttl_s.to_string(),
        "status": "approved",
    });
    token_answer(&answer, &ups.next_transaction())
}

/// `GET /__admin/tokens`: how many token requests there were and how many tokens are good now.
pub(super) async fn count(State(ups): State<Arc<Ups>>) -> Response {
    let now = ups.clock.elapsed();
    let books = ups.books();
    let live = books.tokens.live.values().filter(|end| **end > now).count();
    admin_json(json!({ "requests": books.tokens.asked, "live": live }))
}

/// `POST /__admin/revoke`: no token given out so far is good any more.
pub(super) async fn revoke(State(ups): State<Arc<Ups>>) -> StatusCode {
    ups.books().tokens.live.clear();
    StatusCode::NO_CONTENT
}
