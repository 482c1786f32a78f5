//! A camp: one database, one partner with a fault script, hosts to be killed, and the verdict at the end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_scratch_postgres::Server;
use wharf_tests::Program;
use wharf_twins::Running;
use wharf_twins::parcel::{self, ParcelConfig};

use crate::check::{Facts, Report, check};
use crate::facts;
use crate::history::{self, Line, Said};
use crate::host::{OffsetClock, open};

/// Long enough for everything a killed host left: leases, lookups, lanes.
const IDLE_WITHIN: Duration = Duration::from_secs(90);

/// Where the work is kept.
pub enum Database {
    /// In the camp's own folder.
    Sqlite,
    SqliteAt(PathBuf),
    Postgres(Box<wharf_scratch_postgres::Database>),
}

impl Database {
    /// A new one on a server that must sync: the host refuses another.
    pub fn postgres(server: &Server) -> Result<Self> {
        Ok(Self::Postgres(Box::new(server.database()?)))
    }
}

/// One siege. Everything it started ends with it.
pub struct Camp {
    folder: TempDir,
    database: Database,
    pub twin: Running,
    /// Where hosts reach it; the same for all of them, since a request to another place is another request.
    pub partner: String,
    feeder: PathBuf,
    pub seed: u64,
}

/// A tenth of the answers is lost, one in twenty says 500, and all take a moment.
pub fn bad_day() -> Value {
    json!([
        { "fault": { "latency": { "ms": 3 } } },
        { "match": { "method": "POST" }, "every": 4, "fault": { "latency": { "ms": 25 } } },
        { "match": { "method": "POST" }, "probability": 0.10, "fault": "answer_lost_after_effect" },
        { "match": { "method": "PUT" }, "probability": 0.10, "fault": "answer_lost_after_effect" },
        { "match": { "method": "POST" }, "probability": 0.05, "fault": { "status_after_effect": { "code": 500 } } },
    ])
}

/// The bad day, with refusals, lookups that fail, and resets on top of it.
pub fn worse_day() -> Value {
    let more = json!([
        { "probability": 0.05, "fault": { "status": { "code": 503 } } },
        { "probability": 0.03, "fault": "reset_before_effect" },
        { "match": { "method": "POST" }, "probability": 0.03, "fault": "cut_json" },
        { "match": { "method": "POST" }, "probability": 0.02, "fault": { "status": { "code": 422 } } },
    ]);
    let rules = [bad_day(), more].into_iter().flat_map(|rules| rules.as_array().cloned().unwrap_or_default());
    Value::Array(rules.collect())
}

