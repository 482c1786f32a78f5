//! `cargo xtask bench queue`: the same jobs through every program of the list, each in an empty database, one after the
//! other, in one run on one machine. What a program does is in `xtask/bench/measure.mjs`; ours is
//! `host/queue/benches/queue.rs`. A figure is good for a ratio within the run and for nothing else.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wharf_scratch_postgres::{Server, Settings};

use crate::bench::programs::{CLAIMS, Engine, Programs, ROWS, Row};
use crate::postgres;
use crate::progress::{say, step};
use crate::run;

/// Nothing here takes that long; a queue that stands still does.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// On a disk: `/tmp` may be memory, where writing through costs nothing and proves nothing.
const FOLDER: &str = "/var/tmp";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Jobs of each run
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Rounds; the table shows the median of each program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only rows whose name or engine holds this text; ratios need the baselines
    #[arg(long)]
    only: Option<String>,
}

pub(super) fn command(args: &Args) -> Result<()> {
    postgres::install()?;
    let programs = step("bench: the programs", Programs::ready)?;
    let server = step("bench: a durable PostgreSQL server", || Server::start(&Settings::durable()))?;
    let bench = Bench { programs, server, args };
    let work = bench.all(ROWS)?;
    let claims = bench.all(CLAIMS)?;
    say(&format!("\n{}\n", machine(&bench.server)?));
    say(&work_table(&work).join("\n"));
    say("");
    say(&claim_table(&claims).join("\n"));
    Ok(())
}

struct Bench<'a> {
    programs: Programs,
    server: Server,
    args: &'a Args,
}

type Measured = (&'static Row, Run);

impl Bench<'_> {
    /// The median of every row that was asked for.
    fn all(&self, rows: &'static [Row]) -> Result<Vec<Measured>> {
        let wanted = |row: &&Row| {
            let text = format!("{} {:?}", row.name, row.engine);
            self.args.only.as_ref().is_none_or(|only| text.contains(only.as_str()))
        };
        let rows: Vec<&'static Row> = rows.iter().filter(wanted).collect();
        let mut runs: Vec<Vec<Run>> = rows.iter().map(|_| Vec::new()).collect();
        for round in 1..=self.args.rounds {
            for (row, runs) in rows.iter().zip(&mut runs) {
                let name = format!("bench: {:?}: {}, round {round} of {}", row.engine, row.name, self.args.rounds);
                runs.push(step(&name, || self.measure(row))?);
            }
        }
        rows.into_iter().zip(runs).map(|(row, runs)| Ok((row, median(runs).context("no run")?))).collect()
    }

    fn measure(&self, row: &Row) -> Result<Run> {
        let (database, folder);
        let place = match row.engine {
            Engine::Postgres => {
                database = self.server.database()?;
                database.url()
            }
            Engine::Sqlite => {
                folder = tempfile::tempdir_in(FOLDER).context("failed to create a folder")?;
                folder.path().display().to_string()
            }
        };
        let line = run::capture(&mut self.programs.command(row, &place, self.args.jobs), Some(LIMIT))?;
        Run::read(&line).with_context(|| format!("`{}` printed `{}`", row.name, line.trim()))
    }
}

