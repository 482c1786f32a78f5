//! The UPS twin's answers against the recorded ones: the recorded request is sent to the twin.

use std::path::Path;

use serde_json::Value;
use wharf_twins::ups::{UpsConfig, start};

use crate::client::{Answer, Call};
use crate::recorded::{differences, read_json, shared};
use crate::ups::{bearer, call, ship_request};

/// The shipper number of the recordings that still show one.
const ACCOUNT: &str = "Y9319W";

/// File, and differences of shape that are known and meant.
const EXCHANGES: [(&str, &[&str]); 8] = [
    ("auth/access_token", &[]),
    ("rates/success", &[]),
    ("rates/ground_saver_success", &[]),
    ("rates/invalid_request", &[]),
    ("shipment/prepaid_two_packages", &[]),
    ("shipment/ground_saver", &[]),
    ("shipment/failure", &[]),
    ("shipment/city_name", &[]),
];

fn body_of(message: &Value) -> Value {
    match &message["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
        other => other.clone(),
    }
}

fn check(name: &str, recorded: &Value, got: &Answer, allowed: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    if recorded["status"] != got.status {
        wrong.push(format!("{name}: status {} is not {}", got.status, recorded["status"]));
    }
    for header in ["content-type", "errorcode", "apierrorcode", "errordescription", "apierrormsg"] {
        let want = recorded["headers"][header].as_str();
        let have = got.headers.get(header).map(String::as_str);
        if want != have {
            wrong.push(format!("{name}: header {header} {have:?} is not {want:?}"));
        }
    }
    // What the edge in front of UPS adds says nothing about UPS.
    let edge = ["server-timing", "ak-grn-1", "connection", "date", "x-accel-buffering"];
    let names = recorded["headers"].as_object().into_iter().flatten().map(|(name, _)| name);
    let of_success = got.status == 200;
    for header in names.filter(|n| !edge.contains(&n.as_str()) && (of_success || !n.contains("id"))) {
        if !got.headers.contains_key(header) {
            wrong.push(format!("{name}: header {header} is missing"));
        }
    }
    let lines = differences(&body_of(recorded), &got.json(), allowed);
    wrong.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
    wrong
}

fn recorded_call(exchange: &Value, auth: &str) -> Call {
    let request = &exchange["request"];
    let uri = request["uri"].as_str().unwrap().trim_start_matches("https://wwwcie.ups.com");
    let body = match &request["body"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut call = Call::new(request["method"].as_str().unwrap(), uri).header("authorization", auth);
    if let Some(kind) = request["headers"]["content-type"].as_str() {
        call = call.header("content-type", kind);
    }
    call.body(body.replace("%UPS_SHIPPER_NUMBER%", ACCOUNT).as_bytes())
}

fn exchange(root: &Path, name: &str) -> Value {
    read_json(&root.join("carriers/fixtures/ups").join(format!("{name}.json")))["exchanges"][0].clone()
}

#[tokio::test]
async fn the_twin_answers_recorded_requests_as_ups_did() {
    let Some(root) = shared() else { return };
    let twin = start(UpsConfig { account: ACCOUNT.into(), ..UpsConfig::default() }).await.unwrap();
    let auth = bearer(&twin).await;
    let mut wrong = Vec::new();
    for (name, allowed) in EXCHANGES {
        let exchange = exchange(&root, name);
        let auth = if name.starts_with("auth") { "Basic dHdpbi1jbGllbnQ6dHdpbi1zZWNyZXQ=" } else { &auth };
        let got = recorded_call(&exchange, auth).send(&twin.base_url).await.unwrap();
        wrong.extend(check(name, &exchange["response"], &got, allowed));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_void_answers_as_recorded() {
    let Some(root) = shared() else { return };
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let bought = call(&twin, &auth, "POST", "/api/shipments/v2205/ship", &ship_request("R", 1, "ZPL")).await.json();
    let id = bought["ShipmentResponse"]["ShipmentResults"]["ShipmentIdentificationNumber"].as_str().unwrap().to_owned();
    let got = call(&twin, &auth, "DELETE", &format!("/api/shipments/v1/void/cancel/{id}"), &Value::Null).await;
    let recorded = exchange(&root, "void/success");
    assert_eq!(check("void/success", &recorded["response"], &got, &[]), Vec::<String>::new());
}

#[tokio::test]
async fn bodies_kept_without_their_requests_have_the_twins_shapes() {
    let Some(root) = shared() else { return };
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let read = |name: &str| read_json(&root.join("carriers/fixtures/ups").join(format!("{name}.json")));

    let mut request = ship_request("R", 2, "ZPL");
    let shipment = &mut request["ShipmentRequest"]["Shipment"];
    shipment["ShipTo"]["Address"]["ResidentialAddressIndicator"] = Value::from("X");
    shipment["ShipmentServiceOptions"] = serde_json::json!({"LabelDelivery": {"LabelLinksIndicator": "X"}});
    request["ShipmentRequest"]["Request"]["TransactionReference"] = Value::Null;
    let got = call(&twin, &auth, "POST", "/api/shipments/v2205/ship", &request).await.json();
    // One of the recorded parcels is large and has a second item.
    let large = ["- /ShipmentResponse/ShipmentResults/PackageResults[]/ItemizedCharges"];
    let lines = differences(&read("bodies/labels_two_packages"), &got, &large);
    assert_eq!(lines, Vec::<String>::new());

    let mut shipment = request["ShipmentRequest"]["Shipment"].clone();
    shipment["ShipTo"]["Address"].as_object_mut().unwrap().remove("ResidentialAddressIndicator");
    shipment["Package"].as_array_mut().unwrap().truncate(1);
    shipment["ShipmentRatingOptions"] = serde_json::json!({"NegotiatedRatesIndicator": "X"});
    let request = serde_json::json!({"RateRequest": {
        "Request": {"TransactionReference": {"CustomerContext": "testing"}}, "Shipment": shipment,
    }});
    let got = call(&twin, &auth, "POST", "/api/rating/v2205/Shop", &request).await.json();
    // The recorded package has several alerts, and named surcharges in place of the first item.
    let alerts =
        ["- /RateResponse/RatedShipment[]/RatedShipmentAlert", "+ /RateResponse/RatedShipment[]/RatedShipmentAlert"];
    let lines = differences(&read("bodies/rates_with_negotiated_charges"), &got, &alerts);
    assert_eq!(lines, Vec::<String>::new());
}

#[tokio::test]
async fn a_tracked_parcel_has_everything_a_recorded_one_has() {
    let Some(root) = shared() else { return };
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let bought = call(&twin, &auth, "POST", "/api/shipments/v2205/ship", &ship_request("R", 1, "ZPL")).await.json();
    let id = bought["ShipmentResponse"]["ShipmentResults"]["ShipmentIdentificationNumber"].as_str().unwrap().to_owned();
    let got = call(&twin, &auth, "GET", &format!("/api/track/v1/details/{id}"), &Value::Null).await.json();
    let recorded = read_json(&root.join("carriers/fixtures/ups/track_converted/transit.json"));
    // The converted recording knows less than the real answer: only what it has is asked for.
    assert_eq!(differences(&recorded, &got, &["+ "]), Vec::<String>::new());
}
