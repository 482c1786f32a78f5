//! The benchmark's adapter in three languages, from `tests/guests/bench`. The tools of JavaScript and Python are installed
//! under `target/bench`, by exact version and digest, and nowhere else.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::bench::tools;
use crate::guest_target;
use crate::run;

const SOURCE: &str = "tests/guests/bench";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Language {
    Rust,
    Js,
    Python,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Js => "JavaScript (QuickJS)",
            Self::Python => "Python (CPython)",
        })
    }
}

impl Language {
    pub(super) const ALL: [Self; 3] = [Self::Rust, Self::Js, Self::Python];

    /// The finished adapter. `program` is our benchmark, which knows how to make one.
    pub(super) fn adapter(self, program: &Path) -> Result<PathBuf> {
        match self {
            Self::Rust => rust(program),
            Self::Js => javascript(program),
            Self::Python => python(program),
        }
    }
}

fn rust(program: &Path) -> Result<PathBuf> {
    let route = guest_target::choose(None)?;
    let out = tools::folder("adapters/rust")?;
    let mut build = run::command(program);
    build.args(["build", SOURCE]).arg(&out).arg(route.target_dir());
    run::capture(build.envs(route.environment()).env_remove("CARGO_TARGET_DIR"), None)?;
    Ok(out.join("bench.wasm"))
}

fn javascript(program: &Path) -> Result<PathBuf> {
    let tool = tools::npm(&run::repo().join("xtask/bench/guests"), &["package.json", "package-lock.json"], "js")?;
    let (wit, out) = (wit()?, tools::folder("adapters/js")?);
    let component = out.join("component.wasm");
    let mut make = run::command("node");
    make.arg(tool.join("node_modules/componentize-qjs/bin/componentize-qjs"));
    // Without the async ABI, which the host refuses, and without WASI, which it does not have.
    make.args(["--sync", "--stub-wasi", "--world", "bench", "--wit"]).arg(wit);
    make.args(["--js", &format!("{SOURCE}/adapter.js"), "--output"]).arg(&component);
    run::capture(&mut make, None)?;
    embed(program, &component, &out)
}

fn python(program: &Path) -> Result<PathBuf> {
    let tool = venv()?;
    let (wit, out) = (wit()?, tools::folder("adapters/python")?);
    let component = out.join("component.wasm");
    // It takes half a minute, so it is not done twice for the same files.
    let of = inputs(&[SOURCE, "wit", "xtask/bench/guests"])?;
    let noted = out.join("made-of");
    if !(component.is_file() && std::fs::read_to_string(&noted).is_ok_and(|text| text == of)) {
        // A copy: the interpreter leaves its own files beside what it reads.
        let code = tools::folder("adapters/python/code")?;
        std::fs::copy(run::repo().join(SOURCE).join("adapter.py"), code.join("adapter.py"))
            .context("failed to copy the adapter")?;
        let mut make = run::command(tool.join("bin/componentize-py"));
        make.args(["--quiet", "--world", "bench", "--wit-path"]).arg(wit);
        make.args(["componentize", "adapter", "--stub-wasi", "--python-path"]).arg(&code);
        make.arg("--output").arg(&component);
        run::capture(&mut make, None)?;
        std::fs::write(&noted, &of).context("failed to note what the component was made of")?;
    }
    embed(program, &component, &out)
}

/// `target/bench/python`, installed again only when the requirements have changed.
fn venv() -> Result<PathBuf> {
    ensure!(run::exists("python3"), "`python3` is missing: `apt-get install python3-venv`");
    let to = tools::folder("python")?;
    let wanted = run::repo().join("xtask/bench/guests/requirements.txt");
    // Written last, as with npm.
    let installed = to.join("installed.txt");
    if !tools::same(&wanted, &installed) {
        run::run(run::command("python3").args(["-m", "venv", "--clear"]).arg(&to))
            .context("no virtual environment: `apt-get install python3-venv`")?;
        let mut pip = run::command(to.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
        pip.args(["--only-binary", ":all:", "--requirement"]).arg(&wanted);
        run::run(&mut pip)?;
        std::fs::copy(&wanted, &installed).context("failed to note what is installed")?;
    }
    Ok(to)
}

fn embed(program: &Path, component: &Path, out: &Path) -> Result<PathBuf> {
    let adapter = out.join("bench.wasm");
    let mut embed = run::command(program);
    embed.arg("embed").arg(component).arg(format!("{SOURCE}/adapter.toml")).arg(&adapter);
    run::capture(&mut embed, None)?;
    Ok(adapter)
}

/// The contracts in the shape these tools read: the world, and under `deps` what it refers to.
fn wit() -> Result<PathBuf> {
    let (to, deps) = (tools::folder("wit")?, tools::folder("wit/deps/wharf")?);
    std::fs::copy(run::repo().join(SOURCE).join("world.wit"), to.join("world.wit"))
        .context("failed to copy a world")?;
    for path in files(&run::repo().join("wit"))?.iter().filter(|path| path.extension().is_some_and(|e| e == "wit")) {
        let name = path.file_name().context("a file has a name")?;
        std::fs::copy(path, deps.join(name)).with_context(|| format!("failed to copy `{}`", path.display()))?;
    }
    Ok(to)
}

/// One digest over the files of these folders.
fn inputs(folders: &[&str]) -> Result<String> {
    let mut digest = Sha256::new();
    for folder in folders {
        for path in files(&run::repo().join(folder))? {
            let bytes = std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
            digest.update(Sha256::digest(&bytes));
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// The files directly in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("no folder `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_adapters_are_made_of_is_there_and_has_one_digest() {
        for name in ["adapter.js", "adapter.py", "adapter.toml", "world.wit", "order.json", "Cargo.toml"] {
            assert!(run::repo().join(SOURCE).join(name).is_file(), "{name}");
        }
        assert_eq!(inputs(&[SOURCE]).unwrap(), inputs(&[SOURCE]).unwrap());
        assert_ne!(inputs(&[SOURCE]).unwrap(), inputs(&["wit"]).unwrap());
    }

    #[test]
    fn every_tool_is_pinned_by_its_digest() {
        let text = std::fs::read_to_string(run::repo().join("xtask/bench/guests/requirements.txt")).unwrap();
        assert!(text.contains("componentize-py==") && text.contains("--hash=sha256:"));
    }
}
