//! One measured run of the queue, as a program: jobs that do nothing are added to an empty database in bulk, then one
//! or more workers run all of them; one line of JSON says how long that took.
//!
//! ```text
//! queue <postgres://… | folder> <jobs> <settings>
//! ```
//!
//! Settings are `key=value`, separated by commas:
//! - `tenants` (1): the jobs belong to so many tenants, in turn;
//! - `lanes` (0): per tenant; 0 means that the jobs are ordered with nothing;
//! - `waiting` (0): so many more jobs are ready and stay so; they come after the others by priority;
//! - `hosts` (1): workers, each with its own connections (PostgreSQL) or sharing the writer (SQLite);
//! - `concurrency` (500): jobs at once, per worker;
//! - `stores` (0): 1 lets every job store an audit row when it is done, in its own transaction;
//! - `claims` (0): instead of running workers, so many claims of 8 jobs are timed one by one.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{IdSource, TenantId};
use wharf_domain::time::{Clock, Timestamp};
use wharf_queue::{Handler, Registry, Verdict, Watch, Worker, WorkerConfig};
use wharf_store::jobs::{self, Claimer, Job, NewJob};
use wharf_store::{Db, StoreError, Tx, audit};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Jobs added with one statement.
const BATCH: usize = 5_000;
/// Jobs of one timed claim.
const CLAIM: usize = 8;

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a program of its own, which has no other clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

struct RandomIds;

impl IdSource for RandomIds {
    fn next(&self, _now: Timestamp) -> Uuid {
        Uuid::now_v7()
    }
}

#[derive(Debug)]
struct Settings {
    tenants: usize,
    lanes: usize,
    waiting: usize,
    hosts: usize,
    concurrency: u32,
    stores: bool,
    claims: usize,
}

impl Settings {
    fn parse(text: &str) -> Fallible<Self> {
        let mut settings =
            Self { tenants: 1, lanes: 0, waiting: 0, hosts: 1, concurrency: 500, stores: false, claims: 0 };
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or("a setting is `key=value`")?;
            let number: usize = value.parse().map_err(|_| format!("`{key}`: `{value}` is not a whole number"))?;
            match key {
                "tenants" => settings.tenants = number.max(1),
                "lanes" => settings.lanes = number,
                "waiting" => settings.waiting = number,
                "hosts" => settings.hosts = number.max(1),
                "concurrency" => settings.concurrency = u32::try_from(number)?.max(1),
                "stores" => settings.stores = number == 1,
                "claims" => settings.claims = number,
                _ => return Err(format!("there is no setting `{key}`").into()),
            }
        }
        Ok(settings)
    }

    fn shown(&self) -> Value {
        json!({
            "tenants": self.tenants, "lanes": self.lanes, "waiting": self.waiting, "hosts": self.hosts,
            "concurrency": self.concurrency, "stores": self.stores, "claims": self.claims,
        })
    }
}

struct Nothing {
    stores: bool,
}

#[async_trait]
impl Handler for Nothing {
    async fn run(&self, _job: &Job) -> Verdict {
        Verdict::Done(Value::Null)
    }

    fn settles(&self) -> bool {
        self.stores
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, _verdict: &Verdict) -> Result<(), StoreError> {
        audit::append(tx, &actor(), &job.tenant, "bench.done", "bench/1", &Value::Null).await
    }
}

/// Counts what is done and stops everybody after the last one.
struct Count {
    left: AtomicUsize,
    took: Mutex<Vec<Duration>>,
    all_done: CancellationToken,
}

impl Watch for Count {
    fn ended(&self, _job: &Job, outcome: &'static str, took: Duration) {
        if outcome != "done" {
            return;
        }
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.all_done.cancel();
        }
    }
}

fn actor() -> Actor {
    Actor::Host("bench".to_owned())
}

async fn open(place: &str) -> Fallible<Db> {
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let db = if place.starts_with("postgres") {
        Db::open_postgres(place, 16, clock, ids).await?
    } else {
        Db::open(&std::path::Path::new(place).join("wharf.db"), clock, ids).await?
    };
    db.migrate().await?;
    Ok(db)
}

/// The `number`th job. Those that only wait have the lower priority, so that they stay behind the others.
fn job(number: usize, settings: &Settings, priority: i64) -> Fallible<NewJob> {
    let tenant = TenantId::parse(format!("t{:05}", number % settings.tenants))?;
    let lane = (settings.lanes > 0).then(|| format!("lane-{}", number / settings.tenants % settings.lanes));
    Ok(NewJob { lane, priority, ..NewJob::unordered(tenant, "nothing", json!({ "i": number })) })
}

