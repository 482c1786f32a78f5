//! One host, killed two hundred times on each database.

use std::path::Path;
use std::time::Instant;

use wharf_feeder::siege::{Camp, Database, bad_day};
use wharf_scratch_postgres::{Server, Settings};

const KILLS: u32 = 200;
/// Orders that are to be accepted meanwhile.
const ENOUGH: usize = 2_000;

/// Kills at a random moment of the host's work, sees the rest through, and asks the checker.
async fn siege(database: Database) -> anyhow::Result<()> {
    let seed = u64::from(std::process::id());
    let began = Instant::now();
    let camp = Camp::pitch(Path::new(env!("CARGO_BIN_EXE_wharf-feeder")), database, seed, &bad_day()).await?;
    // On a slow machine it takes more kills until enough was done between them.
    let kills =
        camp.kill_again_and_again(50..600, |kills| kills >= KILLS && camp.accepted_by("a").is_ok_and(|n| n > ENOUGH))?;
    let killed = began.elapsed();
    camp.see_through("a")?;
    let report = camp.verdict().await?;
    println!("seed {seed} · kills {kills} in {} s, all {} s", killed.as_secs(), began.elapsed().as_secs());
    println!("accepted {} · done {} · {report}", report.accepted, report.done);
    assert!(report.accepted > ENOUGH, "{} orders: the test proves too little", report.accepted);
    assert!(report.expected > ENOUGH / 40, "{} uncertain calls: the test proves too little", report.expected);
    Ok(())
}

/// No accepted job is lost, no label is bought twice, nothing uncertain is hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p2_p3_two_hundred_kills_on_sqlite() -> anyhow::Result<()> {
    siege(Database::Sqlite).await
}

/// No accepted job is lost, no label is bought twice, nothing uncertain is hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p2_p3_two_hundred_kills_on_postgresql() -> anyhow::Result<()> {
    let server = Server::start(&Settings::durable())?;
    siege(Database::postgres(&server)?).await
}
