//! The database handle and the transaction.
//!
//! There is one writing connection, and a transaction takes it from its first statement (`BEGIN IMMEDIATE`), so two
//! transactions never meet half-way. Reads outside a transaction use a small pool and never wait for the writer.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Sqlite, Transaction};
use wharf_domain::ids::IdSource;
use wharf_domain::time::{Clock, Timestamp};

use crate::error::StoreError;
use crate::wake::Wake;
use crate::{connect, migrate};

/// The host's database. Cheap to clone; the last clone to go gives the file up.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    writer: SqlitePool,
    readers: SqlitePool,
    lock: File,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    wake: Wake,
}

impl Db {
    /// Opens the file, creating it and its directory when absent. Refuses a second host, a damaged file and an old
    /// SQLite. Does not migrate: see [`Db::migrate`] and [`Db::check_schema`].
    pub async fn open(path: &Path, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Result<Self, StoreError> {
        let connect::Connected { writer, readers, lock } = connect::connect(path).await?;
        Ok(Self(Arc::new(Inner { writer, readers, lock, clock, ids, wake: Wake::default() })))
    }

    /// Applies what is missing, each migration in its own transaction. Returns the names applied now, oldest first;
    /// empty when there was nothing to do.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        migrate::migrate(self).await
    }

    /// Fails with [`StoreError::NotMigrated`] or [`StoreError::NewerSchema`] when this program and the file do not fit.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        migrate::check(self).await
    }

    /// Starts the one writing transaction; waits for the one before it.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = self.0.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Tx { inner, now: self.now(), db: self.clone(), enqueued: false })
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub fn ids(&self) -> &dyn IdSource {
        self.0.ids.as_ref()
    }

    /// Rings when a committed transaction left something to claim.
    pub fn wake(&self) -> &Wake {
        &self.0.wake
    }

    /// Waits for open transactions, folds the write-ahead log into the file and gives the lock up. Later calls fail.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
        if let Err(err) = self.0.lock.unlock() {
            tracing::warn!("failed to unlock the database: {err}");
        }
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.0.readers
    }
}

/// A writing transaction. Dropped without [`Tx::commit`], it leaves nothing behind.
pub struct Tx {
    inner: Transaction<'static, Sqlite>,
    now: Timestamp,
    db: Db,
    enqueued: bool,
}

impl Tx {
    /// Makes everything durable at once, then wakes workers when a job became ready in it.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().await?;
        if self.enqueued {
            self.db.wake().notify();
        }
        Ok(())
    }

    /// The time of this transaction: the same for all its rows.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn ids(&self) -> &dyn IdSource {
        self.db.ids()
    }

    pub(crate) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    pub(crate) fn mark_enqueued(&mut self) {
        self.enqueued = true;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{House, actor, tenant};
    use crate::{audit, jobs};

    #[tokio::test]
    async fn a_transaction_that_is_dropped_leaves_nothing_and_frees_the_writer() {
        let house = House::new().await;
        let mut tx = house.db.begin().await.expect("begin");
        audit::append(&mut tx, &actor(), &tenant("t"), "a.b", "o/1", &json!({})).await.expect("append");
        drop(tx);
        let tx = house.db.begin().await.expect("begin again");
        tx.commit().await.expect("commit");
        assert!(audit::for_object(&house.db, &tenant("t"), "o/1").await.expect("rows").is_empty());
    }

    #[tokio::test]
    async fn a_commit_with_a_job_rings_the_bell_and_a_rollback_does_not() {
        let house = House::new().await;
        let job = jobs::NewJob::new(tenant("t"), "lane", "kind", json!({}));
        let bell = house.db.wake().notified();
        tokio::pin!(bell);
        let mut tx = house.db.begin().await.expect("begin");
        jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
        drop(tx);
        assert!(futures_now(&mut bell).await.is_none());
        let mut tx = house.db.begin().await.expect("begin");
        jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
        tx.commit().await.expect("commit");
        assert!(futures_now(&mut bell).await.is_some());
    }

    /// The result of a future when it is ready at once.
    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
