//! `cargo xtask bench <what>`: figures one can repeat. A bench starts what it measures against, on this machine, and
//! leaves nothing running.

mod guests;
mod programs;
mod queue;
mod sandbox;
mod tools;

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Jobs per second and claim times on both databases, next to other queues
    Queue(queue::Args),
    /// What a call of an adapter costs, next to a bare wasmtime and to the same work without one
    Sandbox(sandbox::Args),
}

pub(crate) fn command(args: &Args) -> Result<()> {
    match &args.what {
        What::Queue(args) => queue::command(args),
        What::Sandbox(args) => sandbox::command(args),
    }
}
