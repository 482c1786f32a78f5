//! Finishing many jobs with one commit.
//!
//! A job whose handler has nothing to store is not finished in a transaction of its own. It joins the batch that is
//! being gathered; whoever is first in line when the batch before it is stored, stores this one for all its members. A
//! lone job is stored at once.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::{Mutex, oneshot};
use wharf_store::jobs::{self, Job};
use wharf_store::{Db, StoreError};

/// No more than this in one transaction.
const MOST: usize = 500;

/// What became of one member.
type Told = oneshot::Sender<Result<(), StoreError>>;

#[derive(Default)]
pub(crate) struct Finisher {
    gathered: StdMutex<Vec<(Arc<Job>, Told)>>,
    line: Mutex<()>,
}

impl Finisher {
    /// Returns when it is on disk that the job is done. Fails like [`jobs::finish`].
    pub(crate) async fn done(&self, db: &Db, job: &Arc<Job>) -> Result<(), StoreError> {
        let (told, mut heard) = oneshot::channel();
        self.lock().push((Arc::clone(job), told));
        let _first = self.line.lock().await;
        loop {
            match heard.try_recv() {
                Ok(result) => return result,
                Err(oneshot::error::TryRecvError::Empty) => self.store_batch(db).await,
                // Whoever had the batch was dropped in the middle of it.
                Err(oneshot::error::TryRecvError::Closed) => return Err(StoreError::InDoubt),
            }
        }
    }

    async fn store_batch(&self, db: &Db) {
        let batch: Vec<(Arc<Job>, Told)> = {
            let mut gathered = self.lock();
            let count = gathered.len().min(MOST);
            gathered.drain(..count).collect()
        };
        let jobs: Vec<&Job> = batch.iter().map(|(job, _)| job.as_ref()).collect();
        let stored = store(db, &jobs).await;
        let failed = stored.as_ref().err().map(ToString::to_string);
        for (job, told) in batch {
            let result = match &stored {
                Ok(lost) if lost.contains(&job.id) => Err(StoreError::LostLease { job: job.id }),
                Ok(_) => Ok(()),
                Err(StoreError::Full) => Err(StoreError::Full),
                Err(StoreError::Conflict) => Err(StoreError::Conflict),
                Err(_) => Err(StoreError::Batch(failed.clone().unwrap_or_default())),
            };
            // A member that went away has lost its lease or is stopped; its job is finished all the same.
            let _gone = told.send(result);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Arc<Job>, Told)>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn store(db: &Db, jobs: &[&Job]) -> Result<Vec<wharf_domain::ids::JobId>, StoreError> {
    let mut tx = db.begin().await?;
    let lost = jobs::finish_done(&mut tx, jobs).await?;
    tx.commit().await?;
    Ok(lost)
}
