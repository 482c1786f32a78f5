//! How this machine builds WebAssembly guests, chosen in the order of cost: the target is installed; rustup can install
//! it; the distribution's compiler builds the standard library along.
//!
//! The third way wants its own compiler for guests only. Its variables are set on the one command that builds a guest,
//! never for the host, and each way has a target folder of its own, so that they do not rebuild each other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::progress::{say, step};
use crate::run;

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Of packages `rustc-web` and `rust-web-src`, Debian's newest Rust.
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";

/// A way to build guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The toolchain in use has the target.
    Rustup,
    /// The distribution's compiler with build-std.
    Debian { linker: PathBuf },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wanted {
    Rustup,
    Debian,
}

/// The first way that works here. `wanted` tries only that one.
pub(crate) fn choose(wanted: Option<Wanted>) -> Result<Route> {
    if wanted != Some(Wanted::Debian) {
        if installed()? || (run::exists("rustup") && add_target()?) {
            return Ok(Route::Rustup);
        }
        ensure!(
            wanted.is_none(),
            "the target `{TARGET}` is not installed and `rustup target add {TARGET}` did not work"
        );
    }
    debian()
}

impl Route {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian { .. } => "debian",
        }
    }

    /// Cargo's target folder for guests built this way.
    pub(crate) fn target_dir(&self) -> PathBuf {
        run::repo().join("target-guests").join(self.name())
    }

    /// Variables for the command that builds guests, and for no other.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Rustup => Vec::new(),
            Self::Debian { linker } => vec![
                ("RUSTC", DEBIAN_RUSTC.to_owned()),
                // build-std is an unstable option; the distribution's compiler is a stable one.
                ("RUSTC_BOOTSTRAP", "1".to_owned()),
                ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".to_owned()),
                ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.display().to_string()),
            ],
        }
    }
}

fn sysroot() -> Result<PathBuf> {
    let text = run::capture(run::command("rustc").args(["--print", "sysroot"]), None)
        .context("`rustc` is missing: install Rust with rustup or your distribution")?;
    Ok(PathBuf::from(text.trim()))
}

fn installed() -> Result<bool> {
    Ok(sysroot()?.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

/// May work or not: not every machine reaches the server that has the target.
fn add_target() -> Result<bool> {
    step("guests: rustup target add (60 s at most)", || {
        let mut command = run::command("rustup");
        let added =
            run::capture(command.args(["target", "add", TARGET]).stderr(Stdio::null()), Some(Duration::from_secs(60)));
        run::pause()?;
        if added.is_err() {
            say("    not to be had here");
        }
        installed()
    })
}

fn debian() -> Result<Route> {
    let there = || Path::new(DEBIAN_RUSTC).is_file() && Path::new(DEBIAN_SOURCE).is_file();
    if !there() {
        ensure!(
            run::exists("apt-get") && rustix::process::geteuid().is_root(),
            "no way to build WebAssembly guests here: run `rustup target add {TARGET}`, or as root \
             `apt-get install rustc-web rust-web-src`"
        );
        step("guests: install Debian's compiler and its source", || {
            run::run(run::command("apt-get").args(["-q", "update"]).stdout(Stdio::null()))?;
            run::run(
                run::command("apt-get")
                    .args(["install", "-y", "-q", "--no-install-recommends", "rustc-web", "rust-web-src"])
                    .env("DEBIAN_FRONTEND", "noninteractive")
                    .stdout(Stdio::null()),
            )
        })?;
        ensure!(there(), "packages `rustc-web` and `rust-web-src` are installed but `{DEBIAN_SOURCE}` is not there");
    }
    Ok(Route::Debian { linker: linker()? })
}

/// Every rustup toolchain brings a linker for WebAssembly, with the target or without; else one on the path.
fn linker() -> Result<PathBuf> {
    let version = run::capture(run::command("rustc").arg("-vV"), None)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    let own = sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
    if own.is_file() {
        return Ok(own);
    }
    if run::exists("wasm-ld") {
        return Ok(PathBuf::from("wasm-ld"));
    }
    bail!("no linker for WebAssembly: install Rust with rustup, or `apt-get install lld`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_own_folder_and_only_one_changes_the_compiler() {
        let debian = Route::Debian { linker: PathBuf::from("/x/rust-lld") };
        assert_ne!(debian.target_dir(), Route::Rustup.target_dir());
        assert_eq!(Route::Rustup.environment(), []);
        let names: Vec<&str> = debian.environment().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["RUSTC", "RUSTC_BOOTSTRAP", "CARGO_UNSTABLE_BUILD_STD", "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER"]
        );
    }
}
