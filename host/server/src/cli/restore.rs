//! `wharf restore`

use std::path::PathBuf;

use anyhow::Context;
use wharf_domain::ctx::Actor;
use wharf_store::backup;

use super::{Outcome, say};
use crate::cli::backup::describe;
use crate::config::Config;
use crate::wire;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration; its database must be empty
    #[arg(long)]
    config: PathBuf,
    /// The backup, of either database
    file: PathBuf,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let config = Config::read(&args.config)?;
    // Before the database, which would be created.
    backup::verify(&args.file)?;
    let place = wire::place(&config)?;
    let db = wire::open_db(&config).await?;
    let actor = Actor::Host("restore".to_owned());
    let restored = backup::restore(&db, &actor, &args.file).await;
    db.close().await;
    let restored =
        restored.with_context(|| format!("failed to restore into {place}; nothing of the backup is there"))?;
    say(format!("restored into {place}"))?;
    describe(&restored.contents, &args.file)?;
    for name in &restored.migrated {
        say(format!("applied {name}"))?;
    }
    say(format!("{} jobs ran when it was taken; they are taken up again", restored.interrupted))?;
    say(format!("{} outside changes of which the outcome is not known are looked up first", restored.held.effects))?;
    say("what was done after that moment is not known here: a label is looked up at the carrier before it is bought;")?;
    say("where that is impossible it waits for `POST /api/v1/tenants/<tenant>/restore-hold/lift`")?;
    Ok(0)
}
