//! Durable units of work.
//!
//! A job is enqueued in the transaction of the change that caused it and finished in the transaction that stores what
//! came of it. In between, a worker holds it by a lease and a fence: a number that grows with every claim, so a worker
//! that lost its lease can change nothing. Jobs of one lane run one at a time, in the order they were enqueued; a job
//! waiting for its next attempt keeps its lane waiting, a parked one does not.

mod claim;
mod finish;
#[cfg(test)]
mod history;
mod read;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::fault::Fault;
use wharf_domain::ids::{FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, json};

pub use claim::{claim, expire_leases, heartbeat, release};
pub use finish::{Finish, finish};
pub use read::{attempts, counts, for_flow, get, parked};

/// How often a job is tried when nobody says otherwise: with the usual backoff, about three hours.
pub const MAX_ATTEMPTS: u32 = 30;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub tenant: TenantId,
    /// Jobs of one tenant and lane run one after the other.
    pub lane: String,
    /// Names the handler, e.g. `carrier.create-shipment`.
    pub kind: String,
    pub payload: Value,
    /// The flow that hears of the result.
    pub flow: Option<FlowKey>,
    /// Higher goes first among the lanes of a tenant; never within a lane. Usually 0.
    pub priority: i64,
    /// Not before this moment; absent means now.
    pub run_at: Option<Timestamp>,
    pub max_attempts: u32,
    /// No attempt starts after this moment.
    pub deadline: Option<Timestamp>,
    /// Jobs with the same key say the same thing; it determines kind and lane.
    pub coalesce_key: Option<String>,
}

impl NewJob {
    /// A job to run now: no flow, priority 0, [`MAX_ATTEMPTS`], no deadline, not coalesced.
    pub fn new(tenant: TenantId, lane: impl Into<String>, kind: impl Into<String>, payload: Value) -> Self {
        Self {
            tenant,
            lane: lane.into(),
            kind: kind.into(),
            payload,
            flow: None,
            priority: 0,
            run_at: None,
            max_attempts: MAX_ATTEMPTS,
            deadline: None,
            coalesce_key: None,
        }
    }
}

/// What [`enqueue`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The new job, or the waiting one that took the new payload over.
    pub id: JobId,
    pub coalesced: bool,
}

/// A claimed job, as its handler sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    pub id: JobId,
    pub tenant: TenantId,
    pub lane: String,
    pub kind: String,
    pub payload: Value,
    pub flow: Option<FlowKey>,
    /// This attempt, counted from 1. Greater than `max_attempts` when the last one ended without a result.
    pub attempt: u32,
    pub max_attempts: u32,
    pub fence: i64,
    /// As of the claim; heartbeats move it on.
    pub lease_until: Timestamp,
    pub deadline: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its turn, its time or its lane.
    Ready,
    Running,
    Done,
    /// Given up: a person decides.
    Parked,
    Cancelled,
}

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    pub id: JobId,
    pub tenant: TenantId,
    pub lane: String,
    pub kind: String,
    pub payload: Value,
    pub flow: Option<FlowKey>,
    pub state: JobState,
    pub priority: i64,
    pub run_at: Timestamp,
    pub attempt: u32,
    pub max_attempts: u32,
    pub fence: i64,
    pub worker: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    /// Of the last attempt that had one.
    pub fault: Option<Fault>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// One attempt. Never deleted while its job is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    pub fence: i64,
    /// A snoozed or released attempt gives its number back, so a number may appear twice.
    pub attempt: u32,
    pub worker: String,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// `done`, `retry`, `snooze`, `park`, `cancelled`, `released`, `lost`; absent while it runs.
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub fault: Option<Fault>,
}

/// Jobs per state, over all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub ready: u64,
    pub running: u64,
    pub done: u64,
    pub parked: u64,
    pub cancelled: u64,
}

impl Counts {
    /// Every job that was ever accepted and is still kept.
    pub fn total(&self) -> u64 {
        self.ready + self.running + self.done + self.parked + self.cancelled
    }
}

