//! Stages, exchanges and keys, on both engines.

use wharf_domain::ids::ConnectionId;
use wharf_domain::secret::{SecretAt, Stage};

use super::*;
use crate::audit;
use crate::error::StoreError;
use crate::testing::{House, actor, both, tenant};

fn at(slot: &str) -> SecretAt {
    SecretAt {
        tenant: tenant("t"),
        connection: ConnectionId::parse("acme").expect("connection"),
        slot: slot.to_owned(),
    }
}

async fn keep(house: &House, slot: &str, stage: Stage, overlap_ms: i64) -> i64 {
    let mut tx = house.db.begin().await.expect("begin");
    take_key(&mut tx, &tenant("t")).await.expect("key");
    let version = next_version(&mut tx, &actor(), &at(slot)).await.expect("number");
    let sealed = [u8::try_from(version).expect("small")];
    let new = NewVersion { version, stage, sealed: &sealed, account: "abcd", overlap_ms };
    put(&mut tx, &actor(), &at(slot), &new).await.expect("put");
    tx.commit().await.expect("commit");
    version
}

async fn advance(house: &House, slot: &str) -> Result<i64, StoreError> {
    let mut tx = house.db.begin().await?;
    let version = promote(&mut tx, &actor(), &at(slot), 1_000).await?;
    tx.commit().await?;
    Ok(version)
}

async fn stages(house: &House) -> Vec<(i64, Stage)> {
    let rows = list(&house.db, &tenant("t")).await.expect("list");
    rows.into_iter().map(|row| (row.version, row.stage)).collect()
}

both! {
    async fn versions_go_from_next_to_current_to_previous_and_out(house) {
        assert_eq!(keep(&house, "a", Stage::Current, 1_000).await, 1);
        assert_eq!(keep(&house, "a", Stage::Next, 1_000).await, 2);
        assert_eq!(keep(&house, "a", Stage::Next, 1_000).await, 3, "a number is not given twice");
        assert_eq!(stages(&house).await, [(1, Stage::Current), (3, Stage::Next)]);
        assert_eq!(advance(&house, "a").await.expect("promoted"), 3);
        assert_eq!(stages(&house).await, [(1, Stage::Previous), (3, Stage::Current)]);
        let rows = list(&house.db, &tenant("t")).await.expect("list");
        assert_eq!((rows[0].valid_until, rows[1].valid_until), (Some(house.db.now().plus(1_000)), None));
        let refused = advance(&house, "a").await.expect_err("nothing is laid by");
        assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
        keep(&house, "a", Stage::Current, 0).await;
        assert_eq!(stages(&house).await, [(4, Stage::Current)], "without overlap the old one goes at once");
        let audit = audit::for_object(&house.db, &tenant("t"), "secret/acme/a").await.expect("audit");
        let told: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(told, ["secret.set", "secret.set", "secret.set", "secret.promoted", "secret.set"]);
    }
}

both! {
    async fn a_removed_secret_leaves_its_numbers_behind_and_every_change_counts(house) {
        assert_eq!(revision(&house.db, &tenant("t")).await.expect("revision"), 0);
        keep(&house, "a", Stage::Current, 0).await;
        let mut tx = house.db.begin().await.expect("begin");
        assert_eq!(remove(&mut tx, &actor(), &at("a")).await.expect("removed"), 1);
        tx.commit().await.expect("commit");
        assert_eq!(revision(&house.db, &tenant("t")).await.expect("revision"), 2);
        let mut tx = house.db.begin().await.expect("begin");
        assert!(matches!(remove(&mut tx, &actor(), &at("a")).await, Err(StoreError::NotFound { .. })));
        drop(tx);
        assert_eq!(keep(&house, "a", Stage::Current, 0).await, 2);
    }
}

both! {
    async fn a_change_that_is_dropped_is_none_and_leaves_no_audit(house) {
        let mut tx = house.db.begin().await.expect("begin");
        take_key(&mut tx, &tenant("t")).await.expect("key");
        let version = next_version(&mut tx, &actor(), &at("a")).await.expect("number");
        let new = NewVersion { version, stage: Stage::Current, sealed: b"x", account: "", overlap_ms: 0 };
        put(&mut tx, &actor(), &at("a"), &new).await.expect("put");
        drop(tx);
        assert!(stages(&house).await.is_empty());
        assert!(audit::for_object(&house.db, &tenant("t"), "secret/acme/a").await.expect("audit").is_empty());
        assert_eq!(revision(&house.db, &tenant("t")).await.expect("revision"), 0);
    }
}

