//! What a client sees on the wire for every fault, and what the ledger says afterwards.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharf_twins::Running;
use wharf_twins::scenario::Rule;
use wharf_twins::ups::{UpsConfig, start};

use crate::client::Call;
use crate::ups::{bearer, ship_request};

const SHIP: &str = "/api/shipments/v2409/ship";

async fn twin_with(rules: Value) -> (Running, Call) {
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
    twin.set_script(rules, 1).unwrap();
    let call = Call::post(SHIP, &ship_request("R-1", 1, "ZPL")).header("authorization", &auth);
    (twin, call)
}

fn effects(twin: &Running) -> usize {
    twin.effects().as_array().unwrap().len()
}

#[tokio::test]
async fn a_reset_leaves_no_byte_and_says_reset() {
    for (fault, bought) in [("reset_before_effect", 0), ("answer_lost_after_effect", 1)] {
        let (twin, call) = twin_with(json!([{"match": {"path_contains": "/ship"}, "times": 1, "fault": fault}])).await;
        let error = call.wire(&twin.base_url).await.expect_err("the connection is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{fault}: {error}");
        assert_eq!(effects(&twin), bought, "{fault}");
        assert_eq!(call.send(&twin.base_url).await.unwrap().status, 200, "the rule is used up");
        assert_eq!(twin.requests().iter().filter_map(|r| r.fault).collect::<Vec<_>>(), [fault]);
    }
}

#[tokio::test]
async fn an_empty_200_comes_with_and_without_the_effect() {
    for (fault, bought) in [("empty_200", 1), ("empty_200_no_effect", 0)] {
        let (twin, call) = twin_with(json!([{"fault": fault}])).await;
        let got = call.send(&twin.base_url).await.unwrap();
        assert_eq!((got.status, got.body.len(), got.headers["errorcode"].as_str()), (200, 0, "1"));
        assert_eq!(effects(&twin), bought, "{fault}");
    }
}

#[tokio::test]
async fn a_status_has_the_partners_words_or_the_scripts() {
    let (twin, call) = twin_with(json!([
        {"nth": 1, "fault": {"status": {"code": 429, "retry_after": {"seconds": 7}}}},
        {"nth": 2, "fault": {"status": {"code": 503, "retry_after": {"http_date": 60}}}},
        {"nth": 3, "fault": {"status": {"code": 500, "body": "{\"oops\":1}"}}},
    ]))
    .await;
    let first = call.send(&twin.base_url).await.unwrap();
    assert_eq!((first.status, first.headers["retry-after"].as_str()), (429, "7"));
    assert_eq!(first.json()["response"]["errors"][0]["code"], "10429");
    let second = call.send(&twin.base_url).await.unwrap();
    assert_eq!((second.status, second.headers["errorcode"].as_str()), (503, "10004"));
    let when = httpdate::parse_http_date(&second.headers["retry-after"]).unwrap();
    let sent = httpdate::parse_http_date(&second.headers["date"]).unwrap();
    let ahead = when.duration_since(sent).unwrap().as_secs();
    assert!((59..=61).contains(&ahead), "{ahead}");
    assert_eq!(call.send(&twin.base_url).await.unwrap().json(), json!({"oops": 1}));
    assert_eq!(effects(&twin), 0);
}

#[tokio::test]
async fn html_and_cut_json_are_200_that_do_not_parse() {
    let (twin, call) = twin_with(json!([{"nth": 1, "fault": "html_200"}, {"nth": 2, "fault": "cut_json"}])).await;
    let html = call.send(&twin.base_url).await.unwrap();
    assert_eq!((html.status, html.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert_eq!(effects(&twin), 0);
    let cut = call.send(&twin.base_url).await.unwrap();
    assert_eq!(cut.status, 200);
    assert!(cut.body.starts_with(b"{") && serde_json::from_slice::<Value>(&cut.body).is_err());
    assert_eq!(effects(&twin), 1, "the cut answer tells of a shipment");
}

#[tokio::test]
async fn latency_and_drip_are_late_and_whole() {
    let (twin, call) = twin_with(json!([
        {"nth": 1, "fault": {"latency": {"ms": 200}}},
        {"nth": 2, "fault": {"slow_drip": {"bytes": 300, "ms": 50}}},
    ]))
    .await;
    for _ in 0..2 {
        let began = Instant::now();
        let got = call.send(&twin.base_url).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        assert!(got.json()["ShipmentResponse"].is_object());
    }
    assert_eq!(effects(&twin), 2);
}

#[tokio::test]
async fn an_effect_happens_even_when_the_client_has_left() {
    let (twin, call) = twin_with(json!([{"fault": {"latency": {"ms": 60_000}}}])).await;
    let gone = tokio::time::timeout(Duration::from_millis(150), call.wire(&twin.base_url)).await;
    assert!(gone.is_err(), "the answer was to take a minute");
    assert_eq!(effects(&twin), 1);
}

#[tokio::test]
async fn one_in_ten_lost_answers_are_one_in_ten_and_every_effect_counts() {
    let (twin, call) = twin_with(json!([{"probability": 0.1, "fault": "answer_lost_after_effect"}])).await;
    let mut lost = 0;
    for _ in 0..200 {
        lost += usize::from(call.wire(&twin.base_url).await.is_err());
    }
    assert_eq!(effects(&twin), 200);
    assert_eq!(twin.script()[0].fired as usize, lost);
    assert!((8..36).contains(&lost), "{lost} of 200 at 10 %");
}

#[tokio::test]
async fn the_script_is_set_over_http_and_admin_calls_are_spared() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let rules = json!([{"fault": "reset_before_effect"}]);
    let set = Call::post("/__admin/scenario?seed=3", &rules).send(&twin.base_url).await.unwrap();
    assert_eq!(set.status, 204);
    assert!(Call::new("GET", "/anything").wire(&twin.base_url).await.is_err());
    let log = Call::new("GET", "/__admin/requests").send(&twin.base_url).await.unwrap().json();
    assert_eq!((&log[0]["path"], &log[0]["fault"]), (&json!("/anything"), &json!("reset_before_effect")));
    assert_eq!(log.as_array().unwrap().len(), 1, "admin calls are not in the log");
    let bad =
        Call::post("/__admin/scenario", &json!([{"nth": 0, "fault": "cut_json"}])).send(&twin.base_url).await.unwrap();
    assert_eq!(bad.status, 400);
    assert!(bad.text().contains("rule 1: "), "{}", bad.text());
    assert_eq!(Call::new("POST", "/__admin/reset").send(&twin.base_url).await.unwrap().status, 204);
    assert_eq!(Call::new("GET", "/anything").send(&twin.base_url).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_stopped_twin_is_gone_and_its_port_is_free() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let url = twin.base_url.clone();
    twin.stop().await;
    let error = Call::new("GET", "/x").wire(&url).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    start(UpsConfig { port, ..UpsConfig::default() }).await.unwrap();
}
