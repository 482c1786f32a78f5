//! The vault behind the door: what is sent, what opens, and what does not any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::manifest::SecretSlot;
use wharf_domain::port::vault::{Kept, NewSecret, Vault as _};
use wharf_domain::secret::{Account, SecretAt, Stage};
use wharf_egress::{Egress, EgressConfig, Grant, Keys, Live, Response, Steps, Vault, VaultConfig, VaultError};
use wharf_store::secrets::{self, NewVersion, SealedRow};
use wharf_store::{Db, audit};

use crate::house::{House, get, grant, tenant, with_secret};
use crate::partner::{Act, Partner, Seen, answer};

pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER_KEY: &str = "101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f";

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn keys(key: &str, old: Option<&str>) -> Keys {
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
async fn takes(accepted: &'static [&'static str]) -> Partner {
    Partner::answers(move |seen: &Seen| match seen.header("x-api-key") {
        Some(key) if accepted.contains(&key) => answer(200, &format!("{{\"ok\":\"{}\"}}", &key[..3])),
        _ => answer(401, "{}"),
    })
    .await
}

async fn read(house: &House, door: &Egress, grant: &Grant) -> Result<Response, Fault> {
    let job = house.job().await;
    door.send(grant, &house.ctx(&job), &mut Steps::default(), get(grant, "/get/1")).await
}

fn sent(partner: &Partner) -> Vec<String> {
    partner.seen().iter().map(|seen| seen.header("x-api-key").unwrap_or("none").to_owned()).collect()
}

