//! The routes. Each one is carried out whole or not at all, under the lock of the books.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Books, Call, Parcel, Remembered, Route, refusal};

/// The reference of a body; `None` when it has none or is no JSON.
fn reference(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get("reference")?.as_str()?.to_owned())
}

impl Parcel {
    fn carry_out(&self, books: &mut Books, route: Route, reference: &str, effect: bool, number: &str) {
        let n = books.calls.len() + 1;
        let (reference, number) = (reference.to_owned(), number.to_owned());
        books.calls.push(Call { n, route, reference, effect, number, at: self.clock.rfc3339() });
    }

    fn number(&self, books: &mut Books, letters: &str) -> String {
        books.numbers += 1;
        format!("{letters}{:08}", self.config.seed + books.numbers)
    }
}

pub(super) async fn label(State(parcel): State<Arc<Parcel>>, body: Bytes) -> Response {
    let Some(reference) = reference(&body) else { return refusal(StatusCode::UNPROCESSABLE_ENTITY) };
    let books = &mut *parcel.books();
    let number = parcel.number(books, "PL");
    books.labels.entry(reference.clone()).or_default().push((number.clone(), parcel.clock.elapsed()));
    parcel.carry_out(books, Route::Label, &reference, true, &number);
    (StatusCode::CREATED, Json(json!({ "number": number, "reference": reference }))).into_response()
}

/// Labels under a reference that lookups can see by now, oldest first.
pub(super) async fn find(State(parcel): State<Arc<Parcel>>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let Some(reference) = query.get("reference") else { return refusal(StatusCode::UNPROCESSABLE_ENTITY) };
    let (now, hidden) = (parcel.clock.elapsed(), Duration::from_millis(parcel.config.read_after_write_ms));
    let books = parcel.books();
    let made = books.labels.get(reference).into_iter().flatten();
    let seen: Vec<&String> = made.filter(|(_, at)| *at + hidden <= now).map(|(number, _)| number).collect();
    Json(json!({ "reference": reference, "numbers": seen })).into_response()
}

pub(super) async fn shipment(State(parcel): State<Arc<Parcel>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(reference) = reference(&body) else { return refusal(StatusCode::UNPROCESSABLE_ENTITY) };
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let Some(key) = key else { return refusal(StatusCode::BAD_REQUEST) };
    let (now, kept) = (parcel.clock.elapsed(), Duration::from_millis(parcel.config.retention_ms));
    let books = &mut *parcel.books();
    if let Some(known) = books.keys.get(key).filter(|known| now < known.at + kept).cloned() {
        if known.body != body {
            return refusal(StatusCode::CONFLICT);
        }
        parcel.carry_out(books, Route::Shipment, &reference, false, "");
        return (StatusCode::CREATED, Json(known.answer)).into_response();
    }
    let number = parcel.number(books, "PS");
    let answer = json!({ "number": number, "reference": reference });
    books.keys.insert(key.to_owned(), Remembered { body: body.to_vec(), answer: answer.clone(), at: now });
    parcel.carry_out(books, Route::Shipment, &reference, true, &number);
    (StatusCode::CREATED, Json(answer)).into_response()
}

pub(super) async fn pickup(State(parcel): State<Arc<Parcel>>, body: Bytes) -> Response {
    let Some(reference) = reference(&body) else { return refusal(StatusCode::UNPROCESSABLE_ENTITY) };
    let books = &mut *parcel.books();
    let number = parcel.number(books, "PP");
    parcel.carry_out(books, Route::Pickup, &reference, true, &number);
    (StatusCode::CREATED, Json(json!({ "number": number }))).into_response()
}

pub(super) async fn address(State(parcel): State<Arc<Parcel>>, Path(lane): Path<String>, body: Bytes) -> Response {
    let Some(reference) = reference(&body) else { return refusal(StatusCode::UNPROCESSABLE_ENTITY) };
    let books = &mut *parcel.books();
    parcel.carry_out(books, Route::Address, &reference, true, "");
    Json(json!({ "lane": lane, "reference": reference })).into_response()
}
