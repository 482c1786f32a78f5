//! Calls without a network and without a ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, EffectCertainty, FaultKind, Retry};
use wharf_domain::manifest::SecretSlot;
use wharf_domain::time::{Clock, ManualClock};
use wharf_egress::{Egress, EgressConfig, Live, Replay, Steps};

use crate::house::{House, get, grant, post, tenant, with_secret};
use crate::partner::{Act, Partner, answer};

const RECORDING: &str = r#"{"exchanges": [
    {"request": {"method": "POST", "uri": "https://api.example/token"}, "response": {"status": 200, "body": {}}},
    {"request": {"method": "POST", "uri": "https://api.example/buy"},
     "response": {"status": 201, "headers": [["X-Id", "7"]], "body": {"label": "zpl"}}}
]}"#;

fn offline(recording: &str) -> (Egress, CallCtx) {
    let clock = Arc::new(ManualClock::at(0));
    let ctx = CallCtx {
        tenant: tenant(),
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline: clock.now().plus(1_000),
        urgent: false,
        promised: None,
    };
    let replay = Replay::from_json(recording).expect("recording");
    (Egress::new(None, clock, EgressConfig::default(), Arc::new(replay)), ctx)
}

fn oauth() -> SecretSlot {
    SecretSlot::Oauth2ClientCredentials {
        token_path: "/token".to_owned(),
        form: BTreeMap::new(),
        headers_from_config: BTreeMap::new(),
    }
}

#[tokio::test]
async fn names_go_in_place_of_secrets_and_no_token_is_fetched() {
    for (slot, shown) in [
        (oauth(), "Bearer {{secret:key.token}}"),
        (SecretSlot::Basic, "Basic {{secret:key.username}}:{{secret:key.password}}"),
        (
            SecretSlot::Header { header: "authorization".to_owned(), format: "Token {value}".to_owned() },
            "Token {{secret:key.value}}",
        ),
    ] {
        let (door, ctx) = offline(RECORDING);
        let (grant, mut steps) = (with_secret(grant("https://api.example"), slot, &[]), Steps::default());
        let response = door.send(&grant, &ctx, &mut steps, post(&grant, "/buy?x=1", "{}")).await.expect("answer");
        assert_eq!((response.status, &response.body[..]), (201, br#"{"label":"zpl"}"#.as_slice()));
        assert_eq!(response.headers, [("x-id".to_owned(), "7".to_owned())]);
        let sent = &steps.requests[0];
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://api.example/buy?x=1"));
        assert_eq!(sent.headers.last(), Some(&("authorization".to_owned(), shown.to_owned())));
        assert_eq!(sent.body.as_deref(), Some("{}"));
    }
}

#[tokio::test]
async fn a_try_out_against_a_simulator_goes_by_name_too() {
    let simulator = Partner::plays(vec![answer(200, "{}")]).await;
    let config = EgressConfig::default();
    let wire = Arc::new(Live::new(&config).expect("wire"));
    let door = Egress::new(None, Arc::new(ManualClock::at(0)), config, wire);
    let (_, ctx) = offline("{}");
    let grant = with_secret(grant(&simulator.url), oauth(), &[]);
    door.send(&grant, &ctx, &mut Steps::default(), post(&grant, "/buy", "{}")).await.expect("bought");
    assert_eq!(simulator.lines(), ["POST /buy"], "no token is fetched, no job is needed");
    assert_eq!(simulator.seen()[0].header("authorization"), Some("Bearer {{secret:key.token}}"));
}

#[tokio::test]
async fn a_miss_names_the_request_and_what_is_left() {
    let (door, ctx) = offline(RECORDING);
    let grant = grant("https://api.example");
    let fault = door.send(&grant, &ctx, &mut Steps::default(), get(&grant, "/get/9")).await.expect_err("miss");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.no-recording", Blame::Operator));
    assert_eq!(fault.message, "no recorded exchange for `GET /get/9`; left are `POST /token`, `POST /buy`");
    assert_eq!((fault.effect, fault.retry), (EffectCertainty::None, Retry::Never));
}

#[tokio::test]
async fn a_bare_document_answers_the_first_request() {
    let (door, ctx) = offline(r#"{"tracking": "1Z"}"#);
    let grant = with_secret(grant("https://api.example"), oauth(), &[]);
    let response = door.send(&grant, &ctx, &mut Steps::default(), post(&grant, "/buy", "{}")).await.expect("answer");
    assert_eq!((response.status, &response.body[..]), (200, br#"{"tracking": "1Z"}"#.as_slice()));
    let fault = door.send(&grant, &ctx, &mut Steps::default(), get(&grant, "/get/1")).await.expect_err("used");
    assert!(fault.message.ends_with("left are none"), "{fault}");
}

#[tokio::test]
async fn policy_holds_without_a_network_too() {
    let (door, ctx) = offline("{}");
    let grant = grant("https://api.example");
    let mut request = get(&grant, "/get/1");
    request.url = "http://169.254.169.254/get/1".to_owned();
    let fault = door.send(&grant, &ctx, &mut Steps::default(), request).await.expect_err("metadata");
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Forbidden, "egress.address-metadata"));
}

#[tokio::test]
async fn a_tape_of_a_job_plays_again() {
    let house = House::new().await;
    let partner = Partner::plays(vec![
        answer(201, "{\"id\":\"é\"}"),
        Act::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe".to_vec()),
        Act::Close,
    ])
    .await;
    let (grant, job) = (grant(&partner.url), house.job().await);
    let requests = || [post(&grant, "/buy", "{}"), get(&grant, "/get/1"), get(&grant, "/get/2")];
    let mut live = Vec::new();
    for request in requests() {
        live.push(house.send(&grant, &house.ctx(&job), request).await);
    }
    let tape = format!("{{\"exchanges\": [{}]}}", house.tape(&job.id).await.join(","));
    let (door, ctx) = offline(&tape);
    for (request, was) in requests().into_iter().zip(live) {
        let again = door.send(&grant, &ctx, &mut Steps::default(), request).await;
        match (was, again) {
            (Ok(was), Ok(again)) => assert_eq!(was, again),
            (Err(was), Err(again)) => assert_eq!((was.code, was.kind), (again.code, again.kind)),
            other => panic!("{other:?}"),
        }
    }
}
