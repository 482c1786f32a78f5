//! Looking at jobs without touching them.

use serde_json::Value;
use wharf_domain::ids::{FlowKey, JobId, TenantId};

use super::{AttemptRow, Counts, JobRow, JobState};
use crate::db::Db;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Row, query};

/// What is under way.
macro_rules! unfinished_where {
    ($condition:literal) => {
        concat!(
            "SELECT seq, id, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, max_attempts, fence, \
             CASE WHEN state = 'running' THEN worker END AS worker, lease_until, deadline, depth, fault, created_at, \
             updated_at, NULL AS finished_at, CASE WHEN state = 'parked' THEN head ELSE 0 END AS holds_lane \
             FROM job WHERE ",
            $condition
        )
    };
}

/// What is over, in the same shape.
macro_rules! over_where {
    ($condition:literal) => {
        concat!(
            "SELECT seq, id, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, max_attempts, fence, \
             worker, CAST(NULL AS BIGINT) AS lease_until, deadline, depth, fault, created_at, \
             finished_at AS updated_at, finished_at, CAST(0 AS BIGINT) AS holds_lane FROM job_done WHERE ",
            $condition
        )
    };
}

macro_rules! jobs_where {
    ($condition:literal) => {
        concat!(unfinished_where!($condition), " UNION ALL ", over_where!($condition), " ORDER BY 1")
    };
}

macro_rules! page {
    ($of:ident) => {
        $of!(
            "tenant = $1 AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR kind = $3) AND ($4 IS NULL OR id < $4) \
             ORDER BY id DESC LIMIT $5"
        )
    };
}

/// A page of one tenant, newest first: state, kind, the id before, and how many.
pub(super) const OF_TENANT_UNFINISHED: &str = page!(unfinished_where);
pub(super) const OF_TENANT_OVER: &str = page!(over_where);

/// The dead letters of one tenant from a place on.
pub(super) const PARKED_AFTER: &str =
    unfinished_where!("tenant = $1 AND state = 'parked' AND seq > $2 ORDER BY seq LIMIT $3");

/// One job; `None` when there is none.
pub async fn get(db: &Db, id: &JobId) -> Result<Option<JobRow>, StoreError> {
    let row = query(jobs_where!("id = $1")).bind(id.to_string()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

/// Every job of one flow, in the order they were enqueued.
pub async fn for_flow(db: &Db, tenant: &TenantId, flow: &FlowKey) -> Result<Vec<JobRow>, StoreError> {
    let rows = query(jobs_where!("tenant = $1 AND flow = $2"))
        .bind(tenant.as_str())
        .bind(flow.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// The dead letters of one tenant, oldest first.
pub async fn parked(db: &Db, tenant: &TenantId) -> Result<Vec<JobRow>, StoreError> {
    let rows = query(unfinished_where!("tenant = $1 AND state = 'parked' ORDER BY seq"))
        .bind(tenant.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// Every attempt of one job, oldest first. The one that runs is told by the job itself, and the one that succeeded by
/// what is left of the job; only the others have rows.
pub async fn attempts(db: &Db, id: &JobId) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = query(
        "SELECT fence, attempt, worker, started_at, finished_at, outcome, reason, fault FROM job_attempt WHERE job = $1 \
         UNION ALL SELECT fence, attempt, worker, started_at, NULL, NULL, NULL, NULL FROM job \
           WHERE id = $1 AND state = 'running' \
         UNION ALL SELECT fence, attempt, worker, started_at, finished_at, state, reason, NULL FROM job_done d \
           WHERE id = $1 AND worker IS NOT NULL \
           AND NOT EXISTS (SELECT 1 FROM job_attempt a WHERE a.job = d.id AND a.fence = d.fence) ORDER BY 1",
    )
    .bind(id.to_string())
    .fetch_all(db.reader())
    .await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(AttemptRow {
                fence: cols.int("fence")?,
                attempt: cols.count("attempt")?,
                worker: cols.text("worker")?,
                started_at: cols.time("started_at")?,
                finished_at: cols.opt_time("finished_at")?,
                outcome: cols.opt_text("outcome")?,
                reason: cols.opt_text("reason")?,
                fault: cols.opt_json("fault")?,
            })
        })
        .collect()
}

/// Jobs per state.
pub async fn counts(db: &Db) -> Result<Counts, StoreError> {
    let rows = query(
        "SELECT state, COUNT(*) AS jobs FROM job GROUP BY state \
         UNION ALL SELECT state, COUNT(*) FROM job_done GROUP BY state",
    )
    .fetch_all(db.reader())
    .await?;
    let mut counts = Counts::default();
    for row in &rows {
        let cols = Cols(row);
        let jobs = cols.count("jobs")?;
        match cols.name("state")? {
            JobState::Waiting => counts.waiting = jobs,
            JobState::Queued => counts.queued = jobs,
            JobState::Ready => counts.ready = jobs,
            JobState::Running => counts.running = jobs,
            JobState::Done => counts.done = jobs,
            JobState::Parked => counts.parked = jobs,
            JobState::Cancelled => counts.cancelled = jobs,
        }
    }
    Ok(counts)
}

/// A payload as it is stored; the bare text and why when it is no JSON.
pub(super) fn payload(text: String) -> (Value, Option<String>) {
    match serde_json::from_str(&text) {
        Ok(value) => (value, None),
        Err(err) => (Value::String(text), Some(err.to_string())),
    }
}

pub(super) fn read(row: &Row) -> Result<JobRow, StoreError> {
    let cols = Cols(row);
    Ok(JobRow {
        id: cols.job("id")?,
        tenant: cols.tenant()?,
        lane: cols.opt_text("lane")?,
        kind: cols.text("kind")?,
        payload: payload(cols.text("payload")?).0,
        flow: cols.flow()?,
        state: cols.name("state")?,
        priority: cols.int("priority")?,
        run_at: cols.time("run_at")?,
        attempt: cols.count("attempt")?,
        max_attempts: cols.count("max_attempts")?,
        fence: cols.int("fence")?,
        worker: cols.opt_text("worker")?,
        lease_until: cols.opt_time("lease_until")?,
        deadline: cols.opt_time("deadline")?,
        depth: cols.count("depth")?,
        holds_lane: cols.int("holds_lane")? == 1,
        fault: cols.opt_json("fault")?,
        created_at: cols.time("created_at")?,
        updated_at: cols.time("updated_at")?,
        finished_at: cols.opt_time("finished_at")?,
    })
}
