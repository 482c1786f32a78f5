//! `wharf-twin ups`, `wharf-twin odoo` and `wharf-twin parcel`: a twin as a program.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use wharf_twins::Running;
use wharf_twins::odoo::{self, Integration, OdooConfig};
use wharf_twins::parcel::{self, ParcelConfig};
use wharf_twins::ups::{self, UpsConfig};

/// Stand-ins for the systems Wharf speaks to. They serve on 127.0.0.1 until SIGTERM or ctrl-c.
#[derive(Parser)]
#[command(name = "wharf-twin")]
struct Cli {
    #[command(subcommand)]
    twin: Twin,
}

#[derive(Subcommand)]
enum Twin {
    /// UPS: rating, shipping, label recovery, void, tracking
    Ups(UpsArgs),
    /// Odoo 19: orders, deliveries, attachments, notes, an outbox, webhooks, over JSON-2
    Odoo(OdooArgs),
    /// A carrier nobody has heard of, with one route of every class of effect
    Parcel(ParcelArgs),
}

#[derive(Args)]
struct Common {
    /// Port on the loopback interface; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File to write {"base_url": "http://127.0.0.1:PORT"} to once the twin listens
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Generated numbers count on from here
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct UpsArgs {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value = "twin-client")]
    client_id: String,
    #[arg(long, default_value = "twin-secret")]
    client_secret: String,
    /// Shipper number, six capital letters or digits
    #[arg(long, default_value = "A1B2C3")]
    account: String,
    /// Life of a token in seconds
    #[arg(long, default_value_t = 14_399)]
    token_ttl_s: u64,
    /// How long a new shipment is invisible to lookups by reference
    #[arg(long, default_value_t = 0)]
    read_after_write_ms: u64,
}

#[derive(Args)]
struct ParcelArgs {
    #[command(flatten)]
    common: Common,
    /// How long a new label is invisible to lookups
    #[arg(long, default_value_t = 0)]
    read_after_write_ms: u64,
    /// How long an idempotency key is remembered
    #[arg(long, default_value_t = 86_400_000)]
    retention_ms: u64,
}

#[derive(Args)]
struct OdooArgs {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value = "odoo19")]
    database: String,
    /// API key of the administrator
    #[arg(long, default_value = "000000000000000000000000000000000000000a")]
    admin_key: String,
    /// The administrator's password, for web sessions
    #[arg(long, default_value = "admin")]
    admin_password: String,
    /// API key of the bot user
    #[arg(long, default_value = "000000000000000000000000000000000000000b")]
    bot_key: String,
    /// Start without bot, outbox and rules, as a database nobody has set up
    #[arg(long)]
    bare: bool,
    /// Where a rule posts when an order was confirmed or cancelled
    #[arg(long, conflicts_with = "bare")]
    webhook_url: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let (running, common) = match Cli::parse().twin {
        Twin::Ups(args) => (start_ups(&args).await?, args.common),
        Twin::Odoo(args) => (start_odoo(&args).await?, args.common),
        Twin::Parcel(args) => (start_parcel(&args).await?, args.common),
    };
    if let Some(path) = &common.ready_file {
        announce(path, &running.base_url)?;
    }
    tracing::info!(url = %running.base_url, "twin is listening");
    stop_asked().await?;
    running.stop().await;
    Ok(())
}

async fn start_ups(args: &UpsArgs) -> anyhow::Result<Running> {
    let config = UpsConfig {
        port: args.common.port,
        client_id: args.client_id.clone(),
        client_secret: args.client_secret.clone(),
        account: args.account.clone(),
        token_ttl_s: args.token_ttl_s,
        read_after_write_ms: args.read_after_write_ms,
        seed: args.common.seed,
    };
    ups::start(config).await
}

async fn start_parcel(args: &ParcelArgs) -> anyhow::Result<Running> {
    let config = ParcelConfig {
        port: args.common.port,
        read_after_write_ms: args.read_after_write_ms,
        retention_ms: args.retention_ms,
        seed: args.common.seed,
    };
    parcel::start(config).await
}

async fn start_odoo(args: &OdooArgs) -> anyhow::Result<Running> {
    let integration = Integration { bot_key: args.bot_key.clone(), webhook_url: args.webhook_url.clone() };
    let config = OdooConfig {
        port: args.common.port,
        database: args.database.clone(),
        admin_key: args.admin_key.clone(),
        admin_password: args.admin_password.clone(),
        integration: (!args.bare).then_some(integration),
        seed: args.common.seed,
    };
    odoo::start(config).await
}

/// Written beside and renamed, so that a reader never sees half of it.
fn announce(path: &std::path::Path, base_url: &str) -> anyhow::Result<()> {
    let draft = path.with_extension("tmp");
    let text = serde_json::json!({ "base_url": base_url }).to_string();
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .with_context(|| format!("failed to write ready file `{}`", path.display()))
}

async fn stop_asked() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => Ok(result?),
    }
}
