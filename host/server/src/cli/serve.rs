//! `wharf serve`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_api::{ApiState, Token, router};
use wharf_flows::schedules::{Ticker, schedules};
use wharf_flows::{retention, runner};
use wharf_queue::{Backoff, Registry, Worker, WorkerConfig};

use super::Outcome;
use crate::clock;
use crate::config::Config;
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
    let config = Config::read(&args.config)?;
    let db = wire::open_db(&config).await?;
    db.check_schema().await?;
    let wired = Arc::new(Wired::new(&config, &db).await?);
    let admin_token = config.secret(&config.server.admin_token).context("`server.admin_token`")?;
    let state = ApiState::new(db.clone(), wire::access(&config)?, Token::new(admin_token.expose_secret()));
    let listener = tokio::net::TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;

    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    shutdown::listen(&tasks, stop.clone())?;
    let mut registry = Registry::new();
    runner::register(&mut registry, db.clone(), wired);
    let sweeps = config.retention.schedule.clone();
    retention::register(&mut registry, db.clone(), config.retention.keep(), sweeps.clone());
    let scheduled = schedules(wire::polls(&config), sweeps)?;
    let worker = Worker::new(db.clone(), Arc::new(registry), worker_config(&config));
    let working = tasks.spawn(worker.run(stop.clone()));
    tasks.spawn(Ticker::new(db.clone(), scheduled).run(stop.clone()));

    tracing::info!(listen = %address, tenants = config.tenants.len(), "serving");
    if let Some(path) = &args.ready_file {
        announce(path, &address.to_string())?;
    }
    let stopped = stop.clone();
    let serving = axum::serve(listener, router(state)).with_graceful_shutdown(stopped.cancelled_owned());
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

fn worker_config(config: &Config) -> WorkerConfig {
    WorkerConfig {
        concurrency: u32::try_from(config.server.workers).unwrap_or(u32::MAX).max(1),
        lease_ms: i64::from(config.server.lease_seconds) * 1_000,
        backoff: Backoff { base_ms: config.server.retry_base_ms, ..Backoff::default() },
        ..WorkerConfig::named("host-1", clock::seed())
    }
}

/// Appears whole or not at all: a reader never sees half a line.
fn announce(path: &Path, address: &str) -> Result<()> {
    let temporary = path.with_extension("part");
    std::fs::write(&temporary, serde_json::json!({ "listen": address }).to_string())?;
    std::fs::rename(&temporary, path).with_context(|| format!("cannot write `{}`", path.display()))
}
