//! One attempt of one job: run the handler under its lease, decide, and finish in one transaction.

use std::sync::Arc;

use thiserror::Error;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Fault, Retry};
use wharf_store::jobs::{self, Finish, Job};
use wharf_store::{Db, StoreError};

use crate::decide::{decide, not_settled, panicked, refusal, unknown_kind};
use crate::handler::{Handler, Verdict};
use crate::worker::Shared;

/// Why a result was not stored.
#[derive(Debug, Error)]
enum NotStored {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the handler panicked while it stored its result")]
    Panicked,
}

impl NotStored {
    /// What a limit refuses once, it refuses again.
    fn fault(&self) -> Fault {
        let refused = matches!(
            self,
            Self::Store(StoreError::TooDeep { .. } | StoreError::TooManyFollow { .. } | StoreError::Timer { .. })
        );
        let fault = not_settled(&self.to_string());
        if refused { fault.with_retry(Retry::Never) } else { fault }
    }
}

impl Shared {
    /// Sees a claimed job through. Whatever goes wrong here, the job itself is safe: its lease runs out.
    pub(crate) async fn attempt(self: Arc<Self>, job: Job) {
        let span = tracing::info_span!(
            "job",
            tenant = %job.tenant,
            flow = job.flow.as_ref().map(|flow| flow.as_str()),
            job = %job.id,
            kind = %job.kind,
            attempt = job.attempt,
        );
        let claim = (job.id, job.fence);
        Arc::clone(&self).attempt_inner(Arc::new(job)).instrument(span).await;
        self.mine().remove(&claim);
    }

    async fn attempt_inner(self: Arc<Self>, job: Arc<Job>) {
        let claimed = Instant::now();
        let handler = self.registry.get(&job.kind);
        let verdict = match (refusal(&job, self.db.now()), &handler) {
            _ if let Some(by) = &job.cancelled_by => Some(Verdict::Cancelled(format!("called off by {by}"))),
            (Some(fault), _) => Some(Verdict::Park(fault)),
            (None, None) => Some(Verdict::Park(unknown_kind(&job.kind))),
            (None, Some(handler)) => self.run_leased(Arc::clone(handler), &job).await,
        };
        if let Some(verdict) = verdict {
            self.conclude(handler, &job, verdict, claimed).await;
        }
    }

    /// The handler's verdict; `None` when the lease was lost or the host stops, and the handler is gone.
    async fn run_leased(&self, handler: Arc<dyn Handler>, job: &Arc<Job>) -> Option<Verdict> {
        let running = {
            let job = Arc::clone(job);
            async move { handler.run(&job).await }.in_current_span()
        };
        let lease = self.leases.keep(job);
        let mut running = AbortOnDropHandle::new(self.tracker.spawn(running));
        tokio::select! {
            biased;
            result = &mut running => {
                return Some(result.unwrap_or_else(|_| Verdict::Retry(panicked(&job.kind))));
            }
            () = lease.lost() => {
                tracing::warn!("job `{}` lost its lease under fence {}; its attempt is dropped", job.id, job.fence);
            }
            () = self.stop_now.cancelled() => {
                tracing::info!("job `{}` is given back: the host stops", job.id);
            }
        }
        running.abort();
        // Wait for it, so that nothing of this attempt is still running when the job is given away.
        let _aborted = running.await;
        None
    }

    async fn conclude(&self, handler: Option<Arc<dyn Handler>>, job: &Arc<Job>, verdict: Verdict, claimed: Instant) {
        let (verdict, finish) = self.decide(job, verdict);
        let first = match finish {
            Finish::Done if handler.as_ref().is_some_and(|handler| !handler.settles()) => {
                self.finisher.done(&self.db, job).await.map_err(NotStored::Store)
            }
            _ => self.store(handler.clone(), job, verdict, &finish).await,
        };
        // It is on disk that the job has ended, and this host has not heard so.
        #[cfg(feature = "failpoints")]
        fail::fail_point!("cp13_finish_committed");
        let not_stored = match first {
            Ok(()) => return self.report(job, &finish, claimed),
            Err(NotStored::Store(StoreError::LostLease { .. })) => {
                return tracing::warn!("the result of job `{}` is refused: its lease was lost", job.id);
            }
            Err(err) => err,
        };
        tracing::error!("failed to store the result of job `{}`: {not_stored}", job.id);
        let (verdict, finish) = self.decide(job, Verdict::Retry(not_stored.fault()));
        // A retry has nothing to settle. Giving up has, so the handler is asked once more.
        let told = handler.filter(|_| matches!(verdict, Verdict::Park(_)));
        let mut stored = self.store(told.clone(), job, verdict.clone(), &finish).await;
        if stored.is_err() && told.is_some() {
            stored = self.store(None, job, verdict, &finish).await;
        }
        match stored {
            Ok(()) => self.report(job, &finish, claimed),
            Err(err) => tracing::error!("failed to finish job `{}`, its lease will run out: {err}", job.id),
        }
    }

    fn decide(&self, job: &Job, verdict: Verdict) -> (Verdict, Finish) {
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        decide(job, verdict, self.db.now(), &self.config.backoff, &mut *rng)
    }

    /// Settles and finishes in one transaction; on a task of its own, so that a panic rolls back and goes no further.
    async fn store(
        &self,
        handler: Option<Arc<dyn Handler>>,
        job: &Arc<Job>,
        verdict: Verdict,
        finish: &Finish,
    ) -> Result<(), NotStored> {
        let (db, job, finish) = (self.db.clone(), Arc::clone(job), finish.clone());
        let actor = Actor::Host(self.config.name.clone());
        let storing = async move {
            let mut tries = 1;
            loop {
                match store_once(&db, handler.as_deref(), &job, &verdict, &actor, &finish).await {
                    // It gave way to another transaction, and nothing of it was stored.
                    Err(StoreError::Conflict | StoreError::RolledBack) if tries < MOST_TRIES => tries += 1,
                    stored => return stored,
                }
            }
        };
        match self.tracker.spawn(storing.in_current_span()).await {
            Ok(stored) => Ok(stored?),
            Err(_) => Err(NotStored::Panicked),
        }
    }
}

/// How often a transaction that gave way to another one is begun again.
const MOST_TRIES: u32 = 5;

async fn store_once(
    db: &Db,
    handler: Option<&dyn Handler>,
    job: &Job,
    verdict: &Verdict,
    actor: &Actor,
    finish: &Finish,
) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    if let Some(handler) = handler {
        tx.limit_followers(handler.most_followers());
        handler.settle(&mut tx, job, verdict).await?;
    }
    jobs::finish(&mut tx, actor, job, finish).await?;
    tx.commit().await
}

impl Shared {
    fn report(&self, job: &Job, finish: &Finish, claimed: Instant) {
        if let Some(watch) = &self.watch {
            watch.ended(job, finish.outcome(), claimed.elapsed());
        }
        report(job, finish);
    }
}

fn report(job: &Job, finish: &Finish) {
    match finish {
        Finish::Done => tracing::debug!("job `{}` is done", job.id),
        Finish::Retry { at, fault } => tracing::warn!("job `{}` failed and runs again at {at}: {fault}", job.id),
        Finish::Snooze { until, reason } => tracing::info!("job `{}` waits until {until}: {reason}", job.id),
        Finish::Park { fault } => tracing::error!("job `{}` is parked: {fault}", job.id),
        Finish::Cancelled { reason } => tracing::info!("job `{}` is cancelled: {reason}", job.id),
    }
}
