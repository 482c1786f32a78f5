//! `cargo xtask bench queue`: the same jobs through every program of the list, each in an empty database of one durable
//! server, one after the other. What a program does is in `xtask/bench/measure.mjs`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wharf_scratch_postgres::{Server, Settings};

use crate::bench::programs::{self, Program};
use crate::postgres;
use crate::progress::{say, step};
use crate::run;

/// Nothing here takes that long; a queue that stands still does.
const LIMIT: Duration = Duration::from_secs(30 * 60);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Jobs of each run
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Rounds; the table shows the median of each program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

pub(super) fn command(args: &Args) -> Result<()> {
    postgres::install()?;
    let programs = step("bench: the programs", programs::ready)?;
    let server = step("bench: a durable PostgreSQL server", || Server::start(&Settings::durable()))?;
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    for round in 1..=args.rounds {
        for (program, runs) in programs.iter().zip(&mut runs) {
            let name = format!("bench: {}, round {round} of {}", program.name, args.rounds);
            runs.push(step(&name, || measure(program, &server, args.jobs))?);
        }
    }
    say("");
    say(&machine(&server)?);
    say(&format!("{:<28} {:<12} {:>10} {:>10} {:>12}", "program", "version", "seconds", "jobs/s", "adding them"));
    for (program, runs) in programs.iter().zip(runs) {
        say(&median(runs).context("no run")?.row(&program.name));
    }
    Ok(())
}

fn measure(program: &Program, server: &Server, jobs: u32) -> Result<Run> {
    let database = server.database()?;
    let line = run::capture(&mut program.command(&database.url(), jobs), Some(LIMIT))?;
    let run = Run::read(&line).with_context(|| format!("`{}` printed `{}`", program.name, line.trim()))?;
    ensure!(run.jobs == u64::from(jobs), "`{}` ran {} of {jobs} jobs", program.name, run.jobs);
    Ok(run)
}

/// What of a program's line the table needs.
#[derive(Debug, PartialEq)]
struct Run {
    version: String,
    jobs: u64,
    seconds: f64,
    enqueue_seconds: f64,
}

impl Run {
    fn read(line: &str) -> Result<Self> {
        let line: Value = serde_json::from_str(line).context("that is not one line of JSON")?;
        let number = |name: &str| line[name].as_f64().with_context(|| format!("`{name}` is not a number"));
        Ok(Self {
            version: line["version"].as_str().context("`version` is not a text")?.to_owned(),
            jobs: line["jobs"].as_u64().context("`jobs` is not a whole number")?,
            seconds: number("seconds")?,
            enqueue_seconds: number("enqueue_seconds")?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of jobs is far below 2^52")]
    fn row(&self, name: &str) -> String {
        let rate = self.jobs as f64 / self.seconds;
        let (version, seconds, adding) = (&self.version, self.seconds, self.enqueue_seconds);
        format!("{name:<28} {version:<12} {seconds:>10.2} {rate:>10.0} {adding:>10.2} s")
    }
}

/// The run in the middle by its seconds; of an even number the slower one of the two.
fn median(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

/// Without these a figure says nothing.
fn machine(server: &Server) -> Result<String> {
    let version = server.database()?.query("SHOW server_version")?;
    let processors = std::thread::available_parallelism()?;
    // Where there is no such file the line does without.
    let load = std::fs::read_to_string(Path::new("/proc/loadavg")).unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    Ok(format!("PostgreSQL {version}, durable; {processors} processors; load {load}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(seconds: f64) -> Run {
        Run { version: "1".to_owned(), jobs: 1000, seconds, enqueue_seconds: 0.5 }
    }

    #[test]
    fn a_programs_line_is_read_and_a_broken_one_names_the_field() {
        let line = r#"{"system":"a","version":"1","jobs":1000,"seconds":2.0,"enqueue_seconds":0.5,"settings":{}}"#;
        assert_eq!(Run::read(line).unwrap(), run_of(2.0));
        let error = Run::read(&line.replace("2.0", "\"2\"")).unwrap_err().to_string();
        assert_eq!(error, "`seconds` is not a number");
        assert!(Run::read("warning: x").is_err());
    }

    #[test]
    fn the_median_is_the_run_in_the_middle() {
        let middle = median(vec![run_of(3.0), run_of(1.0), run_of(2.0)]).unwrap();
        assert_eq!(
            middle.row("a b").split_whitespace().collect::<Vec<_>>(),
            ["a", "b", "1", "2.00", "500", "0.50", "s"]
        );
        assert_eq!(median(Vec::new()), None);
    }
}
