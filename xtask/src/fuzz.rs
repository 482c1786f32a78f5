//! `cargo xtask fuzz`: the targets of promise 14, for as long as one likes. They are the tests called `p14_<target>`; this
//! runs them for longer and from another seed each time, and shows what each did.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::adapters;
use crate::progress::{say, step};
use crate::promises;
use crate::run;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this one, e.g. `url_policy`
    #[arg(long)]
    target: Option<String>,
    /// Of the randomness, as an earlier run has printed it. Absent: another one every time
    #[arg(long)]
    seed: Option<u64>,
    /// Look at this file and at nothing else
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    let known = targets()?;
    let wanted: BTreeSet<String> = match &args.target {
        None => known,
        Some(one) if known.contains(one) => BTreeSet::from([one.clone()]),
        Some(other) => bail!("there is no target `{other}`; there are {}", listed(&known)),
    };
    adapters::host_binaries()?;
    adapters::build_all()?;
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    if let Some(input) = &args.input {
        let input = fs::canonicalize(input).with_context(|| format!("failed to find `{}`", input.display()))?;
        return step("look at one input", || tests(&wanted, &[("WHARF_FUZZ_INPUT", input.display().to_string())]));
    }
    let settings = [("WHARF_FUZZ_SECONDS", args.seconds.to_string()), ("WHARF_FUZZ_SEED", seed.to_string())];
    for folder in folders() {
        wanted.iter().for_each(|target| forget(&folder.join(target)));
    }
    let ran =
        step(&format!("{} targets, {} s each, seed {seed}", wanted.len(), args.seconds), || tests(&wanted, &settings));
    let mut wrong = Vec::new();
    for target in &wanted {
        let (line, fine) = outcome(target);
        say(&line);
        if !fine {
            wrong.push(target.as_str());
        }
    }
    ensure!(wrong.is_empty(), "findings in {}; with `--seed {seed}` the inputs are the same", wrong.join(", "));
    ran
}

fn listed(targets: &BTreeSet<String>) -> String {
    targets.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// By the names of the tests.
fn targets() -> Result<BTreeSet<String>> {
    let tests = promises::tests_in(&["host", "plugins", "tests"])?;
    let named = tests.iter().filter_map(|test| test.strip_prefix("p14_"));
    Ok(named.map(str::to_owned).collect())
}

/// Both workspaces' tests; adapters have a target folder of their own.
fn tests(targets: &BTreeSet<String>, settings: &[(&str, String)]) -> Result<()> {
    let names = targets.iter().cloned().collect::<Vec<_>>().join("|");
    let mut host = run::command("cargo");
    host.args(["nextest", "run", "--workspace", "--no-fail-fast", "--profile", "fuzz", "--no-tests", "pass"]);
    host.args(["-E", &format!("test(/(^|::)p14_({names})$/)")]);
    let mut plugins = run::command("cargo");
    plugins.args(["test", "--workspace", "--no-fail-fast", "--manifest-path", "plugins/Cargo.toml"]);
    plugins.args(["--target-dir", "target-guests/native", "--"]);
    plugins.args(targets.iter().map(|target| format!("p14_{target}")));
    for command in [&mut host, &mut plugins] {
        command.envs(settings.iter().map(|(name, value)| (name, value)));
    }
    let host = run::run(&mut host).context("the targets need cargo-nextest: `cargo install cargo-nextest --locked`");
    host.and(run::run(&mut plugins))
}

/// Where targets leave what they did.
fn folders() -> [PathBuf; 2] {
    [run::target_dir().join("fuzz"), run::repo().join("target-guests/native/fuzz")]
}

/// An earlier run's report, and the input it may have ended at. Findings stay.
fn forget(folder: &Path) {
    for file in ["report.json", "now"] {
        // What is not there need not go.
        fs::remove_file(folder.join(file)).ok();
    }
}

/// The line of one target, and whether all is well with it.
fn outcome(target: &str) -> (String, bool) {
    let folders = folders().map(|folder| folder.join(target));
    let report = folders.iter().find_map(|folder| fs::read_to_string(folder.join("report.json")).ok());
    let report: Option<Value> = report.and_then(|text| serde_json::from_str(&text).ok());
    let cut_off = folders.iter().map(|folder| folder.join("now")).find(|file| file.is_file());
    match (report, cut_off) {
        (Some(report), _) => {
            let number = |name: &str| report[name].as_u64().unwrap_or_default();
            let (done, ends, mib) = (number("executions"), number("ends"), number("peak_bytes") >> 20);
            (format!("  {target:<24} {done:>12} executions  {ends:>6} ways to end  {mib:>5} MiB  no finding"), true)
        }
        (None, Some(file)) => {
            let again = format!("cargo xtask fuzz --target {target} --input {}", file.display());
            (format!("  {target:<24} FINDING: the process ended over an input; look at it with `{again}`"), false)
        }
        (None, None) => (format!("  {target:<24} FINDING: see above"), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_found_by_the_names_of_their_tests() {
        let found = targets().expect("the sources");
        for target in ["url_policy", "odoo_domain", "install_gate", "track_alert"] {
            assert!(found.contains(target), "{target} is not among {}", listed(&found));
        }
    }
}