/// What of a program's line the tables need.
#[derive(Debug, PartialEq)]
struct Run {
    version: String,
    jobs: u64,
    seconds: f64,
    /// Milliseconds from claim to done, or of a claim; only ours tells them.
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Run {
    fn read(line: &str) -> Result<Self> {
        let line: Value = serde_json::from_str(line).context("that is not one line of JSON")?;
        let seconds = line["seconds"].as_f64().context("`seconds` is not a number")?;
        ensure!(seconds > 0.0, "`seconds` is not positive");
        Ok(Self {
            version: line["version"].as_str().context("`version` is not a text")?.to_owned(),
            jobs: line["jobs"].as_u64().context("`jobs` is not a whole number")?,
            seconds,
            p50: line["p50_ms"].as_f64(),
            p99: line["p99_ms"].as_f64(),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of jobs is far below 2^52")]
    fn rate(&self) -> f64 {
        self.jobs as f64 / self.seconds
    }
}

/// The run in the middle by its seconds; of an even number the slower one of the two.
fn median(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

/// Markdown, with the ratio to each baseline of the same run.
fn work_table(measured: &[Measured]) -> Vec<String> {
    let base = |name: &str| measured.iter().find(|(row, _)| row.name.starts_with(name)).map(|(_, run)| run.rate());
    let (graphile, boss) = (base("graphile-worker, defaults"), base("pg-boss"));
    let mut lines = vec![
        "| database | program | jobs/s | claim to done p50 ms | p99 ms | × graphile-worker, defaults | × pg-boss, 500 |"
            .to_owned(),
        "|---|---|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for (row, run) in measured {
        let ratio = |base: Option<f64>| match (row.engine, base) {
            (Engine::Postgres, Some(base)) => format!("{:.2}", run.rate() / base),
            _ => String::new(),
        };
        let name = if row.system == "wharf" { row.name.to_owned() } else { named(row, &run.version) };
        lines.push(format!(
            "| {:?} | {name} | {:.0} | {} | {} | {} | {} |",
            row.engine,
            run.rate(),
            shown(run.p50),
            shown(run.p99),
            ratio(graphile),
            ratio(boss)
        ));
    }
    lines
}

/// `system 1.2.3, variant`.
fn named(row: &Row, version: &str) -> String {
    row.name.replacen(row.system, &format!("{} {version}", row.system), 1)
}

/// Markdown, with the ratio to an empty queue of the same database.
fn claim_table(measured: &[Measured]) -> Vec<String> {
    let mut lines = vec![
        "| database | a claim of 8 jobs, while | p50 ms | p99 ms | p99 × nothing waits |".to_owned(),
        "|---|---|--:|--:|--:|".to_owned(),
    ];
    // Rows of one tenant are held against the empty queue of one tenant, and so on: eight jobs of eight tenants are
    // more work than eight of one, whatever waits.
    let alike = |a: &Row, b: &Row| a.engine == b.engine && a.name.contains("tenants") == b.name.contains("tenants");
    for (row, run) in measured {
        let empty = measured.iter().find(|(other, _)| alike(other, row)).and_then(|(_, run)| run.p99);
        let ratio = run.p99.zip(empty).map(|(p99, empty)| format!("{:.2}", p99 / empty)).unwrap_or_default();
        lines.push(format!("| {:?} | {} | {} | {} | {ratio} |", row.engine, row.name, shown(run.p50), shown(run.p99)));
    }
    lines
}

fn shown(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.1}")).unwrap_or_default()
}

/// Without these a figure says nothing.
fn machine(server: &Server) -> Result<String> {
    let version = server.database()?.query("SHOW server_version")?;
    let processors = std::thread::available_parallelism()?;
    // Where there is no such file the line does without.
    let load = std::fs::read_to_string(Path::new("/proc/loadavg")).unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    Ok(format!("PostgreSQL {version}, durable; SQLite with synchronous=FULL; {processors} processors; load {load}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(seconds: f64) -> Run {
        Run { version: "1".to_owned(), jobs: 1000, seconds, p50: None, p99: Some(2.0) }
    }

    #[test]
    fn a_programs_line_is_read_and_a_broken_one_names_the_field() {
        let line = r#"{"system":"a","version":"1","jobs":1000,"seconds":2.0,"p99_ms":2.0,"settings":{}}"#;
        assert_eq!(Run::read(line).unwrap(), run_of(2.0));
        let error = Run::read(&line.replace("2.0,\"p99", "\"2\",\"p99")).unwrap_err().to_string();
        assert_eq!(error, "`seconds` is not a number");
        assert!(Run::read("warning: x").is_err());
    }

    #[test]
    fn the_median_is_the_run_in_the_middle() {
        assert_eq!(median(vec![run_of(3.0), run_of(1.0), run_of(2.0)]), Some(run_of(2.0)));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn ratios_are_to_the_baselines_of_the_same_run() {
        let rows: Vec<&Row> = ROWS.iter().take(5).collect();
        let measured: Vec<Measured> = rows.into_iter().zip([4.0, 3.0, 2.0, 1.0, 2.0].map(run_of)).collect();
        let ours = &work_table(&measured)[5];
        assert!(ours.contains("| Postgres | wharf | 1000 |") && ours.ends_with("| 4.00 | 2.00 |"), "{ours}");
        assert!(work_table(&measured)[2].contains("graphile-worker 1, defaults"));
    }
}
