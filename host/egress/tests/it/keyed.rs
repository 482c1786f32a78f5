//! Routes whose partner honours a key: what goes under the same key, for how long, and what does not.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde_json::json;
use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::{BusinessKey, EffectState};
use wharf_domain::fault::{FaultKind, Retry};
use wharf_domain::ids::{Digest, TenantId};
use wharf_domain::manifest::SecretSlot;
use wharf_egress::Grant;
use wharf_egress::ledger::{Standing, Way};

use crate::house::{House, LEASE_MS, RETENTION_MS, grant, post, with_secret};
use crate::partner::{Act, Partner, answer};

fn keys(partner: &Partner) -> Vec<String> {
    partner.seen().iter().map(|seen| seen.header("idempotency-key").unwrap_or("none").to_owned()).collect()
}

/// The next attempt of the only job, with all leases over.
async fn later(house: &House, ms: i64) -> wharf_domain::ctx::CallCtx {
    house.clock.advance(ms);
    let job = house.next_attempt().await;
    house.ctx(&job)
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let partner = Partner::plays(vec![Act::Close, Act::Close, answer(201, "{\"id\":1}")]).await;
    let (house, grant) = (House::new().await, grant(&partner.url));
    let job = house.job().await;
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/keyed", "{}")).await.expect_err("lost");
    assert_eq!((fault.kind.clone(), fault.retry), (FaultKind::OutcomeUnknown, Retry::Later { after_ms: None }));
    let row = house.effect(&job.id).await;
    assert_eq!(house.ledger().way_out(&grant, &row), Way::Repeat);
    let ctx = later(&house, LEASE_MS).await;
    house.send(&grant, &ctx, post(&grant, "/keyed", "{}")).await.expect_err("lost again");
    let ctx = later(&house, LEASE_MS).await;
    house.send(&grant, &ctx, post(&grant, "/keyed", "{}")).await.expect("bought");
    let key = row.remote_key.expect("a key");
    assert_eq!(keys(&partner), [key.clone(), key.clone(), key.clone()]);
    let row = house.effect(&job.id).await;
    assert_eq!((row.state, row.attempt, row.remote_key), (EffectState::Succeeded, 3, Some(key)));
}

#[tokio::test]
async fn a_key_outlives_the_process_on_both_engines() {
    for mut house in [House::new().await, House::postgres().await] {
        let partner = Partner::plays(vec![Act::Hang, answer(201, "{}")]).await;
        let (grant, job) = (grant(&partner.url), house.job().await);
        let ctx = house.ctx(&job);
        tokio::select! {
            _ = house.send(&grant, &ctx, post(&grant, "/keyed", "{}")) => panic!("it hangs"),
            () = partner.has_seen(1) => {}
        }
        house.restart().await;
        let ctx = house.ctx(&house.claim().await);
        house.send(&grant, &ctx, post(&grant, "/keyed", "{}")).await.expect("bought");
        let keys = keys(&partner);
        assert_eq!((keys.len(), keys.first() == keys.last()), (2, true), "{keys:?}");
    }
}

#[tokio::test]
async fn the_digest_of_the_request_does_not_know_the_key() {
    let partner = Partner::plays(vec![answer(201, "{}")]).await;
    let house = House::new().await;
    let (mut grant, job) = (grant(&partner.url), house.job().await);
    house.send(&grant, &house.ctx(&job), post(&grant, "/keyed", "{}")).await.expect("bought");
    let (row, other) = (house.effect(&job.id).await, house.job().await);
    let mut ctx = house.ctx(&other);
    ctx.business = None;
    house.send(&grant, &ctx, post(&grant, "/keyed", "{}")).await.expect("another effect");
    let second = house.effect(&other.id).await;
    assert_eq!(row.request_digest, second.request_digest);
    assert_ne!(row.remote_key, second.remote_key);

    // In the body the key is added on the way out, and the digest is of what the adapter wrote.
    for route in &mut grant.routes {
        if let Some(key) = &mut route.key {
            (key.header, key.body) = (None, Some("/meta/id".to_owned()));
        }
    }
    let third = house.job().await;
    let mut ctx = house.ctx(&third);
    ctx.business = None;
    house.send(&grant, &ctx, post(&grant, "/keyed", "{\"meta\":{}}")).await.expect("in the body");
    let row = house.effect(&third.id).await;
    let body: serde_json::Value = serde_json::from_str(&partner.seen()[2].body).expect("json");
    assert_eq!(body, json!({ "meta": { "id": row.remote_key } }));
    let fault = house.send(&grant, &house.ctx(&house.job().await), post(&grant, "/keyed", "[]")).await;
    assert_eq!(fault.expect_err("no place for it").code, "egress.replay-mismatch", "the business key is taken");
}

