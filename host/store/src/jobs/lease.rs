//! Keeping leases, giving them back, and taking them up after a crash.

use wharf_domain::ids::JobId;
use wharf_domain::time::Timestamp;

use super::Job;
use crate::db::Db;
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Text, query};

static BEAT: Text = Text::new(
    "UPDATE job SET lease_until = COALESCE($2, {clock}) + $3 FROM {each} \
     WHERE job.seq = CAST(e.value ->> 0 AS BIGINT) AND job.fence = CAST(e.value ->> 1 AS BIGINT) \
     AND job.lease_until IS NOT NULL RETURNING job.id AS id",
);

/// Moves the leases of these jobs on to now + `lease_ms`. Returns the jobs whose lease is kept: stop working on the
/// others.
pub async fn heartbeat(db: &Db, jobs: &[&Job], lease_ms: i64) -> Result<Vec<JobId>, StoreError> {
    let mut held: Vec<(i64, i64)> = jobs.iter().map(|job| (job.seq, job.fence)).collect();
    held.sort_unstable();
    let mut tx = db.begin().await?;
    let clock = tx.own_clock().map(Timestamp::millis);
    let kept = query(&BEAT).bind(json(&held)?).bind(clock).bind(lease_ms).fetch_all(tx.conn()).await?;
    tx.commit().await?;
    kept.iter().map(|row| Cols(row).job("id")).collect()
}

static LOG_RELEASE: Text = Text::new(
    "INSERT INTO job_attempt (job, tenant, fence, attempt, worker, started_at, finished_at, outcome) \
     SELECT id, tenant, fence, attempt, worker, started_at, $3, 'released' FROM job \
     WHERE state = 'running' AND worker = $2 AND id NOT IN (SELECT e.value ->> 0 FROM {each}) ON CONFLICT DO NOTHING",
);

static RELEASE: Text = Text::new(
    "UPDATE job SET state = 'ready', fence = fence + 1, attempt = attempt - 1, worker = NULL, lease_until = NULL, \
     started_at = NULL, run_at = $3, updated_at = $3 \
     WHERE state = 'running' AND worker = $2 AND id NOT IN (SELECT e.value ->> 0 FROM {each})",
);

/// Gives the leases of `worker` back, but those of the jobs in `but`: the others are ready again at once, their attempt
/// is not counted, and the fence moves so that a late result is refused. For a graceful stop, and after a claim nobody
/// knows the end of. Returns how many.
pub async fn release(db: &Db, worker: &str, but: &[JobId]) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let now = tx.now().millis();
    let but = json(&but.iter().map(|id| [id.to_string()]).collect::<Vec<_>>())?;
    query(&LOG_RELEASE).bind(but.clone()).bind(worker).bind(now).execute(tx.conn()).await?;
    let released = query(&RELEASE).bind(but).bind(worker).bind(now).execute(tx.conn()).await?;
    if released > 0 {
        tx.mark_enqueued();
    }
    tx.commit().await?;
    Ok(released)
}

/// Ends every lease of `worker` now, for a start after a crash: whoever held them is gone. Unlike [`release`], the
/// attempts stay counted, because one of them may be what killed the host. Returns how many.
pub async fn expire_leases(db: &Db, worker: &str) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let now = tx.now().millis();
    // Nothing is older than the beginning of time, whatever clock the next claim goes by.
    let expired = query(
        "UPDATE job SET lease_until = 0, updated_at = $2 WHERE state = 'running' AND worker = $1 AND lease_until > 0",
    )
    .bind(worker)
    .bind(now)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(expired)
}
