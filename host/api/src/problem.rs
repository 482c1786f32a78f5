//! Errors as RFC 9457 `application/problem+json` with `code`, `detail` and `hint`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wharf_store::StoreError;

/// A refusal or a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    hint: &'static str,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    hint: &'a str,
}

impl Problem {
    pub(crate) fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "unauthorized",
            detail: "the bearer token is missing or wrong".to_owned(),
            hint: "send `Authorization: Bearer <server.admin_token>`",
        }
    }

    /// Also for what the caller may not see: nobody learns whether it exists.
    pub(crate) fn not_found(what: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "not-found",
            detail: format!("there is no such {what}"),
            hint: "check the path; names are those of the configuration",
        }
    }
}

impl From<StoreError> for Problem {
    /// What went wrong stays in the log; the caller learns what to do.
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "request failed in the store");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "store-unavailable",
            detail: "the database could not be read or written".to_owned(),
            hint: "send the request again; if it stays, look at the host's log",
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            hint: self.hint,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
