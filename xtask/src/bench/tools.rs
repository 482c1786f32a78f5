//! Programs a bench needs: ours, optimised, and packages of npm under `target/bench`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run;

/// The optimised program of `benches/` of a crate.
pub(super) fn program(package: &str, name: &str) -> Result<PathBuf> {
    let mut build = run::command("cargo");
    build.args(["build", "--release", "-p", package, "--bench", name]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let lines = run::capture(&mut build, None)?;
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).context("cargo's messages are JSON")?;
        if line["target"]["name"] == name
            && let Some(path) = line["executable"].as_str()
        {
            return Ok(PathBuf::from(path));
        }
    }
    bail!("cargo built no `{name}` benchmark")
}

/// Copies `files` of the folder `from`, a package of npm, to `target/bench/<name>`, with the packages it names; these are
/// installed again only when the lock file has changed.
pub(super) fn npm(from: &Path, files: &[&str], name: &str) -> Result<PathBuf> {
    ensure!(run::exists("npm"), "`npm` is missing: `apt-get install nodejs npm`");
    let to = folder(name)?;
    // Written last: as long as it is missing, an installation was broken off.
    let installed = to.join("installed-lock.json");
    let fresh = same(&from.join("package-lock.json"), &installed);
    for name in files {
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

/// `target/bench/<name>`.
pub(super) fn folder(name: &str) -> Result<PathBuf> {
    let to = run::target_dir().join("bench").join(name);
    std::fs::create_dir_all(&to).with_context(|| format!("failed to create `{}`", to.display()))?;
    Ok(to)
}

/// Are both there, and the same?
pub(super) fn same(a: &Path, b: &Path) -> bool {
    matches!((std::fs::read(a), std::fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_files_name_no_registry() {
        for folder in ["xtask/bench", "xtask/bench/guests"] {
            let lock = std::fs::read_to_string(run::repo().join(folder).join("package-lock.json")).unwrap();
            assert!(!lock.contains("\"resolved\"") && lock.contains("\"integrity\""), "{folder}");
        }
    }
}
