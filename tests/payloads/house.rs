//! A host without a process: database, queue and flows, and a hand that reaches into the database past all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{IdSource, JobId, TenantId};
use wharf_domain::port::erp::{ErpEvent, ErpEventKind};
use wharf_domain::schedule::Schedule;
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_flows::retention::{self, Keep};
use wharf_flows::{intake, runner};
use wharf_queue::{Backoff, Handler, Registry, Verdict, Worker, WorkerConfig};
use wharf_scratch_postgres::{Database, Server};
use wharf_store::jobs::{self, Job, NewJob};
use wharf_store::{Db, exceptions};

use crate::outside::{Outside, Wired};

/// How long a job that is held up waits: less than anybody's deadline.
const LATER_MS: i64 = 20_000;

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Where the database is.
pub(crate) enum Place {
    Folder(TempDir),
    Server(Database),
}

impl Place {
    pub(crate) fn folder() -> Self {
        Self::Folder(TempDir::new().expect("folder"))
    }

    /// On a throw-away server.
    pub(crate) async fn server() -> Self {
        let database = tokio::task::spawn_blocking(|| Server::shared().and_then(|server| server.database()));
        Self::Server(database.await.expect("ran").expect("a PostgreSQL server"))
    }
}

pub(crate) struct House {
    place: Place,
    clock: Arc<ManualClock>,
    pub(crate) db: Db,
    outside: Arc<Outside>,
    orders: AtomicU64,
}

/// A job that was kept from running.
pub(crate) struct Stopped {
    pub(crate) id: JobId,
}

/// Comes back later and does nothing.
struct HeldUp(Db);

#[async_trait]
impl Handler for HeldUp {
    async fn run(&self, _: &Job) -> Verdict {
        Verdict::Snooze { until: self.0.now().plus(LATER_MS), reason: "held up".to_owned() }
    }
}

impl House {
    pub(crate) async fn new(place: Place) -> Self {
        let (clock, ids) = (Arc::new(ManualClock::at(1_700_000_000_000)), Arc::new(Counted::default()));
        let db = match &place {
            Place::Folder(folder) => Db::open(&folder.path().join("wharf.db"), clock.clone(), ids).await,
            Place::Server(database) => Db::open_postgres_with_own_clock(&database.url(), clock.clone(), ids).await,
        };
        let db = db.expect("open");
        db.migrate().await.expect("migrate");
        Self { place, clock, db, outside: Arc::default(), orders: AtomicU64::new(0) }
    }

    /// Every kind of job, and jobs of `held` wait.
    pub(crate) fn registry(&self, held: Option<&str>) -> Registry {
        let mut registry = Registry::new();
        runner::register(&mut registry, self.db.clone(), Arc::new(Wired(self.outside.clone())));
        retention::register(&mut registry, self.db.clone(), Keep::default(), Schedule::hourly());
        if let Some(kind) = held {
            registry.register(kind, Arc::new(HeldUp(self.db.clone())));
        }
        registry
    }

    async fn drain(&self, held: Option<&str>) {
        let backoff = Backoff { base_ms: 1, max_ms: 1, after_max_ms: 1_000 };
        let config = WorkerConfig { backoff, ..WorkerConfig::named("w", 7) };
        let worker = Worker::new(self.db.clone(), Arc::new(self.registry(held)), config);
        for _ in 0..100 {
            if worker.drain_once().await == 0 {
                self.clock.advance(100);
                if worker.drain_once().await == 0 {
                    return;
                }
            }
        }
        panic!("the queue never comes to rest");
    }

    /// A new order, worked on until a job of `kind` is to run.
    pub(crate) async fn up_to(&self, kind: &str) -> Stopped {
        let order = self.orders.fetch_add(1, Ordering::SeqCst).to_string();
        if kind == retention::SWEEP {
            let job = NewJob::new(tenant(), kind, kind, serde_json::json!({}));
            let mut tx = self.db.begin().await.expect("begin");
            let id = jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue").id;
            tx.commit().await.expect("commit");
            return Stopped { id };
        }
        self.change(&order).await;
        if kind == runner::VOID {
            self.drain(None).await;
            self.outside.cancelled.lock().expect("lock").push(order.clone());
            self.change(&order).await;
        }
        self.drain(Some(kind)).await;
        let waiting = self.column("SELECT id FROM job WHERE kind = $1 AND state = 'waiting'", kind).await;
        Stopped { id: JobId::parse(&waiting.expect("a job of the kind waits")).expect("an id") }
    }

    /// The ERP tells of a change, and a pull is asked for.
    async fn change(&self, order: &str) {
        let key = format!("{order}-{}", self.outside.cancelled.lock().expect("lock").len());
        let (kind, receipt) = (ErpEventKind::OrderChanged, Some(key.clone()));
        self.outside.pending.lock().expect("lock").push(ErpEvent { key, kind, order: order.to_owned(), receipt });
        let mut tx = self.db.begin().await.expect("begin");
        intake::request_pull(&mut tx, &actor(), &tenant()).await.expect("pull");
        tx.commit().await.expect("commit");
    }

    /// What was held up runs, and all that comes of it.
    pub(crate) async fn go_on(&self) {
        self.clock.advance(LATER_MS);
        self.drain(None).await;
    }

    /// Nothing waits, runs or is parked, and nobody is asked anything.
    pub(crate) async fn nothing_left_behind(&self) {
        let counts = jobs::counts(&self.db).await.expect("counts");
        assert_eq!((counts.unfinished(), counts.parked), (0, 0));
        let open = exceptions::open(&self.db, &tenant()).await.expect("open");
        assert!(open.is_empty(), "{open:?}");
    }

    pub(crate) async fn payload(&self, job: &Stopped) -> String {
        let payload = self.column("SELECT payload FROM job WHERE id = $1", &job.id.to_string()).await;
        payload.expect("an accepted job is there")
    }

    pub(crate) async fn damage(&self, job: &Stopped, payload: &str) {
        // A transaction that a stopped worker left behind ends with the next one.
        self.db.begin().await.expect("begin").commit().await.expect("commit");
        let statement = "UPDATE job SET payload = $2 WHERE id = $1";
        let id = job.id.to_string();
        let changed = match &self.place {
            Place::Folder(folder) => {
                let done = sqlx::query(statement).bind(id).bind(payload).execute(&mut file(folder).await).await;
                done.expect("damaged").rows_affected()
            }
            Place::Server(database) => {
                let done = sqlx::query(statement).bind(id).bind(payload).execute(&mut server(database).await).await;
                done.expect("damaged").rows_affected()
            }
        };
        assert_eq!(changed, 1);
    }

    /// One text of one row.
    async fn column(&self, statement: &'static str, with: &str) -> Option<String> {
        match &self.place {
            Place::Folder(folder) => {
                let row =
                    sqlx::query(statement).bind(with).fetch_optional(&mut file(folder).await).await.expect("asked");
                row.map(|row| row.get(0))
            }
            Place::Server(database) => {
                let row =
                    sqlx::query(statement).bind(with).fetch_optional(&mut server(database).await).await.expect("asked");
                row.map(|row| row.get(0))
            }
        }
    }
}

async fn file(folder: &TempDir) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.path().join("wharf.db")).connect().await.expect("the file")
}

async fn server(database: &Database) -> PgConnection {
    PgConnection::connect(&database.url()).await.expect("the server")
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("nordic").expect("tenant")
}

pub(crate) fn actor() -> Actor {
    Actor::Host("test".to_owned())
}
