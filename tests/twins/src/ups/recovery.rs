//! `POST /api/labels/{version}/recovery`: the label again, by tracking number or by reference and shipper number. The
//! only way to learn whether a lost ship request bought something.
//!
//! One shipment under a reference: its labels. Several: candidates without labels, for the caller to ask again by
//! number. A new shipment shows up only after `read_after_write_ms`. Voided parcels have no label.
//!
//! Publicly reported: the shape of a single result (an object), 9801031 (not found), 9801040 (voided), 9801050 (a stock
//! size with an image). The other codes are not recorded.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::Ups;
use super::label::{self, Format};
use super::ledger::{Parcel, Shipment};
use super::rating::parse;
use super::reply::{self, Refusal, echoed_context, one_or_many};
use super::request::text;
use super::shipping::label_url;

const STOCK_SIZE: &str = "/LabelSpecification/LabelStockSize";

pub(super) async fn recover(
    State(ups): State<Arc<Ups>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match ups.recover(reply::version(&version), &headers, &body) {
        Ok(answer) => reply::ok(&answer, &ups.next_transaction()),
        Err(refusal) => refusal.into_response(),
    }
}

impl Ups {
    fn recover(&self, version: u32, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        self.admit(headers)?;
        let request = parse(body, "LabelRecoveryRequest");
        let request = request.ok_or_else(|| Refusal::new("10002", "The request is not well formed or not valid"))?;
        let code = text(&request, "/LabelSpecification/LabelImageFormat/Code");
        let format = if code.is_empty() { Some(Format::Gif) } else { Format::read(code) };
        let format = format.ok_or_else(|| Refusal::new("300018", "Missing or invalid label image format"))?;
        if matches!(format, Format::Gif | Format::Png | Format::Pdf) && request.pointer(STOCK_SIZE).is_some() {
            return Err(Refusal::new("9801050", "Label stock size is not valid for the label image format"));
        }
        let number = text(&request, "/TrackingNumber");
        let reference = text(&request, "/ReferenceValues/ReferenceNumber/Value");
        let found = match (number, reference) {
            ("", "") => return Err(Refusal::new("300014", "Missing tracking number or reference number")),
            ("", reference) => {
                if text(&request, "/ReferenceValues/ShipperNumber") != self.config.account {
                    return Err(Refusal::new("300016", "Missing or invalid shipper number"));
                }
                self.visible_under(reference)
            }
            (number, _) => self.holding(number),
        };
        let mut answer = json!({
            "Response": {
                "ResponseStatus": { "Code": "1", "Description": "Success" },
                "TransactionReference": echoed_context(&request),
            },
        });
        match found.as_slice() {
            [] if self.was_voided(number, reference) => {
                return Err(Refusal::new("9801040", "The shipment has been voided"));
            }
            [] => return Err(Refusal::new("9801031", "No label was found for the given number")),
            [shipment] => {
                answer["ShipmentIdentificationNumber"] = json!(shipment.id);
                let of_one = |p: &&Parcel| number.is_empty() || p.tracking == number;
                let parcels = shipment.parcels.iter().filter(|p| !p.voided).filter(of_one);
                let labels = parcels.enumerate().map(|(at, p)| label_result(shipment, p, format, at == 0));
                answer["LabelResults"] = one_or_many(version, labels.collect());
            }
            several => {
                answer["TrackingCandidate"] = several.iter().map(candidate).collect();
            }
        }
        Ok(json!({ "LabelRecoveryResponse": answer }))
    }

    /// Live shipments under a reference that lookups can see by now, oldest first.
    pub(super) fn visible_under(&self, reference: &str) -> Vec<Shipment> {
        let (now, delay) = (self.clock.elapsed(), Duration::from_millis(self.config.read_after_write_ms));
        let books = self.books();
        let seen = books.shipments.iter().filter(|s| s.made + delay <= now && !s.is_void());
        seen.filter(|s| s.has_reference(reference)).cloned().collect()
    }

    fn was_voided(&self, number: &str, reference: &str) -> bool {
        let books = self.books();
        let is_meant = |s: &&Shipment| match number {
            "" => s.is_void() && s.has_reference(reference),
            number => s.parcels.iter().any(|p| p.tracking == number && p.voided),
        };
        books.shipments.iter().any(|s| is_meant(&s))
    }

    /// The shipment with this live parcel.
    fn holding(&self, number: &str) -> Vec<Shipment> {
        let books = self.books();
        let with = |s: &&Shipment| s.parcels.iter().any(|p| p.tracking == number && !p.voided);
        books.shipments.iter().find(with).cloned().into_iter().collect()
    }
}

fn label_result(shipment: &Shipment, parcel: &Parcel, format: Format, first: bool) -> Value {
    let mut image = json!({
        "LabelImageFormat": { "Code": format.code() },
        "GraphicImage": label::base64(&shipment.label(parcel, format)),
    });
    if let Some(page) = label::html_image(&parcel.tracking, format) {
        image["HTMLImage"] = page;
    }
    if first {
        image["URL"] = json!(label_url(shipment));
    }
    json!({ "TrackingNumber": parcel.tracking, "LabelImage": image })
}

fn candidate(shipment: &Shipment) -> Value {
    json!({
        "TrackingNumber": shipment.id,
        "DestinationPostalCode": shipment.ship_to.postal,
        "DestinationCountryCode": shipment.ship_to.country,
        "PickupDateRange": { "BeginDate": shipment.day, "EndDate": shipment.day },
    })
}
