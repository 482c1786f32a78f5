//! `wharf migrate`

use std::path::PathBuf;

use super::{Outcome, say};
use crate::config::Config;
use crate::wire;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration
    #[arg(long)]
    config: PathBuf,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let config = Config::read(&args.config)?;
    let db = wire::open_db(&config).await?;
    let applied = db.migrate().await?;
    if applied.is_empty() {
        say("the database is up to date")?;
    }
    for name in applied {
        say(format!("applied {name}"))?;
    }
    db.close().await;
    Ok(0)
}
