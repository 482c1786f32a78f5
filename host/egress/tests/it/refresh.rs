//! OAuth 2 refresh tokens that change with every exchange, and everything that can happen between the exchange and its
//! being kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind};
use wharf_domain::manifest::SecretSlot;
use wharf_domain::port::vault::Vault as _;
use wharf_egress::{Egress, Grant, Response, Steps, Vault};
use wharf_store::secrets;

use crate::house::{House, get, grant, tenant, with_secret};
use crate::partner::{Act, Partner, Seen, answer};
use crate::vault::{ana, at, door, new, vault};

fn slot() -> SecretSlot {
    SecretSlot::Oauth2Refresh {
        token_path: "/token".to_owned(),
        form: BTreeMap::from([("scope".to_owned(), "ship".to_owned())]),
        headers_from_config: BTreeMap::new(),
    }
}

async fn hand_in(vault: &Vault, token: &str) -> i64 {
    let values = [("client_id", "client-4711"), ("client_secret", "canary-secret"), ("refresh_token", token)];
    vault.set(&ana(), &at("key"), new(&values)).await.expect("handed in").version
}

/// Takes `canary-refresh-N` once, for the N it is at, and gives the next one; `first` is what it does with the first
/// exchange after it has counted it.
async fn partner(first: Option<Act>) -> Partner {
    let (at, exchanges) = (AtomicU32::new(0), AtomicU32::new(0));
    Partner::answers(move |seen: &Seen| {
        if seen.line() != "POST /token" {
            return answer(200, "{}");
        }
        let number = at.load(Ordering::SeqCst);
        if !seen.body.contains(&format!("refresh_token=canary-refresh-{number}&")) {
            return answer(400, r#"{"error":"invalid_grant","hint":"canary-refresh"}"#);
        }
        at.store(number + 1, Ordering::SeqCst);
        let next = number + 1;
        match (&first, exchanges.fetch_add(1, Ordering::SeqCst)) {
            (Some(act), 0) => act.clone(),
            _ => answer(
                200,
                &format!(r#"{{"access_token":"canary-token-{next}","expires_in":600,"refresh_token":"canary-refresh-{next}"}}"#),
            ),
        }
    })
    .await
}

async fn read(house: &House, door: &Egress, grant: &Grant) -> Result<Response, Fault> {
    let job = house.job().await;
    door.send(grant, &house.ctx(&job), &mut Steps::default(), get(grant, "/get/1")).await
}

async fn current(house: &House) -> i64 {
    let rows = secrets::list(&house.db, &tenant()).await.expect("list");
    assert_eq!(rows.len(), 1, "a used refresh token is not kept: {rows:?}");
    rows[0].version
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_before_its_token_is_used_and_outlives_a_restart() {
    let (mut house, partner) = (House::new().await, partner(None).await);
    let grant = with_secret(grant(&partner.url), slot(), &[]);
    let first = vault(&house.db, &slot()).await;
    hand_in(&first, "canary-refresh-0").await;
    let out = door(&house, &first);
    let calls = || read(&house, &out, &grant);
    let (a, b, c) = tokio::join!(calls(), calls(), calls());
    assert!([a, b, c].iter().all(|call| call.as_ref().is_ok_and(|response| response.status == 200)));
    assert_eq!((partner.lines().iter().filter(|line| *line == "POST /token").count(), current(&house).await), (1, 2));
    assert!(partner.seen()[0].body.ends_with("&scope=ship"));
    drop((out, first));
    house.restart().await;
    let second = vault(&house.db, &slot()).await;
    read(&house, &door(&house, &second), &grant).await.expect("with the second refresh token");
    assert_eq!(current(&house).await, 3);
    let bearers: Vec<_> =
        partner.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(bearers.last().map(String::as_str), Some("Bearer canary-token-2"));
}

/// The process dies after the partner has given the next refresh token away and before it is kept.
#[tokio::test]
async fn an_exchange_that_was_cut_off_ends_in_a_call_for_a_person_who_authorises_again() {
    let (mut house, partner) = (House::new().await, partner(Some(Act::Hang)).await);
    let grant = with_secret(grant(&partner.url), slot(), &[]);
    let first = vault(&house.db, &slot()).await;
    hand_in(&first, "canary-refresh-0").await;
    {
        let out = door(&house, &first);
        tokio::select! {
            _ = read(&house, &out, &grant) => panic!("the partner does not answer"),
            () = partner.has_seen(1) => {}
        }
    }
    drop(first);
    house.restart().await;
    let vault = vault(&house.db, &slot()).await;
    let out = door(&house, &vault);
    let fault = read(&house, &out, &grant).await.expect_err("the token is used up");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.authorise-again", Blame::Operator), "{fault}");
    assert_eq!((fault.kind.clone(), fault.effect), (FaultKind::Unauthorized, EffectCertainty::None));
    assert!(fault.message.contains("cut off") && fault.message.contains("`acme/key`"), "{fault}");
    assert!(!fault.message.contains("canary") && !fault.retryable(), "{fault}");
    assert!(!partner.lines().contains(&"GET /get/1".to_owned()), "nothing was asked of the resource");
    hand_in(&vault, "canary-refresh-1").await;
    read(&house, &out, &grant).await.expect("authorised again");
}

/// The process dies before a byte of the exchange has left: the same refresh token is good.
#[tokio::test]
async fn an_exchange_that_never_began_is_simply_begun_again() {
    let house = House::new().await;
    let grant = with_secret(grant(&Partner::absent().await), slot(), &[]);
    let vault = vault(&house.db, &slot()).await;
    hand_in(&vault, "canary-refresh-0").await;
    let fault = read(&house, &door(&house, &vault), &grant).await.expect_err("nobody is there");
    assert!(fault.retryable(), "{fault}");
    let partner = partner(None).await;
    let grant = with_secret(crate::house::grant(&partner.url), slot(), &[]);
    read(&house, &door(&house, &vault), &grant).await.expect("nothing was lost");
    assert_eq!(current(&house).await, 2);
}

/// Died with the exchange written down and nothing sent: found again once its time is over.
#[tokio::test]
async fn an_exchange_of_a_dead_host_is_waited_for_and_then_taken_over() {
    let (house, partner) = (House::new().await, partner(None).await);
    let grant = with_secret(grant(&partner.url), slot(), &[]);
    let vault = vault(&house.db, &slot()).await;
    let version = hand_in(&vault, "canary-refresh-0").await;
    let mut tx = house.db.begin().await.expect("begin");
    let until = tx.now().plus(5_000);
    secrets::begin_exchange(&mut tx, &ana(), &at("key"), version, until).await.expect("begun");
    tx.commit().await.expect("commit");
    let out = door(&house, &vault);
    let fault = read(&house, &out, &grant).await.expect_err("somebody is at it");
    assert_eq!((fault.code.as_str(), fault.retryable()), ("egress.exchange-running", true));
    assert_eq!(partner.connections(), 0, "a refresh token is not used twice at the same time");
    house.clock.advance(5_000);
    read(&house, &out, &grant).await.expect("taken over");
    assert_eq!(current(&house).await, 2);
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked_is_the_operators() {
    let (house, partner) = (House::new().await, partner(None).await);
    let grant =
        with_secret(grant(&partner.url), slot(), &[("client_id", "c"), ("client_secret", "s"), ("refresh_token", "r")]);
    let vault = vault(&house.db, &slot()).await;
    let out = door(&house, &vault);
    let fault = read(&house, &out, &grant).await.expect_err("of the configuration");
    assert!(fault.code == "egress.secret-unusable" && fault.message.contains("wharf secret set"), "{fault}");
    assert_eq!(partner.connections(), 0);
    hand_in(&vault, "canary-refresh-7").await;
    let fault = read(&house, &out, &grant).await.expect_err("revoked");
    assert_eq!(fault.code, "egress.authorise-again");
    assert!(fault.message.contains("revoked") && !fault.message.contains("canary"), "{fault}");
}
