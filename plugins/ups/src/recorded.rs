//! Tests over the recorded answers of the test environment, and of what stands beside the code: manifest and examples.
//!
//! The recordings are not part of the project. They are found by `WHARF_SHARED`, else beside the repository; without
//! them these tests say so and pass. Snapshots hold what was understood: amounts, numbers and digests, never the labels.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use wharf_sdk::http::Response;
use wharf_sdk::labels::{Shipment, ShipmentRequest};
use wharf_sdk::rates::RateAnswer;
use wharf_sdk::tracking::Tracker;
use wharf_sdk::{Document, Fault, Message, Money, Parcel};

use crate::errors::{Call, refusal};
use crate::inputs::{context, manifest, parcel, rate_request, response, shipment_request, spoil};
use crate::{labels, rates, tracking, void};

fn recordings() -> Option<PathBuf> {
    let shared = std::env::var_os("WHARF_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("carriers/fixtures/ups");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: recorded exchanges not found at {}", folder.display());
    None
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = folder.read_dir().expect("folder").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// The recorded requests' URIs and the answers; a bare body counts as an answer with status 200.
fn exchanges(text: &str) -> Vec<(String, Response)> {
    let value: Value = serde_json::from_str(text).expect("json");
    let Some(list) = value["exchanges"].as_array() else {
        return vec![(String::new(), response(200, &[], text))];
    };
    let read = |exchange: &Value| {
        let answer = &exchange["response"];
        let headers = answer["headers"].as_object().expect("headers").iter();
        let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or_default())).collect();
        let status = answer["status"].to_string().parse().expect("status");
        let body = answer["body"].as_str().unwrap_or_default();
        (exchange["request"]["uri"].as_str().unwrap_or_default().to_owned(), response(status, &headers, body))
    };
    list.iter().map(read).collect()
}

fn money(money: Option<&Money>) -> String {
    money.map_or_else(|| "-".to_owned(), |m| format!("{} {}", m.amount, m.currency))
}

fn show_messages(out: &mut String, messages: &[Message]) {
    for m in messages {
        let _ = writeln!(out, "  message {}: {}", m.code, m.text);
    }
}

fn show_rates(answer: &RateAnswer) -> String {
    let mut out = String::new();
    for r in &answer.rates {
        let _ = writeln!(
            out,
            "{} {}: {} list {} days {:?} weight {:?} {:?}",
            r.service,
            r.service_name,
            money(Some(&r.total)),
            money(r.list_total.as_ref()),
            r.transit_days,
            r.billed_weight_g,
            r.extensions
        );
        for c in &r.charges {
            let _ = writeln!(out, "  {} {} {}", c.category, c.code, money(Some(&c.amount)));
        }
    }
    show_messages(&mut out, &answer.messages);
    out
}

fn show_documents(out: &mut String, documents: &[Document]) {
    for d in documents {
        let digest = hex::encode(Sha256::digest(&d.content));
        let _ = writeln!(out, "    {} {} {} bytes sha256 {digest}", d.kind, d.format, d.content.len());
    }
}

fn show_shipment(s: &Shipment) -> String {
    let mut out = format!(
        "{} {} number {} total {} list {} weight {:?} {:?}\n",
        s.reference,
        s.carrier_shipment_id,
        s.tracking_number,
        money(s.total.as_ref()),
        money(s.list_total.as_ref()),
        s.billed_weight_g,
        s.extensions
    );
    for c in &s.charges {
        let _ = writeln!(out, "  {} {} {}", c.category, c.code, money(Some(&c.amount)));
    }
    for p in &s.parcels {
        let _ = writeln!(out, "  parcel {} {}", p.reference, p.tracking_number);
        show_documents(&mut out, &p.documents);
    }
    show_documents(&mut out, &s.documents);
    show_messages(&mut out, &s.messages);
    out
}

fn show_trackers(trackers: &[Tracker]) -> String {
    serde_json::to_string_pretty(trackers).expect("json")
}

fn show<T>(result: Result<T, Fault>, show: impl Fn(&T) -> String) -> String {
    match result {
        Ok(value) => show(&value),
        Err(f) => format!(
            "fault {} {} effect {:?} retry {:?}: {}\n{:?}\n{:?}\n",
            f.kind,
            f.code,
            f.effect,
            f.retry,
            f.message,
            f.fields.iter().map(|f| &f.path).collect::<Vec<_>>(),
            f.provider
        ),
    }
}

/// What the adapter understands of one recorded answer; none for an API it does not speak.
fn understood(name: &str, status: Option<u16>, answer: &Response) -> Option<String> {
    let everything = rate_request(vec![]);
    let two = ShipmentRequest {
        parcels: vec![parcel(), Parcel { reference: "P2".to_owned(), ..parcel() }],
        ..shipment_request("US")
    };
    let ship = if name.contains("two_packages") { two } else { shipment_request("US") };
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(match folder {
        "rates" => show(rates::answer(&everything, answer), show_rates),
        "bodies" if name.contains("rates_") && !name.contains("labels") => {
            show(rates::answer(&everything, answer), show_rates)
        }
        "shipment" | "bodies" => show(labels::answer(&ship, answer), show_shipment),
        "void" => show(void::answer("1Z2220060290602143".to_owned(), answer), |v| format!("{v:?}\n")),
        "track_converted" | "spec-examples/track" => show(tracking::answer("1Z", answer), |t| show_trackers(t)),
        "address" if !answer.is_success() => show(Err::<(), _>(refusal(Call::Read, answer)), |()| String::new()),
        "spec-examples/webhook" if status.is_some_and(|s| s >= 400) => {
            show(Err::<(), _>(refusal(Call::Read, answer)), |()| String::new())
        }
        // Other APIs, requests, and the XML the tracking samples were made from.
        "" | "auth" | "address" | "timings" | "track_xml_original" => return None,
        "spec-examples/webhook" | "spec-examples/rates" | "spec-examples/shipment" | "spec-examples/pickup" => {
            return None;
        }
        "spec-examples/quantumview" | "spec-examples/intercept" | "spec-examples/paperless" => return None,
        "spec-examples/timings" => return None,
        other => panic!("recordings in `{other}`: is this an API the adapter speaks?"),
    })
}

