//! The decision from the records alone.

use serde_json::json;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::time::Timestamp;
use wharf_sandbox::manifest::from_toml;

use super::*;

const MANIFEST: &str = r#"
name = "acme"
version = "1.0.0"
description = "a carrier"
publisher = "ACME"
licence = "Apache-2.0"
kv_bytes = 10
[[endpoints]]
environment = "live"
origin = "https://api.acme.example"
"#;

fn at() -> GrantAt {
    GrantAt { tenant: TenantId::parse("t").expect("tenant"), connection: ConnectionId::parse("c").expect("connection") }
}

/// A surface with so much key-value storage.
fn surface_of(kv_bytes: u64) -> Surface {
    let mut manifest = from_toml("test", MANIFEST).expect("manifest");
    manifest.kv_bytes = kv_bytes;
    serde_json::from_value(json!({ "manifest": manifest, "imports": [], "exports": [], "allow_private": false }))
        .expect("surface")
}

fn row(version: i64, digest: &str, kv_bytes: u64, state: GrantState) -> GrantRow {
    GrantRow {
        version,
        adapter: "acme".to_owned(),
        adapter_version: "1.0.0".to_owned(),
        publisher: "ACME".to_owned(),
        digest: Digest::from_text(digest),
        surface: serde_json::to_value(surface_of(kv_bytes)).expect("json"),
        against: None,
        weight: "narrower".to_owned(),
        changes: json!([]),
        state,
        actor: "host:configuration".to_owned(),
        created_at: Timestamp::from_millis(0),
        decided_by: None,
        decided_at: None,
        why: None,
    }
}

fn asked(digest: &str, kv_bytes: u64) -> Asked {
    Asked { at: at(), digest: Digest::from_text(digest), surface: surface_of(kv_bytes) }
}

/// `known`, `new`, `asks`, or `open N`.
fn judged(rows: &[GrantRow], digest: &str, kv_bytes: u64) -> String {
    match judge(rows, &asked(digest, kv_bytes), &[]).expect("judged") {
        Judged::Known => "known".to_owned(),
        Judged::Open(open) => format!("open {}", open.version.expect("a version")),
        Judged::New { accepted: Some(_), .. } => "new".to_owned(),
        Judged::New { accepted: None, .. } => "asks".to_owned(),
    }
}

use GrantState::{Accepted, Pending, Refused, Withdrawn};

#[test]
fn p19_only_what_is_no_more_than_what_is_in_force_goes_on_by_itself() {
    assert_eq!(judged(&[], "a", 10), "new", "the first version of a connection is the configuration's");
    let first = [row(1, "a", 10, Accepted)];
    for (digest, kv_bytes, verdict) in
        [("a", 10, "known"), ("b", 10, "new"), ("b", 9, "new"), ("b", 11, "asks"), ("a", 11, "asks")]
    {
        assert_eq!(judged(&first, digest, kv_bytes), verdict, "{digest} {kv_bytes}");
    }
    let waits = [row(1, "a", 10, Accepted), row(2, "b", 11, Pending)];
    assert_eq!(judged(&waits, "b", 11), "open 2", "it is asked once");
    assert_eq!(judged(&waits, "c", 11), "asks", "another file is another question");
    assert_eq!(judged(&waits, "a", 10), "known");
    let refused = [row(1, "a", 10, Accepted), row(2, "b", 11, Refused)];
    assert_eq!(judged(&refused, "b", 11), "open 2", "what was refused is not asked again by itself");
    let taken_back = [row(1, "a", 10, Accepted), row(2, "b", 11, Withdrawn), row(3, "a", 9, Accepted)];
    assert_eq!(judged(&taken_back, "b", 11), "asks");
}

#[test]
fn p19_hosts_with_an_old_and_a_new_file_do_not_take_it_in_turns_to_ask() {
    let both = [row(1, "a", 10, Accepted), row(2, "b", 11, Accepted)];
    assert_eq!((judged(&both, "a", 10), judged(&both, "b", 11)), ("known".to_owned(), "known".to_owned()));
    // But what somebody took away since is in force, whatever was accepted before.
    let less = [row(1, "a", 10, Accepted), row(2, "b", 11, Accepted), row(3, "b", 5, Accepted)];
    assert_eq!((judged(&less, "a", 10), judged(&less, "b", 11)), ("asks".to_owned(), "asks".to_owned()));
}

#[test]
fn a_record_of_a_newer_program_is_not_guessed_at() {
    let mut newer = row(1, "a", 10, Accepted);
    newer.surface["sockets"] = json!(["tcp"]);
    let error = judge(&[newer], &asked("b", 10), &[]).expect_err("unreadable");
    assert!(error.to_string().contains("version 1 of grant `t/c` was written by a newer wharf"), "{error:#}");
}

