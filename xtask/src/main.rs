//! The developer's commands: `cargo xtask <command>`.
//!
//! Contract: each command does all of its own set-up, shows what it is doing, ends by itself and leaves nothing running
//! that it started. A missing tool is one line with the remedy. Nothing here links a host crate.

mod adapters;
mod bench;
mod corpus;
mod demo;
mod fuzz;
mod guest_target;
mod http;
mod lint;
mod odoo;
mod postgres;
mod progress;
mod promises;
mod run;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The developer's commands of Wharf", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build every adapter in plugins/ into target/adapters
    Adapters(adapters::Args),
    /// Measure, and print a table
    Bench(bench::Args),
    /// Run one sales order from Odoo to the label and back, and show its timeline
    Demo(demo::Args),
    /// Build the adapters and run every test
    Test(test::Args),
    /// Every promise with its tests and how they end today
    Promises(promises::Args),
    /// Writes the table of the attack corpus into docs/SECURITY.md
    Corpus(corpus::Args),
    /// Feed hostile input to whatever reads any, for as long as one likes; the tests do it for seconds
    Fuzz(fuzz::Args),
    /// Kill hosts for as long as one likes, on both databases, and check after each round
    Soak(soak::Args),
    /// Formatting, clippy and cargo-deny; installs cargo-deny when it is missing
    Lint,
    /// A real Odoo 19 from Debian's packages, in a folder of its own
    Odoo(odoo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = run::watch_signals().and_then(|()| match &cli.command {
        Command::Adapters(args) => adapters::command(args),
        Command::Bench(args) => bench::command(args),
        Command::Demo(args) => demo::command(args),
        Command::Test(args) => test::command(args),
        Command::Corpus(args) => corpus::command(args),
        Command::Promises(args) => promises::command(args),
        Command::Fuzz(args) => fuzz::command(args),
        Command::Soak(args) => soak::command(args),
        Command::Lint => lint::command(),
        Command::Odoo(args) => odoo::command(args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if run::interrupted() => {
            progress::complain("interrupted; everything this command started has been stopped");
            ExitCode::from(130)
        }
        Err(error) => {
            progress::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
