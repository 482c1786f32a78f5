//! What every test of this crate starts from: an empty migrated database, a clock that stands still, counted ids.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{IdSource, TenantId};
use wharf_domain::time::{ManualClock, Timestamp};

use crate::db::Db;

pub(crate) const START: i64 = 1_700_000_000_000;

/// Ids that count up, so that a test can be repeated.
#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

pub(crate) struct House {
    directory: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<Counted>,
    pub(crate) db: Db,
}

impl House {
    pub(crate) async fn new() -> Self {
        let house = Self::bare().await;
        house.db.migrate().await.expect("migrate");
        house
    }

    /// Not migrated.
    pub(crate) async fn bare() -> Self {
        let directory = TempDir::new().expect("directory");
        let clock = Arc::new(ManualClock::at(START));
        let ids = Arc::new(Counted::default());
        let path = directory.path().join("data/wharf.db");
        let db = Db::open(&path, clock.clone(), ids.clone()).await.expect("open");
        Self { directory, clock, ids, db }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data/wharf.db")
    }

    /// The next process on the same file.
    pub(crate) async fn restart(&mut self) {
        self.db.close().await;
        self.db = Db::open(&self.path(), self.clock.clone(), self.ids.clone()).await.expect("reopen");
    }

    pub(crate) async fn open_again(&self) -> Result<Db, crate::StoreError> {
        Db::open(&self.path(), self.clock.clone(), self.ids.clone()).await
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("tenant")
}

pub(crate) fn actor() -> Actor {
    Actor::Host("test".to_owned())
}
