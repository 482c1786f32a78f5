//! The end of an attempt, in the transaction that stores what came of it.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::Fault;
use wharf_domain::ids::{JobId, TenantId};
use wharf_domain::time::Timestamp;

use super::{Job, lane};
use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, json, opt_json};
use crate::sql::{Row, Text, query};

/// What becomes of a job after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    Done,
    /// Another attempt, not before `at`.
    Retry {
        at: Timestamp,
        fault: Fault,
    },
    /// Later, and this attempt does not count.
    Snooze {
        until: Timestamp,
        reason: String,
    },
    /// A person decides. Leaves an audit row `job.parked`.
    Park {
        fault: Fault,
    },
    Cancelled {
        reason: String,
    },
}

impl Finish {
    /// As the attempt's row says.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Park { .. } => "park",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Retry { fault, .. } | Self::Park { fault } => Some(fault),
            Self::Done | Self::Snooze { .. } | Self::Cancelled { .. } => None,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Snooze { reason, .. } | Self::Cancelled { reason } => Some(reason),
            Self::Done | Self::Retry { .. } | Self::Park { .. } => None,
        }
    }
}

/// Ends the attempt that holds the job's fence. Fails with [`StoreError::LostLease`] when another worker, a release or
/// a finish was there before: roll back, nothing of this attempt may be stored.
pub async fn finish(tx: &mut Tx, actor: &Actor, job: &Job, finish: &Finish) -> Result<(), StoreError> {
    // The lane is free, or the job itself is to be run again: somebody may have something to do.
    tx.mark_enqueued();
    match finish {
        Finish::Done => {
            let lost = finish_done(tx, &[job]).await?;
            lost.first().map_or(Ok(()), |job| Err(StoreError::LostLease { job: *job }))
        }
        Finish::Cancelled { reason } => end(tx, job, reason).await,
        Finish::Retry { at, .. } => again(tx, job, finish, *at).await,
        Finish::Snooze { until, .. } => again(tx, job, finish, *until).await,
        Finish::Park { fault } => park(tx, actor, job, finish, fault).await,
    }
}

macro_rules! move_out {
    ($state:literal, $reason:literal) => {
        Text::new(concat!(
            "INSERT INTO job_done (id, seq, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, \
             max_attempts, fence, worker, started_at, deadline, depth, fault, reason, actor, created_at, finished_at) \
             SELECT job.id, job.seq, job.tenant, job.lane, job.kind, job.payload, job.flow, '",
            $state,
            "', job.priority, job.run_at, job.attempt, job.max_attempts, job.fence, job.worker, job.started_at, \
             job.deadline, job.depth, job.fault, ",
            $reason,
            ", job.actor, job.created_at, $2 FROM {each} JOIN job ON job.seq = CAST(e.value ->> 0 AS BIGINT) \
             AND job.fence = CAST(e.value ->> 1 AS BIGINT) AND job.lease_until IS NOT NULL {for_update_of_job} \
             RETURNING seq, tenant, lane"
        ))
    };
}

static MOVE_DONE: Text = move_out!("done", "NULL");
static MOVE_CANCELLED: Text = move_out!("cancelled", "$3");
static REMOVE: Text = Text::new("DELETE FROM job WHERE seq IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM {each})");

/// Ends many attempts as done, in one go. Returns those whose lease was lost: nothing of them was stored.
pub async fn finish_done(tx: &mut Tx, jobs: &[&Job]) -> Result<Vec<JobId>, StoreError> {
    let now = tx.now().millis();
    let mut held: Vec<(i64, i64)> = jobs.iter().map(|job| (job.seq, job.fence)).collect();
    // Two transactions that finish the same jobs take them in the same order.
    held.sort_unstable();
    let moved = query(&MOVE_DONE).bind(json(&held)?).bind(now).fetch_all(tx.conn()).await?;
    let mut seqs = leave(tx, &moved).await?;
    tx.mark_enqueued();
    if seqs.len() == jobs.len() {
        return Ok(Vec::new());
    }
    seqs.sort_unstable();
    Ok(jobs.iter().filter(|job| seqs.binary_search(&job.seq).is_err()).map(|job| job.id).collect())
}

/// Removes what was moved out, and lets the next of its lanes run. Returns the places of the rows.
async fn leave(tx: &mut Tx, moved: &[Row]) -> Result<Vec<i64>, StoreError> {
    let mut seqs = Vec::with_capacity(moved.len());
    let mut lanes = Vec::new();
    for row in moved {
        let cols = Cols(row);
        seqs.push(cols.int("seq")?);
        if let Some(lane) = cols.opt_text("lane")? {
            lanes.push((cols.text("tenant")?, lane));
        }
    }
    if !seqs.is_empty() {
        let places: Vec<[i64; 1]> = seqs.iter().map(|seq| [*seq]).collect();
        query(&REMOVE).bind(json(&places)?).execute(tx.conn()).await?;
        lane::move_up(tx, &lanes).await?;
    }
    Ok(seqs)
}

