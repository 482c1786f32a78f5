//! Keeping the leases of everything that runs, with one statement for all of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_domain::ids::JobId;
use wharf_domain::time::Timestamp;
use wharf_store::Db;
use wharf_store::jobs::{self, Job};

/// What runs here under a lease.
#[derive(Default)]
pub(crate) struct Leases(Mutex<BTreeMap<JobId, Held>>);

struct Held {
    job: Arc<Job>,
    until: Timestamp,
    lost: CancellationToken,
}

/// One job's lease. Dropped, it is no longer kept.
pub(crate) struct Lease {
    leases: Arc<Leases>,
    job: JobId,
    fence: i64,
    lost: CancellationToken,
}

impl Lease {
    /// Returns when it is lost: another worker has the job, or may have it because the database could not be reached
    /// for a whole lease.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.lock();
        // The same job may be here again, under a later fence.
        if held.get(&self.job).is_some_and(|held| held.job.fence == self.fence) {
            held.remove(&self.job);
        }
    }
}

impl Leases {
    pub(crate) fn keep(self: &Arc<Self>, job: &Arc<Job>) -> Lease {
        let lost = CancellationToken::new();
        let held = Held { job: Arc::clone(job), until: job.lease_until, lost: lost.clone() };
        // An earlier attempt of this host that is still here has lost its lease.
        if let Some(earlier) = self.lock().insert(job.id, held) {
            earlier.lost.cancel();
        }
        Lease { leases: Arc::clone(self), job: job.id, fence: job.fence, lost }
    }

    /// Moves every lease on, three times within its length. Never returns.
    pub(crate) async fn beat(&self, db: &Db, lease_ms: i64) -> Infallible {
        let beat = Duration::from_millis(u64::try_from(lease_ms / 3).unwrap_or(0).max(1));
        loop {
            tokio::time::sleep(beat).await;
            self.beat_once(db, lease_ms).await;
        }
    }

    async fn beat_once(&self, db: &Db, lease_ms: i64) {
        let jobs: Vec<Arc<Job>> = self.lock().values().map(|held| Arc::clone(&held.job)).collect();
        if jobs.is_empty() {
            return;
        }
        let now = db.now();
        let refs: Vec<&Job> = jobs.iter().map(Arc::as_ref).collect();
        let kept = jobs::heartbeat(db, &refs, lease_ms).await;
        let mut held = self.lock();
        for job in &jobs {
            let Some(held) = held.get_mut(&job.id).filter(|held| held.job.fence == job.fence) else {
                continue;
            };
            match &kept {
                Ok(kept) if kept.contains(&job.id) => held.until = now.plus(lease_ms),
                Ok(_) => held.lost.cancel(),
                Err(err) if db.now() >= held.until => {
                    tracing::error!("failed to keep the lease of job `{}` until it ran out: {err}", job.id);
                    held.lost.cancel();
                }
                Err(err) => tracing::warn!("failed to keep the lease of job `{}`, trying again: {err}", job.id),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
