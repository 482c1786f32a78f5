//! The process that is killed: one host with its worker and its feed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use wharf_domain::ids::IdSource;
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::{Egress, EgressConfig, Live};
use wharf_queue::{Backoff, Worker, WorkerConfig};
use wharf_store::{Db, jobs};

use crate::fate::{Doomed, Fate, Point};
use crate::feed::{Feed, left_off};
use crate::history::{self, Writer};
use crate::order::Class;
use crate::work::{self, Hands};

/// How one host is started.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Path of a SQLite file, or a `postgres://` URL
    #[arg(long)]
    pub database: String,
    /// Base URL of the partner
    #[arg(long)]
    pub partner: String,
    /// Folder of the history
    #[arg(long)]
    pub history: PathBuf,
    /// Unique among the hosts of a database, the same after a restart
    #[arg(long)]
    pub name: String,
    /// Decides which orders are fed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Lanes this host feeds
    #[arg(long, default_value_t = 6)]
    pub lanes: u32,
    /// Milliseconds between two orders of a lane
    #[arg(long, default_value_t = 60)]
    pub pace_ms: u64,
    #[arg(long, default_value_t = 3_000)]
    pub lease_ms: i64,
    /// How far apart two lookups that found nothing must be, in milliseconds
    #[arg(long, default_value_t = 100)]
    pub settle_ms: i64,
    /// How wrong this host's clock is, in milliseconds
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub clock_offset_ms: i64,
    /// Feed orders of this class alone
    #[arg(long)]
    pub only: Option<Class>,
    /// End by `kill -9` at this point
    #[arg(long)]
    pub die_at: Option<Point>,
    /// Accept nothing new, and end when nothing is left to do
    #[arg(long)]
    pub until_idle: bool,
    /// Written when it works
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// The machine's clock, set wrong.
#[derive(Debug, Clone, Copy)]
pub struct OffsetClock(pub i64);

impl Clock for OffsetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()).plus(self.0)
    }
}

/// UUIDv7 with the operating system's randomness.
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.millis()).unwrap_or_default();
        let nanos = u32::try_from(millis % 1_000).unwrap_or_default() * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, nanos))
    }
}

/// Opens what `--database` names. Does not migrate.
pub async fn open(database: &str, clock: Arc<dyn Clock>) -> Result<Db> {
    let ids = Arc::new(RandomIds);
    let db = if database.contains("://") {
        Db::open_postgres(database, 8, clock, ids).await
    } else {
        Db::open(Path::new(database), clock, ids).await
    };
    db.context("failed to open the database")
}

/// Runs until SIGTERM, or until there is nothing left to do.
pub async fn run(args: Args) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(OffsetClock(args.clock_offset_ms));
    let left = left_off(&history::read(&args.history, Some(&args.name))?);
    let history = Arc::new(Writer::begin(&args.history, &args.name)?);
    let db = open(&args.database, Arc::clone(&clock)).await?;
    let config = EgressConfig {
        settle_delay_ms: args.settle_ms,
        request_timeout_ms: 1_500,
        connect_timeout_ms: 1_000,
        ..EgressConfig::default()
    };
    let live = Live::new(&config).context("failed to start TLS")?;
    let fate = Arc::new(Fate::new(args.die_at, Arc::clone(&history))?);
    let wire = Doomed { live, fate: Arc::clone(&fate) };
    let hands = Hands {
        db: db.clone(),
        egress: Egress::new(Some(db.clone()), clock, config, Arc::new(wire)),
        fate: Arc::clone(&fate),
        url: args.partner.clone(),
        settle_ms: args.settle_ms,
        history: Arc::clone(&history),
    };
    let settings = WorkerConfig {
        concurrency: 8,
        lease_ms: args.lease_ms,
        poll_ms: 25,
        drain_ms: 5_000,
        backoff: Backoff { base_ms: 20, max_ms: 200, after_max_ms: 1_000 },
        ..WorkerConfig::named(args.name.clone(), args.seed)
    };
    let worker = Worker::new(db.clone(), Arc::new(work::registry(Arc::new(hands))), settings);
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let working = tasks.spawn(worker.run(stop.clone()));
    let feed = Arc::new(Feed {
        db: db.clone(),
        history,
        host: args.name.clone(),
        seed: args.seed,
        only: args.only,
        fate,
        backlog: AtomicU64::new(0),
        pace: Duration::from_millis(args.pace_ms),
        nothing_new: args.until_idle,
    });
    let watching = {
        let (feed, stop) = (Arc::clone(&feed), stop.clone());
        tasks.spawn(async move { feed.watch(&stop).await })
    };
    let lanes: Vec<_> = (0..args.lanes)
        .map(|lane| {
            let (feed, stop) = (Arc::clone(&feed), stop.clone());
            let left = left.get(&lane).cloned();
            tasks.spawn(async move { feed.lane(lane, left, &stop).await })
        })
        .collect();
    if let Some(file) = &args.ready_file {
        let draft = file.with_extension("tmp");
        std::fs::write(&draft, "{}").and_then(|()| std::fs::rename(&draft, file)).context("failed to say `ready`")?;
    }
    let mut asked = signal(SignalKind::terminate())?;
    if args.until_idle {
        tokio::select! {
            _ = asked.recv() => {}
            idle = idle(&db, &tasks) => idle?,
        }
    } else {
        asked.recv().await;
    }
    stop.cancel();
    watching.await.context("the watch panicked")?;
    for lane in lanes {
        lane.await.context("a lane panicked")??;
    }
    working.await.context("the worker panicked")?;
    db.close().await;
    Ok(())
}

/// Returns when every lane has said its last word and nothing is left to do.
async fn idle(db: &Db, tasks: &TaskTracker) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // The worker and the watch are those that stay.
        if tasks.len() == 2 && jobs::counts(db).await?.unfinished() == 0 {
            return Ok(());
        }
    }
}
