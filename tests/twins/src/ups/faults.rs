//! How UPS words an answer that came of no route: scripted statuses, unknown paths, the empty 200.
//!
//! Recorded: 10004 with 503, and a 200 on ship without a body and with the header `errorcode: 1`. The other codes are
//! not recorded.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};

use super::reply::{Refusal, dressed};

pub(super) fn refusal(status: StatusCode) -> Response {
    let (code, message) = match status.as_u16() {
        401 => ("250002", "Invalid Authentication Information."),
        403 => ("250003", "Blocked Merchant"),
        404 => ("10404", "Resource not found"),
        405 => ("10405", "Method not allowed"),
        429 => ("10429", "Too Many Requests"),
        500..=599 => ("10004", "The system is temporarily unavailable"),
        _ => ("10001", "The request cannot be processed"),
    };
    Refusal { status, code, message: message.to_owned() }.into_response()
}

pub(super) fn empty() -> Response {
    let mut response = dressed(StatusCode::OK, Body::empty());
    response.headers_mut().insert(HeaderName::from_static("errorcode"), HeaderValue::from_static("1"));
    response
}
