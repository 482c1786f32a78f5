//! The list of what is measured. A program takes a URL, a number of jobs and a variant, does what
//! `xtask/bench/measure.mjs` says, and prints the line it describes; in which language is its own business.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::run;

/// Files of `xtask/bench`: scripts and what they need, with exact versions.
const FILES: &[&str] = &["package.json", "package-lock.json", "measure.mjs", "graphile-worker.mjs", "pg-boss.mjs"];

/// Other queues and their variants.
const PEERS: &[(&str, &str)] = &[
    ("graphile-worker", "defaults"),
    ("graphile-worker", "documented"),
    ("pg-boss", "batch-500"),
    ("pg-boss", "batch-100"),
];

pub(super) struct Program {
    /// As the table shows it.
    pub(super) name: String,
    program: PathBuf,
    /// Before the URL.
    first: Option<PathBuf>,
    variant: &'static str,
}

impl Program {
    pub(super) fn command(&self, url: &str, jobs: u32) -> Command {
        let mut command = run::command(&self.program);
        command.args(&self.first).arg(url).arg(jobs.to_string()).arg(self.variant);
        command
    }
}

/// Builds and installs what is measured: the rows of the table, from the top.
pub(super) fn ready() -> Result<Vec<Program>> {
    let folder = peers()?;
    let peer = |(system, variant): &(&'static str, &'static str)| Program {
        name: format!("{system}, {variant}"),
        program: PathBuf::from("node"),
        first: Some(folder.join(format!("{system}.mjs"))),
        variant,
    };
    Ok(PEERS.iter().map(peer).collect())
}

/// `target/bench/peers` with the scripts and their packages; installed again only when the lock file has changed.
fn peers() -> Result<PathBuf> {
    for program in ["node", "npm"] {
        ensure!(run::exists(program), "`{program}` is missing: `apt-get install nodejs npm`; version 20 or newer");
    }
    let (from, to) = (run::repo().join("xtask/bench"), run::target_dir().join("bench/peers"));
    std::fs::create_dir_all(&to).with_context(|| format!("failed to create `{}`", to.display()))?;
    // Written last: as long as it is missing, an installation was broken off.
    let installed = to.join("installed-lock.json");
    let fresh = same(&from.join("package-lock.json"), &installed);
    for name in FILES {
        std::fs::copy(from.join(name), to.join(name)).with_context(|| format!("failed to copy `{name}`"))?;
    }
    if !fresh {
        run::run(
            run::command("npm")
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .current_dir(&to)
                .stdout(Stdio::null()),
        )?;
        std::fs::copy(to.join("package-lock.json"), installed).context("failed to note what is installed")?;
    }
    Ok(to)
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((std::fs::read(a), std::fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_list_is_there_and_is_copied() {
        for (system, _) in PEERS {
            assert!(FILES.contains(&format!("{system}.mjs").as_str()), "{system}");
        }
        for name in FILES {
            assert!(run::repo().join("xtask/bench").join(name).is_file(), "{name}");
        }
    }

    #[test]
    fn the_lock_file_names_no_registry() {
        let lock = std::fs::read_to_string(run::repo().join("xtask/bench/package-lock.json")).unwrap();
        assert!(!lock.contains("\"resolved\"") && lock.contains("\"integrity\""));
    }
}
