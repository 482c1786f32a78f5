//! Keeping a lease while its job runs.

use std::time::Duration;

use wharf_store::Db;
use wharf_store::jobs::{self, Job};

/// Moves the lease on every third of its length. Returns when it is lost: another worker has the job, or may have it
/// because the database could not be reached for a whole lease.
pub(crate) async fn lost(db: &Db, job: &Job, lease_ms: i64) {
    let beat = Duration::from_millis(u64::try_from(lease_ms / 3).unwrap_or(0).max(1));
    let mut until = job.lease_until;
    loop {
        tokio::time::sleep(beat).await;
        let now = db.now();
        match jobs::heartbeat(db, &job.id, job.fence, lease_ms).await {
            Ok(true) => until = now.plus(lease_ms),
            Ok(false) => return,
            Err(err) if db.now() >= until => {
                tracing::error!("failed to keep the lease of job `{}` until it ran out: {err}", job.id);
                return;
            }
            Err(err) => tracing::warn!("failed to keep the lease of job `{}`, trying again: {err}", job.id),
        }
    }
}