#[test]
fn every_recorded_answer_is_understood() {
    let Some(folder) = recordings() else { return };
    let mut all = Vec::new();
    files(&folder, &mut all);
    let mut seen = 0;
    for path in all {
        let name = path.strip_prefix(&folder).expect("inside").to_string_lossy().replace('\\', "/");
        if !name.ends_with(".json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let status = name.split_once("_response").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
        for (_, mut answer) in exchanges(&text) {
            answer.status = status.unwrap_or(answer.status);
            if let Some(shown) = understood(&name, status, &answer) {
                seen += 1;
                insta::assert_snapshot!(name.trim_end_matches(".json").replace('/', "-"), shown);
            }
        }
    }
    assert!(seen >= 20, "only {seen} answers were read");
}

#[test]
fn our_requests_go_where_the_recorded_ones_went() {
    let Some(folder) = recordings() else { return };
    let uri = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).expect("text");
        exchanges(&text).remove(0).0.replace("https://wwwcie.ups.com", "https://ups.test")
    };
    assert_eq!(rates::request(&context(), &rate_request(vec![])).expect("request").url, uri("rates/success.json"));
    let one = rate_request(vec!["93".to_owned()]);
    assert_eq!(rates::request(&context(), &one).expect("request").url, uri("rates/ground_saver_success.json"));
    let ship = labels::request(&context(), &shipment_request("US")).expect("request");
    assert_eq!(ship.url, uri("shipment/ground_saver.json"));
    let void = void::request(&context(), "1Z2220060290602143").expect("request");
    assert_eq!(void.url, uri("void/success.json"));
}

#[test]
fn the_manifest_and_its_examples_are_what_the_host_reads() {
    let manifest = manifest();
    let example = |name: &str| {
        let file = manifest.examples.get(name).and_then(|text| text.strip_prefix('@')).expect("an example file");
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("text")
    };
    let json = |name: &str| serde_json::from_str::<Value>(&example(name)).expect("json");
    let _: wharf_domain::rate::RateRequest = serde_json::from_str(&example("rates.rate")).expect("rate request");
    let one: wharf_domain::rate::RateRequest =
        serde_json::from_str(&example("rates.rate/one-service")).expect("rate request");
    assert_eq!(one.services.len(), 1, "it stands for the other endpoint");
    let _: wharf_domain::shipment::ShipmentRequest =
        serde_json::from_str(&example("labels.create-shipment")).expect("shipment request");
    assert!(labels::valid_reference(json("labels.find-by-reference")["reference"].as_str().expect("text")).is_ok());
    assert!(void::number_fits(json("labels.void")["carrier_shipment_id"].as_str().expect("text")));
    assert!(json("tracking.track")["numbers"].is_array());
    let alert = json("parser.parse");
    assert_eq!(crate::webhook::parse(alert["body"].as_str().expect("text").as_bytes()).map(|e| e.len()), Ok(1));
    assert_eq!(manifest.examples.len(), 7);
}

#[test]
fn every_request_we_send_has_a_route() {
    let routes = manifest().routes;
    let mut sent = vec![
        labels::request(&context(), &shipment_request("US")),
        crate::recovery::by_reference(&context(), "ref"),
        void::request(&context(), "1Z1"),
        tracking::request(&context(), "1Z12345678"),
    ];
    sent.extend([vec![], vec!["03".to_owned()]].map(|services| rates::request(&context(), &rate_request(services))));
    for request in sent.into_iter().map(|r| r.expect("request")) {
        let path = request.url.trim_start_matches("https://ups.test").split('?').next().unwrap_or_default();
        let fitting = routes.iter().filter(|route| route.fits(&request.method, path)).count();
        assert_eq!(fitting, 1, "{} {path}", request.method);
    }
}

/// Every place of an answer, spoilt in every way: nothing panics, and after a purchase nothing claims that it did not
/// happen.
#[test]
fn a_spoilt_answer_never_panics_and_never_denies_a_purchase() {
    let Some(folder) = recordings() else { return };
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).expect("text");
        let mut value: Value = serde_json::from_str(&text).expect("json");
        if let Some(rates) = value.pointer_mut("/RateResponse/RatedShipment").and_then(Value::as_array_mut) {
            rates.truncate(1);
        }
        value
    };
    let spoilt = |name: &str| spoil(&read(name));
    let mut bought = 0;
    for answer in spoilt("bodies/labels_two_packages.json") {
        match labels::answer(&shipment_request("US"), &response(200, &[], &answer.to_string())) {
            Ok(shipment) => bought += usize::from(!shipment.parcels.is_empty()),
            Err(fault) => assert_eq!(fault.kind, "outcome-unknown", "{answer}"),
        }
    }
    assert!(bought > 100, "prices and remarks may be spoilt without losing the shipment");
    for answer in spoilt("bodies/rates_with_negotiated_charges.json") {
        let _ = rates::answer(&rate_request(vec![]), &response(200, &[], &answer.to_string()));
    }
    for answer in spoilt("track_converted/2nd_trk_number.json") {
        let _ = tracking::answer("1Z", &response(200, &[], &answer.to_string()));
    }
}
