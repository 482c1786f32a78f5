//! The loop that claims and runs jobs, and its graceful end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_domain::ids::JobId;
use wharf_store::jobs::{self, Claimer, Job};
use wharf_store::{Db, StoreError};

use crate::backoff::Backoff;
use crate::done::Finisher;
use crate::lease::Leases;
use crate::registry::Registry;

/// How long a claim waits for more free slots when there is more work than slots.
const GATHER: Duration = Duration::from_millis(2);

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
    /// Part of `concurrency` that only urgent jobs get, in percent: interactive and cut-off work is never behind a
    /// flood of other work.
    pub reserved_percent: u32,
    /// Of the jitter.
    pub seed: u64,
}

impl WorkerConfig {
    /// 32 jobs at once and a quarter of that for urgent ones only, leases of 60 s, a look every 250 ms, 30 s to drain,
    /// the usual backoff.
    pub fn named(name: impl Into<String>, seed: u64) -> Self {
        Self {
            name: name.into(),
            concurrency: 32,
            lease_ms: 60_000,
            poll_ms: 250,
            drain_ms: 30_000,
            backoff: Backoff::default(),
            reserved_percent: 25,
            seed,
        }
    }
}

/// Hears of every attempt that ended. For figures.
pub trait Watch: Send + Sync {
    /// `outcome` is `done`, `retry`, `snooze`, `park` or `cancelled`, and stored; `took` is the time since the claim.
    fn ended(&self, job: &Job, outcome: &'static str, took: Duration);
}

/// Runs the jobs of one database.
pub struct Worker(pub(crate) Arc<Shared>);

/// What every attempt needs.
pub(crate) struct Shared {
    pub(crate) db: Db,
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: WorkerConfig,
    pub(crate) rng: StdMutex<SmallRng>,
    pub(crate) tracker: TaskTracker,
    pub(crate) leases: Arc<Leases>,
    pub(crate) finisher: Finisher,
    pub(crate) watch: Option<Arc<dyn Watch>>,
    claimer: Mutex<Claimer>,
    /// What was claimed here and is not seen through, with its fence.
    mine: StdMutex<BTreeSet<(JobId, i64)>>,
    /// The database may hold leases for this worker that it never heard of.
    in_doubt: AtomicBool,
    /// Drops running handlers: the drain took too long.
    pub(crate) stop_now: CancellationToken,
}

impl Worker {
    pub fn new(db: Db, registry: Arc<Registry>, config: WorkerConfig) -> Self {
        Self::watched(db, registry, config, None)
    }

    /// A worker whose attempts somebody counts.
    pub fn watched(db: Db, registry: Arc<Registry>, config: WorkerConfig, watch: Option<Arc<dyn Watch>>) -> Self {
        let rng = StdMutex::new(SmallRng::seed_from_u64(config.seed));
        let (tracker, stop_now) = (TaskTracker::new(), CancellationToken::new());
        let (leases, finisher) = (Arc::new(Leases::default()), Finisher::default());
        let claimer = Mutex::new(Claimer::new(config.name.clone(), config.lease_ms));
        let (mine, in_doubt) = (StdMutex::default(), AtomicBool::new(false));
        Self(Arc::new(Shared {
            db,
            registry,
            config,
            rng,
            tracker,
            leases,
            finisher,
            watch,
            claimer,
            mine,
            in_doubt,
            stop_now,
        }))
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
        tokio::select! {
            () = shared.work(&shutdown) => {}
            never = shared.leases.beat(&shared.db, shared.config.lease_ms) => match never {},
        }
        tokio::select! {
            () = shared.wind_down() => {}
            never = shared.leases.beat(&shared.db, shared.config.lease_ms) => match never {},
        }
    }

    /// Runs everything that is ready now, and what becomes ready by that, and returns how many attempts were made. Time
    /// does not pass: a job waiting for later stays. For tests and tools.
    pub async fn drain_once(&self) -> usize {
        let shared = &self.0;
        tokio::select! {
            attempts = Box::pin(self.drain()) => attempts,
            never = shared.leases.beat(&shared.db, shared.config.lease_ms) => match never {},
        }
    }

