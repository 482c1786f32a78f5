//! `POST /api/rating/{version}/{Rate|Shop|Ratetimeintransit|Shoptimeintransit}`; `?additionalinfo=timeintransit` asks for
//! times too.
//!
//! Recorded: 112111 for a wrong shipper number; 111285 for a ZIP code outside its state. Not recorded: 111210, 111030,
//! 111035, 111100 (known from public reports) and 10002.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use super::price::{self, Charge, Service, billing_weight, itemized, usd};
use super::reply::{self, Refusal, one_or_many};
use super::request::{Wanted, text};
use super::{Ups, address};

#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    additionalinfo: String,
}

pub(super) async fn rate(
    State(ups): State<Arc<Ups>>,
    Path((version, mut option)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if options.additionalinfo.eq_ignore_ascii_case("timeintransit") {
        option.push_str("timeintransit");
    }
    match ups.rate(reply::version(&version), &option, &headers, &body) {
        Ok(answer) => reply::ok(&answer, &ups.next_transaction()),
        Err(refusal) => refusal.into_response(),
    }
}

impl Ups {
    fn rate(&self, version: u32, option: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        self.admit(headers)?;
        let option = option.to_ascii_lowercase();
        let known = ["rate", "shop", "ratetimeintransit", "shoptimeintransit"].contains(&option.as_str());
        let request = parse(body, "RateRequest").filter(|_| known);
        let request = request.ok_or_else(|| Refusal::new("10002", "The request is not well formed or not valid"))?;
        let wanted = Wanted::read(&request["Shipment"]);
        check(&wanted, &self.config.account)?;
        let services: Vec<Service> = match &wanted.service {
            Some(code) if option.starts_with("rate") => price::sold(&wanted, code).into_iter().collect(),
            _ => price::offered(&wanted).to_vec(),
        };
        if services.is_empty() {
            return Err(Refusal::new("111210", "The requested service is unavailable between the selected locations."));
        }
        // Rating.yaml: the container "required to view time in transit information".
        let bill_type = text(&request, "/Shipment/DeliveryTimeInformation/PackageBillType");
        let pickup = (option.ends_with("timeintransit") && !bill_type.is_empty()).then(|| self.pickup_day(&request));
        let rated = services.into_iter().map(|s| rated_shipment(version, &wanted, s, pickup)).collect();
        let transaction = match text(&request, "/Request/TransactionReference/CustomerContext") {
            "" => json!(""),
            context => json!({ "CustomerContext": context, "TransactionIdentifier": self.next_transaction() }),
        };
        Ok(json!({ "RateResponse": {
            "Response": {
                "ResponseStatus": { "Code": "1", "Description": "Success" },
                // A list even where it has one element and the version is old: as recorded.
                "Alert": [alert()],
                "TransactionReference": transaction,
            },
            "RatedShipment": if option.starts_with("rate") { one_or_many(version, rated) } else { Value::Array(rated) },
        }}))
    }

    fn pickup_day(&self, request: &Value) -> Date {
        let asked = text(request, "/Shipment/DeliveryTimeInformation/Pickup/Date");
        Date::strptime("%Y%m%d", asked).unwrap_or_else(|_| self.clock.now().to_zoned(TimeZone::UTC).date())
    }
}

pub(super) fn parse(body: &[u8], wrapper: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let inner = value.get_mut(wrapper)?.take();
    inner.is_object().then_some(inner)
}

fn check(wanted: &Wanted, account: &str) -> Result<(), Refusal> {
    if wanted.account != account {
        return Err(Refusal::new("112111", "Missing or Invalid Shipper Number."));
    }
    for party in [&wanted.ship_from, &wanted.ship_to] {
        if party.country.is_empty() {
            return Err(Refusal::new("111100", "The requested service is invalid from the selected origin."));
        }
        if !address::zip_fits_state(party) {
            let text = format!("The postal code {} is invalid for {} United States.", party.postal, party.state);
            return Err(Refusal::new("111285", text));
        }
    }
    if wanted.packages.is_empty() || wanted.packages.iter().any(|p| p.pounds <= 0.0) {
        return Err(Refusal::new("111030", "Packages must weigh more than zero pounds."));
    }
    if wanted.packages.iter().any(|p| p.pounds > 150.0) {
        let text =
            "The maximum per package weight for the selected service from the selected country is 150.00 pounds.";
        return Err(Refusal::new("111035", text));
    }
    Ok(())
}

fn alert() -> Value {
    json!({ "Code": "110971", "Description": "Your invoice may vary from the displayed reference rates" })
}

fn rated_shipment(version: u32, wanted: &Wanted, service: Service, pickup: Option<Date>) -> Value {
    let charges: Vec<Charge> = wanted.packages.iter().map(|p| price::charge(service, wanted, p)).collect();
    let total: i64 = charges.iter().map(|c| c.transportation()).sum();
    let residential: i64 = charges.iter().map(|c| c.residential).sum();
    let packages = wanted.packages.iter().zip(&charges).map(|(p, c)| {
        let mut rated = json!({
            "TransportationCharges": usd(c.transportation()),
            "BaseServiceCharge": usd(c.base),
            "ServiceOptionsCharges": usd(0),
            "ItemizedCharges": package_items(*c),
            "TotalCharges": usd(c.transportation()),
            "Weight": format!("{:.1}", p.pounds),
            "BillingWeight": billing_weight(c.billed_pounds),
        });
        if wanted.negotiated {
            rated["NegotiatedCharges"] = json!({
                "BaseServiceCharge": usd(Charge::negotiated(c.base)),
                "TransportationCharges": usd(Charge::negotiated(c.transportation())),
                "ItemizedCharges": package_items(*c),
                "ServiceOptionsCharges": usd(0),
                "TotalCharge": usd(Charge::negotiated(c.transportation())),
            });
        }
        rated
    });
    let mut rated = json!({
        "Service": { "Code": service.code, "Description": "" },
        "RatedShipmentAlert": one_or_many(version, vec![alert()]),
        "BillingWeight": billing_weight(charges.iter().map(|c| c.billed_pounds).sum()),
        "TransportationCharges": usd(total),
        "BaseServiceCharge": usd(0),
        "ServiceOptionsCharges": usd(0),
        "TotalCharges": usd(total),
        "RatedPackage": one_or_many(version, packages.collect()),
    });
    if residential > 0 {
        rated["ItemizedCharges"] = one_or_many(version, vec![itemized("270", residential)]);
    }
    if let Some(days) = service.days {
        rated["GuaranteedDelivery"] = json!({ "BusinessDaysInTransit": days.to_string() });
        if let Some(by) = service.by {
            rated["GuaranteedDelivery"]["DeliveryByTime"] = json!(by);
        }
    }
    if wanted.negotiated {
        rated["NegotiatedRateCharges"] = json!({ "BaseServiceCharge": usd(0), "TotalCharge": usd(charges.iter().map(|c| Charge::negotiated(c.transportation())).sum()) });
    }
    if let Some(pickup) = pickup {
        rated["TimeInTransit"] = time_in_transit(service, price::days(service, wanted), pickup);
    }
    rated
}

/// Always two, so a list in every version.
fn package_items(charge: Charge) -> Value {
    let mut evs = itemized("400", 0);
    evs["SubType"] = json!("EVS");
    json!([evs, itemized("375", charge.fuel)])
}

/// Rating.yaml, `RatedShipment_TimeInTransit`; nothing recorded.
fn time_in_transit(service: Service, days: u32, pickup: Date) -> Value {
    let mut arrival = pickup;
    let mut left = days;
    while left > 0 {
        arrival = arrival.tomorrow().unwrap_or(arrival);
        if arrival.weekday().to_monday_zero_offset() < 5 {
            left -= 1;
        }
    }
    let time = match service.by {
        Some("8:00 A.M.") => "080000",
        Some(_) => "103000",
        None => "230000",
    };
    json!({
        "PickupDate": pickup.strftime("%Y%m%d").to_string(),
        "PackageBillType": "03",
        "ServiceSummary": {
            "Service": { "Description": service.name },
            "EstimatedArrival": {
                "Arrival": { "Date": arrival.strftime("%Y%m%d").to_string(), "Time": time },
                "BusinessDaysInTransit": days.to_string(),
                "Pickup": { "Date": pickup.strftime("%Y%m%d").to_string(), "Time": "180000" },
                "DayOfWeek": arrival.strftime("%a").to_string().to_uppercase(),
                "CustomerCenterCutoff": "160000",
            },
            "SaturdayDelivery": "0",
            "SundayDelivery": "0",
        },
    })
}
