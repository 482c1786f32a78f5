//! `wharf compile-adapter`: the process in which the host compiles an adapter. Not for people.

use wharf_sandbox::compile::{self, ChildEnd};

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Processor time it may take
    cpu_seconds: u64,
    /// Address space it may take
    address_bytes: u64,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match compile::child(args.cpu_seconds, args.address_bytes)? {
        ChildEnd::Compiled => Ok(0),
        ChildEnd::Refused(code) => Ok(code),
    }
}
