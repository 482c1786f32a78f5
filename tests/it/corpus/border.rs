//! C: what crosses the border between guest and host.

use serde_json::json;
use wharf_attack::assert_as_written;

use super::arena::{Arena, describing, small};
use crate::guest;

#[tokio::test]
async fn c1_more_in_one_call_than_may_cross() {
    let arena = Arena::new(small()).await;
    let nine = json!([{ "do": "kv-set", "key": "k", "bytes": 9 << 20 }]);
    arena.as_written("C1", &arena.rogue("t").await.ends(&nine).await, "t", "rogue").await;
    arena.serves().await;
}

#[tokio::test]
async fn c2_a_million_entries_that_name_one_buffer() {
    let arena = Arena::new(wharf_sandbox::Limits { cpu_ms: 2_000, ..small() }).await;
    arena.as_written("C2", &describing(&arena, "aliases").await, "t", "aliases").await;
    arena.serves().await;
}

#[tokio::test]
async fn c3_a_little_very_often() {
    let arena = Arena::new(wharf_sandbox::Limits { cpu_ms: 10_000, wall_ms: 60_000, ..small() }).await;
    let often = json!([{ "do": "kv-set", "key": "k", "bytes": 60_000, "times": 600 }]);
    let answers = arena.rogue("t").await.told(&often).await.expect("the guest sees the refusal");
    arena.as_written("C3", answers[0]["code"].as_str().expect("a code"), "t", "rogue").await;
    assert!(arena.count("limit_hits_total", "bytes-in") > 0);
    let rows = arena.audit("t", "rogue").await;
    let limited = rows.iter().filter(|row| row.action == "adapter.limited").count();
    assert_eq!(limited, 1, "a flood of refusals is one line: {rows:?}");
    arena.serves().await;
}

#[tokio::test]
async fn c4_pointers_texts_and_values_that_are_none() {
    let arena = Arena::new(small()).await;
    for name in ["wild-pointer", "bad-text", "bad-level"] {
        arena.as_written("C4", &describing(&arena, name).await, "t", name).await;
    }
    arena.serves().await;
}

#[tokio::test]
async fn c5_an_allocator_that_loops_or_lies() {
    let arena = Arena::new(small()).await;
    for name in ["realloc-loops", "realloc-lies"] {
        arena.as_written("C5", &describing(&arena, name).await, "t", name).await;
    }
    arena.serves().await;
}

#[tokio::test]
async fn c6_a_result_larger_than_may_cross() {
    let arena = Arena::new(wharf_sandbox::Limits { cpu_ms: 2_000, ..small() }).await;
    let code = arena.rogue("t").await.ends(&json!([{ "do": "answer", "bytes": 9 << 20 }])).await;
    arena.as_written("C6", &code, "t", "rogue").await;
    arena.serves().await;
}

/// No interface of the host has a handle, so there is none to guess, keep or leak.
#[test]
fn c8_b10_there_are_no_handles() {
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_path(guest::repo().join("wit")).expect("wit");
    let resources = resolve.types.iter().filter(|(_, ty)| matches!(ty.kind, wit_parser::TypeDefKind::Resource));
    assert_eq!(resources.count(), 0);
    assert_as_written("C8", "none");
    assert_as_written("B10", "none");
}

#[tokio::test]
async fn c9_host_calls_after_the_deadline() {
    // Far more calls than fit into the processor budget, and more of them allowed than can be made.
    let arena = Arena::new(wharf_sandbox::Limits { host_calls: u32::MAX, ..small() }).await;
    let rogue = arena.rogue("t").await;
    let invoked = rogue.invoke(&json!([{ "do": "loop-with-calls" }])).await;
    arena.as_written("C9", &invoked.result.expect_err("ended").code, "t", "rogue").await;
    arena.serves().await;
}
