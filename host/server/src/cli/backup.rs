//! `wharf backup`

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use secrecy::ExposeSecret as _;
use wharf_domain::time::Clock as _;
use wharf_store::backup::{self, Contents, Origin};

use super::{Failure, Outcome, say, wrong_use};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::wire::{self, Place};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration
    #[arg(long, required_unless_present = "verify")]
    config: Option<PathBuf>,
    /// Checks a backup, its digest and the number of its rows, and needs no database
    #[arg(long, conflicts_with = "config")]
    verify: bool,
    /// The backup; replaced when it is there
    file: PathBuf,
}

pub(crate) async fn run(args: Args) -> Outcome {
    if args.verify {
        let contents = backup::verify(&args.file)?;
        say(format!("`{}` is sound", args.file.display()))?;
        describe(&contents, &args.file)?;
        return Ok(0);
    }
    let path = args.config.ok_or_else(|| wrong_use(anyhow!("`--config` is missing")))?;
    let place = wire::place(&Config::read(&path)?)?;
    let origin = match &place {
        Place::Sqlite(path) => Origin::Sqlite(path),
        Place::Postgres { url, .. } => Origin::Postgres(url.expose_secret()),
    };
    let contents = backup::save(origin, &args.file, SystemClock.now(), env!("CARGO_PKG_VERSION"))
        .await
        .with_context(|| format!("failed to back up {place}"))?;
    say(format!("backed up {place}"))?;
    describe(&contents, &args.file)?;
    Ok(0)
}

/// What is in it.
pub(super) fn describe(contents: &Contents, file: &Path) -> Result<(), Failure> {
    let header = &contents.header;
    let bytes = std::fs::metadata(file).with_context(|| format!("cannot read `{}`", file.display()))?.len();
    say(format!(
        "taken at {} by Wharf {} from {}, schema `{}`, {bytes} bytes",
        header.taken_at,
        header.host_version,
        header.engine,
        header.schema.last().map_or("", String::as_str)
    ))?;
    for (table, rows) in &contents.rows {
        say(format!("{rows:>12} {table}"))?;
    }
    Ok(())
}