impl Camp {
    /// A migrated database and a partner that keeps to the script. `feeder`: the program.
    pub async fn pitch(feeder: &Path, database: Database, seed: u64, script: &Value) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("wharf-siege-").tempdir()?;
        let twin = parcel::start(ParcelConfig { read_after_write_ms: 40, ..ParcelConfig::default() }).await?;
        twin.set_script(serde_json::from_value(script.clone()).context("the script makes no sense")?, seed)?;
        let camp = Self { folder, database, partner: twin.base_url.clone(), twin, feeder: feeder.to_owned(), seed };
        let db = open(&camp.database(), Arc::new(OffsetClock(0))).await?;
        db.migrate().await?;
        db.close().await;
        Ok(camp)
    }

    /// What `--database` is given.
    pub fn database(&self) -> String {
        match &self.database {
            Database::Sqlite => self.file("wharf.db").display().to_string(),
            Database::SqliteAt(path) => path.display().to_string(),
            Database::Postgres(database) => database.url(),
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A host's command, complete but for what the caller wants different: a later option counts.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.feeder);
        command.args(["host", "--name", name, "--database", &self.database(), "--partner", &self.partner]);
        command.args(["--seed", &self.seed.to_string()]).arg("--history").arg(self.file("history"));
        command
    }

    /// Starts a host and returns when it works.
    pub fn start(&self, name: &str, mut command: Command) -> Result<Program> {
        let ready = self.file(&format!("{name}.ready"));
        // Left by one that was killed.
        let _ = std::fs::remove_file(&ready);
        let mut host = Program::start(command.arg("--ready-file").arg(&ready), &self.file(&format!("{name}.log")))?;
        host.wait_for(&ready)?;
        Ok(host)
    }

    /// `kill -9` at a random moment of a host's work, again and again, until `enough` says so.
    pub fn kill_again_and_again(&self, moments: std::ops::Range<u64>, enough: impl Fn(u32) -> bool) -> Result<u32> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut kills = 0;
        while !enough(kills) {
            let mut host = self.start("a", self.command("a"))?;
            std::thread::sleep(Duration::from_millis(random.random_range(moments.clone())));
            ensure!(host.running()?, "before kill {kills} the host ended by itself:\n{}", host.tail());
            host.kill()?;
            kills += 1;
        }
        Ok(kills)
    }

    /// Runs a host that accepts nothing new until nothing is left to do.
    pub fn see_through(&self, name: &str) -> Result<()> {
        let mut command = self.command(name);
        let mut host = Program::start(command.arg("--until-idle"), &self.file(&format!("{name}.log")))?;
        let began = Instant::now();
        while host.running()? {
            if began.elapsed() > IDLE_WITHIN {
                bail!("work is left after {IDLE_WITHIN:?}:\n{}", host.tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// How many calls of this host were heard to have happened.
    pub fn heard_by(&self, name: &str) -> Result<usize> {
        self.count(name, |line| matches!(line, Line::Heard { said: Said::Happened, .. }))
    }

    /// How many orders this host has accepted.
    pub fn accepted_by(&self, name: &str) -> Result<usize> {
        self.count(name, |line| matches!(line, Line::Ok { .. }))
    }

    /// How often this host did not accept an order.
    pub fn refused_by(&self, name: &str) -> Result<usize> {
        self.count(name, |line| matches!(line, Line::Fail { .. } | Line::Info { .. }))
    }

    fn count(&self, name: &str, wanted: impl Fn(&Line) -> bool) -> Result<usize> {
        let lines = history::read(&self.file("history"), Some(name))?;
        Ok(lines.iter().filter(|line| wanted(line)).count())
    }

    /// What is known now; no host may be working.
    pub async fn facts(&self) -> Result<Facts> {
        let db = open(&self.database(), Arc::new(OffsetClock(0))).await?;
        let ledger = serde_json::from_value(self.twin.effects()).context("the ledger is none")?;
        let facts = facts::gather(&self.file("history"), &db, ledger).await;
        db.close().await;
        facts
    }

    /// The verdict on a siege that was seen through. Fails with every finding; a run that shows nothing fails, too.
    pub async fn verdict(&self) -> Result<Report> {
        let report = check(&self.facts().await?);
        let findings: Vec<&str> = report.findings().map(String::as_str).collect();
        if !findings.is_empty() {
            let kept = self.keep()?;
            bail!("seed {}: {report}\n{}\nkept in `{}`", self.seed, findings.join("\n"), kept.display());
        }
        ensure!(report.waiting == 0, "seed {}: {} orders are still to be done", self.seed, report.waiting);
        ensure!(report.accepted == report.done + report.parked, "seed {}: {report:?}", self.seed);
        Ok(report)
    }

    /// A copy of everything for whoever looks into a failure.
    fn keep(&self) -> Result<PathBuf> {
        let kept = std::env::temp_dir().join(format!("wharf-siege-{}-{}", self.seed, std::process::id()));
        let copied = Command::new("cp").arg("-r").arg(self.folder.path()).arg(&kept).status()?;
        ensure!(copied.success(), "failed to copy to `{}`", kept.display());
        std::fs::write(kept.join("ledger.json"), self.twin.effects().to_string())?;
        Ok(kept)
    }
}
