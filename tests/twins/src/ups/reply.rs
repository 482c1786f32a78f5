//! Answers in UPS's clothes: the headers of the recordings, the error body, and the list that is an object.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

/// Headers on every answer of an API route, with fixed values.
const ALWAYS: [(&str, &str); 11] = [
    ("access-control-allow-credentials", "true"),
    ("access-control-max-age", "600"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "1; mode=block"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("cache-control", "max-age=0, no-cache, no-store"),
    ("pragma", "no-cache"),
    ("strict-transport-security", "max-age=31536000 ; includeSubDomains"),
    ("content-type", "application/json;charset=UTF-8"),
];

/// A definite no: status, code and text as UPS words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    /// A 400.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "response": { "errors": [{ "code": self.code, "message": self.message }] } });
        let mut response = dressed(self.status, Body::from(body.to_string()));
        let headers = response.headers_mut();
        for name in ["apierrorcode", "errorcode"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(self.code));
        }
        if let Ok(text) = HeaderValue::from_str(&self.message) {
            for name in ["apierrormsg", "errordescription"] {
                headers.insert(HeaderName::from_static(name), text.clone());
            }
        }
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// A 200 with a body; `transaction` goes where UPS puts its own identifiers.
pub(super) fn ok(body: &Value, transaction: &str) -> Response {
    let mut response = dressed(StatusCode::OK, Body::from(body.to_string()));
    if let Ok(id) = HeaderValue::from_str(transaction) {
        for name in ["bkndtransid", "x-request-id"] {
            response.headers_mut().insert(HeaderName::from_static(name), id.clone());
        }
    }
    response
}

pub(super) fn dressed(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in ALWAYS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// The token route stands before the API and has its own content type.
pub(super) fn token_answer(body: &Value, transaction: &str) -> Response {
    let mut response = ok(body, transaction);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The number in a version segment: `v2205` is 2205, `v1` is 1.
pub(super) fn version(segment: &str) -> u32 {
    segment.trim_start_matches(['v', 'V']).parse().unwrap_or(1)
}

/// Before v2403 a list of one is the one itself (Shipping.yaml, Rating.yaml: "NOTE: For versions >= v2403, this element
/// will always be returned as an array").
pub(super) fn one_or_many(version: u32, mut items: Vec<Value>) -> Value {
    if version < 2403 && items.len() == 1 { items.remove(0) } else { Value::Array(items) }
}

/// The shipping answer echoes the caller's context; without one it is an empty string.
pub(super) fn echoed_context(request: &Value) -> Value {
    match super::request::text(request, "/Request/TransactionReference/CustomerContext") {
        "" => json!(""),
        context => json!({ "CustomerContext": context }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_one_is_the_one_before_2403() {
        let two = vec![json!(1), json!(2)];
        assert_eq!(one_or_many(version("v2205"), vec![json!(1)]), json!(1));
        assert_eq!(one_or_many(version("v2403"), vec![json!(1)]), json!([1]));
        assert_eq!(one_or_many(version("v1"), two), json!([1, 2]));
    }

    #[test]
    fn a_refusal_says_its_code_in_the_body_and_in_four_headers() {
        let response = Refusal::new("120202", "Missing or invalid ship to address line 1").into_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        for (name, want) in [("errorcode", "120202"), ("apierrormsg", "Missing or invalid ship to address line 1")] {
            assert_eq!(response.headers()[name], want);
        }
    }
}
