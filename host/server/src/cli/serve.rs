//! `wharf serve`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_api::{ApiState, Token, router, without_loops};
use wharf_domain::ctx::Actor;
use wharf_flows::schedules::{Ticker, schedules};
use wharf_flows::{retention, runner};
use wharf_queue::{Backoff, Registry, Worker, WorkerConfig};
use wharf_store::{Db, HeldName, jobs};

use super::Outcome;
use crate::clock;
use crate::config::Config;
use crate::harden;
use crate::shutdown;
use crate::wire::{self, Wired};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration
    #[arg(long)]
    config: PathBuf,
    /// Written when the host listens: `{"listen":"127.0.0.1:34567"}`
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let config = Arc::new(Config::read(&args.config)?);
    if !config.server.debuggable {
        harden::memory_stays_here()
            .context("failed to shut the host's memory off; `server.debuggable = true` does without")?;
    }
    let _folder = config.database.is_some().then(|| wire::hold_data_dir(&config)).transpose()?;
    let db = wire::open_db(&config).await?;
    db.check_schema().await?;
    let name = wire::worker_name(&config);
    let held = db.hold_name(&name).await?;
    // First the port: the door out must know which is the host's own.
    let listener = tokio::net::TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    let own = wire::own(&config, address);
    let mark = own.mark.clone().unwrap_or_default();
    let vault = wire::vault(&config, &db).await?;
    let wired = Arc::new(Wired::new(&config, &db, vault.as_ref(), own).await?);
    let admin_token = config.secret(&config.server.admin_token).context("`server.admin_token`")?;
    let (admin_token, limit) = (Token::new(admin_token.expose_secret()), config.effects.limit()?);
    let state = ApiState::new(db.clone(), wire::access(&config)?, admin_token, limit);
    let mut state = state.with_peaks(wired.connections());
    if let Some(vault) = vault {
        state = state.with_vault(Arc::new(vault));
    }

    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    shutdown::listen(&tasks, stop.clone())?;
    let mut registry = Registry::new();
    tasks.spawn(wired.connections().watch(stop.clone().cancelled_owned()));
    runner::register(&mut registry, db.clone(), wired);
    let sweeps = config.retention.schedule.clone();
    retention::register(&mut registry, db.clone(), config.retention.keep(), sweeps.clone());
    let scheduled = schedules(wire::polls(&config), sweeps)?;
    set_shares(&config, &db, &name).await?;
    let worker = Worker::new(db.clone(), Arc::new(registry), worker_config(&config, &name));
    let working = tasks.spawn(worker.run(stop.clone()));
    tasks.spawn(Ticker::new(db.clone(), scheduled).run(stop.clone()));

    keep_up(&tasks, &db, held, &stop);

    tracing::info!(listen = %address, host = %name, tenants = config.tenants.len(), "serving");
    if let Some(path) = &args.ready_file {
        announce(path, &address.to_string())?;
    }
    let stopped = stop.clone();
    let serving =
        axum::serve(listener, without_loops(router(state), &mark)).with_graceful_shutdown(stopped.cancelled_owned());
    tokio::select! {
        ended = serving.into_future() => ended?,
        () = patience(&stop) => tracing::warn!("requests still open after {PATIENCE:?} were cut off"),
    }
    stop.cancel();
    working.await.context("the worker ended badly")?;
    db.close().await;
    tracing::info!("stopped");
    Ok(0)
}

/// How long an open request may hold back a stop: a client that sends half a request must not hold it for ever.
const PATIENCE: Duration = Duration::from_secs(5);

async fn patience(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(PATIENCE).await;
}

/// What several hosts on one database need, and a host that is alone does not notice.
fn keep_up(tasks: &TaskTracker, db: &Db, name: HeldName, stop: &CancellationToken) {
    let (hints, clock, stopped) = (db.clone(), db.clone(), stop.clone());
    tasks.spawn(async move { hints.run_hints(stopped.cancelled_owned()).await });
    tasks.spawn(name.keep(stop.clone().cancelled_owned()));
    let stopped = stop.clone();
    tasks.spawn(async move {
        while !stopped.is_cancelled() {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = tokio::time::sleep(CLOCK_LOOK) => {
                    if let Err(err) = clock.measure_clock().await {
                        tracing::debug!("the clock of the database was not asked: {err}");
                    }
                    // Also a look at our own, which tells of a jump.
                    let _now = clock.now();
                }
            }
        }
    });
}

/// Between two looks at the clocks.
const CLOCK_LOOK: Duration = Duration::from_secs(5);

/// What the configuration says of the tenants' shares, for every host on the database.
async fn set_shares(config: &Config, db: &Db, name: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    for tenant in &config.tenants {
        let share = jobs::Share { weight: tenant.share.weight, max_running: tenant.share.max_running };
        jobs::set_share(&mut tx, &Actor::Host(name.to_owned()), &tenant.id, share).await?;
    }
    tx.commit().await.context("failed to set the tenants' shares")
}

fn worker_config(config: &Config, name: &str) -> WorkerConfig {
    WorkerConfig {
        concurrency: u32::try_from(config.server.workers).unwrap_or(u32::MAX).max(1),
        lease_ms: i64::from(config.server.lease_seconds) * 1_000,
        backoff: Backoff { base_ms: config.server.retry_base_ms, ..Backoff::default() },
        ..WorkerConfig::named(name, clock::seed())
    }
}

/// Appears whole or not at all: a reader never sees half a line.
fn announce(path: &Path, address: &str) -> Result<()> {
    let temporary = path.with_extension("part");
    std::fs::write(&temporary, serde_json::json!({ "listen": address }).to_string())?;
    std::fs::rename(&temporary, path).with_context(|| format!("cannot write `{}`", path.display()))
}
