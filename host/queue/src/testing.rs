//! What the tests of this crate start from: a database, a clock that stands still, and a handler that does what it is
//! told and remembers what it saw.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{FlowKey, IdSource, JobId, TenantId};
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_store::jobs::{self, AttemptRow, Job, JobRow, NewJob};
use wharf_store::{Db, StoreError, Tx, audit};

use crate::backoff::Backoff;
use crate::handler::{Handler, Verdict};
use crate::registry::Registry;
use crate::worker::{Worker, WorkerConfig};

pub(crate) const START: i64 = 1_700_000_000_000;
pub(crate) const LEASE: i64 = 60_000;

#[derive(Default)]
pub(crate) struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

pub(crate) struct House {
    directory: TempDir,
    ids: Arc<Counted>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) db: Db,
}

impl House {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().expect("directory");
        let (clock, ids) = (Arc::new(ManualClock::at(START)), Arc::new(Counted::default()));
        let db = Db::open(&directory.path().join("wharf.db"), clock.clone(), ids.clone()).await.expect("open");
        db.migrate().await.expect("migrate");
        Self { directory, ids, clock, db }
    }

    /// The next process on the same file.
    pub(crate) async fn restart(&mut self) {
        self.db.close().await;
        let path = self.directory.path().join("wharf.db");
        self.db = Db::open(&path, self.clock.clone(), self.ids.clone()).await.expect("reopen");
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> JobId {
        let mut tx = self.db.begin().await.expect("begin");
        let id = jobs::enqueue(&mut tx, &Actor::Host("test".to_owned()), &job).await.expect("enqueue").id;
        tx.commit().await.expect("commit");
        id
    }

    pub(crate) fn worker(&self, name: &str, handler: &Arc<impl Handler + 'static>) -> Worker {
        self.worker_with(config(name), handler)
    }

    pub(crate) fn worker_with(&self, config: WorkerConfig, handler: &Arc<impl Handler + 'static>) -> Worker {
        let mut registry = Registry::new();
        registry.register("kind", handler.clone());
        Worker::new(self.db.clone(), Arc::new(registry), config)
    }

    pub(crate) async fn row(&self, id: &JobId) -> JobRow {
        jobs::get(&self.db, id).await.expect("get").expect("an accepted job is there")
    }

    pub(crate) async fn attempts(&self, id: &JobId) -> Vec<AttemptRow> {
        jobs::attempts(&self.db, id).await.expect("attempts")
    }

    pub(crate) async fn outcomes(&self, id: &JobId) -> Vec<String> {
        self.attempts(id).await.into_iter().map(|row| row.outcome.unwrap_or_else(|| "running".to_owned())).collect()
    }

    /// How often a settle of this job was committed.
    pub(crate) async fn settled(&self, id: &JobId) -> usize {
        let rows = audit::for_object(&self.db, &tenant(), &format!("settled/{id}")).await.expect("audit");
        rows.len()
    }
}

/// Two jobs at once, and no waiting between attempts.
pub(crate) fn config(name: &str) -> WorkerConfig {
    WorkerConfig {
        concurrency: 2,
        lease_ms: LEASE,
        backoff: Backoff { base_ms: 0, max_ms: 0, after_max_ms: 3_600_000 },
        ..WorkerConfig::named(name, 1)
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("t").expect("tenant")
}

pub(crate) fn job(lane: &str, payload: Value) -> NewJob {
    NewJob { max_attempts: 3, flow: Some(FlowKey::new("order", "1")), ..NewJob::new(tenant(), lane, "kind", payload) }
}

/// A claimed job, for pure code.
pub(crate) fn claimed(attempt: u32, deadline: Option<i64>) -> Job {
    Job {
        id: JobId::mint(&Counted::default(), Timestamp::from_millis(START)),
        tenant: tenant(),
        seq: 1,
        lane: Some("a".to_owned()),
        kind: "kind".to_owned(),
        payload: Value::Null,
        unreadable: None,
        flow: None,
        priority: 0,
        urgent: false,
        run_at: Timestamp::from_millis(START),
        attempt,
        max_attempts: 3,
        fence: 1,
        lease_until: Timestamp::from_millis(START + LEASE),
        deadline: deadline.map(|after| Timestamp::from_millis(START + after)),
        depth: 0,
        cancelled_by: None,
        created_at: Timestamp::from_millis(START),
    }
}

pub(crate) fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, "test.fault", "no luck", Blame::Partner)
}

/// Gives the scripted verdicts one after the other, then `Done`. Every settle writes an audit row.
#[derive(Default)]
pub(crate) struct Scripted {
    script: Mutex<VecDeque<Verdict>>,
    /// Payloads in the order they ran.
    pub(crate) ran: Mutex<Vec<Value>>,
    /// Verdicts in the order they were to be settled, whether that was committed or not.
    pub(crate) told: Mutex<Vec<Verdict>>,
    /// How many settles fail, after they have written.
    pub(crate) failing_settles: AtomicU64,
}

impl Scripted {
    pub(crate) fn new(script: impl IntoIterator<Item = Verdict>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() })
    }
}

#[async_trait]
impl Handler for Scripted {
    async fn run(&self, job: &Job) -> Verdict {
        self.ran.lock().expect("lock").push(job.payload.clone());
        self.script.lock().expect("lock").pop_front().unwrap_or(Verdict::Done(Value::Null))
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        self.told.lock().expect("lock").push(verdict.clone());
        mark_settled(tx, job).await?;
        let failing = self.failing_settles.load(Ordering::SeqCst);
        if failing > 0 {
            self.failing_settles.store(failing - 1, Ordering::SeqCst);
            return Err(StoreError::NotFound { what: "thing", id: "x".to_owned() });
        }
        Ok(())
    }
}

pub(crate) async fn mark_settled(tx: &mut Tx, job: &Job) -> Result<(), StoreError> {
    let actor = Actor::Host("test".to_owned());
    audit::append(tx, &actor, &job.tenant, "test.settled", &format!("settled/{}", job.id), &json!({})).await
}
