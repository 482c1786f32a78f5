//! `host.retention`: what is old and over is removed, a little at a time.
//!
//! Nothing that something unfinished refers to goes, and effects and the audit never do: see
//! [`wharf_store::retention`]. The job stops when its time is up and comes back a moment later, so that it never holds
//! a worker for long; whatever it has removed by then stays removed.

use async_trait::async_trait;
use serde_json::json;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::schedule::Schedule;
use wharf_domain::time::Timestamp;
use wharf_queue::{Handler, Registry, Verdict};
use wharf_store::jobs::Job;
use wharf_store::retention::{Old, sweep};
use wharf_store::{Db, StoreError};

use crate::order_release::Stage;

/// Removes what is old.
pub const SWEEP: &str = "host.retention";

/// One run takes no longer than this; less than any lease.
const LONGEST_MS: i64 = 5_000;
/// How long a run that is not through leaves the database to others.
const PAUSE_MS: i64 = 1_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// For how many days what is over is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Finished jobs of a flow, with their attempts; never while the flow is open.
    pub jobs_days: u32,
    /// Finished jobs without a flow, such as the pulls that found nothing.
    pub done_quick_days: u32,
    /// Recorded exchanges with partners; never while their job is not over.
    pub tapes_days: u32,
    /// Facts that arrived; never while their flow is open. A fact told again after this counts as new.
    pub events_days: u32,
    /// Ticks of schedules. A clock set back further than this may fire them again.
    pub ticks_days: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { jobs_days: 30, done_quick_days: 2, tapes_days: 14, events_days: 90, ticks_days: 7 }
    }
}

impl Keep {
    /// What is wrong with it, and the remedy.
    pub fn check(&self) -> Result<(), String> {
        for (name, days, least) in [
            ("jobs_days", self.jobs_days, 1),
            ("done_quick_days", self.done_quick_days, 1),
            ("tapes_days", self.tapes_days, 1),
            ("events_days", self.events_days, 1),
            ("ticks_days", self.ticks_days, 2),
        ] {
            if days < least {
                return Err(format!("`{name}` is {days}; use at least {least}"));
            }
        }
        Ok(())
    }

    fn days(&self) -> [(Old, u32); 5] {
        [
            (Old::QuickJobs, self.done_quick_days),
            (Old::Ticks, self.ticks_days),
            (Old::Tapes, self.tapes_days),
            (Old::FlowJobs, self.jobs_days),
            (Old::Events, self.events_days),
        ]
    }
}

/// Names the handler. It works only while the window of `when` is open.
pub fn register(registry: &mut Registry, db: Db, keep: Keep, when: Schedule) {
    registry.register(SWEEP, std::sync::Arc::new(Sweep { db, keep, when }));
}

struct Sweep {
    db: Db,
    keep: Keep,
    when: Schedule,
}

#[async_trait]
impl Handler for Sweep {
    async fn run(&self, _job: &Job) -> Verdict {
        let started = self.db.now();
        match self.sweep_until(started, started.plus(LONGEST_MS)).await {
            Ok(Swept { removed, through }) => {
                tracing::info!("retention removed {removed} rows");
                if through || !self.when.open_at(self.db.now()) {
                    return Verdict::Done(json!({ "removed": removed }));
                }
                let reason = format!("removed {removed} rows, and there are more");
                Verdict::Snooze { until: self.db.now().plus(PAUSE_MS), reason }
            }
            Err(error) => {
                let message = format!("failed to remove what is old: {error}");
                Verdict::Retry(Fault::new(FaultKind::Transient, "flows.retention", message, Blame::Host))
            }
        }
    }

    fn settles(&self) -> bool {
        false
    }
}

struct Swept {
    removed: u64,
    /// Everything old enough was looked at.
    through: bool,
}

impl Sweep {
    async fn sweep_until(&self, now: Timestamp, end: Timestamp) -> Result<Swept, StoreError> {
        let closed = [Stage::Closed.as_str(), Stage::Cancelled.as_str()];
        let mut removed = 0;
        for (what, days) in self.keep.days() {
            let before = now.plus(-i64::from(days) * DAY_MS);
            let mut from = None;
            loop {
                let swept = sweep(&self.db, what, before, &closed, from).await?;
                removed += swept.removed;
                let at = self.db.now();
                if at >= end || !self.when.open_at(at) {
                    return Ok(Swept { removed, through: false });
                }
                match swept.next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        Ok(Swept { removed, through: true })
    }
}

#[cfg(test)]
mod tests;
