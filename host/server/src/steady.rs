//! A clock nobody can make jump: the wall clock of the start, moved on by a clock that only counts. Leases, timers and
//! deadlines go by it, so a machine whose time is set does not lose leases or fire timers early.
//!
//! A small difference between the two (a crystal that is off, a time server that corrects it) is made up for slowly. A
//! jump is not followed: it is logged once, and the host goes on with its own time until the machine's is right again or
//! the host is started anew. Nor does a restart go back: see [`SteadyClock::not_before`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wharf_domain::time::{Clock, Timestamp};

use crate::clock::SystemClock;

/// From here on a difference is a jump, in milliseconds.
const JUMP_MS: i64 = 2_000;
/// A small difference is looked at this often, and at most one part in twenty of the time between is made up for.
const LOOK_MS: i64 = 1_000;
const SHARE: i64 = 20;

/// What the machine says.
pub(crate) trait Machine: Send + Sync {
    fn wall(&self) -> Timestamp;
    /// Milliseconds since some moment; never set by anybody.
    fn counted(&self) -> i64;
}

/// This machine. What it counts stands still while it sleeps: after that it looks like a clock that was set ahead, and
/// the host has to be started anew.
pub(crate) struct ThisMachine {
    started: Instant,
}

impl Machine for ThisMachine {
    fn wall(&self) -> Timestamp {
        SystemClock.now()
    }

