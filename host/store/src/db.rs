//! The database handle and the transaction.
//!
//! SQLite has one writing connection, and transactions take turns on it ([`crate::writer`]), so two of them never meet
//! half-way. Reads outside a transaction use a small pool and never wait for the writer. PostgreSQL is shared by several
//! hosts: every transaction has a connection of its own, and what it has decided on by reading it must lock or guard.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{Postgres, Transaction};
use wharf_domain::ids::IdSource;
use wharf_domain::time::{Clock, Timestamp};

use crate::error::StoreError;
use crate::name::HeldName;
use crate::row::Cols;
use crate::sql::{Conn, Engine, Text, query};
use crate::wake::{Hints, Wake};
use crate::writer::{Turn, Writer};
use crate::{connect, migrate};

/// The host's database. Cheap to clone; the last clone to go gives a file up.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    pools: Pools,
    clock: Arc<dyn Clock>,
    /// Leases go by the clock of the database, because other hosts use it too.
    shared_clock: bool,
    /// What the clock of PostgreSQL is ahead of ours, in milliseconds; 0 with SQLite.
    ahead_ms: AtomicI64,
    ids: Arc<dyn IdSource>,
    wake: Wake,
}

enum Pools {
    Sqlite { writer: Writer, readers: SqlitePool, lock: File },
    Postgres { pool: PgPool, hints: Hints },
}

/// A change of the clocks that somebody should hear of.
const NOTEWORTHY_MS: i64 = 2_000;

/// By what is appended or indexed, so that it costs nothing; every change leaves one of these sooner or later.
const NEWEST: &str = "SELECT MAX(at) AS newest FROM ( \
    SELECT (SELECT at FROM audit ORDER BY seq DESC LIMIT 1) AS at \
    UNION ALL SELECT (SELECT at FROM effect_history ORDER BY seq DESC LIMIT 1) \
    UNION ALL SELECT (SELECT created_at FROM job ORDER BY seq DESC LIMIT 1) \
    UNION ALL SELECT MAX(finished_at) FROM job_done WHERE flow IS NOT NULL \
    UNION ALL SELECT MAX(finished_at) FROM job_done WHERE flow IS NULL) times";

static CLOCK: Text = Text::new("SELECT {clock} AS now");

impl Db {
    /// Opens the file, creating it and its directory when absent. Refuses a second host, a damaged file and an old
    /// SQLite. Does not migrate: see [`Db::migrate`] and [`Db::check_schema`].
    pub async fn open(path: &Path, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Result<Self, StoreError> {
        let connect::Connected { writer, readers, lock } = connect::sqlite(path).await?;
        let pools = Pools::Sqlite { writer: Writer::new(writer), readers, lock };
        Ok(Self::with(pools, false, clock, ids))
    }

    /// Opens a PostgreSQL database with at most so many connections. Refuses an old server and one that may lose a
    /// commit. The clock of the server counts: it is the one all hosts agree on. Does not migrate.
    pub async fn open_postgres(
        url: &str,
        connections: u32,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, StoreError> {
        let pool = connect::postgres(url, connections, true).await?;
        let hints = Hints::new(&pool, &ids.next(clock.now()).to_string());
        let db = Self::with(Pools::Postgres { pool, hints }, true, clock, ids);
        db.measure_clock().await?;
        Ok(db)
    }

    /// Like [`Db::open_postgres`], but our own clock counts. For tests that move time by hand, with one host.
    pub async fn open_postgres_with_own_clock(
        url: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, StoreError> {
        let pool = connect::postgres(url, 8, false).await?;
        let hints = Hints::new(&pool, &ids.next(clock.now()).to_string());
        Ok(Self::with(Pools::Postgres { pool, hints }, false, clock, ids))
    }

    fn with(pools: Pools, shared_clock: bool, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let ahead_ms = AtomicI64::new(0);
        Self(Arc::new(Inner { pools, clock, shared_clock, ahead_ms, ids, wake: Wake::default() }))
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

    /// Starts a writing transaction. With SQLite it waits for the one before it.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = match &self.0.pools {
            Pools::Sqlite { writer, .. } => Open::Sqlite(Box::pin(writer.turn()).await?),
            Pools::Postgres { pool, .. } => Open::Postgres(Box::pin(pool.begin()).await?),
        };
        Ok(Tx { inner, now: self.now(), db: self.clone(), enqueued: false, followers: None })
    }

    /// The time every host on this database agrees on.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now().plus(self.0.ahead_ms.load(Ordering::Relaxed))
    }

    pub fn ids(&self) -> &dyn IdSource {
        self.0.ids.as_ref()
    }

    /// Rings when a committed transaction left something to claim.
    pub fn wake(&self) -> &Wake {
        &self.0.wake
    }

    /// Waits for open transactions, folds a write-ahead log into its file and gives the lock up. Later calls fail.
    pub async fn close(&self) {
        match &self.0.pools {
            Pools::Sqlite { writer, readers, lock } => {
                readers.close().await;
                writer.close().await;
                if let Err(err) = lock.unlock() {
                    tracing::warn!("failed to unlock the database: {err}");
                }
            }
            Pools::Postgres { pool, hints } => {
                hints.close().await;
                pool.close().await;
            }
        }
    }

    /// Gives the planner fresh statistics and writes out what has piled up, e.g. after a bulk load. Not needed for
    /// correctness; it takes a while on a large database.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        match &self.0.pools {
            Pools::Sqlite { writer, .. } => writer.tidy_file().await,
            Pools::Postgres { .. } => {
                for statement in ["VACUUM (ANALYZE) job", "VACUUM (ANALYZE) job_done", "CHECKPOINT"] {
                    query(statement).execute(self.reader()).await?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        match &self.0.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres { .. } => Engine::Postgres,
        }
    }

    pub(crate) fn reader(&self) -> Conn<'_> {
        match &self.0.pools {
            Pools::Sqlite { readers, .. } => Conn::SqliteReaders(readers),
            Pools::Postgres { pool, .. } => Conn::PostgresPool(pool),
        }
    }

