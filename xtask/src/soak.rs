//! `cargo xtask soak`: hosts are killed, round after round, on SQLite and PostgreSQL in turn, and the checker decides
//! after each round. The first finding ends it, with the seed and the place where everything is kept.

use anyhow::Result;

use crate::postgres;
use crate::progress::step;
use crate::run;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long; a round that has begun is seen through
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Of the first round, as an earlier run has printed it; each later round has the next. Absent: another one every
    /// time
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    postgres::install()?;
    step("build the host that is killed", || {
        run::run(run::command("cargo").args(["build", "-q", "-p", "wharf-feeder", "--bins"]))
    })?;
    let mut soak = run::command(run::target_dir().join("debug/wharf-feeder"));
    soak.args(["soak", "--minutes", &args.minutes.to_string()]);
    if let Some(seed) = args.seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    run::run(&mut soak)
}