async fn rows(db: &Db) -> Vec<SealedRow> {
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

/// The row as another place's current version.
async fn plant(db: &Db, row: &SealedRow, slot: &str, version: i64) {
    let mut tx = db.begin().await.expect("begin");
    secrets::take_key(&mut tx, &tenant()).await.expect("key");
    let new = NewVersion { version, stage: Stage::Current, sealed: &row.sealed, account: &row.account, overlap_ms: 0 };
    secrets::put(&mut tx, &ana(), &at(slot), &new).await.expect("planted");
    tx.commit().await.expect("commit");
}

#[tokio::test]
async fn a_row_that_was_moved_does_not_open_and_nothing_is_sent_in_its_place() {
    let house = House::new().await;
    let partner = takes(&["value-one", "from-file"]).await;
    let vault = vault(&house.db, &header()).await;
    vault.wire(at("other"), &header(), &BTreeMap::new());
    set(&vault, "value-one").await;
    let row = rows(&house.db).await.remove(0);
    for (slot, version) in [("other", 1), ("key", 7)] {
        plant(&house.db, &row, slot, version).await;
        let mut grant = with_secret(grant(&partner.url), header(), &[("value", "from-file")]);
        let bound = grant.secrets.remove("key").expect("slot");
        grant.secrets.insert(slot.to_owned(), bound);
        for route in &mut grant.routes {
            route.secret = Some(slot.to_owned());
        }
        let fault = read(&house, &door(&house, &vault), &grant).await.expect_err("it is not of this place");
        assert_eq!((fault.code.as_str(), fault.blame), ("egress.secret-sealed", Blame::Operator), "{fault}");
        assert!(fault.message.contains(&format!("`acme/{slot}`")), "{fault}");
    }
    assert_eq!(partner.connections(), 0);
}

#[tokio::test]
async fn what_was_shredded_opens_nowhere_also_not_from_copied_rows() {
    let house = House::new().await;
    let partner = takes(&["value-one", "value-two"]).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let vault = vault(&house.db, &header()).await;
    set(&vault, "value-one").await;
    let copy = rows(&house.db).await.remove(0);
    let mut tx = house.db.begin().await.expect("begin");
    secrets::shred(&mut tx, &ana(), &tenant(), "left us").await.expect("shredded");
    tx.commit().await.expect("commit");
    vault.changed(&tenant());
    let out = door(&house, &vault);
    let fault = read(&house, &out, &grant).await.expect_err("gone");
    assert_eq!(fault.code, "egress.secret-missing");
    plant(&house.db, &copy, "key", copy.version).await;
    let fault = read(&house, &out, &grant).await.expect_err("no key");
    assert_eq!(fault.code, "egress.secret-sealed");
    // The tenant comes back and has another key: the old rows stay shut.
    let kept = set(&vault, "value-two").await;
    assert_eq!(kept.version, 2);
    read(&house, &out, &grant).await.expect("the new value");
    plant(&house.db, &copy, "key", copy.version).await;
    let fault = read(&house, &out, &grant).await.expect_err("another key");
    assert_eq!(fault.code, "egress.secret-sealed");
    assert_eq!(sent(&partner), ["value-two"]);
}

#[tokio::test]
async fn a_wrong_key_stops_the_start_and_says_what_to_do() {
    let house = House::new().await;
    let open = async |key: &str, old: Option<&str>| {
        Vault::open(house.db.clone(), &keys(key, old), VaultConfig::default()).await.err()
    };
    assert!(open(KEY, None).await.is_none());
    let refused = open(OTHER_KEY, None).await.expect("another key, before anything was sealed");
    assert!(matches!(refused, VaultError::OtherKey) && refused.to_string().contains("wharf secret rekey"), "{refused}");
    set(&vault(&house.db, &header()).await, "value-one").await;
    assert!(matches!(open(OTHER_KEY, None).await, Some(VaultError::OtherKey)));
    assert!(open(OTHER_KEY, Some(KEY)).await.is_none());
    for (key, old, name) in [("no key", None, "`vault.key`"), (KEY, Some("0000"), "`vault.old_key`")] {
        let refused = open(key, old).await.expect("no key").to_string();
        assert!(refused.contains(name) && !refused.contains("0000"), "{refused}");
    }
}

#[tokio::test]
async fn a_rekey_that_was_broken_off_goes_on_where_it_stopped_and_everything_opens_all_the_while() {
    let house = House::new().await;
    let partner = takes(&["value-one"]).await;
    let before = vault(&house.db, &header()).await;
    let tenants = ["a-first", "b-broken", "c-last"].map(|name| TenantId::parse(name).expect("tenant"));
    for tenant in &tenants {
        let at = SecretAt { tenant: tenant.clone(), ..at("key") };
        before.wire(at.clone(), &header(), &BTreeMap::new());
        before.set(&ana(), &at, new(&[("value", "value-one")])).await.expect("set");
    }
    // The second one cannot be read, so that the first is done and the last is not.
    let (key, _) = secrets::sealed(&house.db, &tenants[1]).await.expect("sealed").expect("key");
    let (id, wrapped) = key.wrapped.expect("wrapped");
    put_wrapped(&house.db, &tenants[1], &id, b"damaged").await;
    let config = VaultConfig { look_every_ms: 0, ..VaultConfig::default() };
    let after = Vault::open(house.db.clone(), &keys(OTHER_KEY, Some(KEY)), config).await.expect("opens");
    let fault = after.rekey(&ana()).await.expect_err("broken off");
    assert_eq!((fault.kind.clone(), fault.code.as_str()), (FaultKind::Unauthorized, "egress.vault-key"), "{fault}");
    let left = secrets::not_under(&house.db, &id).await.expect("left");
    assert_eq!(left.iter().map(|(tenant, _)| tenant).collect::<Vec<_>>(), [&tenants[0]]);
    put_wrapped(&house.db, &tenants[1], &id, &wrapped).await;
    let out = door(&house, &after);
    let works = async |tenant: &TenantId| {
        let mut grant = with_secret(grant(&partner.url), header(), &[]);
        grant.tenant = tenant.clone();
        let ctx = wharf_domain::ctx::CallCtx { tenant: tenant.clone(), job: None, ..house.ctx(&house.job().await) };
        out.send(&grant, &ctx, &mut Steps::default(), get(&grant, "/get/1")).await.expect("sent").status
    };
    for tenant in &tenants {
        assert_eq!(works(tenant).await, 200);
    }
    assert_eq!(after.rekey(&ana()).await.expect("the rest"), 2);
    assert_eq!(after.rekey(&ana()).await.expect("nothing"), 0);
    for tenant in &tenants {
        assert_eq!(works(tenant).await, 200);
    }
    assert_eq!(secrets::vault_keys(&house.db).await.expect("keys").len(), 1, "the old key is forgotten");
    assert!(Vault::open(house.db.clone(), &keys(OTHER_KEY, None), config).await.is_ok());
    assert!(matches!(Vault::open(house.db.clone(), &keys(KEY, None), config).await, Err(VaultError::OtherKey)));
}

async fn put_wrapped(db: &Db, tenant: &TenantId, id: &str, wrapped: &[u8]) {
    let mut tx = db.begin().await.expect("begin");
    assert!(secrets::rewrap(&mut tx, &ana(), tenant, (id, id), wrapped).await.expect("put"));
    tx.commit().await.expect("commit");
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
