//! `cargo xtask bench sandbox`: an adapter in each language, called through the host, next to a bare wasmtime and to the
//! same work without wasm. What is measured and how is in `host/sandbox/benches/sandbox`; this file runs it and prints
//! the tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::guests::Language;
use crate::bench::tools;
use crate::progress::{complain, say, step};
use crate::run;

/// Nothing here takes that long.
const LIMIT: Duration = Duration::from_secs(5 * 60);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Turns of every row; a figure is the median of its turns
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the adapter in this language
    #[arg(long, value_enum)]
    only: Option<Language>,
}

pub(super) fn command(args: &Args) -> Result<()> {
    let program = step("bench: the program", || tools::program("wharf-sandbox", "sandbox"))?;
    let mut measured = Vec::new();
    for language in Language::ALL.into_iter().filter(|l| args.only.is_none_or(|only| only == *l)) {
        match step(&format!("bench: the adapter in {language}"), || language.adapter(&program)) {
            Ok(adapter) => measured.push(measure(&program, language, &adapter, args.rounds)?),
            Err(error) => {
                run::pause()?;
                complain(&format!("{language} is left out: {error:#}"));
            }
        }
    }
    ensure!(!measured.is_empty(), "there is no adapter to measure");
    say(&format!("\n{}\n", machine()?));
    for table in [call_table(&measured), thread_table(&measured), memory_table(&measured)] {
        say(&format!("{}\n", table.join("\n")));
    }
    Ok(())
}

/// How many of each are enough: compiling CPython takes a while, and its instances are large.
fn counts(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Rust => ("50", "1000"),
        Language::Js => ("10", "1000"),
        Language::Python => ("3", "200"),
    }
}

fn measure(program: &Path, language: Language, adapter: &Path, rounds: u32) -> Result<Measured> {
    let rounds = rounds.to_string();
    let (count, waiting) = counts(language);
    let line = |args: &[&str]| -> Result<Value> {
        let mut command = run::command(program);
        command.arg(args[0]).arg(adapter).args(&args[1..]);
        let line = run::capture(&mut command, Some(LIMIT))?;
        serde_json::from_str(&line).with_context(|| format!("`{}` printed `{}`", args[0], line.trim()))
    };
    let on = |what: &str| format!("bench: {language}: {what}");
    let folder = tempfile::tempdir().context("failed to create a folder")?;
    let compiled = folder.path().display().to_string();
    Ok(Measured {
        language,
        bytes: std::fs::metadata(adapter).context("the adapter is gone")?.len(),
        calls: step(&on("calls"), || line(&["calls", &rounds]))?,
        threads: step(&on("one thread and two"), || line(&["threads", &rounds]))?,
        waiting: step(&on("calls that wait"), || line(&["waiting", waiting]))?,
        cold: step(&on(&format!("{count} adapters, to be compiled")), || line(&["start", count, &compiled]))?,
        warm: step(&on(&format!("{count} adapters, compiled before")), || line(&["start", count, &compiled]))?,
    })
}

/// The program's lines for one adapter.
struct Measured {
    language: Language,
    bytes: u64,
    calls: Value,
    threads: Value,
    waiting: Value,
    cold: Value,
    warm: Value,
}

/// Calls as they are named in the program's line, and in the table.
const CALLS: [(&str, &str); 4] = [
    ("fresh", "fresh instance, not called"),
    ("empty", "empty call"),
    ("ship", "ship-sized call"),
    ("document", "ship-sized call, label as a document"),
];
/// Host calls of the one call in which they are measured.
const HOST_CALLS: f64 = 1_000.0;