async fn end(tx: &mut Tx, job: &Job, reason: &str) -> Result<(), StoreError> {
    let now = tx.now().millis();
    let held = json(&[(job.seq, job.fence)])?;
    let moved = query(&MOVE_CANCELLED).bind(held).bind(now).bind(reason).fetch_all(tx.conn()).await?;
    if leave(tx, &moved).await?.is_empty() {
        return Err(StoreError::LostLease { job: job.id });
    }
    Ok(())
}

/// Back to the head of its lane, for another attempt.
async fn again(tx: &mut Tx, job: &Job, finish: &Finish, at: Timestamp) -> Result<(), StoreError> {
    let counted = i64::from(!matches!(finish, Finish::Snooze { .. }));
    let now = tx.now().millis();
    let row = query(
        "UPDATE job SET state = CASE WHEN $3 > $6 THEN 'waiting' ELSE 'ready' END, run_at = $3, \
         attempt = attempt - 1 + $4, fault = COALESCE($5, fault), lease_until = NULL, updated_at = $6 \
         WHERE seq = $1 AND fence = $2 AND state = 'running' RETURNING attempt - $4 + 1 AS attempt, worker, started_at",
    )
    .bind(job.seq)
    .bind(job.fence)
    .bind(at.millis())
    .bind(counted)
    .bind(opt_json(finish.fault())?)
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    record(tx, job, row, finish).await
}

async fn park(tx: &mut Tx, actor: &Actor, job: &Job, finish: &Finish, fault: &Fault) -> Result<(), StoreError> {
    let now = tx.now().millis();
    let row = query(
        "UPDATE job SET state = 'parked', head = strict, fault = $3, lease_until = NULL, updated_at = $4 \
         WHERE seq = $1 AND fence = $2 AND state = 'running' RETURNING attempt, worker, started_at, strict",
    )
    .bind(job.seq)
    .bind(job.fence)
    .bind(json(fault)?)
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    let strict = row.as_ref().map(|row| Cols(row).int("strict")).transpose()? == Some(1);
    record(tx, job, row, finish).await?;
    if let Some(lane) = job.lane.as_ref().filter(|_| !strict) {
        lane::move_up(tx, &[(job.tenant.to_string(), lane.clone())]).await?;
    }
    if strict {
        lane::tell_it_is_held(tx, actor, job, fault).await?;
    } else if fault.is_of_payload() {
        lane::tell_it_is_unreadable(tx, actor, job, fault).await?;
    }
    let detail = value!({ "kind": job.kind, "code": fault.code, "message": fault.message, "holds_lane": strict });
    audit::append(tx, actor, &job.tenant, "job.parked", &format!("job/{}", job.id), &detail).await
}

/// Writes the attempt down that has just ended; without a row the lease was lost.
async fn record(tx: &mut Tx, job: &Job, row: Option<Row>, finish: &Finish) -> Result<(), StoreError> {
    let Some(row) = row else {
        return Err(StoreError::LostLease { job: job.id });
    };
    let cols = Cols(&row);
    let attempt = Attempt {
        job: job.id,
        tenant: &job.tenant,
        fence: job.fence,
        attempt: cols.int("attempt")?,
        worker: cols.opt_text("worker")?.unwrap_or_default(),
        started_at: cols.opt_time("started_at")?.unwrap_or_else(|| tx.now()),
    };
    attempt.insert(tx, finish.outcome(), finish.reason(), opt_json(finish.fault())?).await
}

/// An attempt about to be written down.
pub(super) struct Attempt<'a> {
    pub(super) job: JobId,
    pub(super) tenant: &'a TenantId,
    pub(super) fence: i64,
    pub(super) attempt: i64,
    pub(super) worker: String,
    pub(super) started_at: Timestamp,
}

impl Attempt<'_> {
    pub(super) async fn insert(
        self,
        tx: &mut Tx,
        outcome: &str,
        reason: Option<&str>,
        fault: Option<String>,
    ) -> Result<(), StoreError> {
        let now = tx.now().millis();
        query(
            "INSERT INTO job_attempt (job, tenant, fence, attempt, worker, started_at, finished_at, outcome, reason, \
             fault) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        )
        .bind(self.job.to_string())
        .bind(self.tenant.as_str())
        .bind(self.fence)
        .bind(self.attempt)
        .bind(self.worker)
        .bind(self.started_at.millis())
        .bind(now)
        .bind(outcome)
        .bind(reason)
        .bind(fault)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}