#[tokio::test]
async fn i5_an_adapter_cannot_make_the_key_itself() {
    let partner = Partner::plays(vec![answer(201, "{}")]).await;
    let (house, grant) = (House::new().await, grant(&partner.url));
    let job = house.job().await;
    let mut request = post(&grant, "/keyed", "{}");
    request.headers.push(("idempotency-key".to_owned(), "mine".to_owned()));
    let fault = house.send(&grant, &house.ctx(&job), request).await.expect_err("the host's");
    wharf_attack::assert_as_written("I5", &fault.code);
    assert_eq!(partner.connections(), 0);
}

/// Two accounts at one partner, one order number: nothing a guest says decides what the partner will know it by.
#[tokio::test]
async fn i3_i5_one_business_key_in_two_tenants_two_connections_and_two_operations_is_four_keys() {
    let partner = Partner::plays(vec![answer(201, "{}")]).await;
    let house = House::new().await;
    for (of, connection, effect) in [
        ("nordic", "acme", "label"),
        ("theirs", "acme", "label"),
        ("nordic", "beside", "label"),
        ("nordic", "acme", "list"),
    ] {
        let tenant = TenantId::parse(of).expect("tenant");
        let ctx = house.ctx(&house.job_of(&tenant).await);
        let business = ctx.business.map(|key| BusinessKey { effect_type: effect.to_owned(), ..key });
        let mut grant = Grant { tenant, connection: connection.to_owned(), ..grant(&partner.url) };
        for route in grant.routes.iter_mut().filter(|route| route.effect.is_some()) {
            route.effect = Some(effect.to_owned());
        }
        house.send(&grant, &CallCtx { business, ..ctx }, post(&grant, "/keyed", "{}")).await.expect(effect);
    }
    let sent: BTreeSet<_> = keys(&partner).into_iter().collect();
    assert_eq!((partner.connections(), sent.len()), (4, 4), "{sent:?}");
    assert!(sent.iter().all(|key| !key.contains("label") && !key.contains("theirs")), "{sent:?}");
    wharf_attack::assert_as_written("I3", "independent");
}

#[tokio::test]
async fn a_key_is_relied_on_for_nine_tenths_of_its_retention() {
    for (path, way) in [("/keyed", "park"), ("/keyed-find", "look up")] {
        let partner = Partner::plays(vec![Act::Close]).await;
        let (house, grant) = (House::new().await, grant(&partner.url));
        let job = house.job().await;
        house.send(&grant, &house.ctx(&job), post(&grant, path, "{}")).await.expect_err("lost");
        let row = house.effect(&job.id).await;
        house.clock.advance(RETENTION_MS * 9 / 10 - 1);
        assert_eq!(house.ledger().way_out(&grant, &row), Way::Repeat);
        house.clock.advance(1);
        match house.ledger().way_out(&grant, &row) {
            Way::Park(fault) => assert_eq!((way, fault.code.as_str()), ("park", "egress.key-expired")),
            Way::LookUp => assert_eq!(way, "look up"),
            other => panic!("{other:?}"),
        }
        let ctx = later(&house, LEASE_MS).await;
        let fault = house.send(&grant, &ctx, post(&grant, path, "{}")).await.expect_err("too late");
        assert_eq!((fault.code.as_str(), partner.connections()), ("egress.outcome-unknown", 1));
    }
}

#[tokio::test]
async fn i4_another_request_does_not_go_under_the_same_key() {
    let partner = Partner::plays(vec![Act::Close]).await;
    let (house, grant) = (House::new().await, grant(&partner.url));
    let job = house.job().await;
    house.send(&grant, &house.ctx(&job), post(&grant, "/keyed", "{\"a\":1}")).await.expect_err("lost");
    let ctx = later(&house, LEASE_MS).await;
    let fault = house.send(&grant, &ctx, post(&grant, "/keyed", "{\"a\":2}")).await.expect_err("changed");
    assert_eq!((fault.code.as_str(), fault.retry), ("egress.changed-under-key", Retry::Never));
    assert_eq!((partner.connections(), house.state(&job.id).await), (1, EffectState::Uncertain));
}

#[tokio::test]
async fn a_refusal_burns_the_key_where_the_partner_stores_it() {
    for (path, same) in [("/keyed", false), ("/keyed-find", true)] {
        let partner = Partner::plays(vec![answer(422, "{}"), answer(201, "{}")]).await;
        let (house, grant) = (House::new().await, grant(&partner.url));
        let job = house.job().await;
        house.send(&grant, &house.ctx(&job), post(&grant, path, "{\"zip\":\"\"}")).await.expect("refused");
        house.send(&grant, &house.ctx(&job), post(&grant, path, "{\"zip\":\"1\"}")).await.expect("corrected");
        let keys = keys(&partner);
        assert_eq!(keys[0] == keys[1], same, "{path}: {keys:?}");
        assert_eq!(house.state(&job.id).await, EffectState::Succeeded);
    }
}

