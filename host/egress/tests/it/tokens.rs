//! OAuth 2 client credentials against a partner that counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_domain::effect::EffectState;
use wharf_domain::fault::{Blame, EffectCertainty, FaultKind};
use wharf_domain::manifest::SecretSlot;
use wharf_egress::{Grant, Steps};

use crate::house::{House, get, grant, post, with_secret};
use crate::partner::{Act, Partner, Seen, answer};

const ID: &str = "client-4711";
const SECRET: &str = "canary-client-secret";

fn oauth(url: &str) -> Grant {
    let slot = SecretSlot::Oauth2ClientCredentials {
        token_path: "/token".to_owned(),
        form: BTreeMap::from([("scope".to_owned(), "ship rate".to_owned())]),
        headers_from_config: BTreeMap::from([("x-merchant-id".to_owned(), "account".to_owned())]),
    };
    with_secret(grant(url), slot, &[("client_id", ID), ("client_secret", SECRET)])
}

fn token(number: u32) -> Act {
    answer(200, &format!(r#"{{"access_token":"canary-token-{number}","token_type":"Bearer","expires_in":"14399"}}"#))
}

/// Gives tokens 1, 2, … and takes only those from `accepted` on.
async fn partner(accepted: u32) -> Partner {
    let given = AtomicU32::new(0);
    Partner::answers(move |seen: &Seen| {
        if seen.line() == "POST /token" {
            return token(given.fetch_add(1, Ordering::SeqCst) + 1);
        }
        let number = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer canary-token-"));
        match number.and_then(|number| number.parse::<u32>().ok()) {
            Some(number) if number >= accepted => answer(200, "{\"ok\":true}"),
            _ => answer(401, "{}"),
        }
    })
    .await
}

#[tokio::test]
async fn parallel_calls_make_one_token_request() {
    let (house, partner) = (House::new().await, partner(1).await);
    let (grant, job) = (oauth(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    let calls = || house.send(&grant, &ctx, get(&grant, "/get/1"));
    let (a, b, c) = tokio::join!(calls(), calls(), calls());
    assert!([a, b, c].iter().all(|call| call.as_ref().is_ok_and(|response| response.status == 200)));
    let seen = partner.seen();
    let tokens: Vec<&Seen> = seen.iter().filter(|one| one.line() == "POST /token").collect();
    assert_eq!((tokens.len(), seen.len()), (1, 4));
    assert_eq!(tokens[0].body, "grant_type=client_credentials&scope=ship+rate");
    assert_eq!(tokens[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(tokens[0].header("x-merchant-id"), Some("A1B2C3"));
    // base64 of `client-4711:canary-client-secret`
    assert_eq!(tokens[0].header("authorization"), Some("Basic Y2xpZW50LTQ3MTE6Y2FuYXJ5LWNsaWVudC1zZWNyZXQ="));
    house.clock.advance(14_339_000);
    house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("later");
    assert_eq!(partner.lines().iter().filter(|line| *line == "POST /token").count(), 2, "the last minute is not used");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_request_sent_once_more() {
    let (house, partner) = (House::new().await, partner(2).await);
    let (grant, job) = (oauth(&partner.url), house.job().await);
    let mut steps = Steps::default();
    let response =
        house.door.send(&grant, &house.ctx(&job), &mut steps, post(&grant, "/buy", "{}")).await.expect("bought");
    assert_eq!(response.status, 200);
    assert_eq!(partner.lines(), ["POST /token", "POST /buy", "POST /token", "POST /buy"]);
    let row = house.effect(&job.id).await;
    assert_eq!((row.state, row.attempt), (EffectState::Succeeded, 2));
    assert_eq!(steps.requests.len(), 2);
    house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("read");
    assert_eq!(partner.lines().len(), 5, "the fresh token is kept");
}

#[tokio::test]
async fn a_second_refusal_is_handed_over() {
    let (house, partner) = (House::new().await, partner(99).await);
    let (grant, job) = (oauth(&partner.url), house.job().await);
    let response = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect("handed over");
    assert_eq!((response.status, house.state(&job.id).await), (401, EffectState::Rejected));
    let response = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("handed over");
    assert_eq!(response.status, 401);
    let lines = partner.lines();
    assert_eq!(lines.iter().filter(|line| *line == "POST /buy").count(), 2);
    assert_eq!(lines.iter().filter(|line| *line == "GET /get/1").count(), 2);
}

#[tokio::test]
async fn a_401_that_proves_nothing_is_not_sent_again() {
    let (house, partner) = (House::new().await, partner(99).await);
    let (mut grant, job) = (oauth(&partner.url), house.job().await);
    for route in &mut grant.routes {
        route.proves_no_effect = Some(vec![422]);
    }
    let response = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect("handed over");
    assert_eq!((response.status, house.state(&job.id).await), (401, EffectState::Uncertain));
    assert_eq!(partner.lines(), ["POST /token", "POST /buy"]);
}

#[tokio::test]
async fn a_failing_token_endpoint_is_classified_and_nothing_is_sent() {
    let redirect = Act::Raw(b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n".to_vec());
    for (act, kind, blame, retryable) in [
        (answer(400, SECRET), FaultKind::Unauthorized, Blame::Operator, false),
        (answer(401, SECRET), FaultKind::Unauthorized, Blame::Operator, false),
        (answer(403, "{}"), FaultKind::Forbidden, Blame::Operator, false),
        (answer(429, "{}"), FaultKind::RateLimited, Blame::Partner, true),
        (answer(503, "{}"), FaultKind::Outage, Blame::Partner, true),
        (answer(200, "<html>"), FaultKind::DataOutOfContract, Blame::Partner, false),
        (redirect, FaultKind::DataOutOfContract, Blame::Partner, false),
        (Act::Close, FaultKind::Transient, Blame::Partner, true),
    ] {
        let (house, partner) = (House::new().await, Partner::plays(vec![act]).await);
        let (grant, job) = (oauth(&partner.url), house.job().await);
        let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect_err("no token");
        assert_eq!((fault.kind.clone(), fault.blame, fault.retryable()), (kind, blame, retryable), "{fault}");
        assert_eq!(fault.effect, EffectCertainty::None);
        assert!(fault.message.contains("`key`") && !fault.message.contains(SECRET), "{fault}");
        assert_eq!(house.state(&job.id).await, EffectState::Intent);
        assert_eq!(partner.lines(), ["POST /token"]);
        assert!(house.tape(&job.id).await.is_empty(), "token exchanges are never taped");
    }
}

#[tokio::test]
async fn a_missing_value_or_setting_is_the_operators_and_is_named() {
    let (house, partner) = (House::new().await, partner(1).await);
    let job = house.job().await;
    let mut grant = oauth(&partner.url);
    grant.config.clear();
    let fault = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect_err("setting");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.config-missing", Blame::Operator));
    assert!(fault.message.contains("`account`") && fault.message.contains("`acme`"), "{fault}");
    let mut grant = oauth(&partner.url);
    grant.secrets.get_mut("key").expect("slot").values.remove("client_secret");
    let fault = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect_err("value");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.secret-missing", Blame::Operator));
    assert!(fault.message.contains("`key.client_secret`"), "{fault}");
    assert_eq!(partner.connections(), 0);
}
