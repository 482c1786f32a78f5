//! The account at the partner: what an answer does to it, and what a caller is told then.

use wharf_domain::account::Limits as AccountLimits;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Retry};
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::{Egress, EgressConfig, Grant, Live, Steps, Terms};
use wharf_store::accounts;
use wharf_store::jobs::Job;

use crate::house::{House, get, grant, post, tenant};
use crate::partner::{Act, Partner, answer};

fn with_account(url: &str, limits: &str) -> Grant {
    let limits: AccountLimits = serde_json::from_str(limits).expect("limits");
    Grant { terms: Some(Terms { account: url.to_owned(), limits, healthy: vec![500] }), ..grant(url) }
}

fn limited(headers: &str) -> Act {
    Act::Raw(format!("HTTP/1.1 429 X\r\n{headers}content-length: 2\r\n\r\n{{}}").into_bytes())
}

/// Another host on the same database.
fn other_host(house: &House) -> Egress {
    let config = EgressConfig::default();
    let wire = Live::new(&config).expect("wire");
    Egress::new(Some(house.db.clone()), house.clock.clone(), config, std::sync::Arc::new(wire))
}

/// Why this door does not let a request of the job go.
async fn refused(door: &Egress, house: &House, grant: &Grant, job: &Job) -> Fault {
    let sent = door.send(grant, &house.ctx(job), &mut Steps::default(), get(grant, "/get/2")).await;
    sent.expect_err("it has to wait")
}

fn waits_until(fault: &Fault) -> Timestamp {
    assert_eq!((fault.code.as_str(), fault.effect), ("egress.wait", EffectCertainty::None));
    match fault.retry {
        Retry::Wait { until } => until,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_form_of_retry_after_moves_the_whole_account() {
    // The partner's clock is years behind; its own date counts.
    let dated = "date: Fri, 09 Feb 2024 16:23:02 GMT\r\nretry-after: Fri, 09 Feb 2024 16:24:02 GMT\r\n";
    for (act, kind, wait_ms) in [
        (limited("retry-after: 7\r\n"), "", 7_000),
        (limited(dated), "", 60_000),
        (limited(""), "", 1_000),
        (answer(200, "{\"code\":30}"), "the adapter reads it", 4_000),
    ] {
        for limits in ["{}", r#"{"buckets":[{"requests":50,"per_seconds":1}]}"#] {
            let (house, partner) = (House::new().await, Partner::plays(vec![act.clone(), answer(200, "{}")]).await);
            let (grant, job) = (with_account(&partner.url, limits), house.job().await);
            house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("an answer");
            if !kind.is_empty() {
                let fault = Fault::new(FaultKind::RateLimited, "acme.30", kind, Blame::Partner);
                house.door.heard(&grant, &fault.with_retry(Retry::Later { after_ms: Some(4_000) })).await;
            }
            let job = house.job().await;
            let fault = house.send(&grant, &house.ctx(&job), get(&grant, "/get/2")).await.expect_err("waits");
            assert_eq!(waits_until(&fault).since(house.clock.now()), wait_ms, "{act:?} {limits}");
            assert_eq!(fault.kind, FaultKind::RateLimited);
            let until = waits_until(&refused(&other_host(&house), &house, &grant, &job).await);
            assert!(until.since(house.clock.now()) > wait_ms, "one after the other");
            assert_eq!(partner.connections(), 1);
            house.clock.advance(until.since(house.clock.now()));
            house.send(&grant, &house.ctx(&job), get(&grant, "/get/2")).await.expect("its time has come");
        }
    }
}

#[tokio::test]
async fn an_effect_that_waits_stays_an_intent_and_is_sent_once_afterwards() {
    let (house, partner) =
        (House::new().await, Partner::plays(vec![limited("retry-after: 9\r\n"), answer(201, "{}")]).await);
    let (grant, first, job) = (with_account(&partner.url, "{}"), house.job().await, house.job().await);
    house.send(&grant, &house.ctx(&first), get(&grant, "/get/1")).await.expect("an answer");
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect_err("waits");
    assert!(fault.retryable());
    let row = house.effect(&job.id).await;
    assert_eq!((row.state, row.attempt, partner.connections()), (EffectState::Intent, 0, 1));
    house.clock.advance(9_000);
    house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect("sent");
    assert_eq!((house.state(&job.id).await, partner.connections()), (EffectState::Succeeded, 2));
}

#[tokio::test]
async fn a_partner_that_works_and_names_no_limit_costs_no_write() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}"), answer(500, "{}")]).await);
    let (grant, job) = (with_account(&partner.url, "{}"), house.job().await);
    for _ in 0..40 {
        house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("an answer");
    }
    assert_eq!(partner.connections(), 40, "a 500 says nothing about this partner");
    assert_eq!(accounts::list(&house.db, &tenant()).await.expect("rows"), []);
}

#[tokio::test]
async fn a_partner_that_is_down_is_left_alone_by_every_host() {
    let (house, partner) = (House::new().await, Partner::plays(vec![Act::Close]).await);
    let (grant, job) = (with_account(&partner.url, "{}"), house.job().await);
    for _ in 0..20 {
        let fault = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect_err("down");
        assert_eq!(fault.kind, FaultKind::Transient);
    }
    let other = other_host(&house);
    for door in [&house.door, &other] {
        let fault = refused(door, &house, &grant, &job).await;
        assert_eq!(fault.kind, FaultKind::Outage);
        assert!((3_750..=6_000).contains(&waits_until(&fault).since(house.clock.now())));
    }
    assert_eq!(partner.connections(), 20);
}

#[tokio::test]
async fn failures_among_more_successes_are_no_outage() {
    let mut acts = Vec::new();
    for _ in 0..40 {
        acts.extend([answer(200, "{}"), answer(200, "{}"), answer(503, "{}")]);
    }
    let (house, partner) = (House::new().await, Partner::plays(acts).await);
    let (grant, job) = (with_account(&partner.url, "{}"), house.job().await);
    for _ in 0..120 {
        house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("an answer");
    }
    assert_eq!(partner.connections(), 120);
}
