//! Who may finish a job, and what happens to those who may not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};
use wharf_store::jobs::{self, Job, JobState};
use wharf_store::{StoreError, Tx};

use super::in_time;
use crate::handler::{Handler, Verdict};
use crate::testing::{House, LEASE, Scripted, config, job, mark_settled};
use crate::worker::WorkerConfig;

#[tokio::test]
async fn a_lane_keeps_its_order() {
    let house = House::new().await;
    let handler = Scripted::new([]);
    for place in 0..6 {
        house.enqueue(job("a", json!(place))).await;
    }
    assert_eq!(house.worker("w", &handler).drain_once().await, 6);
    assert_eq!(*handler.ran.lock().expect("lock"), (0..6).map(|place| json!(place)).collect::<Vec<_>>());
}

/// Ends only when two of it run at the same time.
struct Meeting(Barrier);

#[async_trait]
impl Handler for Meeting {
    async fn run(&self, _job: &Job) -> Verdict {
        self.0.wait().await;
        Verdict::Done(Value::Null)
    }
}

#[tokio::test]
async fn two_lanes_run_at_the_same_time() {
    let house = House::new().await;
    let ids = [house.enqueue(job("a", json!({}))).await, house.enqueue(job("b", json!({}))).await];
    let handler = Arc::new(Meeting(Barrier::new(2)));
    assert_eq!(in_time(house.worker("w", &handler).drain_once()).await, 2);
    for id in ids {
        assert_eq!(house.row(&id).await.state, JobState::Done);
    }
}

/// Its first attempt stops at a gate; the others go through.
#[derive(Default)]
struct Gated {
    entered: Notify,
    gate: Notify,
    /// The first attempt was dropped before it ended.
    dropped: Arc<AtomicBool>,
}

struct MarkDropped(Arc<AtomicBool>);

impl Drop for MarkDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Handler for Gated {
    async fn run(&self, job: &Job) -> Verdict {
        if job.attempt == 1 {
            let mark = MarkDropped(Arc::clone(&self.dropped));
            self.entered.notify_one();
            self.gate.notified().await;
            std::mem::forget(mark);
        }
        Verdict::Done(Value::Null)
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, _verdict: &Verdict) -> Result<(), StoreError> {
        mark_settled(tx, job).await
    }
}

#[tokio::test]
async fn a_second_worker_takes_a_lost_lease_over_and_the_late_result_is_refused() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Arc::new(Gated::default());
    let (first, second) = (house.worker("w1", &handler), house.worker("w2", &handler));
    let takes_over = async {
        handler.entered.notified().await;
        assert_eq!(second.drain_once().await, 0, "the lease is good");
        house.clock.advance(LEASE);
        assert_eq!(second.drain_once().await, 1);
        assert_eq!(house.settled(&id).await, 1);
        handler.gate.notify_one();
    };
    in_time(async { tokio::join!(first.drain_once(), takes_over) }).await;
    assert!(!handler.dropped.load(Ordering::SeqCst), "the late attempt did end");
    assert_eq!(house.settled(&id).await, 1, "and nothing of it was stored");
    assert_eq!(house.outcomes(&id).await, ["lost", "done"]);
    assert_eq!(house.row(&id).await.state, JobState::Done);
}

#[tokio::test]
async fn a_handler_whose_lease_is_lost_is_dropped() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Arc::new(Gated::default());
    // A heartbeat every millisecond of the real clock; the clock of the leases moves only here.
    let quick = WorkerConfig { lease_ms: 3, ..config("w1") };
    let (first, second) = (house.worker_with(quick, &handler), house.worker("w2", &handler));
    let takes_over = async {
        handler.entered.notified().await;
        loop {
            house.clock.advance(3);
            if second.drain_once().await == 1 {
                break;
            }
        }
    };
    in_time(async { tokio::join!(first.drain_once(), takes_over) }).await;
    assert!(handler.dropped.load(Ordering::SeqCst));
    assert_eq!(house.outcomes(&id).await, ["lost", "done"]);
}

#[tokio::test]
async fn heartbeats_keep_the_lease_of_a_long_attempt() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let handler = Arc::new(Gated::default());
    let quick = WorkerConfig { lease_ms: 30, ..config("w1") };
    let first = house.worker_with(quick, &handler);
    let watches = async {
        handler.entered.notified().await;
        let before = house.row(&id).await.lease_until.expect("lease");
        house.clock.advance(20);
        while house.row(&id).await.lease_until.expect("lease") <= before {
            tokio::task::yield_now().await;
        }
        handler.gate.notify_one();
    };
    in_time(async { tokio::join!(first.drain_once(), watches) }).await;
    assert_eq!(house.outcomes(&id).await, ["done"]);
}

#[tokio::test]
async fn i8_a_job_whose_attempts_all_vanished_is_parked_without_running_again() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    for _ in 0..3 {
        assert_eq!(jobs::claim(&house.db, "dies", LEASE, 1).await.expect("claim").len(), 1);
        house.clock.advance(LEASE);
    }
    let handler = Scripted::new([]);
    assert_eq!(house.worker("w", &handler).drain_once().await, 1);
    assert!(handler.ran.lock().expect("lock").is_empty());
    assert_eq!(house.outcomes(&id).await, ["lost", "lost", "lost", "park"]);
    assert_eq!(house.settled(&id).await, 1, "the handler was told");
    wharf_attack::assert_as_written("I8", &house.row(&id).await.fault.expect("fault").code);
}

/// The connection died at the commit of a claim: what it claimed is given back by the next one, not a lease later, and
/// what runs here is left alone.
#[tokio::test]
async fn what_a_claim_without_an_answer_has_claimed_is_given_back_at_once() {
    let house = House::new().await;
    let (unheard, other) = (house.enqueue(job("a", json!(1))).await, house.enqueue(job("b", json!(2))).await);
    let handler = Scripted::new([]);
    let worker = house.worker("w", &handler);
    let claimed = jobs::Claimer::new("w", LEASE).claim(&house.db, 1, 1).await.expect("claim");
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [unheard]);
    assert_eq!(worker.drain_once().await, 1, "only the other one: nobody said that anything is in doubt");
    worker.0.claim_in_doubt();
    assert_eq!(worker.drain_once().await, 1);
    for id in [unheard, other] {
        assert_eq!(house.row(&id).await.state, JobState::Done);
    }
    assert_eq!(house.outcomes(&unheard).await, ["released", "done"]);
    assert_eq!(house.row(&unheard).await.attempt, 1, "nothing ran, so nothing counts");
    assert!(worker.0.mine().is_empty());
}