    fn counted(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

pub(crate) struct SteadyClock<M = ThisMachine> {
    machine: M,
    state: Mutex<State>,
}

struct State {
    /// Our time at `counted`.
    time: Timestamp,
    counted: i64,
    /// What was told last: time never goes back.
    told: Timestamp,
    /// The machine's time jumped, and that was logged.
    jumped: bool,
}

impl SteadyClock {
    pub(crate) fn start() -> Self {
        Self::on(ThisMachine { started: Instant::now() })
    }
}

impl<M: Machine> SteadyClock<M> {
    fn on(machine: M) -> Self {
        let (time, counted) = (machine.wall(), machine.counted());
        Self { machine, state: Mutex::new(State { time, counted, told: time, jumped: false }) }
    }

    /// Time goes on from `moment` when it is not there yet: something was written then, so the machine's clock was set
    /// back since.
    pub(crate) fn not_before(&self, moment: Timestamp) {
        if self.now() < moment {
            let mut state = self.lock();
            (state.time, state.counted, state.told) = (moment, self.machine.counted(), moment);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Machine> Clock for SteadyClock<M> {
    fn now(&self) -> Timestamp {
        let mut state = self.lock();
        let (wall, counted) = (self.machine.wall(), self.machine.counted());
        let passed = counted.saturating_sub(state.counted).max(0);
        let ours = state.time.plus(passed);
        let off = wall.since(ours);
        state.told = state.told.max(ours);
        if off.saturating_abs() >= JUMP_MS {
            if !state.jumped {
                state.jumped = true;
                let seconds = off / 1_000;
                tracing::error!(
                    "this machine's clock is {seconds} s off the host's, which is {ours} and counts on; set the machine's clock right, and start the host anew if the host's is wrong"
                );
            }
            return state.told;
        }
        if state.jumped {
            state.jumped = false;
            tracing::info!("this machine's clock agrees with the host's again");
        }
        if passed >= LOOK_MS {
            let most = passed / SHARE;
            (state.time, state.counted) = (ours.plus(off.clamp(-most, most)), counted);
        }
        state.told
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use serde_json::json;
    use wharf_domain::account::{Account, Ask, Decision, Limits, Outcome};
    use wharf_domain::ctx::Actor;
    use wharf_domain::ids::TenantId;
    use wharf_store::Db;
    use wharf_store::jobs::{self, Claimer, NewJob};

    use super::*;
    use crate::clock::RandomIds;

    const START: i64 = 1_700_000_000_000;
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const JUMPS: [i64; 4] = [HOUR, -HOUR, 400 * 24 * HOUR, -400 * 24 * HOUR];

    /// A machine whose clocks a test moves.
    #[derive(Clone, Default)]
    struct Moved {
        wall: Arc<AtomicI64>,
        counted: Arc<AtomicI64>,
    }

    impl Machine for Moved {
        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
        }
        fn counted(&self) -> i64 {
            self.counted.load(Ordering::SeqCst)
        }
    }

    impl Moved {
        fn at(wall: i64) -> Self {
            let moved = Self::default();
            moved.jump(wall);
            moved
        }
        /// Time goes by.
        fn pass(&self, millis: i64) {
            self.counted.fetch_add(millis, Ordering::SeqCst);
            self.jump(millis);
        }
        /// Somebody sets the clock.
        fn jump(&self, millis: i64) {
            self.wall.fetch_add(millis, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_jump_is_not_followed_and_a_small_difference_is_made_up_for_slowly() {
        for jump in JUMPS {
            let machine = Moved::at(START);
            let clock = SteadyClock::on(machine.clone());
            machine.jump(jump);
            machine.pass(500);
            assert_eq!(clock.now().millis(), START + 500, "{jump}");
            machine.jump(-jump);
            machine.pass(500);
            assert_eq!(clock.now().millis(), START + 1_000, "and back, {jump}");
        }
        for off in [1_500, -1_500] {
            let machine = Moved::at(START);
            let clock = SteadyClock::on(machine.clone());
            machine.jump(off);
            let mut last = clock.now();
            for _ in 0..400 {
                machine.pass(100);
                let now = clock.now();
                assert!((0..=160).contains(&now.since(last)), "{off}: {} in 100 ms", now.since(last));
                last = now;
            }
            assert_eq!(machine.wall(), last, "{off}");
        }
    }

    async fn open(folder: &Path, machine: &Moved) -> (Db, Arc<SteadyClock<Moved>>) {
        let clock = Arc::new(SteadyClock::on(machine.clone()));
        let db = Db::open(&folder.join("wharf.db"), clock.clone(), Arc::new(RandomIds)).await.expect("open");
        db.migrate().await.expect("migrate");
        if let Some(newest) = db.newest().await.expect("newest") {
            clock.not_before(newest);
        }
        (db, clock)
    }

    async fn enqueue(db: &Db, kind: &str, after: i64) {
        let mut tx = db.begin().await.expect("begin");
        let job = NewJob::new(TenantId::parse("t").expect("tenant"), kind, kind, json!({}));
        let job = NewJob { run_at: Some(tx.now().plus(after)), ..job };
        jobs::enqueue(&mut tx, &Actor::Host("test".to_owned()), &job).await.expect("enqueue");
        tx.commit().await.expect("commit");
    }

    async fn claim(db: &Db, worker: &str) -> Vec<String> {
        let jobs = Claimer::new(worker, MINUTE).claim(db, 9, 9).await.expect("claim");
        jobs.into_iter().map(|job| job.kind).collect()
    }

    /// A clock that jumps takes no lease away and fires no timer early or twice.
    #[tokio::test]
    async fn p18_a_clock_that_jumps_loses_no_lease_and_fires_no_timer_early() {
        for jump in JUMPS {
            let (folder, machine) = (tempfile::tempdir().expect("folder"), Moved::at(START));
            let (db, _clock) = open(folder.path(), &machine).await;
            enqueue(&db, "leased", 0).await;
            enqueue(&db, "timer", 10 * MINUTE).await;
            assert_eq!(claim(&db, "first").await, ["leased"]);
            machine.jump(jump);
            machine.pass(MINUTE - 1);
            assert_eq!(claim(&db, "second").await, Vec::<String>::new(), "{jump}: the lease holds, the timer waits");
            machine.pass(1);
            assert_eq!(claim(&db, "second").await, ["leased"], "{jump}: it ran out when it should");
            machine.pass(9 * MINUTE);
            let mut due = claim(&db, "third").await;
            due.sort();
            assert_eq!(due, ["leased", "timer"], "{jump}: the timer fires when it should");
            machine.jump(-jump);
            assert_eq!(claim(&db, "fourth").await, Vec::<String>::new(), "{jump}: and only once");
        }
    }

    /// The clock is set an hour forward, or back, and nobody gets more requests from a partner for it.
    #[tokio::test]
    async fn i10_a_jump_of_the_clock_gives_nobody_more_requests() {
        let limits: Limits = serde_json::from_str(r#"{"buckets":[{"requests":2,"per_seconds":10}]}"#).expect("limits");
        for jump in JUMPS {
            let (folder, machine) = (tempfile::tempdir().expect("folder"), Moved::at(START));
            let (_db, clock) = open(folder.path(), &machine).await;
            let mut account = Account::default();
            let mut asks = || {
                let now = clock.now();
                let ask = Ask { urgent: false, promised: None, over_by: now.plus(1_000), roll: 0 };
                match account.ask(&limits, &ask, now) {
                    Decision::Go(permit) => {
                        account.report(permit, Outcome::Answered, now, 0);
                        true
                    }
                    Decision::Wait { .. } => false,
                }
            };
            assert!(asks() && asks() && !asks(), "two in ten seconds");
            machine.jump(jump);
            machine.pass(1_000);
            assert!(!asks(), "{jump}");
            machine.jump(-jump);
            machine.pass(1_000);
            assert!(!asks(), "{jump}: and back");
            machine.pass(20 * MINUTE);
            assert!(asks(), "{jump}: when the time has passed");
        }
    }

    /// A host that starts with a clock that was set back goes on from what it has written.
    #[tokio::test]
    async fn p18_a_restart_after_the_clock_was_set_back_does_not_run_time_backwards() {
        for jump in [-HOUR, -400 * 24 * HOUR] {
            let (folder, machine) = (tempfile::tempdir().expect("folder"), Moved::at(START));
            let (db, _clock) = open(folder.path(), &machine).await;
            enqueue(&db, "timer", 10 * MINUTE).await;
            db.close().await;
            machine.jump(jump);
            machine.pass(MINUTE);
            let (db, clock) = open(folder.path(), &machine).await;
            assert_eq!(clock.now().millis(), START, "{jump}");
            machine.pass(10 * MINUTE - 1);
            assert_eq!(claim(&db, "next").await, Vec::<String>::new(), "{jump}");
            machine.pass(1);
            assert_eq!(claim(&db, "next").await, ["timer"], "{jump}: not an hour late");
        }
    }
}
