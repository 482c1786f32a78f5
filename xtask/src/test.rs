//! `cargo xtask test`: what the tests need (PostgreSQL, the adapters), then every test there is. A failing step does not stop the next one, so one run
//! shows everything that is broken; the last lines are the steps, how they ended and how long they took.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::adapters;
use crate::corpus;
use crate::postgres;
use crate::progress::{Summary, say};
use crate::run;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests of one room, e.g. `store` or `twins`; nothing else is built
    #[arg(long)]
    only: Option<String>,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    let runner = Runner::find();
    if let Some(room) = &args.only {
        return one_room(runner, room);
    }
    let mut summary = Summary::default();
    summary.step("postgres", postgres::install);
    let built = summary.step("build", adapters::host_binaries);
    // Without the host's tool there are no adapters, and without adapters half of the tests would fail twice.
    if built && summary.step("adapters", adapters::build_all) {
        summary.step("tests", || runner.run(&["--workspace"]));
        // Only nextest says how each test ended.
        if runner == Runner::Nextest {
            summary.step("attack corpus", corpus::verdict);
        }
        summary.step("crash points", || runner.run(&CRASH_POINTS));
        let documented = crates_with_doc_tests()?;
        if runner == Runner::Nextest && !documented.is_empty() {
            summary.step("doc tests", || doc_tests(&documented));
        }
        summary.step("plugins", plugins);
    }
    run::pause()?;
    summary.close()
}

/// The points are global to a process, so these tests run without others.
const CRASH_POINTS: [&str; 11] = [
    "-p",
    "wharf-egress",
    "-p",
    "wharf-feeder",
    "--features",
    "wharf-egress/failpoints,wharf-feeder/failpoints",
    "--test",
    "it",
    "--",
    "crash_points::cp",
    "crash_points::inside",
];

fn one_room(runner: Runner, room: &str) -> Result<()> {
    let package = match room {
        "xtask" => room.to_owned(),
        _ => format!("wharf-{room}"),
    };
    if matches!(room, "tests" | "sandbox") {
        adapters::host_binaries()?;
        adapters::build_all()?;
    }
    postgres::install()?;
    runner.run(&["-p", &package])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    /// nextest when it is there: it is faster and its report is better, but nothing depends on it.
    fn find() -> Self {
        let mut ask = run::command("cargo");
        ask.args(["nextest", "--version"]).stderr(Stdio::null());
        match run::capture(&mut ask, None) {
            Ok(_) => Self::Nextest,
            Err(_) => {
                say("    cargo-nextest is not installed, using `cargo test`");
                Self::Cargo
            }
        }
    }

    fn run(self, selection: &[&str]) -> Result<()> {
        let mut command = run::command("cargo");
        match self {
            Self::Nextest => command.args(["nextest", "run", "--no-fail-fast"]),
            Self::Cargo => command.args(["test", "--no-fail-fast"]),
        };
        run::run(command.args(selection))
    }
}

fn doc_tests(packages: &[String]) -> Result<()> {
    let mut command = run::command("cargo");
    command.args(["test", "--doc"]);
    for package in packages {
        command.args(["-p", package]);
    }
    run::run(&mut command)
}

/// Packages with an example in a doc comment. Asking rustdoc for the others only costs time.
fn crates_with_doc_tests() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for manifest in ["host", "sdk"].iter().flat_map(|part| manifests(&run::repo().join(part))) {
        let text = std::fs::read_to_string(&manifest)?;
        let folder = manifest.parent().context("a manifest has a folder")?;
        let Some(package) = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')) else {
            continue;
        };
        if folder.join("src/lib.rs").is_file() && has_doc_example(&folder.join("src"))? {
            found.push(package.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

fn manifests(part: &Path) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(part).into_iter().flatten().flatten();
    folders.map(|entry| entry.path().join("Cargo.toml")).filter(|path| path.is_file()).collect()
}

fn has_doc_example(folder: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            has_doc_example(&path)?
        } else {
            path.extension().is_some_and(|e| e == "rs") && shows_example(&std::fs::read_to_string(&path)?)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A fenced block that rustdoc would run: no language, or `rust`.
fn shows_example(source: &str) -> bool {
    let mut inside = false;
    for line in source.lines() {
        let line = line.trim_start();
        let Some(fence) = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
            .and_then(|text| text.trim_start().strip_prefix("```"))
        else {
            continue;
        };
        if !inside && (fence.is_empty() || fence.starts_with("rust") || fence == "no_run") {
            return true;
        }
        inside = !inside;
    }
    false
}

/// The adapters' own tests, on this machine's target; their workspace is apart from the host's.
fn plugins() -> Result<()> {
    ensure!(run::repo().join("plugins/Cargo.toml").is_file(), "`plugins/Cargo.toml` is missing");
    let mut command = run::command("cargo");
    command.args(["test", "--workspace", "--no-fail-fast", "--manifest-path", "plugins/Cargo.toml"]);
    run::run(command.args(["--target-dir", "target-guests/native"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_a_block_that_rustdoc_would_run() {
        assert!(shows_example("/// Text.\n/// ```\n/// let x = 1;\n/// ```\n"));
        assert!(shows_example("    //! ```rust\n"));
        assert!(!shows_example("/// ```text\n/// picture\n/// ```\n"));
        assert!(!shows_example("let fence = \"```\";\n"));
    }
}
