//! One request: read it, write it down, let the script loose on it, answer.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::connection::{HangUp, House};
use crate::scenario::{Decision, Facts, Fault, RetryAfter};

/// A page nobody's API sent.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Gateway</title></head>\
    <body><h1>The service is being prepared</h1></body></html>\n";

pub(super) async fn answer(house: &House, request: Request<Incoming>) -> Result<Response, HangUp> {
    let (parts, body) = request.into_parts();
    let habits = house.twin.habits();
    let chunked = parts.headers.contains_key(TRANSFER_ENCODING);
    let body = match Limited::new(body, habits.max_body).collect().await {
        Ok(_) if chunked && habits.ignores_chunked => Bytes::new(),
        Ok(all) => all.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Ok(house.twin.refusal(StatusCode::PAYLOAD_TOO_LARGE));
        }
        // The client left in the middle of its request: nothing to answer, nothing to do.
        Err(_) => return Err(HangUp),
    };
    let admin = parts.uri.path().starts_with("/__admin/");
    let decision = if admin {
        Decision::default()
    } else {
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let facts = Facts { method: parts.method.as_str(), path, body: &body };
        house.desk.take(&facts, &parts.headers)
    };
    let router = if admin { &house.admin } else { &house.partner };
    let run = async {
        let request = Request::from_parts(parts, Body::from(body));
        let Ok(response) = router.clone().oneshot(request).await;
        response
    };
    let answer = with_fault(house, decision.fault, run).await;
    if decision.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(decision.delay_ms)).await;
    }
    answer
}

/// `run` is awaited exactly when the fault leaves the effect in place.
async fn with_fault(
    house: &House,
    fault: Option<Fault>,
    run: impl Future<Output = Response>,
) -> Result<Response, HangUp> {
    let Some(fault) = fault else { return Ok(run.await) };
    match fault {
        Fault::Latency { .. } => Ok(run.await),
        Fault::LateEffect { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(run.await)
        }
        Fault::Status { code, body, retry_after } => Ok(status(house, code, body, retry_after)),
        Fault::ResetBeforeEffect => Err(HangUp),
        Fault::AnswerLostAfterEffect => {
            let _lost = run.await;
            Err(HangUp)
        }
        Fault::StatusAfterEffect { code } => {
            let _lost = run.await;
            Ok(status(house, code, None, None))
        }
        Fault::Empty200 => {
            let _lost = run.await;
            Ok(house.twin.empty())
        }
        Fault::Empty200NoEffect => Ok(house.twin.empty()),
        Fault::Html200 => Ok(([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()),
        Fault::CutJson => {
            let (parts, body) = whole(run.await).await?;
            let half = body.slice(..body.len() / 2);
            Ok(resized(parts, half.len(), Body::from(half)))
        }
        Fault::SlowDrip { bytes, ms } => {
            let (parts, body) = whole(run.await).await?;
            Ok(resized(parts, body.len(), drip(body, bytes, Duration::from_millis(ms))))
        }
    }
}

fn status(house: &House, code: u16, body: Option<String>, retry_after: Option<RetryAfter>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = house.twin.refusal(status);
    if let Some(text) = body {
        response.headers_mut().remove(CONTENT_LENGTH);
        if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *response.body_mut() = Body::from(text);
    }
    let value = retry_after.map(|after| match after {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::HttpDate(seconds) => {
            httpdate::fmt_http_date((house.desk.clock.now() + Duration::from_secs(seconds)).into())
        }
    });
    if let Some(value) = value.and_then(|v| HeaderValue::from_str(&v).ok()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

async fn whole(response: Response) -> Result<(http::response::Parts, Bytes), HangUp> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
    Ok((parts, body))
}

fn resized(mut parts: http::response::Parts, length: usize, body: Body) -> Response {
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, body)
}

fn drip(body: Bytes, piece: usize, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok::<_, std::convert::Infallible>(next), rest))
    }))
}