#[test]
fn j5_a_publisher_that_looks_like_a_known_one_waits_for_a_person() {
    let known = ["ACME".to_owned(), "Other".to_owned()];
    let judge_as = |publisher: &str, rows: &[GrantRow]| {
        let mut asked = asked("b", 10);
        asked.surface.manifest.publisher = publisher.to_owned();
        judge(rows, &asked, &known).expect("judged")
    };
    for honest in ["ACME", "Somebody Else"] {
        assert!(matches!(judge_as(honest, &[]), Judged::New { accepted: Some(_), .. }), "{honest}");
    }
    let Judged::New { accepted: None, found } = judge_as("\u{410}CME", &[]) else { panic!("it is asked about") };
    assert_eq!((found.weight, found.lines[0].group), (Weight::WiderHigh, "lookalike publisher"));
    assert!(found.lines[0].what.contains("\\u{410}CME") && found.lines[0].what.ends_with("looks like `ACME`"));
    let mut waits = row(1, "b", 10, Pending);
    waits.surface["manifest"]["publisher"] = json!("\u{410}CME");
    assert!(matches!(judge_as("\u{410}CME", &[waits.clone()]), Judged::Open(_)), "once");
    assert!(matches!(judge_as("ACME", &[waits]), Judged::New { accepted: Some(_), .. }), "put right");
    let Judged::New { accepted: None, found } = judge_as("\u{410}CME", &[row(1, "a", 10, Accepted)]) else {
        panic!("an upgrade that changes hands is asked about")
    };
    assert_eq!(found.lines[0].group, "lookalike publisher");
}

async fn opened(folder: &std::path::Path) -> Db {
    let (clock, ids) = (std::sync::Arc::new(crate::clock::SystemClock), std::sync::Arc::new(crate::clock::RandomIds));
    let db = Db::open(&folder.join("wharf.db"), clock, ids).await.expect("open");
    db.migrate().await.expect("migrate");
    db
}

async fn versions(db: &Db) -> usize {
    grants::history(db, &at()).await.expect("history").len()
}

/// What is in force while `verdict` waits, and which version it is that waits.
fn waits(verdict: Verdict) -> (Option<i64>, Option<i64>) {
    match verdict {
        Verdict::Granted => panic!("it does not wait"),
        Verdict::Open { open, accepted } => (accepted.map(|row| row.version), open.version),
    }
}

#[tokio::test]
async fn p19_a_start_asks_once_and_what_was_accepted_is_seen_without_one() {
    let folder = tempfile::tempdir().expect("folder");
    let db = opened(folder.path()).await;
    assert_eq!(settle(&db, &asked("a", 10)).await.expect("first"), Verdict::Granted);
    for _ in 0..2 {
        assert_eq!(waits(settle(&db, &asked("b", 11)).await.expect("wider")), (Some(1), Some(2)));
        assert_eq!(waits(settled(&db, &asked("b", 11)).await.expect("wider")), (Some(1), Some(2)));
    }
    assert_eq!(versions(&db).await, 2);
    let mut tx = db.begin().await.expect("begin");
    grants::decide(&mut tx, &Actor::User("ana".to_owned()), &at(), (2, true), "yes").await.expect("accepted");
    tx.commit().await.expect("commit");
    assert_eq!(settled(&db, &asked("b", 11)).await.expect("accepted"), Verdict::Granted);
    assert_eq!(settled(&db, &asked("a", 10)).await.expect("another host"), Verdict::Granted);
}

#[tokio::test]
async fn p19_hosts_that_ask_for_different_things_do_not_take_each_others_question_back_for_ever() {
    let folder = tempfile::tempdir().expect("folder");
    let db = opened(folder.path()).await;
    settle(&db, &asked("a", 10)).await.expect("first");
    settle(&db, &asked("b", 11)).await.expect("one host");
    assert_eq!(waits(settle(&db, &asked("c", 12)).await.expect("another")), (Some(1), Some(3)));
    for _ in 0..3 {
        let verdict = settled(&db, &asked("b", 11)).await.expect("the first one looks");
        assert_eq!(waits(verdict), (Some(1), None), "it goes on with what was accepted, and asks when it starts");
        assert_eq!(waits(settled(&db, &asked("c", 12)).await.expect("the other one looks")), (Some(1), Some(3)));
    }
    // What is less than what is in force needs nobody's word, and looking records nothing.
    assert_eq!(settled(&db, &asked("d", 5)).await.expect("less"), Verdict::Granted);
    assert_eq!(versions(&db).await, 3);
}
