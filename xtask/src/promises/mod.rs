//! `cargo xtask promises`: each promise, the tests that show it, and how they end today.
//!
//! Tests are found by their names in the sources, so that a promise without a test is seen before anything is built. A
//! promise that is due and has no test, or one whose test fails, is an error.

mod list;
pub(crate) mod results;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use self::list::{PROMISES, Promise};
use self::results::Outcome;
use crate::adapters;
use crate::corpus::{self, Tally};
use crate::postgres;
use crate::progress::say;
use crate::run;

const FOLDERS: [&str; 4] = ["host", "sdk", "tests", "xtask"];
/// As nextest writes a test's path. The second are the tests of the attack corpus, which is promise 13 as a whole.
const SHOWS_A_PROMISE: &str = r"test(/(^|::)(p|[a-j])\d+_/)";
/// The promise whose tests are those of every row of the attack corpus.
const CORPUS: u32 = 13;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only name the tests; nothing is built or run
    #[arg(long)]
    list: bool,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    let tests = tests_in(&FOLDERS)?;
    let results = if args.list { BTreeMap::new() } else { run_all()? };
    let mut wrong = Vec::new();
    for promise in &PROMISES {
        let (line, fine) = match promise.number {
            CORPUS if args.list => {
                (format!("listed   P{CORPUS:<3} {}\n         each row of the attack corpus", promise.words), true)
            }
            CORPUS => whole_corpus(promise, &corpus::tally(wharf_attack::corpus(), &results)),
            _ => row(promise, &tests, &results),
        };
        say(&line);
        if !fine {
            wrong.push(format!("P{}", promise.number));
        }
    }
    ensure!(wrong.is_empty(), "not shown: {}", wrong.join(", "));
    Ok(())
}

/// The names of all test functions in these folders of the repository that show a promise.
pub(crate) fn tests_in(folders: &[&str]) -> Result<BTreeSet<String>> {
    let mut tests = BTreeSet::new();
    for folder in folders {
        find(&run::repo().join(folder), &mut tests)?;
    }
    Ok(tests)
}