both! {
    async fn an_exchange_is_one_hosts_until_its_time_and_is_seen_after_it_was_cut_off(house) {
        let version = keep(&house, "a", Stage::Current, 0).await;
        let begin = async |version| {
            let mut tx = house.db.begin().await.expect("begin");
            let until = tx.now().plus(100);
            let before = begin_exchange(&mut tx, &actor(), &at("a"), version, until).await;
            tx.commit().await.expect("commit");
            before
        };
        assert!(matches!(begin(version + 1).await, Err(StoreError::Conflict)), "not the current one");
        assert_eq!(begin(version).await.expect("begun"), None);
        let running = Exchange { version, until: house.db.now().plus(100) };
        house.clock.advance(50);
        assert_eq!(begin(version).await.expect("asked"), Some(running));
        assert_eq!(begin(version).await.expect("asked"), Some(running), "asking does not prolong it");
        house.clock.advance(50);
        assert_eq!(begin(version).await.expect("begun"), Some(running), "cut off, and begun anew");
        assert_eq!(begin(version).await.expect("asked").expect("one").until, house.db.now().plus(100));
        let mut tx = house.db.begin().await.expect("begin");
        end_exchange(&mut tx, &actor(), &at("a")).await.expect("ended");
        tx.commit().await.expect("commit");
        assert_eq!(begin(version).await.expect("begun"), None);
    }
}

both! {
    async fn keys_are_given_once_rewrapped_one_by_one_and_shredded_with_what_they_sealed(house) {
        assert!(!any(&house.db).await.expect("any"));
        let mut tx = house.db.begin().await.expect("begin");
        for id in ["k1", "k1", "k2"] {
            add_vault_key(&mut tx, &actor(), id, b"check").await.expect("added");
        }
        let key = take_key(&mut tx, &tenant("t")).await.expect("key");
        assert_eq!((key.wrapped, key.revision), (None, 1));
        give_key(&mut tx, &actor(), &tenant("t"), "k1", b"w1").await.expect("given");
        let again = give_key(&mut tx, &actor(), &tenant("t"), "k1", b"w2").await;
        assert!(matches!(again, Err(StoreError::Conflict)), "a key that seals something is never replaced");
        tx.commit().await.expect("commit");
        keep(&house, "a", Stage::Current, 0).await;
        assert_eq!(vault_keys(&house.db).await.expect("keys").len(), 2);
        assert_eq!(not_under(&house.db, "k2").await.expect("left"), [(tenant("t"), "k1".to_owned())]);
        let mut tx = house.db.begin().await.expect("begin");
        assert_eq!(drop_vault_keys(&mut tx, &actor(), "k2").await.expect("dropped"), 0, "it wraps something");
        for (done, wrapped) in [(true, b"w3"), (false, b"w4")] {
            let put = rewrap(&mut tx, &actor(), &tenant("t"), ("k1", "k2"), wrapped).await.expect("rewrapped");
            assert_eq!(put, done);
        }
        assert_eq!(drop_vault_keys(&mut tx, &actor(), "k2").await.expect("dropped"), 1);
        tx.commit().await.expect("commit");
        let (key, rows) = sealed(&house.db, &tenant("t")).await.expect("sealed").expect("a key");
        assert_eq!((key.wrapped, rows.len()), (Some(("k2".to_owned(), b"w3".to_vec())), 1));
        let mut tx = house.db.begin().await.expect("begin");
        assert_eq!(shred(&mut tx, &actor(), &tenant("t"), "gone").await.expect("shredded"), Some(1));
        assert_eq!(shred(&mut tx, &actor(), &tenant("t"), "gone").await.expect("shredded"), None);
        tx.commit().await.expect("commit");
        let (key, rows) = sealed(&house.db, &tenant("t")).await.expect("sealed").expect("a row");
        assert_eq!((key.wrapped, rows.len()), (None, 0));
        assert!(key.shredded_at.is_some() && !any(&house.db).await.expect("any"));
    }
}
