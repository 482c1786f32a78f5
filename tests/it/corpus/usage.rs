//! B: processor, memory, places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use wharf_attack::assert_as_written;
use wharf_domain::fault::Retry;
use wharf_domain::time::Timestamp;
use wharf_sandbox::Limits;

use super::arena::{Arena, NOW, describing, small};
use crate::guest;

async fn ends(id: &str, script: serde_json::Value) {
    ends_within(small(), id, script).await;
}

/// With time enough to reach the limit that is meant, on a machine that is slow to give memory, too.
async fn ends_late(id: &str, script: serde_json::Value) {
    ends_within(Limits { cpu_ms: 2_000, ..small() }, id, script).await;
}

async fn ends_within(limits: Limits, id: &str, script: serde_json::Value) {
    let arena = Arena::new(limits).await;
    let code = arena.rogue("t").await.ends(&script).await;
    arena.as_written(id, &code, "t", "rogue").await;
    assert_eq!(arena.count("adapter_traps_total", &code), 1);
    let rows = arena.audit("t", "rogue").await;
    assert_eq!((rows.len(), rows[0].action.as_str()), (1, "adapter.trapped"), "{rows:?}");
    assert_eq!(rows[0].detail["kind"], json!(code));
    arena.serves().await;
}

#[tokio::test]
async fn b1_an_endless_loop() {
    ends("B1", json!([{ "do": "loop" }])).await;
}

#[tokio::test]
async fn b2_an_endless_loop_that_calls_the_host() {
    ends("B2", json!([{ "do": "loop-with-calls" }])).await;
}

#[tokio::test]
async fn b3_endless_recursion() {
    ends_late("B3", json!([{ "do": "recurse" }])).await;
}

#[tokio::test]
async fn b4_memory_without_end() {
    ends_late("B4", json!([{ "do": "grow" }])).await;
}

#[tokio::test]
async fn b5_four_gib_to_begin_with() {
    let arena = Arena::new(small()).await;
    assert_as_written("B5", &arena.refusal(guest::adapter("four-gib")).await.0);
    arena.serves().await;
}

#[tokio::test]
async fn b6_filling_its_memory_again_and_again() {
    let arena = Arena::new(small()).await;
    arena.as_written("B6", &describing(&arena, "fill").await, "t", "fill").await;
    arena.serves().await;
}

/// The second call of a tenant waits for its first; the one of another tenant does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_many_calls_of_one_tenant() {
    let arena = Arena::new(Limits { tenant_calls: 1, cpu_ms: 1_000, ..small() }).await;
    let (hog, other) = (arena.rogue("hog").await, arena.rogue("other").await);
    let order = Arc::new(AtomicU32::new(0));
    let ended = || order.fetch_add(1, Ordering::SeqCst);
    let spin = json!([{ "do": "spin", "rounds": 100_000_000_u64 }]);
    let nothing = json!([]);
    let first = async { (hog.told(&spin).await, ended()) };
    let second = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        (hog.told(&nothing).await, ended())
    };
    let third = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        (other.told(&nothing).await, ended())
    };
    let (first, second, third) = tokio::join!(first, second, third);
    assert_eq!(third.1, 0, "another tenant is served meanwhile: {:?}", third.0);
    assert_eq!((first.1, second.1), (1, 2), "{:?} {:?}", first.0, second.0);
    assert!(second.0.is_ok() && third.0.is_ok(), "a delay, not a failure");
    assert_as_written("B7", "delayed");
}

#[tokio::test]
async fn b8_holding_a_place_by_waiting() {
    let arena = Arena::new(Limits { wall_ms: 200, concurrent_calls: 1, ..small() }).await;
    let code =
        arena.rogue("t").await.ends(&json!([{ "do": "http", "method": "GET", "url": "http://partner.test/" }])).await;
    arena.as_written("B8", &code, "t", "rogue").await;
    arena.serves().await;
}

#[tokio::test]
async fn b11_every_call_begins_from_nothing() {
    let arena = Arena::new(small()).await;
    let rogue = arena.rogue("t").await;
    let twice = json!([{ "do": "remember" }, { "do": "remember" }]);
    for _ in 0..3 {
        assert_eq!(rogue.told(&twice).await.expect("served"), [json!(1), json!(2)]);
    }
    assert_as_written("B11", "fresh");
}

#[tokio::test]
async fn b12_asking_for_the_time_without_end() {
    let arena = Arena::new(small()).await;
    arena.as_written("B12", &describing(&arena, "flood").await, "t", "flood").await;
    // Randomness is not on the list of what a guest can reach.
    let random = r#"(component (import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func)))))"#;
    let bytes = wat::parse_str(random).expect("wat");
    let bytes = wharf_sandbox::manifest::embed(&bytes, &guest::plain_manifest("random")).expect("manifest");
    assert_eq!(arena.refusal(bytes).await.0, "reject.unknown-import");
}

/// An adapter that keeps failing by its own fault is left alone; one call at a time shows whether it got better.
#[tokio::test]
async fn b13_an_adapter_that_keeps_failing_is_left_alone_and_tried_again() {
    let arena = Arena::new(small()).await;
    let (rogue, neighbour) = (arena.rogue("t").await, arena.rogue("u").await);
    let panics = json!([{ "do": "panic", "message": "no" }]);
    for _ in 0..5 {
        assert_eq!(rogue.ends(&panics).await, "trap.panic");
    }
    let fault = rogue.told(&json!([])).await.expect_err("it is in quarantine");
    arena.as_written("B13", &fault.code, "t", "rogue").await;
    let Retry::Wait { until } = fault.retry else { panic!("its jobs must wait: {fault:?}") };
    assert!(neighbour.told(&json!([])).await.is_ok(), "the same adapter of another tenant goes on");
    assert_eq!(arena.count("quarantines_total", ""), 1);
    assert!(arena.audit("t", "rogue").await.iter().any(|row| row.action == "adapter.quarantined"));
    arena.clock.advance(until.since(Timestamp::from_millis(NOW)));
    assert!(rogue.told(&json!([])).await.is_ok(), "the probe");
    assert!(rogue.told(&json!([])).await.is_ok(), "it is free again");
}