    /// Hears of work other hosts have left, and tells them of ours, until `shutdown`. A hint only: without it a worker
    /// finds the work with its next poll. Returns at once when no other host can be there.
    pub async fn run_hints(&self, shutdown: impl Future<Output = ()>) {
        if let Pools::Postgres { hints, .. } = &self.0.pools {
            tokio::select! {
                () = shutdown => {}
                never = hints.run(&self.0.wake) => match never {},
            }
        }
    }

    /// Takes a worker's name for as long as the value lives, or fails with [`StoreError::NameTaken`].
    pub async fn hold_name(&self, name: &str) -> Result<HeldName, StoreError> {
        match &self.0.pools {
            // The lock of the file has kept every other host out.
            Pools::Sqlite { .. } => Ok(HeldName::unshared(name)),
            Pools::Postgres { pool, .. } => HeldName::take(name, pool.connect_options()).await,
        }
    }

    /// The moment of the newest thing that is written here; absent in an empty database. A clock that says less was set
    /// back.
    pub async fn newest(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = query(NEWEST).fetch_one(self.reader()).await?;
        Cols(&row).opt_time("newest")
    }

    /// Looks how far the clock of the database is ahead of ours; to be repeated every few seconds, since clocks drift
    /// and are set. The answer took a moment to come; half of that moment is added, so two hosts differ by less than
    /// the round trip. Does nothing where our own clock counts.
    pub async fn measure_clock(&self) -> Result<(), StoreError> {
        if !self.0.shared_clock {
            return Ok(());
        }
        let before = self.0.clock.now();
        let row = query(&CLOCK).fetch_one(self.reader()).await?;
        let after = self.0.clock.now();
        let theirs = Cols(&row).time("now")?;
        let ours = before.plus(after.since(before) / 2);
        let ahead = theirs.since(ours);
        let moved = ahead.saturating_sub(self.0.ahead_ms.swap(ahead, Ordering::Relaxed));
        if moved.abs() > NOTEWORTHY_MS {
            tracing::warn!("the clock of the database is {ahead} ms ahead of this machine's: it moved by {moved} ms");
        }
        Ok(())
    }
}

/// One time for everything in this host that meets leases: the database's.
impl Clock for Db {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

/// A writing transaction. Dropped without [`Tx::commit`], it leaves nothing behind.
pub struct Tx {
    inner: Open,
    now: Timestamp,
    db: Db,
    enqueued: bool,
    followers: Option<Followers>,
}

/// How many more jobs may be enqueued in a transaction.
#[derive(Debug, Clone, Copy)]
struct Followers {
    most: u32,
    left: u32,
}

enum Open {
    Sqlite(Turn),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Makes everything durable at once, then wakes workers when a job became ready in it.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Open::Sqlite(turn) => Box::pin(turn.commit()).await?,
            Open::Postgres(transaction) => Box::pin(transaction.commit()).await?,
        }
        if self.enqueued {
            self.db.wake().notify();
            if let Pools::Postgres { hints, .. } = &self.db.0.pools {
                hints.give();
            }
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

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match &mut self.inner {
            Open::Sqlite(turn) => turn.conn(),
            Open::Postgres(transaction) => Conn::Postgres(transaction),
        }
    }

    /// The time leases go by, unless that is the clock of the database itself.
    pub(crate) fn own_clock(&self) -> Option<Timestamp> {
        (!self.db.0.shared_clock).then_some(self.now)
    }

    pub(crate) fn engine(&self) -> Engine {
        self.db.engine()
    }

    pub(crate) fn mark_enqueued(&mut self) {
        self.enqueued = true;
    }

    /// From now on only so many jobs can be enqueued in this transaction; more fail with
    /// [`StoreError::TooManyFollow`]. For the transaction that finishes a job.
    pub fn limit_followers(&mut self, most: u32) {
        self.followers = Some(Followers { most, left: most });
    }

    pub(crate) fn count_follower(&mut self) -> Result<(), StoreError> {
        match &mut self.followers {
            Some(Followers { most, left: 0 }) => Err(StoreError::TooManyFollow { most: *most }),
            Some(followers) => {
                followers.left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{House, actor, both, tenant};
    use crate::{audit, jobs};

    both! {
        async fn a_transaction_that_is_dropped_leaves_nothing_and_frees_the_writer(house) {
            let mut tx = house.db.begin().await.expect("begin");
            audit::append(&mut tx, &actor(), &tenant("t"), "a.b", "o/1", &json!({})).await.expect("append");
            drop(tx);
            let tx = house.db.begin().await.expect("begin again");
            tx.commit().await.expect("commit");
            assert!(audit::for_object(&house.db, &tenant("t"), "o/1").await.expect("rows").is_empty());
        }
    }

    both! {
        async fn a_commit_with_a_job_rings_the_bell_and_a_rollback_does_not(house) {
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
