//! The keys of the vault: moved rows, destroyed keys, wrong keys and new ones.

use std::collections::BTreeMap;

use wharf_domain::fault::{Blame, FaultKind};
use wharf_domain::ids::TenantId;
use wharf_domain::port::vault::Vault as _;
use wharf_domain::secret::{SecretAt, Stage};
use wharf_egress::{Steps, Vault, VaultConfig, VaultError};
use wharf_store::Db;
use wharf_store::secrets::{self, NewVersion, SealedRow};

use crate::house::{House, get, grant, tenant, with_secret};
use crate::vault::{KEY, ana, at, door, header, keys, new, read, rows, sent, set, takes, vault};

const OTHER_KEY: &str = "101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f";

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
