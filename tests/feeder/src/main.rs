//! `wharf-feeder host`: the process that is killed. `wharf-feeder soak`: kills it for as long as one likes.

mod soak;

use clap::{Parser, Subcommand};
use wharf_feeder::host;

/// Proof that work is never lost and never done twice.
#[derive(Parser)]
#[command(name = "wharf-feeder")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Accept orders and work on them, until SIGTERM; of an option that is given twice the last one counts
    #[command(args_override_self = true)]
    Host(host::Args),
    /// Kill hosts, stop them and cut them off, and check after each round
    Soak(soak::Args),
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    match Cli::parse().command {
        Command::Host(args) => runtime.block_on(host::run(args)),
        Command::Soak(args) => runtime.block_on(soak::run(&args)),
    }
}
