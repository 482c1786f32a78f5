//! Inputs the tests of several files share.

use serde_json::Value;
use wharf_sdk::http::Response;
use wharf_sdk::labels::{LabelSpec, ShipmentRequest};
use wharf_sdk::rates::RateRequest;
use wharf_sdk::{Address, CallContext, Parcel};

pub(crate) fn context() -> CallContext {
    CallContext {
        tenant: "t".to_owned(),
        connection: "ups".to_owned(),
        environment: "test".to_owned(),
        endpoint: "https://ups.test".to_owned(),
        config: vec![("account_number".to_owned(), "A1B2C3".to_owned())],
        idempotency_key: "k".to_owned(),
        attempt: 1,
        deadline_ms: 0,
    }
}

pub(crate) fn address(country: &str) -> Address {
    Address {
        name: "Jane Doe".to_owned(),
        company: Some("Company".to_owned()),
        address_lines: vec!["11 Lovely Street".to_owned(), "Suite 100".to_owned()],
        locality: "Raleigh".to_owned(),
        region: Some("NC".to_owned()),
        postal_code: Some("27615".to_owned()),
        country: country.to_owned(),
        residential: Some(true),
        email: None,
        phone: Some("555-555-0199".to_owned()),
    }
}

pub(crate) fn parcel() -> Parcel {
    Parcel {
        reference: "P1".to_owned(),
        weight_g: 2_268,
        length_mm: Some(200),
        width_mm: Some(150),
        height_mm: Some(300),
        packaging: None,
        declared_value: None,
    }
}

pub(crate) fn rate_request(services: Vec<String>) -> RateRequest {
    RateRequest {
        ship_from: address("US"),
        ship_to: address("US"),
        parcels: vec![parcel()],
        services,
        ship_date: None,
        options: vec![],
    }
}

pub(crate) fn shipment_request(to: &str) -> ShipmentRequest {
    ShipmentRequest {
        reference: "ref-00042-1".to_owned(),
        service: "03".to_owned(),
        ship_from: address("US"),
        ship_to: address(to),
        parcels: vec![parcel()],
        label: LabelSpec { format: "zpl".to_owned(), width_mm: 102, height_mm: 152 },
        order_number: Some("S00042".to_owned()),
        options: vec![],
    }
}

pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Response { status, headers, body: body.as_bytes().to_vec() }
}

pub(crate) fn manifest() -> wharf_domain::manifest::Manifest {
    toml::from_str(include_str!("../adapter.toml")).expect("adapter.toml")
}

/// `value` with each of its places replaced by each kind of junk, one at a time.
pub(crate) fn spoil(value: &Value) -> Vec<Value> {
    let junk = [
        Value::Null,
        Value::from(""),
        Value::from(7),
        serde_json::json!([]),
        serde_json::json!({}),
        Value::from("é\u{0}"),
    ];
    let mut out = junk.to_vec();
    match value {
        Value::Object(map) => {
            for key in map.keys() {
                let with = |inner| {
                    Value::Object(
                        map.iter().map(|(k, v)| (k.clone(), if k == key { &inner } else { v }.clone())).collect(),
                    )
                };
                out.extend(spoil(&map[key]).into_iter().map(with));
            }
        }
        Value::Array(items) => {
            for at in 0..items.len() {
                let with = |inner| {
                    Value::Array(
                        items.iter().enumerate().map(|(i, v)| if i == at { &inner } else { v }.clone()).collect(),
                    )
                };
                out.extend(spoil(&items[at]).into_iter().map(with));
            }
        }
        _ => {}
    }
    out
}
