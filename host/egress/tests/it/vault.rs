//! The vault behind the door: what is sent, what opens, and what does not any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::ConnectionId;
use wharf_domain::manifest::SecretSlot;
use wharf_domain::port::vault::{Kept, NewSecret, Vault as _};
use wharf_domain::secret::{Account, SecretAt, Stage};
use wharf_egress::ledger::Way;
use wharf_egress::{Egress, EgressConfig, Grant, Keys, Live, Response, Steps, Vault, VaultConfig};
use wharf_store::secrets::{self, SealedRow};
use wharf_store::{Db, audit};

use crate::house::{House, get, grant, post, tenant, with_secret};
use crate::partner::{Act, Partner, Seen, answer};

pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

pub(crate) fn keys(key: &str, old: Option<&str>) -> Keys {
    Keys { key: secret(key), old: old.map(secret) }
}

pub(crate) fn header() -> SecretSlot {
    SecretSlot::Header { header: "x-api-key".to_owned(), format: "{value}".to_owned() }
}

pub(crate) fn at(slot: &str) -> SecretAt {
    SecretAt { tenant: tenant(), connection: ConnectionId::parse("acme").expect("connection"), slot: slot.to_owned() }
}

pub(crate) fn ana() -> Actor {
    Actor::User("ana".to_owned())
}

/// A vault that looks every time, with the slot `key` of the grant of [`with_secret`].
pub(crate) async fn vault(db: &Db, slot: &SecretSlot) -> Vault {
    let config = VaultConfig { look_every_ms: 0, ..VaultConfig::default() };
    let vault = Vault::open(db.clone(), &keys(KEY, None), config).await.expect("opens");
    vault.wire(at("key"), slot, &BTreeMap::new());
    vault
}

pub(crate) fn door(house: &House, vault: &Vault) -> Egress {
    let config = EgressConfig::default();
    let wire = Arc::new(Live::new(&config).expect("wire"));
    Egress::with_vault(Some(house.db.clone()), house.clock.clone(), config, wire, Some(vault.clone()))
}

pub(crate) fn new(values: &[(&str, &str)]) -> NewSecret {
    let values = values.iter().map(|(field, value)| ((*field).to_owned(), secret(value))).collect();
    NewSecret { values, as_next: false, overlap_ms: None, account: Account::Auto }
}

pub(crate) async fn set(vault: &Vault, value: &str) -> Kept {
    vault.set(&ana(), &at("key"), new(&[("value", value)])).await.expect("set")
}

/// Takes these keys and no others, and says which one it was.
pub(crate) async fn takes(accepted: &'static [&'static str]) -> Partner {
    Partner::answers(move |seen: &Seen| match seen.header("x-api-key") {
        Some(key) if accepted.contains(&key) => answer(200, &format!("{{\"ok\":\"{}\"}}", &key[..3])),
        _ => answer(401, "{}"),
    })
    .await
}

pub(crate) async fn read(house: &House, door: &Egress, grant: &Grant) -> Result<Response, Fault> {
    let job = house.job().await;
    door.send(grant, &house.ctx(&job), &mut Steps::default(), get(grant, "/get/1")).await
}

pub(crate) fn sent(partner: &Partner) -> Vec<String> {
    partner.seen().iter().map(|seen| seen.header("x-api-key").unwrap_or("none").to_owned()).collect()
}

pub(crate) async fn rows(db: &Db) -> Vec<SealedRow> {
    secrets::sealed(db, &tenant()).await.expect("sealed").expect("a key").1
}