/// Adds a job, to be run after the transaction commits. With a `coalesce_key`, a job of the same tenant and key that no
/// worker has ever claimed takes the new payload, flow and deadline over instead, keeps its place, and runs at the
/// earlier of the two times with the higher of the two priorities.
pub async fn enqueue(tx: &mut Tx, actor: &Actor, job: &NewJob) -> Result<Enqueued, StoreError> {
    let now = tx.now();
    let id = JobId::mint(tx.ids(), now);
    let row = sqlx::query(
        "INSERT INTO job (id, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, max_attempts, \
         fence, deadline, coalesce_key, actor, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'ready', $7, $8, 0, $9, 0, $10, $11, $12, $13, $13) \
         ON CONFLICT (tenant, coalesce_key) WHERE coalesce_key IS NOT NULL AND state = 'ready' AND fence = 0 \
         DO UPDATE SET payload = excluded.payload, flow = excluded.flow, deadline = excluded.deadline, \
         priority = CASE WHEN excluded.priority > job.priority THEN excluded.priority ELSE job.priority END, \
         run_at = CASE WHEN excluded.run_at < job.run_at THEN excluded.run_at ELSE job.run_at END, \
         updated_at = excluded.updated_at RETURNING id",
    )
    .bind(id.to_string())
    .bind(job.tenant.as_str())
    .bind(&job.lane)
    .bind(&job.kind)
    .bind(json(&job.payload)?)
    .bind(job.flow.as_ref().map(FlowKey::as_str))
    .bind(job.priority)
    .bind(job.run_at.unwrap_or(now).millis())
    .bind(i64::from(job.max_attempts))
    .bind(job.deadline.map(Timestamp::millis))
    .bind(&job.coalesce_key)
    .bind(actor.to_string())
    .bind(now.millis())
    .fetch_one(tx.conn())
    .await?;
    let stored = Cols(&row).job("id")?;
    tx.mark_enqueued();
    Ok(Enqueued { id: stored, coalesced: stored != id })
}

/// Cancels the jobs of a lane (of one kind, when given) that no worker has ever claimed. Returns them, oldest first.
pub async fn cancel_unstarted(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    lane: &str,
    kind: Option<&str>,
) -> Result<Vec<JobId>, StoreError> {
    let now = tx.now().millis();
    let rows = sqlx::query(
        "UPDATE job SET state = 'cancelled', updated_at = $4, finished_at = $4 WHERE tenant = $1 AND lane = $2 \
         AND state = 'ready' AND fence = 0 AND ($3 IS NULL OR kind = $3) RETURNING id, seq",
    )
    .bind(tenant.as_str())
    .bind(lane)
    .bind(kind)
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    let mut cancelled = Vec::with_capacity(rows.len());
    for row in &rows {
        cancelled.push((Cols(row).int("seq")?, Cols(row).job("id")?));
    }
    cancelled.sort_unstable();
    let cancelled: Vec<JobId> = cancelled.into_iter().map(|(_, id)| id).collect();
    for id in &cancelled {
        let detail = value!({ "lane": lane });
        audit::append(tx, actor, tenant, "job.cancelled", &format!("job/{id}"), &detail).await?;
    }
    Ok(cancelled)
}

/// Gives a parked job a fresh set of attempts, now. It goes back to its old place in its lane; a deadline that made it
/// park is lifted, because a person decided. Its earlier attempts stay on record.
pub async fn replay(tx: &mut Tx, actor: &Actor, id: &JobId) -> Result<(), StoreError> {
    let now = tx.now().millis();
    let row = sqlx::query(
        "UPDATE job SET state = 'ready', attempt = 0, run_at = $2, deadline = NULL, finished_at = NULL, \
         updated_at = $2 WHERE id = $1 AND state = 'parked' RETURNING tenant",
    )
    .bind(id.to_string())
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        return Err(not_parked(tx, id).await?);
    };
    let tenant = Cols(&row).tenant()?;
    audit::append(tx, actor, &tenant, "job.replayed", &format!("job/{id}"), &Value::Null).await?;
    tx.mark_enqueued();
    Ok(())
}