/// The names of all test functions in a folder that show a promise.
fn find(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(names(&std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn names(source: &str) -> Vec<String> {
    let functions = source.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
        rest.split(['(', '<']).next()
    });
    functions.filter(|name| !shown_by(name).is_empty()).map(str::to_owned).collect()
}

/// The promises a test's name begins with.
fn shown_by(mut name: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some((number, rest)) = name.strip_prefix('p').and_then(|rest| rest.split_once('_')) {
        let Ok(number) = number.parse() else { break };
        numbers.push(number);
        name = rest;
    }
    numbers
}

/// Builds what the tests need and runs those that show a promise. A test that fails is a result, not an error.
fn run_all() -> Result<BTreeMap<String, Outcome>> {
    postgres::install()?;
    adapters::host_binaries()?;
    adapters::build_all()?;
    let mut tests = run::command("cargo");
    tests.args(["nextest", "run", "--workspace", "--no-fail-fast", "--profile", "promises", "-E", SHOWS_A_PROMISE]);
    let ran = run::run(&mut tests);
    let file = run::target_dir().join("nextest/promises/results.xml");
    match std::fs::read_to_string(&file) {
        Ok(text) => results::read(&text),
        Err(error) => match ran {
            Ok(()) => Err(error).with_context(|| format!("failed to read `{}`", file.display())),
            Err(ran) => bail!("{ran}; the tests need cargo-nextest: `cargo install cargo-nextest --locked`"),
        },
    }
}

/// One promise as it is printed, and whether all is well with it. A test that runs on two databases has two results.
fn row(promise: &Promise, tests: &BTreeSet<String>, results: &BTreeMap<String, Outcome>) -> (String, bool) {
    let Promise { number, words, due } = promise;
    let shown: Vec<&String> = tests.iter().filter(|name| shown_by(name).contains(number)).collect();
    let mut fine = !(*due && shown.is_empty());
    let mut lines = String::new();
    for name in &shown {
        let ended: Vec<&Outcome> =
            results.iter().filter(|(path, _)| is_of(path, name)).map(|(_, ended)| ended).collect();
        let failed = ended.contains(&&Outcome::Failed);
        fine &= !failed && (results.is_empty() || !ended.is_empty());
        let said = match (failed, ended.len()) {
            (true, _) => "FAILED".to_owned(),
            (false, 0) => "not run".to_owned(),
            (false, 1) => "passed".to_owned(),
            (false, count) => format!("passed {count} times"),
        };
        lines.push_str(&format!("\n         {said:<16} {name}"));
    }
    let mark = match (fine, shown.is_empty()) {
        (false, true) => "NO TEST",
        (false, false) => "FAILED",
        (true, true) => "not yet",
        (true, false) if results.is_empty() => "listed",
        (true, false) => "ok",
    };
    (format!("{mark:<8} P{number:<3} {words}{lines}"), fine)
}

/// Promise 13 is kept by all of the corpus or not at all.
fn whole_corpus(promise: &Promise, tally: &Tally) -> (String, bool) {
    let Promise { number, words, due } = promise;
    let fine = tally.failed.is_empty() && (tally.untested.is_empty() || !due);
    let mark = match (fine, tally.untested.is_empty()) {
        (true, true) => "ok",
        (true, false) => "not yet",
        (false, _) => "FAILED",
    };
    let mut line = format!("{mark:<8} P{number:<3} {words}\n         {}", tally.line());
    for (what, rows) in [("not as written", &tally.failed), ("without a test", &tally.untested)] {
        if !rows.is_empty() {
            line.push_str(&format!("\n         {what}: {}", rows.join(", ")));
        }
    }
    (line, fine)
}

/// Is `name` a part of the test's path?
fn is_of(path: &str, name: &str) -> bool {
    path.split("::").any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_name_says_which_promises_it_shows() {
        assert_eq!(shown_by("p1_p2_p3_two_hundred_kills"), [1, 2, 3]);
        assert_eq!(shown_by("p5_a_host"), [5]);
        for other in ["path_is_read", "p_1", "parses_p1_", "p5"] {
            assert!(shown_by(other).is_empty(), "{other}");
        }
        let source = "#[test]\nfn p4_sync() {}\nboth! {\n    async fn p8_full(house) {\n}}\nfn other() {}\n// fn p9_no";
        assert_eq!(names(source), ["p4_sync", "p8_full"]);
    }

    #[test]
    fn promises_are_numbered_in_order() {
        let numbers: Vec<u32> = PROMISES.iter().map(|promise| promise.number).collect();
        assert_eq!(numbers, (1..=25).collect::<Vec<u32>>());
    }

    #[test]
    fn a_promise_is_fine_when_it_has_a_test_and_none_failed() {
        let tests = BTreeSet::from(["p4_a".to_owned(), "p4_b".to_owned()]);
        let passed = |path: &str| (path.to_owned(), Outcome::Passed);
        let due = Promise { number: 4, words: "words", due: true };
        let all = BTreeMap::from([passed("it::p4_a::sqlite"), passed("it::p4_a::postgres"), passed("it::p4_b")]);
        let (line, fine) = row(&due, &tests, &all);
        assert!(fine && line.starts_with("ok") && line.contains("passed 2 times"), "{line}");
        let some = BTreeMap::from([passed("it::p4_a"), ("it::p4_b".to_owned(), Outcome::Failed)]);
        assert!(!row(&due, &tests, &some).1);
        assert!(!row(&due, &tests, &BTreeMap::from([passed("it::p4_a")])).1, "one did not run");
        assert!(row(&due, &tests, &BTreeMap::new()).1, "only listed");
        let (line, fine) = row(&due, &BTreeSet::new(), &all);
        assert!(!fine && line.starts_with("NO TEST"), "{line}");
        let later = Promise { due: false, ..due };
        assert!(row(&later, &BTreeSet::new(), &all).1);
    }
}
