//! What every test of this crate starts from: an empty migrated database, a clock that stands still, counted ids.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{IdSource, TenantId};
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_scratch_postgres::{Database, Server};

use crate::db::Db;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Engine, query};

pub(crate) const START: i64 = 1_700_000_000_000;

/// Ids that count up, so that a test can be repeated.
#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Runs each test once per engine.
macro_rules! both {
    ($($(#[doc = $doc:literal])* async fn $name:ident($house:pat_param) $body:block)+) => {
        $(mod $name {
            use super::*;

            $(#[doc = $doc])*
            async fn check($house: House) $body

            #[tokio::test]
            async fn sqlite() {
                Box::pin(check(House::new().await)).await;
            }

            #[tokio::test]
            async fn postgres() {
                Box::pin(check(House::postgres().await)).await;
            }
        })+
    };
}
pub(crate) use both;

/// Where the database is.
enum Place {
    Folder(TempDir),
    Server(Database),
}

pub(crate) struct House {
    place: Place,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<Counted>,
    pub(crate) db: Db,
}

impl House {
    /// A SQLite file.
    pub(crate) async fn new() -> Self {
        let house = Self::bare().await;
        house.db.migrate().await.expect("migrate");
        house
    }

    /// A SQLite file that is not migrated.
    pub(crate) async fn bare() -> Self {
        Self::at(Place::Folder(TempDir::new().expect("directory"))).await
    }

    /// A database on a throw-away server.
    pub(crate) async fn postgres() -> Self {
        let house = Self::bare_postgres().await;
        house.db.migrate().await.expect("migrate");
        house
    }

    pub(crate) async fn bare_postgres() -> Self {
        let database = tokio::task::spawn_blocking(|| Server::shared().and_then(|server| server.database()));
        Self::at(Place::Server(database.await.expect("ran").expect("a PostgreSQL server"))).await
    }

    async fn at(place: Place) -> Self {
        let (clock, ids) = (Arc::new(ManualClock::at(START)), Arc::new(Counted::default()));
        let db = open(&place, &clock, &ids).await.expect("open");
        Self { place, clock, ids, db }
    }

    pub(crate) fn path(&self) -> PathBuf {
        match &self.place {
            Place::Folder(directory) => file(directory),
            Place::Server(_) => panic!("a server's database is no file of ours"),
        }
    }

    /// Where its server is.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::Folder(_) => panic!("a file has no server"),
            Place::Server(database) => database.url(),
        }
    }

    /// The next process on the same database.
    pub(crate) async fn restart(&mut self) {
        self.db.close().await;
        self.db = self.open_again().await.expect("reopen");
    }

    pub(crate) async fn open_again(&self) -> Result<Db, StoreError> {
        open(&self.place, &self.clock, &self.ids).await
    }

    /// Returns when no transaction is open: PostgreSQL hears a moment later that one was dropped, and its locks are
    /// there until then.
    pub(crate) async fn at_rest(&self) {
        if self.db.engine() == Engine::Sqlite {
            return;
        }
        let open = "SELECT count(*) AS open FROM pg_stat_activity WHERE datname = current_database() \
                    AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
        loop {
            let row = query(open).fetch_one(self.db.reader()).await.expect("activity");
            if Cols(&row).int("open").expect("a number") == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// Runs a statement that no function of this crate would.
    pub(crate) async fn run(&self, statement: &'static str) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let changed = query(statement).execute(tx.conn()).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("data/wharf.db")
}

async fn open(place: &Place, clock: &Arc<ManualClock>, ids: &Arc<Counted>) -> Result<Db, StoreError> {
    let (clock, ids) = (clock.clone(), ids.clone());
    match place {
        Place::Folder(directory) => Db::open(&file(directory), clock, ids).await,
        Place::Server(database) => Db::open_postgres_with_own_clock(&database.url(), clock, ids).await,
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("tenant")
}

pub(crate) fn actor() -> Actor {
    Actor::Host("test".to_owned())
}