async fn not_parked(tx: &mut Tx, id: &JobId) -> Result<StoreError, StoreError> {
    let row = sqlx::query("SELECT state FROM job WHERE id = $1").bind(id.to_string()).fetch_optional(tx.conn()).await?;
    Ok(match row {
        None => StoreError::NotFound { what: "job", id: id.to_string() },
        Some(row) => StoreError::Refused {
            what: "job",
            id: id.to_string(),
            state: Cols(&row).text("state")?,
            rule: "only a parked job can be replayed",
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::Db;
    use crate::testing::{House, START, actor, tenant};

    fn pull(run_at: i64, payload: u32) -> NewJob {
        NewJob {
            run_at: Some(Timestamp::from_millis(START + run_at)),
            coalesce_key: Some("pull".to_owned()),
            ..NewJob::new(tenant("t"), "pull", "erp.pull", json!(payload))
        }
    }

    async fn put(db: &Db, job: &NewJob) -> Enqueued {
        let mut tx = db.begin().await.expect("begin");
        let enqueued = enqueue(&mut tx, &actor(), job).await.expect("enqueue");
        tx.commit().await.expect("commit");
        enqueued
    }

    #[tokio::test]
    async fn an_unstarted_job_of_the_same_key_takes_the_newest_payload() {
        let house = House::new().await;
        let first = put(&house.db, &pull(50, 1)).await;
        assert!(!first.coalesced);
        let urgent = NewJob { priority: 5, ..pull(20, 2) };
        assert_eq!(put(&house.db, &urgent).await, Enqueued { id: first.id, coalesced: true });
        assert!(put(&house.db, &pull(90, 3)).await.coalesced);
        let other_tenant = NewJob { tenant: tenant("u"), ..pull(90, 9) };
        assert!(!put(&house.db, &other_tenant).await.coalesced);
        let row = get(&house.db, &first.id).await.expect("get").expect("some");
        assert_eq!((row.payload, row.run_at.millis() - START, row.priority), (json!(3), 20, 5));
    }

    #[tokio::test]
    async fn a_claimed_job_is_never_changed_by_a_later_one() {
        let house = House::new().await;
        let first = put(&house.db, &pull(0, 1)).await;
        let claimed = claim(&house.db, "w", 1_000, 9).await.expect("claim");
        let second = put(&house.db, &pull(0, 2)).await;
        assert!(!second.coalesced);
        // Snoozed, the first waits again; it still is not the one that is coalesced into.
        let mut tx = house.db.begin().await.expect("begin");
        let snooze = Finish::Snooze { until: tx.now().plus(5), reason: "later".to_owned() };
        finish(&mut tx, &actor(), &first.id, claimed[0].fence, &snooze).await.expect("finish");
        tx.commit().await.expect("commit");
        assert_eq!(put(&house.db, &pull(0, 3)).await.id, second.id);
        let row = get(&house.db, &first.id).await.expect("get").expect("some");
        assert_eq!(row.payload, json!(1));
    }

    #[tokio::test]
    async fn only_jobs_nobody_ever_claimed_are_cancelled() {
        let house = House::new().await;
        let job = |lane: &str, kind: &str| NewJob::new(tenant("t"), lane, kind, json!({}));
        let started = put(&house.db, &job("a", "x")).await.id;
        claim(&house.db, "w", 1_000, 9).await.expect("claim");
        let waiting = [put(&house.db, &job("a", "x")).await.id, put(&house.db, &job("a", "x")).await.id];
        let spared = [put(&house.db, &job("a", "y")).await.id, put(&house.db, &job("b", "x")).await.id, started];
        let mut tx = house.db.begin().await.expect("begin");
        let cancelled = cancel_unstarted(&mut tx, &actor(), &tenant("t"), "a", Some("x")).await.expect("cancel");
        tx.commit().await.expect("commit");
        assert_eq!(cancelled, waiting);
        for id in spared {
            let row = get(&house.db, &id).await.expect("get").expect("some");
            assert_ne!(row.state, JobState::Cancelled);
        }
        let counts = counts(&house.db).await.expect("counts");
        assert_eq!(counts, Counts { ready: 2, running: 1, cancelled: 2, ..Counts::default() });
        let audit = audit::for_object(&house.db, &tenant("t"), &format!("job/{}", waiting[0])).await.expect("audit");
        assert_eq!(audit[0].action, "job.cancelled");
    }

    #[tokio::test]
    async fn only_a_parked_job_can_be_replayed() {
        let house = House::new().await;
        let id = put(&house.db, &pull(0, 1)).await.id;
        let mut tx = house.db.begin().await.expect("begin");
        let refused = replay(&mut tx, &actor(), &id).await.expect_err("ready");
        assert_eq!(refused.to_string(), format!("the job `{id}` is ready: only a parked job can be replayed"));
        let nobody = JobId::mint(tx.ids(), tx.now());
        let refused = replay(&mut tx, &actor(), &nobody).await.expect_err("absent");
        assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
    }
}
