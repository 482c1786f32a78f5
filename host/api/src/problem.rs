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
    /// Unless the code says `store-in-doubt`, nothing was stored and the caller may repeat the request.
    fn from(error: StoreError) -> Self {
        tracing::error!("failed to serve a request: {error}");
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let (status, code, seconds, detail) = match &error {
            StoreError::Full => {
                let detail = "there is no space left; nothing was stored".to_owned();
                (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "60", detail)
            }
            StoreError::InDoubt => {
                let detail = "the database went away; nobody knows whether it was stored, look before you repeat";
                (unavailable, "store-in-doubt", "5", detail.to_owned())
            }
            StoreError::FileBusy => {
                let detail = "another program holds the database file locked; nothing was stored".to_owned();
                (unavailable, "store-unavailable", "5", detail)
            }
            StoreError::Crowded { .. } => (unavailable, "too-much-waiting", "60", error.to_string()),
            _ => (unavailable, "store-unavailable", "5", "the database did not answer; nothing was stored".to_owned()),
        };
        let header = Some((header::RETRY_AFTER, seconds));
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

#[cfg(test)]
mod tests {
    use wharf_domain::ids::TenantId;

    use super::*;

    /// Disk full degrades: whoever sends hears when to come back.
    #[tokio::test]
    async fn p8_a_store_that_cannot_take_it_says_when_to_come_back() {
        let tenant = TenantId::parse("nordic").expect("tenant");
        let crowded = StoreError::Crowded { tenant, source_name: "odoo".to_owned(), most: 10_000 };
        for (error, status, code, seconds) in [
            (StoreError::Full, 507, "disk-full", "60"),
            (StoreError::Closed, 503, "store-unavailable", "5"),
            (StoreError::FileBusy, 503, "store-unavailable", "5"),
            (StoreError::InDoubt, 503, "store-in-doubt", "5"),
            (crowded, 503, "too-much-waiting", "60"),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["retry-after"], seconds);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("body");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!((body["code"].as_str(), body["status"].as_u64()), (Some(code), Some(u64::from(status))));
        }
    }
}
