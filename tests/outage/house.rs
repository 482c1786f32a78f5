//! A backlog, and a worker whose jobs call the partner through the door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;
use wharf_domain::account::Limits;
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{FlowKey, IdSource, JobId, TenantId};
use wharf_domain::manifest::Route;
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::{Egress, EgressConfig, Grant, Live, Origin, Request, Steps, Terms};
use wharf_queue::{Backoff, Handler, Registry, Verdict, Worker, WorkerConfig};
use wharf_scratch_postgres::{Database, Server, Settings};
use wharf_store::Db;
use wharf_store::jobs::{self, Job, JobState, NewJob};

pub(crate) const JOBS: usize = 300;
pub(crate) const LANES: usize = 30;
const KIND: &str = "call";

struct Real;

impl Clock for Real {
    #[expect(clippy::disallowed_methods, reason = "this outage is in real time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_millis(i64::try_from(since.as_millis()).expect("this age"))
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis().unsigned_abs(), self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Where the database is.
pub(crate) enum Place {
    /// A file, for one host.
    Folder(TempDir),
    /// A server that waits for its disk, for two hosts.
    Server { database: Database, _server: Server },
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::Folder(TempDir::new().expect("folder"))
    }

    pub(crate) async fn server() -> Self {
        let start = || {
            let server = Server::start(&Settings::durable())?;
            Ok::<_, anyhow::Error>(Self::Server { database: server.database()?, _server: server })
        };
        tokio::task::spawn_blocking(start).await.expect("ran").expect("a PostgreSQL server")
    }
}

pub(crate) struct House {
    _place: Place,
    /// Of the first host.
    pub(crate) db: Db,
    hosts: Vec<(Db, Arc<Registry>)>,
}

/// Workers at work.
pub(crate) struct Working {
    stop: CancellationToken,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Working {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.expect("the worker ends well");
        }
    }
}

impl House {
    pub(crate) async fn new(place: Place, partner: &str, limits: &Limits) -> Self {
        let (clock, ids) = (Arc::new(Real), Arc::new(Counted::default()));
        let mut hosts = Vec::new();
        let wanted = if matches!(place, Place::Server { .. }) { 2 } else { 1 };
        while hosts.len() < wanted {
            let db = match &place {
                Place::Folder(folder) => Db::open(&folder.path().join("wharf.db"), clock.clone(), ids.clone()).await,
                Place::Server { database, .. } => {
                    Db::open_postgres(&database.url(), 8, clock.clone(), ids.clone()).await
                }
            };
            let db = db.expect("open");
            db.migrate().await.expect("migrate");
            let config = EgressConfig::default();
            let wire = Arc::new(Live::new(&config).expect("wire"));
            let door = Egress::new(Some(db.clone()), clock.clone(), config, wire);
            let mut registry = Registry::new();
            let caller = Caller { db: db.clone(), door, grant: grant(partner, limits.clone()) };
            registry.register(KIND, Arc::new(caller));
            hosts.push((db, Arc::new(registry)));
        }
        Self { _place: place, db: hosts[0].0.clone(), hosts }
    }

    /// Every lane's jobs, one after the other.
    pub(crate) async fn enqueue(&self) {
        let mut tx = self.db.begin().await.expect("begin");
        for number in 0..JOBS / LANES {
            for lane in 0..LANES {
                let payload = json!({ "lane": lane, "number": number, "requests": 1 });
                let job = NewJob { flow: Some(flow()), ..NewJob::new(tenant(), format!("lane-{lane}"), KIND, payload) };
                jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
            }
        }
        tx.commit().await.expect("commit");
    }

    /// A job that makes several requests.
    pub(crate) async fn enqueue_one(&self, lane: &str, requests: usize) -> JobId {
        let mut tx = self.db.begin().await.expect("begin");
        let payload = json!({ "lane": 0, "number": 0, "requests": requests });
        let id =
            jobs::enqueue(&mut tx, &actor(), &NewJob::new(tenant(), lane, KIND, payload)).await.expect("enqueue").id;
        tx.commit().await.expect("commit");
        id
    }

