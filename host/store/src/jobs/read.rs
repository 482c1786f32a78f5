//! Looking at jobs without touching them.

use sqlx::sqlite::SqliteRow;
use wharf_domain::ids::{FlowKey, JobId, TenantId};

use super::{AttemptRow, Counts, JobRow, JobState};
use crate::db::Db;
use crate::error::StoreError;
use crate::row::Cols;

/// One job; `None` when there is none.
pub async fn get(db: &Db, id: &JobId) -> Result<Option<JobRow>, StoreError> {
    let row = sqlx::query("SELECT * FROM job WHERE id = $1").bind(id.to_string()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

/// Every job of one flow, in the order they were enqueued.
pub async fn for_flow(db: &Db, tenant: &TenantId, flow: &FlowKey) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query("SELECT * FROM job WHERE tenant = $1 AND flow = $2 ORDER BY seq")
        .bind(tenant.as_str())
        .bind(flow.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// The dead letters of one tenant, oldest first.
pub async fn parked(db: &Db, tenant: &TenantId) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query("SELECT * FROM job WHERE tenant = $1 AND state = 'parked' ORDER BY seq")
        .bind(tenant.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// Every attempt of one job, oldest first.
pub async fn attempts(db: &Db, id: &JobId) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query("SELECT * FROM job_attempt WHERE job = $1 ORDER BY fence")
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

/// One part per partial index.
const COUNTS: &str = "SELECT state, COUNT(*) AS jobs FROM job WHERE state IN ('done', 'cancelled') GROUP BY state \
     UNION ALL SELECT 'ready', COUNT(*) FROM job WHERE state = 'ready' \
     UNION ALL SELECT 'running', COUNT(*) FROM job WHERE state = 'running' \
     UNION ALL SELECT 'parked', COUNT(*) FROM job WHERE state = 'parked'";

/// Jobs per state.
pub async fn counts(db: &Db) -> Result<Counts, StoreError> {
    let rows = sqlx::query(COUNTS).fetch_all(db.reader()).await?;
    let mut counts = Counts::default();
    for row in &rows {
        let cols = Cols(row);
        let jobs = cols.count("jobs")?;
        match cols.name("state")? {
            JobState::Ready => counts.ready = jobs,
            JobState::Running => counts.running = jobs,
            JobState::Done => counts.done = jobs,
            JobState::Parked => counts.parked = jobs,
            JobState::Cancelled => counts.cancelled = jobs,
        }
    }
    Ok(counts)
}

fn read(row: &SqliteRow) -> Result<JobRow, StoreError> {
    let cols = Cols(row);
    Ok(JobRow {
        id: cols.job("id")?,
        tenant: cols.tenant()?,
        lane: cols.text("lane")?,
        kind: cols.text("kind")?,
        payload: cols.json("payload")?,
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
        fault: cols.opt_json("fault")?,
        created_at: cols.time("created_at")?,
        updated_at: cols.time("updated_at")?,
        finished_at: cols.opt_time("finished_at")?,
    })
}
