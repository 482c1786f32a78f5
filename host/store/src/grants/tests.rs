use serde_json::json;

use super::*;
use crate::testing::{House, START, actor, both, tenant};

fn at(name: &str) -> GrantAt {
    GrantAt { tenant: tenant(name), connection: ConnectionId::parse("acme").expect("connection") }
}

fn ana() -> Actor {
    Actor::User("ana".to_owned())
}

/// Records what `digest` asks for.
async fn put(house: &House, at: &GrantAt, digest: &str, accepted: Option<&str>) -> i64 {
    let (surface, changes) = (json!({ "of": digest }), json!([{ "what": "`<b>`" }]));
    let digest = Digest::of(digest.as_bytes());
    let new = NewGrant {
        adapter: "acme",
        adapter_version: "1.0.0",
        publisher: "ACME",
        digest: &digest,
        surface: &surface,
        against: None,
        weight: "wider-high",
        changes: &changes,
        accepted,
    };
    let mut tx = house.db.begin().await.expect("begin");
    take(&mut tx, at).await.expect("taken");
    let version = record(&mut tx, &actor(), at, &new).await.expect("recorded");
    tx.commit().await.expect("commit");
    version
}

async fn say(house: &House, at: &GrantAt, version: i64, accept: bool) -> Result<GrantRow, StoreError> {
    let mut tx = house.db.begin().await?;
    let row = decide(&mut tx, &ana(), at, (version, accept), "looked at it").await?;
    tx.commit().await?;
    Ok(row)
}

async fn states(house: &House, at: &GrantAt) -> Vec<(i64, GrantState)> {
    let rows = history(&house.db, at).await.expect("rows");
    rows.into_iter().map(|row| (row.version, row.state)).collect()
}

async fn actions(house: &House) -> Vec<String> {
    let rows = audit::for_object(&house.db, &tenant("t"), "grant/acme").await.expect("audit");
    rows.into_iter().map(|row| row.action).collect()
}

both! {
    async fn p19_what_waits_counts_only_when_a_person_said_so(house) {
        assert_eq!(put(&house, &at("t"), "one", Some("the first")).await, 1);
        assert_eq!(put(&house, &at("t"), "two", None).await, 2);
        let standing = all(&house.db).await.expect("all");
        let [one] = standing.as_slice() else { panic!("one connection: {standing:?}") };
        assert_eq!(one.accepted.as_ref().map(|row| row.version), Some(1));
        assert_eq!(one.open.as_ref().map(|row| row.version), Some(2));
        house.clock.advance(5);
        let row = say(&house, &at("t"), 2, true).await.expect("accepted");
        assert_eq!((row.state, row.decided_by.as_deref()), (GrantState::Accepted, Some("user:ana")));
        assert_eq!(row.decided_at.map(Timestamp::millis), Some(START + 5));
        assert_eq!(history(&house.db, &at("t")).await.expect("rows")[1], row, "what is told is what stands");
        let standing = all(&house.db).await.expect("all");
        assert_eq!((standing[0].accepted.as_ref().map(|r| r.version), &standing[0].open), (Some(2), &None));
        assert_eq!(actions(&house).await, ["grant.recorded", "grant.asked", "grant.accepted"]);
    }

    async fn p19_only_the_version_that_was_looked_at_can_be_accepted(house) {
        put(&house, &at("t"), "one", Some("the first")).await;
        put(&house, &at("t"), "two", None).await;
        put(&house, &at("t"), "three", None).await;
        let late = say(&house, &at("t"), 2, true).await.expect_err("withdrawn");
        assert!(late.to_string().contains("a newer version was recorded"), "{late}");
        for (version, kind) in [(1, "is accepted"), (4, "does not exist")] {
            let err = say(&house, &at("t"), version, true).await.expect_err("not open").to_string();
            assert!(err.contains("t/acme version") && err.contains(kind), "{err}");
        }
        use GrantState::{Accepted, Refused, Withdrawn};
        say(&house, &at("t"), 3, false).await.expect("refused");
        assert_eq!(states(&house, &at("t")).await, [(1, Accepted), (2, Withdrawn), (3, Refused)]);
        say(&house, &at("t"), 3, false).await.expect_err("said already");
        say(&house, &at("t"), 3, true).await.expect("a person may think again");
        say(&house, &at("t"), 3, false).await.expect_err("what is accepted is not refused");
        assert_eq!(say(&house, &at("u"), 1, true).await.expect_err("another tenant").to_string(),
            "the grant `u/acme version 1` does not exist");
    }

    async fn p19_a_record_whose_audit_cannot_be_written_is_not_there(house) {
        put(&house, &at("t"), "one", None).await;
        for change in ["UPDATE grant_record SET surface = '{}'", "UPDATE grant_record SET digest = 'x'"] {
            let refused = house.run(change).await.expect_err("fixed").to_string();
            assert!(refused.contains("never changed"), "{refused}");
        }
        house.run("DROP TABLE audit").await.expect("dropped");
        say(&house, &at("t"), 1, true).await.expect_err("no audit, no action");
        house.at_rest().await;
        assert_eq!(states(&house, &at("t")).await, [(1, GrantState::Pending)]);
    }

    async fn a_host_sees_by_the_revision_that_somebody_decided(house) {
        put(&house, &at("t"), "one", None).await;
        let before = heads(&house.db).await.expect("heads");
        let mut tx = house.db.begin().await.expect("begin");
        take(&mut tx, &at("t")).await.expect("taken");
        tx.commit().await.expect("commit");
        assert_eq!(heads(&house.db).await.expect("heads"), before, "looking changes nothing");
        say(&house, &at("t"), 1, true).await.expect("accepted");
        assert!(heads(&house.db).await.expect("heads")[0].revision > before[0].revision);
        assert_eq!(publishers(&house.db).await.expect("publishers"), ["ACME"]);
    }
}

/// Hosts that start together ask one at a time, and the second sees what the first recorded.
#[tokio::test]
async fn p19_hosts_that_start_together_record_one_version() {
    let house = House::postgres().await;
    let ask = async |house: &House| {
        let db = house.open_again().await.expect("another host");
        let mut tx = db.begin().await.expect("begin");
        let rows = take(&mut tx, &at("t")).await.expect("taken");
        if rows.is_empty() {
            let (digest, empty) = (Digest::of(b"one"), json!({}));
            let new = NewGrant {
                adapter: "acme",
                adapter_version: "1.0.0",
                publisher: "ACME",
                digest: &digest,
                surface: &empty,
                against: None,
                weight: "narrower",
                changes: &empty,
                accepted: Some("the first"),
            };
            record(&mut tx, &actor(), &at("t"), &new).await.expect("recorded");
        }
        tx.commit().await.expect("commit");
    };
    tokio::join!(ask(&house), ask(&house), ask(&house), ask(&house));
    assert_eq!(states(&house, &at("t")).await, [(1, GrantState::Accepted)]);
}