fn account(url: &str, user: &str) -> Grant {
    with_secret(grant(url), SecretSlot::Basic, &[("username", user), ("password", "pw")])
}

/// Another account between attempts ends the reach of the key, and of a lookup.
#[tokio::test]
async fn cp16_secret_of_another_account() {
    for path in ["/keyed", "/keyed-find", "/find"] {
        let partner = Partner::plays(vec![Act::Close]).await;
        let house = House::new().await;
        let (ana, bob, job) = (account(&partner.url, "ana"), account(&partner.url, "bob"), house.job().await);
        house.send(&ana, &house.ctx(&job), post(&ana, path, "{}")).await.expect_err("lost");
        let ctx = later(&house, LEASE_MS).await;
        let fault = house.send(&bob, &ctx, post(&bob, path, "{}")).await.expect_err("another account");
        assert_eq!((fault.code.as_str(), fault.retry), ("egress.account-changed", Retry::Never), "{path}");
        let Standing::Uncertain { effect } = house.ledger().standing(&ctx, "acme").await.expect("standing") else {
            panic!("not uncertain");
        };
        assert!(matches!(house.ledger().way_out(&bob, &effect), Way::Stuck(_)), "{path}");
        assert!(matches!(house.ledger().way_out(&ana, &effect), Way::Repeat | Way::LookUp), "{path}: put back");
        assert_eq!(partner.connections(), 1);
        // A new password of the same user is the same account.
        let mut rotated = account(&partner.url, "ana");
        let secret = rotated.secrets.get_mut("key").expect("secret");
        let values = [("username", "ana"), ("password", "new")];
        secret.values = BTreeMap::from(values.map(|(k, v)| (k.to_owned(), SecretString::from(v.to_owned()))));
        assert!(matches!(house.ledger().way_out(&rotated, &effect), Way::Repeat | Way::LookUp), "{path}: rotated");
    }
}

/// Another adapter version between attempts neither repeats nor looks up what the first one sent.
#[tokio::test]
async fn cp17_adapter_upgraded() {
    for path in ["/keyed", "/find"] {
        let partner = Partner::plays(vec![Act::Close]).await;
        let house = House::new().await;
        let version = |text: &[u8]| Grant { adapter_digest: Some(Digest::of(text)), ..grant(&partner.url) };
        let (old, new, job) = (version(b"1.0"), version(b"1.1"), house.job().await);
        house.send(&old, &house.ctx(&job), post(&old, path, "{}")).await.expect_err("lost");
        let ctx = later(&house, LEASE_MS).await;
        let fault = house.send(&new, &ctx, post(&new, path, "{}")).await.expect_err("another adapter");
        assert_eq!((fault.code.as_str(), fault.retry), ("egress.adapter-gone", Retry::Never), "{path}");
        let hex = Digest::of(b"1.0");
        assert!(fault.message.contains(hex.as_str()), "{fault}");
        let row = house.effect(&job.id).await;
        assert!(matches!(house.ledger().way_out(&old, &row), Way::Repeat | Way::LookUp), "{path}: installed again");
        assert_eq!(partner.connections(), 1);
    }
    // What was never sent, or was refused, is the new version's.
    let partner = Partner::plays(vec![answer(422, "{}"), answer(201, "{}")]).await;
    let (house, mut grant) = (House::new().await, grant(&partner.url));
    let job = house.job().await;
    house.send(&grant, &house.ctx(&job), post(&grant, "/find", "{}")).await.expect("refused");
    grant.adapter_digest = Some(Digest::of(b"1.1"));
    house.send(&grant, &house.ctx(&job), post(&grant, "/find", "{}")).await.expect("bought");
    assert_eq!(house.effect(&job.id).await.adapter_digest, Some(Digest::of(b"1.1")));
}

/// A clock that went back far does not make an old key young again.
#[tokio::test]
async fn cp19_clock_jumps() {
    let partner = Partner::plays(vec![Act::Close]).await;
    let (house, grant) = (House::new().await, grant(&partner.url));
    let job = house.job().await;
    house.send(&grant, &house.ctx(&job), post(&grant, "/keyed", "{}")).await.expect_err("lost");
    let row = house.effect(&job.id).await;
    house.clock.advance(-299_999);
    assert_eq!(house.ledger().way_out(&grant, &row), Way::Repeat, "a little is no jump");
    house.clock.advance(-1);
    assert!(matches!(house.ledger().way_out(&grant, &row), Way::Park(_)));
}