    /// One worker for each host.
    pub(crate) fn work(&self) -> Working {
        let stop = CancellationToken::new();
        let start = |(seed, (db, registry)): (u64, &(Db, Arc<Registry>))| {
            let backoff = Backoff { base_ms: 200, ..Backoff::default() };
            let named = WorkerConfig::named(format!("worker-{seed}"), seed);
            let worker = Worker::new(db.clone(), Arc::clone(registry), WorkerConfig { backoff, poll_ms: 20, ..named });
            #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
            let task = tokio::spawn(worker.run(stop.clone()));
            AbortOnDropHandle::new(task)
        };
        let tasks = (1..).zip(&self.hosts).map(start).collect();
        Working { stop, tasks }
    }

    /// Until every job is done.
    pub(crate) async fn all_done(&self, patience: Duration) {
        let began = Instant::now();
        loop {
            let counts = jobs::counts(&self.db).await.expect("counts");
            if counts.unfinished() == 0 {
                assert_eq!((counts.done, counts.parked), (JOBS as u64, 0));
                return;
            }
            assert!(began.elapsed() < patience, "{counts:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn done(&self, job: &JobId, patience: Duration) {
        let began = Instant::now();
        while jobs::get(&self.db, job).await.expect("get").expect("kept").state != JobState::Done {
            assert!(began.elapsed() < patience, "not done");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every job that was enqueued.
    pub(crate) async fn ids(&self) -> Vec<JobId> {
        jobs::for_flow(&self.db, &tenant(), &flow()).await.expect("jobs").into_iter().map(|row| row.id).collect()
    }
}

struct Caller {
    db: Db,
    door: Egress,
    grant: Grant,
}

#[async_trait]
impl Handler for Caller {
    async fn run(&self, job: &Job) -> Verdict {
        let ctx = CallCtx {
            tenant: job.tenant.clone(),
            job: Some(job.id),
            fence: job.fence,
            attempt: job.attempt,
            flow: None,
            business: None,
            deadline: self.db.now().plus(30_000),
            urgent: job.urgent,
            promised: job.promised(),
        };
        let mut steps = Steps::default();
        for _ in 0..job.payload["requests"].as_u64().unwrap_or(1) {
            let url = format!("{}/get/{}-{}", self.grant.origins[0].url, job.payload["lane"], job.payload["number"]);
            let request =
                Request { method: "GET".to_owned(), url, headers: vec![], body: None, timeout_ms: Some(10_000) };
            match self.door.send(&self.grant, &ctx, &mut steps, request).await {
                Ok(answer) if answer.status == 200 => {}
                Ok(_) => {
                    return Verdict::Retry(Fault::new(FaultKind::Outage, "test.down", "down", Blame::Partner));
                }
                Err(fault) => return Verdict::Retry(fault),
            }
        }
        Verdict::Done(Value::Null)
    }
}

fn grant(partner: &str, limits: Limits) -> Grant {
    let route = Route {
        method: "GET".to_owned(),
        path: "/get/*".to_owned(),
        class: None,
        effect: None,
        secret: None,
        proves_no_effect: None,
        key: None,
        reason: "test".to_owned(),
    };
    Grant {
        tenant: tenant(),
        connection: "acme".to_owned(),
        adapter_digest: None,
        origins: vec![Origin { url: partner.to_owned(), allow_private: true, authority: None }],
        routes: vec![route],
        secrets: BTreeMap::new(),
        config: BTreeMap::new(),
        limits: wharf_egress::Limits::default(),
        terms: Some(Terms { account: partner.to_owned(), limits, healthy: vec![] }),
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("nordic").expect("tenant")
}

/// Only to find the jobs again.
fn flow() -> FlowKey {
    FlowKey::new("order", "1")
}

fn actor() -> Actor {
    Actor::Host("test".to_owned())
}
