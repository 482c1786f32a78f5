//! The same sieges for longer: round after round on both databases in turn, each with a seed of its own.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wharf_feeder::siege::{Camp, Database, bad_day, worse_day};
use wharf_scratch_postgres::{Server, Settings};

/// How long a round of kills lasts; what is left of the time is the checker's.
const ROUND: Duration = Duration::from_secs(40);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Of the first round; each later one has the next. Absent: another one every time
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    let first = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let until = began + Duration::from_secs(args.minutes * 60);
    let server = Server::start(&Settings::durable())?;
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let (mut rounds, mut kills) = (0, 0);
    while rounds < 2 || Instant::now() < until {
        let seed = first + rounds;
        let (name, database) = match rounds % 2 {
            0 => ("SQLite", Database::Sqlite),
            _ => ("PostgreSQL", Database::postgres(&server)?),
        };
        let script = if rounds % 4 < 2 { bad_day() } else { worse_day() };
        say(&format!("round {} on {name}, seed {seed}", rounds + 1))?;
        let camp = Camp::pitch(&own, database, seed, &script).await?;
        let round = Instant::now();
        let killed = camp.kill_again_and_again(50..1_500, |_| round.elapsed() > ROUND)?;
        camp.see_through("a")?;
        let report = camp.verdict().await?;
        ensure!(report.accepted > 0, "nothing was accepted");
        say(&format!("    kills {killed} · accepted {} · {report}", report.accepted))?;
        rounds += 1;
        kills += killed;
    }
    say(&format!("{rounds} rounds, {kills} kills, {} s, no finding", began.elapsed().as_secs()))
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("failed to print")
}
