//! What happens by the clock. A schedule only asks for work; the queue sees to it that it is done once.
//!
//! Every host runs a ticker over the same list. How far a schedule has come is in the store, and a tick stands there
//! together with the job it caused: so a tick fires once, whoever is first, and whatever the clocks do.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;
use wharf_domain::schedule::{Missed, Schedule, ScheduleError, When};
use wharf_domain::time::Timestamp;
use wharf_store::jobs::NewJob;
use wharf_store::{Db, StoreError, Tx, jobs, schedules as store};

use crate::{intake, retention};

/// The longest a ticker sleeps: a clock that leaps ahead is noticed by then.
const LONGEST_SLEEP_MS: i64 = 60_000;
/// How soon it looks again at a schedule that is paused or could not be fired.
const SOON_MS: i64 = 5_000;

/// Work asked for by the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    pub tenant: TenantId,
    pub task: Task,
    pub when: Schedule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Fetch what the ERP has to tell.
    PullErp,
    /// Remove what is old.
    Retention,
}

impl Task {
    /// The schedule's name, unique per tenant.
    fn name(self) -> &'static str {
        match self {
            Self::PullErp => intake::PULL,
            Self::Retention => retention::SWEEP,
        }
    }

    async fn ask(self, tx: &mut Tx, tenant: &TenantId) -> Result<(), StoreError> {
        let actor = Actor::Host("schedule".to_owned());
        let asked = match self {
            Self::PullErp => intake::request_pull(tx, &actor, tenant).await?,
            Self::Retention => {
                let name = self.name();
                let job = NewJob::new(tenant.clone(), name, name, json!({}));
                jobs::enqueue(tx, &actor, &NewJob { coalesce_key: Some(name.to_owned()), ..job }).await?
            }
        };
        tracing::debug!(tenant = %tenant, job = %asked.id, "schedule `{}` asked for job `{}`", self.name(), asked.id);
        Ok(())
    }
}

/// Every schedule of a host: a pull for each tenant with its `poll_seconds`, and the removal of what is old.
///
/// # Errors
/// When a pace is out of range.
pub fn schedules(
    polls: impl IntoIterator<Item = (TenantId, u32)>,
    retention: Schedule,
) -> Result<Vec<Scheduled>, ScheduleError> {
    let mut all = vec![Scheduled { tenant: TenantId::host(), task: Task::Retention, when: retention }];
    for (tenant, seconds) in polls {
        let pace = When::Every(NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN));
        let when = Schedule::new(pace, "UTC", None, Missed::RunOnce)?;
        all.push(Scheduled { tenant, task: Task::PullErp, when });
    }
    Ok(all)
}

/// Fires schedules when they are due.
pub struct Ticker {
    db: Db,
    /// With the moment each is to be asked next.
    schedules: Vec<(Scheduled, Timestamp)>,
    /// When they were last looked at.
    looked: Timestamp,
}

impl Ticker {
    pub fn new(db: Db, schedules: Vec<Scheduled>) -> Self {
        let now = db.now();
        Self { db, schedules: schedules.into_iter().map(|schedule| (schedule, now)).collect(), looked: now }
    }

    /// Runs until `shutdown`. A firing that fails is logged and comes again soon.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let wait = self.tick().await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Fires what is due and says how long nothing will be.
    async fn tick(&mut self) -> Duration {
        let now = self.db.now();
        // What was worked out under a clock that was ahead does not count.
        let set_back = now < self.looked;
        self.looked = now;
        for (schedule, ask) in &mut self.schedules {
            if *ask > now && !set_back {
                continue;
            }
            *ask = match fire(&self.db, schedule).await {
                Ok(next) => next,
                Err(error) => {
                    let name = schedule.task.name();
                    tracing::error!("failed to fire schedule `{name}` of `{}`: {error}", schedule.tenant);
                    now.plus(SOON_MS)
                }
            };
        }
        let next = self.schedules.iter().map(|(_, ask)| ask.since(now)).min().unwrap_or(LONGEST_SLEEP_MS);
        Duration::from_millis(u64::try_from(next.clamp(1, LONGEST_SLEEP_MS)).unwrap_or(1))
    }
}

/// Fires the ticks that are due, each with its job, and says when to ask again.
async fn fire(db: &Db, schedule: &Scheduled) -> Result<Timestamp, StoreError> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let row = store::take(&mut tx, &schedule.tenant, schedule.task.name(), schedule.when.first(now)).await?;
    if row.paused {
        return Ok(now.plus(SOON_MS));
    }
    let due = schedule.when.due(row.last_tick, now);
    for tick in due.ticks {
        if store::tick(&mut tx, &row, tick).await? {
            schedule.task.ask(&mut tx, &schedule.tenant).await?;
        }
    }
    tx.commit().await?;
    Ok(due.next)
}

#[cfg(test)]
mod tests;
