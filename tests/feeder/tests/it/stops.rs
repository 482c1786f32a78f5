//! One host, asked to stop under load, and started again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wharf_feeder::host::{OffsetClock, open};
use wharf_feeder::siege::{Camp, Database, bad_day};
use wharf_scratch_postgres::{Server, Settings};
use wharf_store::jobs;

const STOPS: u32 = 50;
/// Calls end after 1.5 s and the drain after 5 s; a stop that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

async fn stop_again_and_again(database: Database) -> Result<()> {
    let seed = u64::from(std::process::id());
    let mut random = StdRng::seed_from_u64(seed);
    let camp = Camp::pitch(Path::new(env!("CARGO_BIN_EXE_wharf-feeder")), database, seed, &bad_day()).await?;
    for stop in 0..STOPS {
        let mut host = camp.start("a", camp.command("a"))?;
        std::thread::sleep(Duration::from_millis(random.random_range(20..300)));
        let asked = Instant::now();
        assert_eq!(host.stop()?, Some(0), "stop {stop}, seed {seed}: {}", host.tail());
        assert!(asked.elapsed() < PATIENCE, "stop {stop}, seed {seed} took {:?}", asked.elapsed());
        let db = open(&camp.database(), Arc::new(OffsetClock(0))).await?;
        let running = jobs::counts(&db).await?.running;
        db.close().await;
        assert_eq!(running, 0, "stop {stop}, seed {seed}: leases are left");
    }
    camp.see_through("a")?;
    let report = camp.verdict().await?;
    println!("seed {seed} · {STOPS} stops · accepted {} · {report}", report.accepted);
    assert!(report.accepted > 5 * STOPS as usize, "{} orders: the test proves too little", report.accepted);
    // What is under way is seen through: only what the partner itself left in doubt is.
    let cut_off =
        camp.facts().await?.orders.values().flat_map(|known| known.sends.values()).filter(|s| s.is_none()).count();
    assert_eq!(cut_off, 0, "seed {seed}: calls were cut off by a graceful stop");
    Ok(())
}

/// A graceful stop leaves no lease and cuts nothing off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_fifty_stops_under_load_leave_no_lease_and_cut_nothing_off_on_sqlite() -> Result<()> {
    stop_again_and_again(Database::Sqlite).await
}

/// A graceful stop leaves no lease and cuts nothing off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_fifty_stops_under_load_leave_no_lease_and_cut_nothing_off_on_postgresql() -> Result<()> {
    let server = Server::start(&Settings::durable())?;
    stop_again_and_again(Database::postgres(&server)?).await
}
