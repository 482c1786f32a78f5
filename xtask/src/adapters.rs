//! `cargo xtask adapters`: every folder of `plugins/` with an `adapter.toml`, built into one file each by the host's own
//! tool. Whether anything has to be compiled is cargo's business: a second run takes a second.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::guest_target::{self, Route, Wanted};
use crate::progress::{say, step};
use crate::run;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The way to build guests [default: the first that works here]
    #[arg(long, value_enum)]
    route: Option<Wanted>,
    /// Only these folders of plugins/
    names: Vec<String>,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    host_binaries()?;
    build(args.route, &args.names)
}

/// Builds all adapters into [`folder`]. The host's tool must have been built before.
pub(crate) fn build_all() -> Result<()> {
    build(None, &[])
}

/// Where the finished adapters are.
pub(crate) fn folder() -> PathBuf {
    run::repo().join("target/adapters")
}

/// Builds the programs of the workspace: the host, the twins. One selection of packages everywhere, so that no step
/// compiles the dependencies again with other features.
pub(crate) fn host_binaries() -> Result<()> {
    step("host: build", || run::run(run::command("cargo").args(["build", "--workspace", "--bins"])))
}

/// A program of the workspace.
pub(crate) fn binary(name: &str) -> PathBuf {
    run::target_dir().join("debug").join(name)
}

fn build(wanted: Option<Wanted>, names: &[String]) -> Result<()> {
    let all = adapter_folders(&run::repo().join("plugins"))?;
    for name in names {
        ensure!(all.contains(name), "`plugins/{name}` has no adapter.toml");
    }
    let chosen: Vec<&String> = all.iter().filter(|name| names.is_empty() || names.contains(name)).collect();
    ensure!(!chosen.is_empty(), "no folder of `plugins/` has an adapter.toml");
    let route = guest_target::choose(wanted)?;
    say(&format!("    guests are built with: {}", route.name()));
    for name in chosen {
        step(&format!("adapter: {name}"), || one(&route, &Path::new("plugins").join(name), &folder()))?;
    }
    if names.is_empty() {
        let out = run::repo().join("target/guests");
        step("guest of the tests: rogue", || one(&route, Path::new("tests/guests/rogue"), &out))?;
    }
    Ok(())
}

fn one(route: &Route, source: &Path, out: &Path) -> Result<()> {
    let mut tool = run::command(binary("wharf"));
    tool.args(["adapter", "build"]).arg(source);
    tool.arg("--out").arg(out).arg("--target-dir").arg(route.target_dir());
    tool.envs(route.environment()).env_remove("CARGO_TARGET_DIR");
    let said = run::capture(&mut tool, None)?;
    for line in said.lines() {
        say(&format!("    {line}"));
    }
    Ok(())
}

fn adapter_folders(plugins: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(plugins).with_context(|| format!("no folder `{}`", plugins.display()))? {
        let entry = entry?;
        if entry.path().join("adapter.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_with_a_manifest_are_adapters() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("zeta/adapter.toml", ""), ("acme/adapter.toml", ""), ("notes/README.md", "")] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(adapter_folders(folder.path()).unwrap(), ["acme", "zeta"]);
        assert!(adapter_folders(&folder.path().join("nowhere")).is_err());
    }
}