    async fn drain(&self) -> usize {
        let mut attempts = 0;
        loop {
            let jobs = self.0.claim(self.0.slots(), self.0.slots()).await;
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

    /// Slots that only urgent jobs get; never all of them.
    fn reserved(&self) -> usize {
        let share = self.slots() * usize::try_from(self.config.reserved_percent.min(100)).unwrap_or(0) / 100;
        share.min(self.slots() - 1)
    }

    async fn work(self: &Arc<Self>, shutdown: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.slots()));
        let mut backlog = false;
        while !shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => match slot {
                    Ok(first) => backlog = self.fill(&slots, first, backlog, shutdown).await,
                    Err(_closed) => break,
                },
            }
        }
    }

    /// Claims as many jobs as there are free slots and starts them; waits a little when there are none. True when there
    /// may be more of them.
    async fn fill(
        self: &Arc<Self>,
        slots: &Arc<Semaphore>,
        first: OwnedSemaphorePermit,
        backlog: bool,
        shutdown: &CancellationToken,
    ) -> bool {
        if backlog {
            // With more work than slots, a claim for each slot that falls free would be all there is done.
            let some = u32::try_from(self.slots() / 4).unwrap_or(1).max(1);
            let _enough_or_too_long = tokio::time::timeout(GATHER, slots.acquire_many(some)).await;
        }
        let free = 1 + slots.available_permits();
        let ordinary = free.saturating_sub(self.reserved());
        let jobs = self.claim(free, ordinary).await;
        if jobs.is_empty() {
            tokio::select! {
                () = self.db.wake().notified() => {}
                () = tokio::time::sleep(Duration::from_millis(self.config.poll_ms)) => {}
                () = shutdown.cancelled() => {}
            }
            return false;
        }
        let full = jobs.len() >= ordinary.max(1);
        let mut first = Some(first);
        for job in jobs {
            let slot = first.take().or_else(|| Arc::clone(slots).try_acquire_owned().ok());
            let attempt = Arc::clone(self).attempt(job);
            self.tracker.spawn(async move {
                attempt.await;
                drop(slot);
            });
        }
        full
    }

    async fn claim(&self, limit: usize, ordinary: usize) -> Vec<Job> {
        match Box::pin(self.try_claim(limit, ordinary)).await {
            Ok(jobs) => jobs,
            // Another host was at the same rows; the next look is soon.
            Err(StoreError::Conflict) => Vec::new(),
            Err(err) => {
                tracing::error!("failed to claim jobs, trying again: {err}");
                Vec::new()
            }
        }
    }

    async fn try_claim(&self, limit: usize, ordinary: usize) -> Result<Vec<Job>, StoreError> {
        // Held to the end: nothing else is claimed while what is not `mine` is given back.
        let mut claimer = self.claimer.lock().await;
        if self.in_doubt.load(Ordering::Relaxed) {
            let mine: Vec<JobId> = self.mine().iter().map(|(id, _)| *id).collect();
            let unheard = jobs::release(&self.db, &self.config.name, &mine).await?;
            self.in_doubt.store(false, Ordering::Relaxed);
            if unheard > 0 {
                tracing::info!("gave {unheard} leases back that a claim left behind without an answer");
            }
        }
        let claimed = claimer.claim(&self.db, limit, ordinary).await;
        match &claimed {
            Ok(jobs) => self.mine().extend(jobs.iter().map(|job| (job.id, job.fence))),
            // Nothing was stored.
            Err(StoreError::Conflict | StoreError::RolledBack) => {}
            Err(_) => self.claim_in_doubt(),
        }
        claimed
    }

    /// A claim may have been stored, and what it claimed is not known: the next one gives it back first.
    pub(crate) fn claim_in_doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// What was claimed here and is not seen through.
    pub(crate) fn mine(&self) -> MutexGuard<'_, BTreeSet<(JobId, i64)>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wind_down(&self) {
        self.tracker.close();
        let drain = Duration::from_millis(self.config.drain_ms);
        if tokio::time::timeout(drain, self.tracker.wait()).await.is_err() {
            tracing::warn!("jobs still run {} ms after the stop; they are dropped", self.config.drain_ms);
            self.stop_now.cancel();
            self.tracker.wait().await;
        }
        match jobs::release(&self.db, &self.config.name, &[]).await {
            Ok(0) => {}
            Ok(left) => tracing::info!("gave {left} leases of `{}` back", self.config.name),
            Err(err) => tracing::error!("failed to give leases back; they will run out: {err}"),
        }
    }
}
