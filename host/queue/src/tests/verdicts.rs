//! What becomes of a job, by how its handler ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::fault::{FaultKind, Retry};
use wharf_domain::time::Timestamp;
use wharf_store::jobs::{Job, JobState, NewJob};
use wharf_store::{StoreError, Tx};

use crate::handler::{Handler, Verdict};
use crate::testing::{House, START, Scripted, fault, job, mark_settled};

fn told(handler: &Scripted) -> Vec<&'static str> {
    let told = handler.told.lock().expect("lock");
    told.iter()
        .map(|verdict| match verdict {
            Verdict::Done(_) => "done",
            Verdict::Retry(_) => "retry",
            Verdict::Snooze { .. } => "snooze",
            Verdict::Park(_) => "park",
            Verdict::Cancelled(_) => "cancelled",
        })
        .collect()
}

#[tokio::test]
async fn a_fault_that_says_never_parks_at_once() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Scripted::new([Verdict::Retry(fault(FaultKind::InvalidInput))]);
    assert_eq!(house.worker("w", &handler).drain_once().await, 1);
    assert_eq!(house.row(&id).await.state, JobState::Parked);
    assert_eq!(told(&handler), ["park"]);
    assert_eq!(house.settled(&id).await, 1);
}

#[tokio::test]
async fn a_wait_the_partner_asked_for_is_kept() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let limited = fault(FaultKind::RateLimited).with_retry(Retry::Later { after_ms: Some(7_000) });
    let handler = Scripted::new([Verdict::Retry(limited)]);
    let worker = house.worker("w", &handler);
    assert_eq!(worker.drain_once().await, 1);
    let row = house.row(&id).await;
    assert_eq!((row.state, row.run_at.millis() - START), (JobState::Waiting, 7_000));
    house.clock.advance(6_999);
    assert_eq!(worker.drain_once().await, 0);
    house.clock.advance(1);
    assert_eq!(worker.drain_once().await, 1);
    assert_eq!(house.outcomes(&id).await, ["retry", "done"]);
}

#[tokio::test]
async fn the_last_attempt_parks_and_the_handler_hears_park() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Scripted::new(std::iter::repeat_n(Verdict::Retry(fault(FaultKind::Outage)), 9));
    assert_eq!(house.worker("w", &handler).drain_once().await, 3);
    assert_eq!(house.outcomes(&id).await, ["retry", "retry", "park"]);
    assert_eq!(told(&handler), ["retry", "retry", "park"]);
    let row = house.row(&id).await;
    assert_eq!(row.fault.expect("fault").message, "no luck; gave up after 3 attempts");
    assert!(house.attempts(&id).await.iter().all(|attempt| attempt.fault.is_some()));
}

#[tokio::test]
async fn a_snooze_costs_no_attempt() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let until = |after: i64| Timestamp::from_millis(START + after);
    let snooze = |after: i64| Verdict::Snooze { until: until(after), reason: "closed".to_owned() };
    let handler = Scripted::new([snooze(10), snooze(20), snooze(30), snooze(40)]);
    let worker = house.worker("w", &handler);
    for _ in 0..4 {
        assert_eq!(worker.drain_once().await, 1);
        house.clock.advance(10);
    }
    assert_eq!(worker.drain_once().await, 1);
    let row = house.row(&id).await;
    assert_eq!((row.state, row.attempt), (JobState::Done, 1));
    assert_eq!(house.outcomes(&id).await, ["snooze", "snooze", "snooze", "snooze", "done"]);
}

#[tokio::test]
async fn an_unknown_kind_parks_and_says_what_to_do() {
    let house = House::new().await;
    let id = house.enqueue(NewJob { kind: "who.knows".to_owned(), ..job("a", json!({})) }).await;
    let handler = Scripted::new([]);
    assert_eq!(house.worker("w", &handler).drain_once().await, 1);
    let row = house.row(&id).await;
    let cause = row.fault.expect("fault");
    assert_eq!((row.state, cause.code.as_str()), (JobState::Parked, "queue.unknown-kind"));
    assert!(cause.message.contains("`who.knows`"), "{cause}");
}

#[tokio::test]
async fn a_job_past_its_deadline_is_not_run_and_the_handler_hears_park() {
    let house = House::new().await;
    let deadline = Some(Timestamp::from_millis(START + 100));
    let id = house.enqueue(NewJob { deadline, ..job("a", json!({})) }).await;
    house.clock.advance(100);
    let handler = Scripted::new([]);
    assert_eq!(house.worker("w", &handler).drain_once().await, 1);
    assert!(handler.ran.lock().expect("lock").is_empty());
    assert_eq!(told(&handler), ["park"]);
    assert_eq!(house.row(&id).await.fault.expect("fault").kind, FaultKind::Deadline);
}

#[tokio::test]
async fn a_settle_that_fails_rolls_back_with_the_finish_and_the_job_runs_again() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Scripted::new([]);
    handler.failing_settles.store(1, Ordering::SeqCst);
    assert_eq!(house.worker("w", &handler).drain_once().await, 2);
    assert_eq!(house.outcomes(&id).await, ["retry", "done"]);
    assert_eq!(told(&handler), ["done", "done"]);
    assert_eq!(house.settled(&id).await, 1, "what the failed settle wrote is gone");
    let first = house.attempts(&id).await.remove(0).fault.expect("fault");
    assert_eq!(first.code, "queue.not-settled");
}

#[tokio::test]
async fn a_settle_that_always_fails_parks_the_job_in_the_end() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Scripted::new([]);
    handler.failing_settles.store(99, Ordering::SeqCst);
    assert_eq!(house.worker("w", &handler).drain_once().await, 3);
    assert_eq!(house.outcomes(&id).await, ["retry", "retry", "park"]);
    assert_eq!(told(&handler), ["done", "done", "done", "park"]);
    assert_eq!(house.settled(&id).await, 0);
    assert_eq!(house.row(&id).await.fault.expect("fault").code, "queue.not-settled");
}

/// Panics once in `run`, then once in `settle`.
#[derive(Default)]
struct Panicking {
    ran: AtomicBool,
    settled: AtomicBool,
}

#[async_trait]
impl Handler for Panicking {
    async fn run(&self, _job: &Job) -> Verdict {
        assert!(self.ran.swap(true, Ordering::SeqCst), "a panic on purpose, in run");
        Verdict::Done(Value::Null)
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        mark_settled(tx, job).await?;
        let told_done = matches!(verdict, Verdict::Done(_));
        assert!(!told_done || self.settled.swap(true, Ordering::SeqCst), "a panic on purpose, in settle");
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_nothing_more() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let other = house.enqueue(NewJob { kind: "who.knows".to_owned(), ..job("b", json!({})) }).await;
    let handler = Arc::new(Panicking::default());
    assert_eq!(house.worker("w", &handler).drain_once().await, 4);
    assert_eq!(house.outcomes(&id).await, ["retry", "retry", "done"]);
    let codes: Vec<_> = house.attempts(&id).await.into_iter().filter_map(|row| row.fault).map(|f| f.code).collect();
    assert_eq!(codes, ["queue.panic", "queue.not-settled"]);
    assert_eq!(house.settled(&id).await, 2, "the retry after the first panic, and the end");
    assert_eq!(house.row(&other).await.state, JobState::Parked);
}
