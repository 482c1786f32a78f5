//! What happens by the clock. A schedule only asks for work; the queue sees to it that it is done once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;
use wharf_store::{Db, StoreError};

use crate::intake;

/// Work asked for at a steady pace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub tenant: TenantId,
    pub task: Task,
    /// Seconds between two firings; the first comes at once, so that a restart catches up.
    pub every_seconds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Fetch what the ERP has to tell.
    PullErp,
}

/// Everything periodic for tenants with order release, given each tenant's `poll_seconds`.
pub fn schedules(tenants: impl IntoIterator<Item = (TenantId, u32)>) -> Vec<Schedule> {
    let pull = |(tenant, every_seconds)| Schedule { tenant, task: Task::PullErp, every_seconds };
    tenants.into_iter().map(pull).collect()
}

/// Fires schedules when they are due.
pub struct Ticker {
    db: Db,
    /// With the moment each is due next.
    schedules: Vec<(Schedule, Timestamp)>,
}

impl Ticker {
    pub fn new(db: Db, schedules: Vec<Schedule>) -> Self {
        let now = db.now();
        Self { db, schedules: schedules.into_iter().map(|schedule| (schedule, now)).collect() }
    }

    /// Runs until `shutdown`. A firing that fails is logged and comes again with the next one.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let wait = self.tick().await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Fires what is due and says how long nothing will be. Missed firings are made up for by one.
    async fn tick(&mut self) -> Duration {
        let now = self.db.now();
        for (schedule, due) in &mut self.schedules {
            if *due > now {
                continue;
            }
            if let Err(error) = fire(&self.db, schedule).await {
                tracing::error!("failed to schedule {:?} of `{}`: {error}", schedule.task, schedule.tenant);
            }
            *due = now.plus(i64::from(schedule.every_seconds.max(1)) * 1000);
        }
        let next = self.schedules.iter().map(|(_, due)| due.since(now)).min().unwrap_or(i64::from(u32::MAX));
        // A clock that was set back must not silence the ticker.
        Duration::from_millis(u64::try_from(next).unwrap_or(0).clamp(1, 3_600_000))
    }
}

async fn fire(db: &Db, schedule: &Schedule) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    let actor = Actor::Host("schedule".to_owned());
    match schedule.task {
        Task::PullErp => intake::request_pull(&mut tx, &actor, &schedule.tenant).await?,
    };
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use wharf_store::jobs;

    use super::*;
    use crate::testing::House;

    #[tokio::test]
    async fn a_schedule_fires_at_once_then_at_its_pace_and_never_piles_up() {
        let house = House::new().await;
        let tenant = |name: &str| TenantId::parse(name).expect("tenant");
        let list = schedules([(tenant("nordic"), 5), (tenant("baltic"), 60)]);
        let mut ticker = Ticker::new(house.db.clone(), list);
        let waiting = async || jobs::counts(&house.db).await.expect("counts").unfinished();
        assert_eq!(ticker.tick().await, Duration::from_secs(5));
        assert_eq!(waiting().await, 2);
        house.clock.advance(4_999);
        assert_eq!(ticker.tick().await, Duration::from_millis(1));
        house.clock.advance(60_000);
        ticker.tick().await;
        assert_eq!(waiting().await, 2, "a pull that has not started does for every firing since");
        house.drain().await;
        assert_eq!(waiting().await, 0);
        house.clock.advance(5_000);
        ticker.tick().await;
        assert_eq!(waiting().await, 1, "only the one that is due");
    }
}
