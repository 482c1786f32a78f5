//! What went wrong, for the caller: `application/problem+json` (RFC 9457) with `code`, `detail` and `hint`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wharf_store::StoreError;

/// An answer that is not a success. `code` is stable; the texts are for people and hold no secret.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    hint: Option<&'static str>,
    /// A header that belongs to the status, e.g. `Retry-After`.
    header: Option<(header::HeaderName, &'static str)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), hint: None, header: None }
    }

    pub(crate) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Also the answer to whoever must not learn what exists.
    pub(crate) fn no_such_resource() -> Self {
        Self::not_found("not-found", "there is nothing at this address")
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this address does not know the method")
    }

    pub(crate) fn unauthorized() -> Self {
        Self {
            hint: Some("send `Authorization: Bearer <admin token>`"),
            header: Some((header::WWW_AUTHENTICATE, "Bearer")),
            ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "the admin token is missing or wrong")
        }
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl From<StoreError> for Problem {
    /// Nothing was stored, so the caller may repeat the request.
    fn from(error: StoreError) -> Self {
        tracing::error!("failed to serve a request: {error}");
        let full = matches!(error, StoreError::Full);
        let (status, code, detail) = if full {
            (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "there is no space left; nothing was stored")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "the database did not answer; nothing was stored")
        };
        let header = Some((header::RETRY_AFTER, if full { "60" } else { "5" }));
        Self { hint: Some("repeat the request later"), header, ..Self::new(status, code, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            hint: self.hint,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
