//! Jobs that always fail and jobs that hang, among others.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind, Retry};
use wharf_domain::ids::TenantId;
use wharf_feeder::host::{OffsetClock, open};
use wharf_queue::{Backoff, Handler, Registry, Verdict, Worker, WorkerConfig};
use wharf_store::Db;
use wharf_store::jobs::{self, Counts, Job, NewJob};

/// Offered at a steady pace: what the others complete in this time is their throughput.
const JOBS: usize = 1_000;
const EVERY: Duration = Duration::from_millis(4);
/// When a call that hangs is cut off, as the sandbox and the door do.
const CUT_OFF: Duration = Duration::from_millis(400);

/// What the handler does with a job: `trap` panics, `hang` is cut off, everything else works for a moment.
struct Calls {
    mended: bool,
    others: AtomicUsize,
}

#[async_trait]
impl Handler for Calls {
    async fn run(&self, job: &Job) -> Verdict {
        match job.payload.as_str() {
            Some("trap") if !self.mended => panic!("the guest trapped"),
            Some("hang") if !self.mended => {
                tokio::time::sleep(CUT_OFF).await;
                let fault = Fault::new(FaultKind::Deadline, "test.hangs", "no end", Blame::Guest);
                Verdict::Retry(fault.with_retry(Retry::Later { after_ms: None }))
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                self.others.fetch_add(1, Ordering::SeqCst);
                Verdict::Done(Value::Null)
            }
        }
    }
}

fn tenant() -> TenantId {
    TenantId::parse("east").expect("a name")
}

fn worker(db: &Db, calls: &Arc<Calls>) -> Worker {
    let mut registry = Registry::new();
    registry.register("call", calls.clone());
    let backoff = Backoff { base_ms: 10, max_ms: 50, after_max_ms: 100 };
    Worker::new(db.clone(), Arc::new(registry), WorkerConfig { backoff, ..WorkerConfig::named("a", 1) })
}

/// How many of the others were done when the last job had been offered for a moment, and what is left of all.
async fn run(database: &Path, poison: bool) -> Result<(usize, Db)> {
    let db = open(&database.display().to_string(), Arc::new(OffsetClock(0))).await?;
    db.migrate().await?;
    let calls = Arc::new(Calls { mended: false, others: AtomicUsize::new(0) });
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let working = tasks.spawn(worker(&db, &calls).run(stop.clone()));
    let mut pace = tokio::time::interval(EVERY);
    for n in 0..JOBS {
        pace.tick().await;
        let payload = match n % 100 {
            // In front of the others of its lane.
            0 if poison => "trap",
            50 if poison => "hang",
            _ => "work",
        };
        let job = NewJob::new(tenant(), format!("lane-{}", n % 40), "call", json!(payload));
        let mut tx = db.begin().await?;
        jobs::enqueue(&mut tx, &Actor::Host("test".to_owned()), &NewJob { max_attempts: 3, ..job }).await?;
        tx.commit().await?;
    }
    tokio::time::sleep(CUT_OFF).await;
    let others = calls.others.load(Ordering::SeqCst);
    while jobs::counts(&db).await?.unfinished() > 0 {
        tokio::time::sleep(EVERY).await;
    }
    stop.cancel();
    working.await?;
    Ok((others, db))
}

/// Poison jobs are contained: the others do not notice, every poison job is a dead letter, and a mended one is done
/// when it is asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_jobs_that_trap_and_jobs_that_hang_leave_the_others_their_throughput() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (clean, db) = run(&folder.path().join("clean.db"), false).await?;
    db.close().await;
    let (others, db) = run(&folder.path().join("poison.db"), true).await?;
    println!("clean {clean} · beside poison {others} of {JOBS}");
    assert!(others * 100 >= clean * 95, "{others} beside poison, {clean} without");

    let parked = jobs::parked(&db, &tenant()).await?;
    assert_eq!(parked.len(), JOBS / 50);
    assert!(parked.iter().all(|job| job.payload != "work" && job.attempt == 3), "{parked:?}");
    for job in &parked {
        let mut tx = db.begin().await?;
        jobs::replay(&mut tx, &Actor::User("ada".to_owned()), &job.id).await?;
        tx.commit().await?;
    }
    let mended = Arc::new(Calls { mended: true, others: AtomicUsize::new(0) });
    assert_eq!(worker(&db, &mended).drain_once().await, parked.len());
    let counts = jobs::counts(&db).await?;
    assert_eq!(counts, Counts { done: JOBS as u64, ..Counts::default() });
    Ok(())
}
