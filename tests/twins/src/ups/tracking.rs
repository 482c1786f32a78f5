//! `GET /api/track/v1/details/{number}` and `GET /api/track/v1/reference/details/{reference}`.
//!
//! A number UPS does not know is a 200 with a warning TW0001 (publicly reported, against the specification's 404).
//! Parcels stay where the label put them: nobody scans here.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::{Value, json};

use super::ledger::{Parcel, Shipment};
use super::reply::{self, Refusal};
use super::{Ups, price};

pub(super) async fn details(State(ups): State<Arc<Ups>>, Path(number): Path<String>, headers: HeaderMap) -> Response {
    let find = |ups: &Ups| {
        let books = ups.books();
        let of = |s: &Shipment| s.parcels.iter().find(|p| p.tracking == number).cloned().map(|p| (s.clone(), vec![p]));
        books.shipments.iter().find_map(of)
    };
    ups.track(&number, &headers, find)
}

pub(super) async fn by_reference(
    State(ups): State<Arc<Ups>>,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Response {
    let find = |ups: &Ups| {
        let newest = ups.visible_under(&reference).pop()?;
        let parcels = newest.parcels.clone();
        Some((newest, parcels))
    };
    ups.track(&reference, &headers, find)
}

impl Ups {
    fn track(
        &self,
        inquiry: &str,
        headers: &HeaderMap,
        find: impl Fn(&Self) -> Option<(Shipment, Vec<Parcel>)>,
    ) -> Response {
        if let Err(refusal) = self.admit(headers) {
            return refusal.into_response();
        }
        // Tracking.yaml: both headers are required.
        for name in ["transid", "transactionsrc"] {
            if !headers.contains_key(name) {
                return Refusal::new("TV0000", format!("Missing header {name}")).into_response();
            }
        }
        if !(7..=34).contains(&inquiry.len()) {
            return Refusal::new("TV1002", "Invalid inquiry number").into_response();
        }
        let shipment = match find(self) {
            Some((shipment, parcels)) => {
                let packages: Vec<Value> = parcels.iter().map(|p| package(&shipment, p)).collect();
                json!({ "inquiryNumber": inquiry, "package": packages })
            }
            None => json!({
                "inquiryNumber": inquiry,
                "warnings": [{ "code": "TW0001", "message": "Tracking Information Not Found" }],
            }),
        };
        let answer = json!({ "trackResponse": { "shipment": [shipment] } });
        reply::ok(&answer, &self.next_transaction())
    }
}

fn package(shipment: &Shipment, parcel: &Parcel) -> Value {
    let (kind, code, status_code, text) = if parcel.voided {
        ("MV", "VP", "007", "Shipment Canceled")
    } else {
        ("M", "MP", "003", "Shipper created a label, UPS has not received the package yet.")
    };
    let status = json!({ "type": kind, "description": text, "code": code, "statusCode": status_code });
    let place = json!({ "address": {
        "city": shipment.ship_from.city,
        "stateProvince": shipment.ship_from.state,
        "postalCode": shipment.ship_from.postal,
        "countryCode": shipment.ship_from.country,
        "country": shipment.ship_from.country,
    }});
    let references = parcel.references.iter().map(|r| json!({ "type": "PACKAGE", "code": "01", "number": r }));
    json!({
        "trackingNumber": parcel.tracking,
        "activity": [{ "location": place, "status": status, "date": shipment.day, "time": shipment.time }],
        "currentStatus": status,
        "referenceNumber": references.collect::<Vec<Value>>(),
        "service": { "code": format!("{:0>3}", shipment.service), "description": price::name(&shipment.service) },
        "weight": { "unitOfMeasurement": parcel.unit, "weight": parcel.weight },
        "packageCount": shipment.parcels.len(),
    })
}
