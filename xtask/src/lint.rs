//! `cargo xtask lint`: what a reviewer should not have to say. Formatting, clippy without warnings, and cargo-deny with
//! the rules in `.cargo/deny.toml`, for the host's workspace and for the adapters'.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::progress::{Summary, say};
use crate::run;

const PLUGINS: &str = "plugins/Cargo.toml";

pub(crate) fn command() -> Result<()> {
    let mut summary = Summary::default();
    let plugins = run::repo().join(PLUGINS).is_file();
    summary.step("fmt", || run::run(&mut cargo("fmt --all --check")));
    if plugins {
        summary.step("fmt plugins", || run::run(cargo("fmt --all --check --manifest-path").arg(PLUGINS)));
    }
    if summary.step("cargo-deny is there", install_deny) {
        summary.step("deny", || deny("Cargo.toml"));
        if plugins {
            summary.step("deny plugins", || deny(PLUGINS));
        }
        summary.step("advisories", advisories);
    }
    summary.step("clippy", || run::run(&mut cargo("clippy --workspace --all-targets -- -D warnings")));
    if plugins {
        let words = "clippy --workspace --all-targets --target-dir target-guests/native --manifest-path plugins/Cargo.toml -- -D warnings";
        summary.step("clippy plugins", || run::run(&mut cargo(words)));
    }
    run::pause()?;
    summary.close()
}

/// `words` are cargo's arguments, parted by single spaces.
fn cargo(words: &str) -> Command {
    let mut command = run::command("cargo");
    command.args(words.split(' '));
    command
}

fn install_deny() -> Result<()> {
    let mut ask = run::command("cargo");
    if run::capture(ask.args(["deny", "--version"]).stderr(Stdio::null()), None).is_ok() {
        return Ok(());
    }
    say("    cargo-deny is not installed; compiling it takes two to four minutes");
    let mut command = run::command("cargo");
    command.args(["install", "--locked", "cargo-deny", "--version", "^0.20"]);
    // It runs for a second: no reason to spend a minute on making it faster.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_TARGET_DIR", run::repo().join("target/tools"));
    run::run(&mut command)
}

fn deny(manifest: &str) -> Result<()> {
    run::run(cargo("deny --manifest-path").arg(Path::new(manifest)).args(["check", "bans", "licenses", "sources"]))
}

/// The database of advisories comes from a public repository that not every machine reaches. What is known to matter
/// here stands in `bans` too, which needs no database.
fn advisories() -> Result<()> {
    let mut fetch = run::command("cargo");
    fetch.args(["deny", "fetch", "db"]).stderr(Stdio::null());
    if run::capture(&mut fetch, Some(Duration::from_secs(60))).is_err() {
        run::pause()?;
        say("    not checked: the advisory database cannot be reached from here");
        return Ok(());
    }
    run::run(&mut cargo("deny check --disable-fetch advisories"))
}
