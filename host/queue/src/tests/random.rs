//! Two workers, several lanes, and handlers that end in every way there is, by seed: every job reaches one end, its
//! end is settled once, and no lane ever runs two jobs or runs them out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use wharf_domain::fault::FaultKind;
use wharf_store::jobs::{self, Job};
use wharf_store::{StoreError, Tx};

use super::in_time;
use crate::handler::{Handler, Verdict};
use crate::testing::{House, fault, job};

struct Moody {
    house: House,
    state: Mutex<State>,
}

struct State {
    rng: SmallRng,
    running: BTreeSet<String>,
    /// The place of the last job that ended, by lane.
    ended: BTreeMap<String, u64>,
    /// What must not happen. Noted, because a panic in a handler would be contained.
    broken: Vec<String>,
}

/// Leaves the lane also when the handler panics.
struct InLane<'a>(&'a Mutex<State>, &'a str);

impl Drop for InLane<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).running.remove(self.1);
    }
}

fn lane(job: &Job) -> &str {
    job.lane.as_deref().expect("every job of this test has a lane")
}

fn place(job: &Job) -> u64 {
    job.payload.as_u64().expect("place")
}

#[async_trait]
impl Handler for Moody {
    async fn run(&self, job: &Job) -> Verdict {
        {
            let mut state = self.state.lock().expect("lock");
            if !state.running.insert(lane(job).to_owned()) {
                state.broken.push(format!("lane `{}` runs two jobs", lane(job)));
            }
        }
        let _lane = InLane(&self.state, lane(job));
        tokio::task::yield_now().await;
        let mood = self.state.lock().expect("lock").rng.random_range(0..8);
        match mood {
            0 => Verdict::Retry(fault(FaultKind::Transient)),
            1 => Verdict::Retry(fault(FaultKind::Forbidden)),
            2 => Verdict::Snooze { until: self.house.db.now().plus(20), reason: "later".to_owned() },
            3 => Verdict::Park(fault(FaultKind::OutcomeUnknown)),
            4 => Verdict::Cancelled("gone".to_owned()),
            5 if job.attempt == 1 => std::panic::resume_unwind(Box::new("a panic on purpose, without noise")),
            _ => Verdict::Done(Value::Null),
        }
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        if matches!(verdict, Verdict::Retry(_) | Verdict::Snooze { .. }) {
            return Ok(());
        }
        crate::testing::mark_settled(tx, job).await?;
        let mut state = self.state.lock().expect("lock");
        if state.rng.random_bool(0.1) {
            return Err(StoreError::NotFound { what: "thing", id: "x".to_owned() });
        }
        let before = state.ended.insert(lane(job).to_owned(), place(job));
        if before.is_some_and(|before| before >= place(job)) {
            state.broken.push(format!("lane `{}` ran out of order", lane(job)));
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_job_ends_once_and_every_lane_keeps_its_order() {
    for seed in 0..12 {
        let rng = SmallRng::seed_from_u64(seed);
        let state = State { rng, running: BTreeSet::new(), ended: BTreeMap::new(), broken: Vec::new() };
        let handler = Arc::new(Moody { house: House::new().await, state: Mutex::new(state) });
        let house = &handler.house;
        let mut ids = Vec::new();
        for place in 0..24 {
            let lane = ["a", "b", "c", "d"][place % 4];
            ids.push(house.enqueue(job(lane, json!(place))).await);
        }
        let (first, second) = (house.worker("w1", &handler), house.worker("w2", &handler));
        let all_end = async {
            loop {
                tokio::join!(first.drain_once(), second.drain_once());
                let counts = jobs::counts(&house.db).await.expect("counts");
                assert_eq!(counts.total(), 24);
                if counts.unfinished() == 0 {
                    break;
                }
                house.clock.advance(20);
            }
        };
        in_time(all_end).await;
        assert_eq!(handler.state.lock().expect("lock").broken, Vec::<String>::new(), "seed {seed}");
        for id in ids {
            let (row, settled) = (house.row(&id).await, house.settled(&id).await);
            // The one end without a settle: the last attempt's own settle failed, and so did the one that told it.
            let untold = row.fault.is_some_and(|fault| fault.code == "queue.not-settled");
            assert!(settled == 1 || (settled == 0 && untold), "seed {seed}: `{id}` settled {settled} times");
        }
    }
}
