//! A PostgreSQL server that crashes and comes back under a worker and under whoever enqueues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::JobId;
use wharf_domain::time::{Clock, Timestamp};
use wharf_scratch_postgres::{Server, Settings};
use wharf_store::jobs::{self, Job, JobState};
use wharf_store::{Db, StoreError, Tx, audit};

use super::in_time;
use crate::backoff::Backoff;
use crate::handler::{Handler, Verdict};
use crate::registry::Registry;
use crate::testing::{Counted, START, job, mark_settled, tenant};
use crate::worker::{Worker, WorkerConfig};

/// Crashes of the server, unless the variable `WHARF_RESTARTS` says how many.
const RESTARTS: u32 = 5;
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// Goes with time and is never set.
struct Counting(Instant);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START + i64::try_from(self.0.elapsed().as_millis()).expect("a short test"))
    }
}

struct Settling;

#[async_trait]
impl Handler for Settling {
    async fn run(&self, _job: &Job) -> Verdict {
        Verdict::Done(Value::Null)
    }
    async fn settle(&self, tx: &mut Tx, job: &Job, _verdict: &Verdict) -> Result<(), StoreError> {
        mark_settled(tx, job).await
    }
}

#[expect(clippy::disallowed_methods, reason = "a soak asks for more than a test")]
fn restarts() -> u32 {
    std::env::var("WHARF_RESTARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(RESTARTS)
}

async fn accept(db: &Db, number: u64) -> Result<JobId, StoreError> {
    let mut tx = db.begin().await?;
    let new = job(&format!("lane-{number}"), json!(number));
    let id = jobs::enqueue(&mut tx, &Actor::Host("test".to_owned()), &new).await?.id;
    tx.commit().await?;
    Ok(id)
}

/// Every job that was accepted, until `enough`. One whose commit is in doubt does not count as accepted.
async fn feed(db: &Db, enough: &AtomicBool, fed: &AtomicUsize) -> Vec<JobId> {
    let (mut accepted, mut number) = (Vec::new(), 0);
    while !enough.load(Ordering::SeqCst) {
        number += 1;
        match accept(db, number).await {
            Ok(id) => {
                accepted.push(id);
                fed.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
    accepted
}

async fn done(db: &Db, id: &JobId) {
    while !matches!(jobs::get(db, id).await, Ok(Some(row)) if row.state == JobState::Done) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The next job that is accepted and done, from the moment the server is back.
async fn recovered(db: &Db, number: u64) -> Duration {
    let since = Instant::now();
    let id = loop {
        if let Ok(id) = accept(db, number).await {
            break id;
        }
    };
    done(db, &id).await;
    since.elapsed()
}

/// PostgreSQL may crash under a host at any time: nothing accepted is lost, nothing is settled twice, and the host needs
/// no hand to go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_postgresql_may_crash_under_the_host_and_it_goes_on_by_itself() {
    let server = tokio::task::spawn_blocking(|| Server::start(&Settings::durable()));
    let server = Arc::new(server.await.expect("ran").expect("a server"));
    let database = server.database().expect("database");
    let (clock, ids) = (Arc::new(Counting(Instant::now())), Arc::new(Counted::default()));
    let db = Db::open_postgres(&database.url(), 12, clock, ids).await.expect("open");
    db.migrate().await.expect("migrate");
    let mut registry = Registry::new();
    registry.register("kind", Arc::new(Settling));
    let backoff = Backoff { base_ms: 10, max_ms: 100, after_max_ms: 100 };
    let config = WorkerConfig { concurrency: 8, lease_ms: 3_000, backoff, ..WorkerConfig::named("host", 1) };
    let worker = Worker::new(db.clone(), Arc::new(registry), config);
    let (stop, enough, fed) = (CancellationToken::new(), AtomicBool::new(false), AtomicUsize::new(0));

    let crashes = async {
        let mut crashes = 0;
        // However slow the machine: it crashes on until enough was under way meanwhile.
        for crash in (0..).take_while(|crash| *crash < restarts() || fed.load(Ordering::SeqCst) <= 20) {
            recovered(&db, 1_000_000 + u64::from(crash)).await;
            let again = Arc::clone(&server);
            let restarted = tokio::task::spawn_blocking(move || again.restart());
            restarted.await.expect("ran").expect("restarts");
            let took = recovered(&db, 2_000_000 + u64::from(crash)).await;
            println!("crash {crash}: back after {took:?}");
            assert!(took <= BACK_WITHIN, "crash {crash}: back after {took:?}");
            crashes += 1;
        }
        enough.store(true, Ordering::SeqCst);
        crashes
    };
    let story = async {
        let (accepted, crashes) = tokio::join!(feed(&db, &enough, &fed), crashes);
        for id in &accepted {
            done(&db, id).await;
        }
        stop.cancel();
        (accepted, crashes)
    };
    let ((accepted, crashes), ()) = Box::pin(async { tokio::join!(in_time(story), worker.run(stop.clone())) }).await;

    assert!(accepted.len() > 20, "only {} jobs were under way: the test proves too little", accepted.len());
    for id in &accepted {
        let rows = audit::for_object(&db, &tenant(), &format!("settled/{id}")).await.expect("audit");
        assert_eq!(rows.len(), 1, "job {id}");
    }
    println!("crashes {crashes} · accepted {} · lost 0 · settled twice 0", accepted.len());
}
