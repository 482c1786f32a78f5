//! `DELETE /api/shipments/{version}/void/cancel/{shipment}`: takes a shipment back, or with `?trackingnumber=` some of
//! its parcels.
//!
//! 190102 for a number nobody bought is publicly reported; 190117 for a second void is not recorded.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Ups;
use super::ledger::{Effect, EffectKind};
use super::price::decimal;
use super::reply::{self, Refusal, one_or_many};

#[derive(Deserialize)]
pub(super) struct Parcels {
    /// One number, or a JSON list of numbers.
    #[serde(default)]
    trackingnumber: String,
}

pub(super) async fn void(
    State(ups): State<Arc<Ups>>,
    Path((version, id)): Path<(String, String)>,
    Query(parcels): Query<Parcels>,
    headers: HeaderMap,
) -> Response {
    match ups.void(reply::version(&version), &id, &numbers(&parcels.trackingnumber), &headers) {
        Ok(answer) => reply::ok(&answer, &ups.next_transaction()),
        Err(refusal) => refusal.into_response(),
    }
}

fn numbers(given: &str) -> Vec<String> {
    let cleaned = given.replace(['[', ']', '"', ' '], "");
    cleaned.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

impl Ups {
    fn void(&self, version: u32, id: &str, only: &[String], headers: &HeaderMap) -> Result<Value, Refusal> {
        self.admit(headers)?;
        let transaction = self.next_transaction();
        let mut books = self.books();
        let unknown = || Refusal::new("190102", "No shipment found within the allowed void period");
        let shipment = books.shipments.iter_mut().find(|s| s.id == id).ok_or_else(unknown)?;
        if only.iter().any(|n| !shipment.parcels.iter().any(|p| p.tracking == *n)) {
            return Err(unknown());
        }
        let mut voided = Vec::new();
        for parcel in &mut shipment.parcels {
            if !parcel.voided && (only.is_empty() || only.contains(&parcel.tracking)) {
                parcel.voided = true;
                voided.push(parcel.tracking.clone());
            }
        }
        if voided.is_empty() {
            return Err(Refusal::new("190117", "The shipment has already been voided"));
        }
        // The whole price comes back with the last parcel.
        let cents = if shipment.is_void() { shipment.cents } else { 0 };
        let reference = shipment.parcels.first().and_then(|p| p.references.first()).cloned().unwrap_or_default();
        let effect = Effect {
            id: books.effects.len() + 1,
            kind: EffectKind::Void,
            reference,
            tracking: id.to_owned(),
            amount: decimal(cents),
            currency: "USD",
            at: self.clock.rfc3339(),
            request_sha256: hex::encode(Sha256::digest(b"")),
            labels: Vec::new(),
        };
        books.effects.push(effect);
        let status = json!({ "Code": "1", "Description": "Voided" });
        let mut answer = json!({
            "Response": {
                "ResponseStatus": { "Code": "1", "Description": "Success" },
                // A context although the request has none: as recorded.
                "TransactionReference": { "CustomerContext": "Simple Customer Request", "TransactionIdentifier": transaction },
            },
            "SummaryResult": { "Status": status },
        });
        if !only.is_empty() {
            let each = voided.iter().map(|n| json!({ "TrackingNumber": n, "Status": status }));
            answer["PackageLevelResults"] = one_or_many(version, each.collect());
        }
        Ok(json!({ "VoidShipmentResponse": answer }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parcels_come_as_one_number_or_as_a_list() {
        assert_eq!(numbers("1Z1"), ["1Z1"]);
        assert_eq!(numbers(r#"["1Z1", "1Z2"]"#), ["1Z1", "1Z2"]);
        assert!(numbers("").is_empty());
    }
}