#[tokio::test]
async fn a_value_of_the_vault_is_sent_at_once_and_after_a_restart_and_is_nowhere_in_clear() {
    let mut house = House::new().await;
    let partner = takes(&["from-file", "canary-value"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[("value", "from-file")]);
    let first = vault(&house.db, &header()).await;
    let out = door(&house, &first);
    read(&house, &out, &grant).await.expect("the configuration's value");
    let kept = set(&first, "canary-value").await;
    assert_eq!((kept.version, kept.fresh), (1, true));
    read(&house, &out, &grant).await.expect("the vault's value");
    drop((out, first));
    house.restart().await;
    let second = vault(&house.db, &header()).await;
    read(&house, &door(&house, &second), &grant).await.expect("the vault's value");
    assert_eq!(sent(&partner), ["from-file", "canary-value", "canary-value"]);
    let row = rows(&house.db).await.remove(0);
    assert!(!row.sealed.windows(6).any(|six| six == b"canary"));
    let told = audit::for_object(&house.db, &tenant(), "secret/acme/key").await.expect("audit");
    let told = serde_json::to_string(&told).expect("json");
    assert!(told.contains("user:ana") && !told.contains("canary"), "{told}");
    let listed = secrets::list(&house.db, &tenant()).await.expect("list").remove(0);
    assert_eq!(listed.used_at, Some(house.db.now()), "its use is written down");
}

#[tokio::test]
async fn handing_the_same_value_in_again_pushes_nothing_out() {
    let house = House::new().await;
    let vault = vault(&house.db, &header()).await;
    for (value, version, fresh) in [("first-one", 1, true), ("second-one", 2, true), ("second-one", 2, false)] {
        let kept = set(&vault, value).await;
        assert_eq!((kept.version, kept.fresh), (version, fresh), "{value}");
    }
    let stages: Vec<_> = rows(&house.db).await.iter().map(|row| (row.version, row.stage)).collect();
    assert_eq!(stages, [(1, Stage::Previous), (2, Stage::Current)]);
}

#[tokio::test]
async fn two_hosts_on_one_database_send_the_same_value() {
    let house = House::postgres().await;
    let partner = takes(&["value-one", "value-two"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let (here, there) = (vault(&house.db, &header()).await, vault(&house.db, &header()).await);
    let (door_here, door_there) = (door(&house, &here), door(&house, &there));
    for value in ["value-one", "value-two"] {
        set(&here, value).await;
        read(&house, &door_here, &grant).await.expect("here");
        read(&house, &door_there, &grant).await.expect("there");
    }
    assert_eq!(sent(&partner), ["value-one", "value-one", "value-two", "value-two"]);
}

#[tokio::test]
async fn a_host_that_has_just_looked_is_told_by_a_401() {
    let house = House::new().await;
    let partner = takes(&["value-two"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let here = vault(&house.db, &header()).await;
    set(&here, "value-one").await;
    let config = VaultConfig { look_every_ms: 3_600_000, ..VaultConfig::default() };
    let there = Vault::open(house.db.clone(), &keys(KEY, None), config).await.expect("opens");
    let out = door(&house, &there);
    let response = read(&house, &out, &grant).await.expect("handed over");
    assert_eq!((response.status, sent(&partner).len()), (401, 1), "there is nothing else to try");
    set(&here, "value-two").await;
    let response = read(&house, &out, &grant).await.expect("answered");
    assert_eq!(
        (response.status, sent(&partner)),
        (200, ["value-one", "value-one", "value-two"].map(str::to_owned).into())
    );
}

#[tokio::test]
async fn a_version_the_partner_does_not_know_yet_gives_way_to_the_one_before_while_that_is_valid() {
    let house = House::new().await;
    let partner = takes(&["old-value"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let vault = vault(&house.db, &header()).await;
    let out = door(&house, &vault);
    set(&vault, "old-value").await;
    set(&vault, "new-value").await;
    assert_eq!(read(&house, &out, &grant).await.expect("answered").status, 200);
    let day = VaultConfig::default().overlap_ms;
    house.clock.advance(day - 1);
    assert_eq!(read(&house, &out, &grant).await.expect("answered").status, 200);
    house.clock.advance(1);
    assert_eq!(read(&house, &out, &grant).await.expect("handed over").status, 401);
    let both = ["new-value", "old-value"];
    assert_eq!(sent(&partner), [both[0], both[1], both[0], both[1], both[0]]);
}

#[tokio::test]
async fn a_value_laid_by_is_not_sent_before_it_is_promoted() {
    let house = House::new().await;
    let partner = takes(&["old-value", "new-value"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let vault = vault(&house.db, &header()).await;
    let out = door(&house, &vault);
    let next = NewSecret { as_next: true, ..new(&[("value", "new-value")]) };
    vault.set(&ana(), &at("key"), next).await.expect("laid by");
    let fault = read(&house, &out, &grant).await.expect_err("there is none to send");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.secret-missing", Blame::Operator));
    let mut tx = house.db.begin().await.expect("begin");
    secrets::promote(&mut tx, &ana(), &at("key"), 1_000).await.expect("promoted");
    tx.commit().await.expect("commit");
    vault.changed(&tenant());
    read(&house, &out, &grant).await.expect("sent");
    assert_eq!(sent(&partner), ["new-value"]);
}

#[tokio::test]
async fn another_accounts_value_is_never_fallen_back_to() {
    let house = House::new().await;
    let partner = takes(&["old-value"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let vault = vault(&house.db, &header()).await;
    set(&vault, "old-value").await;
    let other = NewSecret { account: Account::Other, ..new(&[("value", "new-value")]) };
    vault.set(&ana(), &at("key"), other).await.expect("set");
    assert_eq!(read(&house, &door(&house, &vault), &grant).await.expect("handed over").status, 401);
    assert_eq!(sent(&partner), ["new-value"]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_slot_is_refused_by_name() {
    let house = House::new().await;
    let vault = vault(&house.db, &SecretSlot::Basic).await;
    for (values, field) in [
        (&[("username", "ana")][..], "`password`"),
        (&[("username", "ana"), ("password", "")], "`password`"),
        (&[("username", "ana"), ("password", "canary\nx")], "`password`"),
        (&[("username", "ana"), ("password", "p"), ("value", "canary")], "`value`"),
    ] {
        let fault = vault.set(&ana(), &at("key"), new(values)).await.expect_err("refused");
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::InvalidInput, "egress.bad-secret"));
        assert!(fault.message.contains(field) && !fault.message.contains("canary"), "{}", fault.message);
    }
    let fault = vault.set(&ana(), &at("gone"), new(&[("value", "x")])).await.expect_err("no such slot");
    assert_eq!(fault.kind, FaultKind::NotFound);
    assert!(secrets::sealed(&house.db, &tenant()).await.expect("sealed").is_none(), "nothing was kept");
}

#[tokio::test]
async fn a_secret_of_the_vault_in_an_answer_is_taken_out() {
    let house = House::new().await;
    let partner = Partner::answers(|seen: &Seen| {
        let key = seen.header("x-api-key").unwrap_or("none").to_owned();
        Act::Raw(format!("HTTP/1.1 200 X\r\nx-echo: {key}\r\ncontent-length: {}\r\n\r\n{key}", key.len()).into_bytes())
    })
    .await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let vault = vault(&house.db, &header()).await;
    set(&vault, "canary-value").await;
    let response = read(&house, &door(&house, &vault), &grant).await.expect("answered");
    let text = format!("{:?} {}", response.headers, String::from_utf8_lossy(&response.body));
    assert!(text.contains("{{secret:key.value}}") && !text.contains("canary"), "{text}");
}

/// An effect in doubt is asked about under the account it was sent under; a new key of that account is no other account.
#[tokio::test]
async fn a_doubt_survives_a_rotation_and_not_another_account() {
    let house = House::new().await;
    let partner = Partner::plays(vec![Act::Close]).await;
    let configured = BTreeMap::from([("value".to_owned(), secret("from-file"))]);
    let grant = with_secret(grant(&partner.url), header(), &[("value", "from-file")]);
    let vault = vault(&house.db, &header()).await;
    vault.wire(at("key"), &header(), &configured);
    let out = door(&house, &vault);
    let job = house.job().await;
    let ctx = house.ctx(&job);
    out.send(&grant, &ctx, &mut Steps::default(), post(&grant, "/find", "{}")).await.expect_err("no answer");
    let effect = house.effect(&job.id).await;
    let ledger = out.ledger().expect("ledger");
    let way = async || {
        ledger.standing(&ctx, "acme").await.expect("standing");
        ledger.way_out(&grant, &effect)
    };
    assert_eq!(way().await, Way::LookUp, "before");
    for value in ["value-one", "value-two"] {
        set(&vault, value).await;
        assert_eq!(way().await, Way::LookUp, "{value}");
    }
    let other = NewSecret { account: Account::Other, ..new(&[("value", "value-three")]) };
    vault.set(&ana(), &at("key"), other).await.expect("set");
    assert!(matches!(way().await, Way::Stuck(_)));
    let back = NewSecret { account: Account::Same, ..new(&[("value", "value-four")]) };
    vault.set(&ana(), &at("key"), back).await.expect("set");
    assert!(matches!(way().await, Way::Stuck(_)), "the same as the one before it");
}
