//! The loop that claims and runs jobs, and its graceful end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_store::Db;
use wharf_store::jobs::{self, Job};

use crate::backoff::Backoff;
use crate::registry::Registry;

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Unique among the workers that use the database at the same time, and the same after a restart: a worker that
    /// starts takes back what its predecessor of the same name left behind.
    pub name: String,
    /// How many jobs run at once; at least 1.
    pub concurrency: u32,
    /// How long a job is safe from others without a heartbeat, in milliseconds. Heartbeats come three times as often.
    pub lease_ms: i64,
    /// The longest wait before looking again, in milliseconds. New jobs of this process wake the worker at once.
    pub poll_ms: u64,
    /// How long a stop waits for running jobs, in milliseconds.
    pub drain_ms: u64,
    pub backoff: Backoff,
    /// Of the jitter.
    pub seed: u64,
}

impl WorkerConfig {
    /// Eight jobs at once, leases of 60 s, a look every 250 ms, 30 s to drain, the usual backoff.
    pub fn named(name: impl Into<String>, seed: u64) -> Self {
        Self {
            name: name.into(),
            concurrency: 8,
            lease_ms: 60_000,
            poll_ms: 250,
            drain_ms: 30_000,
            backoff: Backoff::default(),
            seed,
        }
    }
}

/// Runs the jobs of one database.
pub struct Worker(Arc<Shared>);

/// What every attempt needs.
pub(crate) struct Shared {
    pub(crate) db: Db,
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: WorkerConfig,
    pub(crate) rng: Mutex<SmallRng>,
    pub(crate) tracker: TaskTracker,
    /// Drops running handlers: the drain took too long.
    pub(crate) stop_now: CancellationToken,
}

impl Worker {
    pub fn new(db: Db, registry: Arc<Registry>, config: WorkerConfig) -> Self {
        let rng = Mutex::new(SmallRng::seed_from_u64(config.seed));
        let (tracker, stop_now) = (TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Shared { db, registry, config, rng, tracker, stop_now }))
    }

    /// Runs until `shutdown`: then claims nothing more, waits for running jobs up to `drain_ms`, drops the rest and
    /// gives their leases back.
    pub async fn run(self, shutdown: CancellationToken) {
        let shared = self.0;
        match jobs::expire_leases(&shared.db, &shared.config.name).await {
            Ok(0) => {}
            Ok(left) => tracing::info!("{left} jobs of an earlier run of `{}` are taken up again", shared.config.name),
            Err(err) => tracing::error!("failed to take up jobs of an earlier run; their leases will run out: {err}"),
        }
        let slots = Arc::new(Semaphore::new(shared.slots()));
        while !shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => match slot {
                    Ok(first) => shared.fill(&slots, first, &shutdown).await,
                    Err(_closed) => break,
                },
            }
        }
        shared.wind_down().await;
    }

    /// Runs everything that is ready now, and what becomes ready by that, and returns how many attempts were made. Time
    /// does not pass: a job waiting for later stays. For tests and tools.
    pub async fn drain_once(&self) -> usize {
        let mut attempts = 0;
        loop {
            let jobs = self.0.claim(self.0.slots()).await;
            if jobs.is_empty() {
                return attempts;
            }
            attempts += jobs.len();
            let running: Vec<_> =
                jobs.into_iter().map(|job| self.0.tracker.spawn(Arc::clone(&self.0).attempt(job))).collect();
            for attempt in running {
                if let Err(err) = attempt.await {
                    tracing::error!("an attempt ended early, its lease will run out: {err}");
                }
            }
        }
    }
}

impl Shared {
    fn slots(&self) -> usize {
        usize::try_from(self.config.concurrency).unwrap_or(1).max(1)
    }

    /// Claims as many jobs as there are free slots and starts them; waits a little when there are none.
    async fn fill(self: &Arc<Self>, slots: &Arc<Semaphore>, first: OwnedSemaphorePermit, shutdown: &CancellationToken) {
        let jobs = self.claim(1 + slots.available_permits()).await;
        if jobs.is_empty() {
            tokio::select! {
                () = self.db.wake().notified() => {}
                () = tokio::time::sleep(Duration::from_millis(self.config.poll_ms)) => {}
                () = shutdown.cancelled() => {}
            }
            return;
        }
        let mut first = Some(first);
        for job in jobs {
            let slot = first.take().or_else(|| Arc::clone(slots).try_acquire_owned().ok());
            let attempt = Arc::clone(self).attempt(job);
            self.tracker.spawn(async move {
                attempt.await;
                drop(slot);
            });
        }
    }

    async fn claim(&self, limit: usize) -> Vec<Job> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        match jobs::claim(&self.db, &self.config.name, self.config.lease_ms, limit).await {
            Ok(jobs) => jobs,
            Err(err) => {
                tracing::error!("failed to claim jobs, trying again: {err}");
                Vec::new()
            }
        }
    }

    async fn wind_down(&self) {
        self.tracker.close();
        let drain = Duration::from_millis(self.config.drain_ms);
        if tokio::time::timeout(drain, self.tracker.wait()).await.is_err() {
            tracing::warn!("jobs still run {} ms after the stop; they are dropped", self.config.drain_ms);
            self.stop_now.cancel();
            self.tracker.wait().await;
        }
        match jobs::release(&self.db, &self.config.name).await {
            Ok(0) => {}
            Ok(left) => tracing::info!("gave {left} leases of `{}` back", self.config.name),
            Err(err) => tracing::error!("failed to give leases back; they will run out: {err}"),
        }
    }
}
