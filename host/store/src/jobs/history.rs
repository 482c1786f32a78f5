//! Random histories of enqueue, claim, finish, crash and restart, compared step by step with a model in memory:
//! nothing is lost, no lane has two live leases, every lane keeps its order, and nobody who lost a lease is believed.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::JobId;
use wharf_domain::time::Timestamp;

use super::{
    Finish, Job, JobState, NewJob, claim, counts, enqueue, expire_leases, finish, get, heartbeat, release, replay,
};
use crate::error::StoreError;
use crate::testing::{House, actor, tenant};

const LEASE: i64 = 1_000;
const WORKERS: [&str; 2] = ["w1", "w2"];

/// What the database should know of a job.
#[derive(Debug, Clone)]
struct Known {
    order: usize,
    lane: (String, String),
    state: JobState,
    run_at: Timestamp,
    lease_until: Timestamp,
    fence: i64,
    worker: &'static str,
    key: Option<String>,
    /// It has begun, is not at it any more, and goes on holding its lane.
    holds: bool,
}

/// Of two jobs of one lane: does the first keep the second from running?
fn before(first: &Known, second: &Known) -> bool {
    let waits = first.state == JobState::Ready && (first.holds || (first.order < second.order && !second.holds));
    first.order != second.order && (first.state == JobState::Running || waits)
}

struct History {
    house: House,
    rng: SmallRng,
    known: BTreeMap<JobId, Known>,
    /// Every lease ever given, also the lost ones.
    held: Vec<Job>,
}

