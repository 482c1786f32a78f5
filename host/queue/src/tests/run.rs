//! The loop: waking up, stopping, starting again.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wharf_store::jobs::{self, Job, JobState};

use super::in_time;
use crate::handler::{Handler, Verdict};
use crate::testing::{House, LEASE, Scripted, config, job};
use crate::worker::WorkerConfig;

/// Says when it is entered, ends when it is let.
#[derive(Default)]
struct Held {
    entered: Notify,
    gate: Notify,
}

#[async_trait]
impl Handler for Held {
    async fn run(&self, _job: &Job) -> Verdict {
        self.entered.notify_one();
        self.gate.notified().await;
        Verdict::Done(Value::Null)
    }
}

/// Never looks by itself within a test.
fn sleepy(name: &str) -> WorkerConfig {
    WorkerConfig { poll_ms: 86_400_000, ..config(name) }
}

#[tokio::test]
async fn a_new_job_wakes_the_worker_and_a_finished_one_lets_its_lane_go_on() {
    let house = House::new().await;
    let handler = Arc::new(Held::default());
    let stop = CancellationToken::new();
    let running = house.worker_with(sleepy("w"), &handler).run(stop.clone());
    let feeds = async {
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(house.enqueue(job("a", json!({}))).await);
        }
        for _ in 0..3 {
            handler.entered.notified().await;
            handler.gate.notify_one();
        }
        ids.push(house.enqueue(job("b", json!({}))).await);
        handler.entered.notified().await;
        stop.cancel();
        handler.gate.notify_one();
        ids
    };
    let ((), ids) = in_time(async { tokio::join!(running, feeds) }).await;
    for id in ids {
        assert_eq!(house.row(&id).await.state, JobState::Done, "the stop waited for the last one");
    }
}

#[tokio::test]
async fn a_stop_claims_nothing_more_and_gives_back_what_does_not_end() {
    let house = House::new().await;
    let held = house.enqueue(job("a", json!({}))).await;
    let next = house.enqueue(job("a", json!({}))).await;
    let handler = Arc::new(Held::default());
    let stop = CancellationToken::new();
    let hasty = WorkerConfig { drain_ms: 0, ..sleepy("w") };
    let running = house.worker_with(hasty, &handler).run(stop.clone());
    let stops = async {
        handler.entered.notified().await;
        stop.cancel();
    };
    in_time(async { tokio::join!(running, stops) }).await;
    let row = house.row(&held).await;
    assert_eq!((row.state, row.attempt, row.lease_until), (JobState::Ready, 0, None));
    assert_eq!(house.outcomes(&held).await, ["released"]);
    assert!(house.attempts(&next).await.is_empty());
    // Another worker does not have to wait for the lease.
    assert_eq!(house.worker("w2", &Scripted::new([])).drain_once().await, 2);
}

#[tokio::test]
async fn a_restart_loses_nothing_and_does_not_wait_for_old_leases() {
    let mut house = House::new().await;
    let mut ids = Vec::new();
    for lane in ["a", "a", "b", "c"] {
        ids.push(house.enqueue(job(lane, json!({}))).await);
    }
    // The process dies with three jobs running.
    assert_eq!(jobs::claim(&house.db, "w", LEASE, 9).await.expect("claim").len(), 3);
    house.restart().await;
    let handler = Arc::new(Held::default());
    let stop = CancellationToken::new();
    let running = house.worker_with(sleepy("w"), &handler).run(stop.clone());
    let watches = async {
        for _ in 0..4 {
            handler.entered.notified().await;
            handler.gate.notify_one();
        }
        while jobs::counts(&house.db).await.expect("counts").done < 4 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    in_time(async { tokio::join!(running, watches) }).await;
    assert_eq!(house.outcomes(&ids[0]).await, ["lost", "done"]);
    assert_eq!(house.outcomes(&ids[1]).await, ["done"]);
}
