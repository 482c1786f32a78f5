//! The decision from the records alone.

use serde_json::json;
use wharf_domain::ids::{ConnectionId, Digest, TenantId};
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

/// `known`, `new`, `asks`, or `open N`.
fn judged(rows: &[GrantRow], digest: &str, kv_bytes: u64) -> String {
    match judge(rows, &at(), (digest, &surface_of(kv_bytes)), &[]).expect("judged") {
        Judged::Known => "known".to_owned(),
        Judged::Open(open) => format!("open {}", open.version),
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
    let error = judge(&[newer], &at(), ("b", &surface_of(10)), &[]).expect_err("unreadable");
    assert!(error.to_string().contains("version 1 of grant `t/c` was written by a newer wharf"), "{error:#}");
}

#[test]
fn j5_a_publisher_that_looks_like_a_known_one_waits_for_a_person() {
    let known = ["ACME".to_owned(), "Other".to_owned()];
    let judge_as = |publisher: &str, rows: &[GrantRow]| {
        let mut asked = surface_of(10);
        asked.manifest.publisher = publisher.to_owned();
        judge(rows, &at(), ("b", &asked), &known).expect("judged")
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