impl History {
    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..30 => self.enqueue().await,
            30..55 => self.claim().await,
            55..80 => self.finish().await,
            80..86 => self.heartbeat().await,
            86..93 => {
                let millis = self.rng.random_range(1..LEASE);
                self.house.clock.advance(millis);
            }
            93..95 => self.release().await,
            95..98 => self.replay().await,
            _ => self.crash().await,
        }
    }

    async fn enqueue(&mut self) {
        let of = ["t", "u"][self.rng.random_range(0..2)];
        let lane = ["a", "b", "c"][self.rng.random_range(0..3)];
        let key = self.rng.random_bool(0.2).then(|| format!("key-{lane}"));
        let run_at = self.house.db.now().plus(self.rng.random_range(-5..300));
        let job = NewJob {
            run_at: Some(run_at),
            coalesce_key: key.clone(),
            priority: self.rng.random_range(0..3),
            ..NewJob::new(tenant(of), lane, "kind", json!({}))
        };
        let mut tx = self.house.db.begin().await.expect("begin");
        let enqueued = enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
        if self.rng.random_bool(0.1) {
            drop(tx); // died before the commit: nobody was told that it was accepted
            return self.house.at_rest().await;
        }
        tx.commit().await.expect("commit");
        let lane = (of.to_owned(), lane.to_owned());
        let waiting = self.known.iter().find(|(_, known)| {
            known.lane.0 == lane.0
                && key.is_some()
                && known.key == key
                && known.state == JobState::Ready
                && known.fence == 0
        });
        assert_eq!(enqueued.coalesced.then_some(enqueued.id), waiting.map(|(id, _)| *id));
        let order = self.known.len();
        let fresh = Known {
            order,
            lane,
            state: JobState::Ready,
            run_at,
            lease_until: run_at,
            fence: 0,
            worker: "",
            key,
            holds: false,
        };
        let known = self.known.entry(enqueued.id).or_insert(fresh);
        known.run_at = known.run_at.min(run_at);
    }

    /// Of the model: could a worker get it now?
    fn claimable(&self, id: &JobId) -> bool {
        let (now, mine) = (self.house.db.now(), &self.known[id]);
        let lane = || self.known.values().filter(|other| other.lane == mine.lane && other.order != mine.order);
        match mine.state {
            JobState::Running => mine.lease_until <= now,
            JobState::Ready => mine.run_at <= now && !lane().any(|other| before(other, mine)),
            _ => false,
        }
    }

    async fn claim(&mut self) {
        let worker = WORKERS[self.rng.random_range(0..2)];
        let limit = self.rng.random_range(1..4_u32);
        let open: Vec<JobId> = self.known.keys().filter(|id| self.claimable(id)).copied().collect();
        let claimed = claim(&self.house.db, worker, LEASE, limit).await.expect("claim");
        assert_eq!(claimed.len(), open.len().min(limit as usize), "open: {open:?}");
        let now = self.house.db.now();
        // Every lease that ran out is given up, also where somebody else's turn comes first.
        for known in self.known.values_mut().filter(|known| known.lease_until <= now) {
            if known.state == JobState::Running {
                (known.state, known.holds) = (JobState::Ready, true);
            }
        }
        for job in claimed {
            assert!(open.contains(&job.id), "`{}` was not to be had", job.id);
            let lane = self.known[&job.id].lane.clone();
            let live = self
                .known
                .values()
                .filter(|other| other.lane == lane && other.state == JobState::Running && other.lease_until > now);
            assert_eq!(live.count(), 0, "two live leases in lane {lane:?}");
            let known = self.known.get_mut(&job.id).expect("known");
            assert_eq!(job.fence, known.fence + 1);
            (known.state, known.fence, known.lease_until, known.worker, known.holds) =
                (JobState::Running, job.fence, now.plus(LEASE), worker, false);
            self.held.push(job);
        }
    }

    fn some_lease(&mut self) -> Option<Job> {
        if self.held.is_empty() {
            return None;
        }
        // Mostly a young one: the old ones are lost long since.
        let age = self.rng.random_range(0..self.held.len().min(4));
        Some(self.held[self.held.len() - 1 - age].clone())
    }

    fn is_current(&self, job: &Job) -> bool {
        let known = &self.known[&job.id];
        known.state == JobState::Running && known.fence == job.fence
    }

    async fn finish(&mut self) {
        let Some(job) = self.some_lease() else { return };
        let later = self.house.db.now().plus(self.rng.random_range(1..400));
        let fault = Fault::new(FaultKind::Transient, "test", "no luck", Blame::Partner);
        let (how, state) = match self.rng.random_range(0..6) {
            0 => (Finish::Retry { at: later, fault }, JobState::Ready),
            1 => (Finish::Snooze { until: later, reason: String::new() }, JobState::Ready),
            2 => (Finish::Park { fault }, JobState::Parked),
            3 => (Finish::Cancelled { reason: String::new() }, JobState::Cancelled),
            _ => (Finish::Done, JobState::Done),
        };
        let mut tx = self.house.db.begin().await.expect("begin");
        let ended = finish(&mut tx, &actor(), &job, &how).await;
        if self.rng.random_bool(0.1) {
            drop(tx); // died before the commit
            return self.house.at_rest().await;
        }
        if !self.is_current(&job) {
            assert!(matches!(ended, Err(StoreError::LostLease { .. })), "{ended:?} of a lost lease");
            return;
        }
        ended.expect("finish");
        tx.commit().await.expect("commit");
        let known = self.known.get_mut(&job.id).expect("known");
        known.state = state;
        if state == JobState::Ready {
            (known.run_at, known.holds) = (later, true);
        }
    }

    async fn heartbeat(&mut self) {
        let Some(job) = self.some_lease() else { return };
        let kept = heartbeat(&self.house.db, &[&job], LEASE).await.expect("heartbeat") == [job.id];
        assert_eq!(kept, self.is_current(&job));
        let until = self.house.db.now().plus(LEASE);
        if kept {
            self.known.get_mut(&job.id).expect("known").lease_until = until;
        }
    }

    async fn release(&mut self) {
        let worker = WORKERS[self.rng.random_range(0..2)];
        let released = release(&self.house.db, worker, &[]).await.expect("release");
        let now = self.house.db.now();
        let mut expected = 0;
        for known in self.known.values_mut().filter(|k| k.state == JobState::Running && k.worker == worker) {
            (known.state, known.run_at, known.fence) = (JobState::Ready, now, known.fence + 1);
            known.holds = true;
            expected += 1;
        }
        assert_eq!(released, expected);
    }

    async fn replay(&mut self) {
        let Some(id) = self.known.iter().find(|(_, k)| k.state == JobState::Parked).map(|(id, _)| *id) else { return };
        let mut tx = self.house.db.begin().await.expect("begin");
        replay(&mut tx, &actor(), &id).await.expect("replay");
        tx.commit().await.expect("commit");
        let now = self.house.db.now();
        let (lane, order) = (self.known[&id].lane.clone(), self.known[&id].order);
        // A younger one that has begun, and is not at it any more, steps back.
        for known in self.known.values_mut().filter(|known| known.lane == lane && known.order > order) {
            known.holds = false;
        }
        let known = self.known.get_mut(&id).expect("known");
        (known.state, known.run_at) = (JobState::Ready, now);
    }

    /// The process dies; the next one takes up what `w1` left. Leases of `w2` have to run out.
    async fn crash(&mut self) {
        self.house.restart().await;
        expire_leases(&self.house.db, "w1").await.expect("expire");
        let now = self.house.db.now();
        for known in self.known.values_mut().filter(|k| k.state == JobState::Running && k.worker == "w1") {
            known.lease_until = known.lease_until.min(now);
        }
    }

    async fn compare(&self) {
        for (id, known) in &self.known {
            let row = get(&self.house.db, id).await.expect("get").expect("an accepted job is there");
            assert_eq!((row.fence, row.run_at), (known.fence, known.run_at), "{id}");
            let fits = match known.state {
                JobState::Ready => self.ready_as(known, row.state),
                state => row.state == state,
            };
            assert!(fits, "{id} is {:?}: {known:?}", row.state);
        }
        assert_eq!(counts(&self.house.db).await.expect("counts").total(), self.known.len() as u64);
    }

    /// Of the model: may a job that waits be kept in this state? Behind another one of its lane it is queued; else it
    /// waits for its time, until a claim has seen that the time has come.
    fn ready_as(&self, mine: &Known, state: JobState) -> bool {
        let behind = self.known.values().any(|other| other.lane == mine.lane && before(other, mine));
        match state {
            JobState::Queued => behind,
            JobState::Ready | JobState::Waiting => !behind,
            _ => false,
        }
    }

    /// Finishes everything that is left, oldest first in each lane.
    async fn finish_all(&mut self) {
        for _ in 0..10_000 {
            self.house.clock.advance(LEASE);
            let jobs = claim(&self.house.db, "last", LEASE, 4).await.expect("claim");
            if jobs.is_empty() {
                break;
            }
            for job in jobs {
                let mut tx = self.house.db.begin().await.expect("begin");
                finish(&mut tx, &actor(), &job, &Finish::Done).await.expect("finish");
                tx.commit().await.expect("commit");
            }
        }
        let counts = counts(&self.house.db).await.expect("counts");
        assert_eq!((counts.ready, counts.running), (0, 0), "something is stuck");
        assert_eq!(counts.total(), self.known.len() as u64);
    }
}

/// `seeds` histories, each on a database of its own.
async fn random_histories(seeds: u64, postgres: bool) {
    for seed in 0..seeds {
        let house = if postgres { House::postgres().await } else { House::new().await };
        let rng = SmallRng::seed_from_u64(seed);
        let mut history = History { house, rng, known: BTreeMap::new(), held: Vec::new() };
        for _ in 0..8 {
            for _ in 0..25 {
                history.step().await;
            }
            history.compare().await;
        }
        assert!(!history.held.is_empty());
        history.finish_all().await;
    }
}

#[tokio::test]
async fn random_histories_lose_nothing_and_keep_every_lane_in_order_on_sqlite() {
    random_histories(16, false).await;
}

#[tokio::test]
async fn random_histories_lose_nothing_and_keep_every_lane_in_order_on_postgres() {
    random_histories(8, true).await;
}
