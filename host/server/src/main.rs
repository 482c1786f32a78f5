//! The `wharf` binary: settings, wiring and commands. No business logic.

mod bind;
mod cli;
mod clock;
mod config;
mod grants;
mod harden;
mod shutdown;
mod steady;
mod telemetry;
mod wire;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    cli::run(cli)
}