async fn add(db: &Db, count: usize, settings: &Settings, priority: i64) -> Fallible<()> {
    for from in (0..count).step_by(BATCH) {
        let jobs = (from..count.min(from + BATCH)).map(|n| job(n, settings, priority)).collect::<Fallible<Vec<_>>>()?;
        let mut tx = db.begin().await?;
        if settings.lanes == 0 {
            jobs::enqueue_unordered(&mut tx, &actor(), &jobs).await?;
        } else {
            for job in &jobs {
                jobs::enqueue(&mut tx, &actor(), job).await?;
            }
        }
        tx.commit().await?;
    }
    Ok(())
}

/// What was measured: seconds, and each job's or claim's own time.
async fn run_workers(db: &Db, place: &str, jobs: usize, settings: &Settings) -> Fallible<(Duration, Vec<Duration>)> {
    let all_done = CancellationToken::new();
    let took = Mutex::new(Vec::with_capacity(jobs));
    let count = Arc::new(Count { left: AtomicUsize::new(jobs), took, all_done: all_done.clone() });
    let mut workers = Vec::new();
    for host in 0..settings.hosts {
        let own = if host > 0 && place.starts_with("postgres") { open(place).await? } else { db.clone() };
        let mut registry = Registry::new();
        registry.register("nothing", Arc::new(Nothing { stores: settings.stores }));
        let config = WorkerConfig {
            concurrency: settings.concurrency,
            reserved_percent: 0,
            ..WorkerConfig::named(format!("host-{host}"), host as u64)
        };
        workers.push(Worker::watched(own, Arc::new(registry), config, Some(count.clone())));
    }
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for worker in workers {
        running.spawn(worker.run(all_done.clone()));
    }
    all_done.cancelled().await;
    let seconds = began.elapsed();
    while let Some(ended) = running.join_next().await {
        ended?;
    }
    let took = std::mem::take(&mut *count.took.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((seconds, took))
}

async fn time_claims(db: &Db, settings: &Settings) -> Fallible<(Duration, Vec<Duration>)> {
    let mut claimer = Claimer::new("bench", 60_000);
    let mut took = Vec::with_capacity(settings.claims);
    for _ in 0..settings.claims {
        let began = Instant::now();
        let jobs = claimer.claim(db, CLAIM, CLAIM).await?;
        took.push(began.elapsed());
        if jobs.len() != CLAIM {
            return Err(format!("a claim gave {} jobs", jobs.len()).into());
        }
        let mut tx = db.begin().await?;
        jobs::finish_done(&mut tx, &jobs.iter().collect::<Vec<_>>()).await?;
        tx.commit().await?;
    }
    Ok((took.iter().sum(), took))
}

/// The value below which `share` of them are, in milliseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few million values"
)]
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |value| value.as_secs_f64() * 1_000.0)
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [place, jobs, settings] = args.as_slice() else {
        return Err("usage: queue <postgres://… | folder> <jobs> <settings>".into());
    };
    let (jobs, settings) = (jobs.parse::<usize>()?, Settings::parse(settings)?);
    let db = open(place).await?;
    let adding = Instant::now();
    add(&db, settings.waiting, &settings, -1).await?;
    let timed = if settings.claims > 0 { settings.claims * CLAIM } else { jobs };
    add(&db, timed, &settings, 0).await?;
    let added = adding.elapsed();
    db.tidy().await?;
    let (seconds, mut took) = match settings.claims {
        0 => run_workers(&db, place, jobs, &settings).await?,
        _ => time_claims(&db, &settings).await?,
    };
    took.sort_unstable();
    let done = jobs::counts(&db).await?.done;
    // Near the end some of those that only wait are taken as well.
    if done < timed as u64 {
        return Err(format!("{done} of {timed} jobs are done").into());
    }
    db.close().await;
    let line = json!({
        "system": "wharf", "version": env!("CARGO_PKG_VERSION"), "jobs": timed, "seconds": seconds.as_secs_f64(),
        "jobs_per_second": timed as f64 / seconds.as_secs_f64(), "enqueue_seconds": added.as_secs_f64(),
        "p50_ms": quantile(&took, 0.5), "p99_ms": quantile(&took, 0.99), "settings": settings.shown(),
    });
    #[expect(clippy::print_stdout, reason = "the line is what the program is for")]
    {
        println!("{line}");
    }
    Ok(())
}