/// Markdown: microseconds of processor time, and ratios to the baselines.
fn call_table(all: &[Measured]) -> Vec<String> {
    let mut lines = vec![
        "| adapter | call | native µs | bare µs | bare, deadline checks µs | Wharf µs | × bare | × bare, deadline checks | × native | Wharf, wall µs | × bare, wall |".to_owned(),
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for measured in all {
        for (key, name) in CALLS {
            let of = |variant: &str, figure: &str| turns(&measured.calls[key][variant][figure]);
            let [native, bare, checked, ours] = ["native", "bare", "bare_epochs", "ours"].map(|v| of(v, "cpu_us"));
            let wall = of("ours", "wall_us");
            lines.push(format!(
                "| {} | {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                measured.language,
                shown(&native),
                shown(&bare),
                shown(&checked),
                shown(&ours),
                ratio(&ours, &bare),
                ratio(&ours, &checked),
                ratio(&ours, &native),
                shown(&wall),
                ratio(&wall, &of("bare", "wall_us")),
            ));
        }
        let one = |variant: &str| -> Vec<f64> {
            let of = |key: &str| turns(&measured.calls[key][variant]["cpu_us"]);
            of("host_calls").iter().zip(of("empty")).map(|(many, none)| (many - none) / HOST_CALLS).collect()
        };
        let [bare, checked, ours] = ["bare", "bare_epochs", "ours"].map(one);
        lines.push(format!(
            "| {} | one host call | | {} | {} | {} | {} | {} | | | |",
            measured.language,
            shown(&bare),
            shown(&checked),
            shown(&ours),
            ratio(&ours, &bare),
            ratio(&ours, &checked)
        ));
    }
    lines
}

/// Markdown: ship-sized calls per second.
fn thread_table(all: &[Measured]) -> Vec<String> {
    let mut lines = vec![
        "| adapter | ship-sized calls | one thread, calls/s | two threads, calls/s | × | processor time of a call, two × one |".to_owned(),
        "|---|---|--:|--:|--:|--:|".to_owned(),
    ];
    for measured in all {
        for (key, name) in [("bare", "bare, deadline checks"), ("ours", "Wharf")] {
            let of = |threads: u32, figure: &str| turns(&measured.threads[format!("{key}_{threads}")][figure]);
            let (one, two) = (of(1, "per_second"), of(2, "per_second"));
            lines.push(format!(
                "| {} | {name} | {} | {} | {} | {} |",
                measured.language,
                shown(&one),
                shown(&two),
                ratio(&two, &one),
                ratio(&of(2, "cpu_us"), &of(1, "cpu_us")),
            ));
        }
    }
    lines
}

/// Markdown: what adapters cost that are there, and calls that wait.
fn memory_table(all: &[Measured]) -> Vec<String> {
    let mut lines = vec![
        "| adapter | file MiB | adapters loaded | start, compiling s | start, compiled before s | memory per adapter MiB | calls waiting | memory per 1,000 waiting calls MiB |".to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    let seconds = |line: &Value| line["seconds"].as_f64().map(|s| format!("{s:.2}")).unwrap_or_default();
    for measured in all {
        let (warm, waiting) = (&measured.warm, &measured.waiting);
        let grown = |line: &Value, later: &str| Some(line[later].as_f64()? - line["before_kib"].as_f64()?);
        let each = |kib: Option<f64>, of: &Value| Some(kib? / of.as_f64()? / 1_024.0);
        let adapter = each(grown(warm, "after_kib"), &warm["adapters"]);
        let thousand = each(grown(waiting, "during_kib"), &waiting["calls"]).map(|mib| mib * 1_000.0);
        #[expect(clippy::cast_precision_loss, reason = "the size of a file")]
        let mib = measured.bytes as f64 / f64::from(1 << 20);
        lines.push(format!(
            "| {} | {mib:.2} | {} | {} | {} | {} | {} | {} |",
            measured.language,
            warm["adapters"],
            seconds(&measured.cold),
            seconds(warm),
            adapter.map(|mib| format!("{mib:.2}")).unwrap_or_default(),
            waiting["calls"],
            thousand.map(|mib| format!("{mib:.0}")).unwrap_or_default(),
        ));
    }
    lines
}

/// The figures of all turns; none when there was no such row.
fn turns(list: &Value) -> Vec<f64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// The median, with as many digits as it is good for.
fn shown(figures: &[f64]) -> String {
    let digits = |figure: f64| match figure {
        figure if figure < 1.0 => format!("{figure:.3}"),
        figure if figure < 100.0 => format!("{figure:.1}"),
        figure => format!("{figure:.0}"),
    };
    median(figures.to_vec()).map(digits).unwrap_or_default()
}

/// The median of the ratios within each round: what else the machine did meets both sides of a round.
fn ratio(figures: &[f64], base: &[f64]) -> String {
    let ratios = figures.iter().zip(base).map(|(figure, base)| figure / base).collect();
    median(ratios).map(|ratio| format!("{ratio:.2}")).unwrap_or_default()
}

/// Without these a figure says nothing.
fn machine() -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(PathBuf::from(path)).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |m| m.1);
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let kernel = read("/proc/sys/kernel/osrelease");
    let processors = std::thread::available_parallelism()?;
    Ok(format!("{model}, {processors} processors; Linux {}; load {load}.", kernel.trim()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn took(cpu: [f64; 3]) -> Value {
        json!({ "cpu_us": cpu, "wall_us": cpu })
    }

    fn measured() -> Measured {
        let three = |bare: f64, ours: f64| json!({ "bare": took([bare; 3]), "bare_epochs": took([bare; 3]), "ours": took([ours; 3]) });
        let ship = json!({
            "native": took([5.0; 3]), "bare": took([20.0, 40.0, 30.0]), "bare_epochs": took([25.0, 50.0, 25.0]),
            "ours": took([25.0, 44.0, 36.0]),
        });
        let rate = |rate: f64| json!({ "per_second": ([rate; 3]), "cpu_us": ([1.0; 3]) });
        Measured {
            language: Language::Rust,
            bytes: 1 << 20,
            calls: json!({
                "fresh": { "bare": took([4.0; 3]), "bare_epochs": took([4.0; 3]) }, "empty": three(5.0, 6.0),
                "ship": ship, "document": three(20.0, 50.0), "host_calls": three(105.0, 206.0),
            }),
            threads: json!({
                "bare_1": rate(100.0), "bare_2": rate(190.0), "ours_1": rate(80.0), "ours_2": rate(120.0),
            }),
            waiting: json!({ "calls": 500, "before_kib": 1024, "during_kib": 2048, "after_kib": 1024 }),
            cold: json!({ "adapters": 2, "seconds": 1.5, "before_kib": 0, "after_kib": 0 }),
            warm: json!({ "adapters": 2, "seconds": 0.25, "before_kib": 1024, "after_kib": 3072 }),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let lines = call_table(&[measured()]);
        assert_eq!(lines[2], "| Rust | fresh instance, not called |  | 4.0 | 4.0 |  |  |  |  |  |  |");
        assert_eq!(
            lines[4],
            "| Rust | ship-sized call | 5.0 | 30.0 | 25.0 | 36.0 | 1.20 | 1.00 | 7.20 | 36.0 | 1.20 |"
        );
        assert_eq!(lines[6], "| Rust | one host call | | 0.100 | 0.100 | 0.200 | 2.00 | 2.00 | | | |");
    }

    #[test]
    fn two_threads_are_held_against_one() {
        assert_eq!(thread_table(&[measured()])[3], "| Rust | Wharf | 80.0 | 120 | 1.50 | 1.00 |");
    }

    #[test]
    fn memory_is_what_was_added() {
        assert_eq!(memory_table(&[measured()])[2], "| Rust | 1.00 | 2 | 1.50 | 0.25 | 1.00 | 500 | 2 |");
    }
}
