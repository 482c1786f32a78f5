//! The host stays and what it writes to goes away: PostgreSQL crashes, the disk is full.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use wharf_feeder::siege::{Camp, Database, bad_day};
use wharf_scratch_postgres::{Server, Settings};

/// How soon work goes on once it can.
const SOON: Duration = Duration::from_secs(5);
/// How soon a full disk lets nothing be written.
const FULL_WITHIN: Duration = Duration::from_secs(10);

fn feeder() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharf-feeder"))
}

/// Waits until more orders are accepted than before.
fn accepts_again(camp: &Camp, before: usize) -> Result<()> {
    let began = Instant::now();
    while camp.accepted_by("a")? <= before {
        ensure!(began.elapsed() < SOON, "seed {}: no order was accepted for {SOON:?}", camp.seed);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// An answer 2xx means on disk, and a restart of the database needs no hand: a server that crashes again and again
/// under load has everything it acknowledged, and work goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_p17_postgresql_crashes_fifty_times_under_load_and_nothing_acknowledged_is_missing() -> Result<()> {
    let server = Server::start(&Settings::durable())?;
    let database = server.database()?;
    let settings = database.query("SELECT current_setting('fsync')")?;
    assert_eq!(settings, "on", "a server that does not sync proves nothing");
    let seed = u64::from(std::process::id());
    let camp = Camp::pitch(feeder(), Database::Postgres(Box::new(database)), seed, &bad_day()).await?;
    let mut host = camp.start("a", camp.command("a"))?;
    for crash in 0..50 {
        std::thread::sleep(Duration::from_millis(300 + 37 * (crash % 10)));
        server.stop_immediate()?;
        let before = camp.accepted_by("a")?;
        std::thread::sleep(Duration::from_millis(90 * (crash % 7)));
        server.start_again()?;
        accepts_again(&camp, before)?;
        assert!(host.running()?, "crash {crash}: the host gave up:\n{}", host.tail());
    }
    assert_eq!(host.stop()?, Some(0), "{}", host.tail());
    camp.see_through("a")?;
    let report = camp.verdict().await?;
    println!("seed {seed} · accepted {} · {report}", report.accepted);
    assert!(report.accepted > 200, "{} orders: the test proves too little", report.accepted);
    Ok(())
}

/// Another program holds the database file for half a minute, longer than any statement waits: nothing is accepted
/// meanwhile, and work goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_sqlite_is_locked_for_thirty_seconds_and_work_goes_on_by_itself() -> Result<()> {
    let seed = u64::from(std::process::id());
    let camp = Camp::pitch(feeder(), Database::Sqlite, seed, &bad_day()).await?;
    let mut host = camp.start("a", camp.command("a"))?;
    while camp.accepted_by("a")? < 30 {
        assert!(host.running()?, "the host gave up:\n{}", host.tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    let file = SqliteConnectOptions::new().filename(camp.database()).busy_timeout(Duration::from_secs(5));
    let mut other = file.connect().await.context("failed to open the file")?;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.context("failed to lock the file")?;
    // What was stored just before the lock may be told as accepted just after it; nothing else may.
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM event").fetch_one(&mut other).await?;
    let refused = camp.refused_by("a")?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let before = camp.accepted_by("a")?;
    assert!(i64::try_from(before)? <= stored, "{before} orders are accepted and {stored} are stored");
    assert!(camp.refused_by("a")? > refused, "nothing was offered");
    assert!(host.running()?, "the host gave up:\n{}", host.tail());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
    other.close().await?;
    accepts_again(&camp, before)?;
    assert_eq!(host.stop()?, Some(0), "{}", host.tail());
    camp.see_through("a")?;
    let report = camp.verdict().await?;
    println!("seed {seed} · accepted {} · {report}", report.accepted);
    Ok(())
}

/// A file system of its own, of so many megabytes; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where nobody may mount, which is an error in CI.
    fn mount(at: PathBuf, megabytes: u32) -> Result<Option<Self>> {
        std::fs::create_dir_all(&at)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(&at);
        let output = mount.output().context("failed to start `mount`")?;
        if output.status.success() {
            return Ok(Some(Self(at)));
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(std::env::var_os("CI").is_none(), "a small disk cannot be mounted: {why}");
        println!("skipped: a small disk cannot be mounted ({why}); run as root");
        Ok(None)
    }

    /// Takes all space that is left, under this name.
    fn fill(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let mut file = std::fs::File::create(&path)?;
        for size in [1 << 20, 4 << 10, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A folder that stays mounted is empty and in a temporary folder.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until orders are offered and none is accepted for half a second; returns how many were accepted until then.
/// The database's log still has room inside itself: it takes a moment until nothing can be written.
fn refuses_all(camp: &Camp) -> Result<usize> {
    let began = Instant::now();
    loop {
        let before = (camp.accepted_by("a")?, camp.refused_by("a")?);
        std::thread::sleep(Duration::from_millis(500));
        let after = (camp.accepted_by("a")?, camp.refused_by("a")?);
        if after.0 == before.0 && after.1 > before.1 {
            return Ok(after.0);
        }
        ensure!(began.elapsed() < FULL_WITHIN, "seed {}: accepted and refused {before:?}, then {after:?}", camp.seed);
    }
}

/// A full disk degrades and heals by itself: nothing is accepted that is not stored, and nothing that was is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_a_full_disk_refuses_new_work_and_goes_on_when_there_is_space_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), 64)? else { return Ok(()) };
    let seed = u64::from(std::process::id());
    let database = Database::SqliteAt(disk.0.join("wharf.db"));
    let camp = Camp::pitch(feeder(), database, seed, &bad_day()).await?;
    let mut host = camp.start("a", camp.command("a"))?;
    for round in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        let filler = disk.fill("filler")?;
        let full = refuses_all(&camp).with_context(|| format!("round {round}"))?;
        assert!(host.running()?, "round {round}: the host gave up:\n{}", host.tail());
        std::fs::remove_file(filler)?;
        accepts_again(&camp, full)?;
    }
    assert_eq!(host.stop()?, Some(0), "{}", host.tail());
    camp.see_through("a")?;
    let report = camp.verdict().await?;
    println!("seed {seed} · accepted {} · {report}", report.accepted);
    Ok(())
}
