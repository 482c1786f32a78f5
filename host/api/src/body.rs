//! Reading a request's body: JSON only, small, and in time. Whatever sends it is not trusted.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::Problem;

/// The most a caller may send.
pub(crate) const LIMIT: usize = 64 * 1024;
/// The longest a caller may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a JSON body, unread.
pub(crate) async fn bytes(request: Request) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let detail = "the body must be JSON: `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail));
    }
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LIMIT) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, within_limit(body)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body did not arrive within 10 s")),
    }
}

/// The body as a value; unknown keys are the type's business.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = bytes(request).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request("bad-body", format!("the body: {error}")))
}

/// Like [`json`], for a body that holds secrets: what is wrong is told by its place and never quoted.
pub(crate) async fn secret_json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = bytes(request).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let what = match error.classify() {
            Category::Data => "does not have the expected shape",
            _ => "is not JSON",
        };
        let detail = format!("the body {what} at line {} column {}", error.line(), error.column());
        Problem::bad_request("bad-body", detail)
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

async fn within_limit(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, LIMIT).await.map_err(|error| {
        if error.into_inner().is::<LengthLimitError>() {
            too_large()
        } else {
            Problem::bad_request("broken-body", "the body ended early")
        }
    })
}

fn too_large() -> Problem {
    let detail = format!("the body is larger than {LIMIT} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}
