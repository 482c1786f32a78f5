//! The attack corpus: which rows are as written today, and the table of docs/SECURITY.md.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use wharf_attack::{Corpus, corpus};

use crate::progress::say;
use crate::promises::results::{self, Outcome};
use crate::run;

/// The page with the table, and what stands around it.
const PAGE: &str = "docs/SECURITY.md";
const BEGIN: &str = "<!-- corpus: made by `cargo xtask corpus` -->";
const END: &str = "<!-- corpus: end -->";

#[derive(clap::Args)]
pub(crate) struct Args {}

/// `cargo xtask corpus`: writes the table.
pub(crate) fn command(_: &Args) -> Result<()> {
    let path = run::repo().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("failed to read `{PAGE}`"))?;
    fs::write(&path, with_table(&page, corpus())?).with_context(|| format!("failed to write `{PAGE}`"))
}

fn with_table(page: &str, corpus: &Corpus) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("`{PAGE}` has no line `{BEGIN}`"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("`{PAGE}` has no line `{END}`"))?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", corpus.table()))
}

/// After a run of all tests: every row must be as written.
pub(crate) fn verdict() -> Result<()> {
    let file = run::target_dir().join("nextest/default/results.xml");
    let text = fs::read_to_string(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let tally = tally(corpus(), &results::read(&text)?);
    say(&tally.line());
    ensure!(tally.failed.is_empty(), "not as written: {}", tally.failed.join(", "));
    ensure!(tally.untested.is_empty(), "without a test: {}", tally.untested.join(", "));
    Ok(())
}

/// How the rows stand after a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    rows: usize,
    as_written: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) untested: Vec<String>,
}

impl Tally {
    pub(crate) fn line(&self) -> String {
        format!("attack corpus: {} rows, {} as written", self.rows, self.as_written)
    }
}

/// A row is as written when it has tests and none of them failed.
pub(crate) fn tally(corpus: &Corpus, outcomes: &BTreeMap<String, Outcome>) -> Tally {
    let mut tally = Tally { rows: corpus.row.len(), as_written: 0, failed: Vec::new(), untested: Vec::new() };
    for row in &corpus.row {
        let mut ended = outcomes.iter().filter(|(path, _)| rows_of(path).contains(&row.id)).map(|(_, ended)| ended);
        match ended.next() {
            None => tally.untested.push(row.id.clone()),
            Some(first) if *first == Outcome::Passed && ended.all(|ended| *ended == Outcome::Passed) => {
                tally.as_written += 1;
            }
            Some(_) => tally.failed.push(row.id.clone()),
        }
    }
    tally
}

/// The rows a test belongs to: `c8_b10_there_are_none` to two. A test for two databases has a name below its own.
fn rows_of(path: &str) -> Vec<String> {
    path.split("::").flat_map(rows_of_name).collect()
}

fn rows_of_name(mut name: &str) -> Vec<String> {
    let mut rows = Vec::new();
    while let Some((id, rest)) = name.split_once('_') {
        let mut chars = id.chars();
        let letter = chars.next().filter(char::is_ascii_lowercase);
        let number = chars.as_str();
        let (Some(letter), true) = (letter, !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) else {
            break;
        };
        rows.push(format!("{}{number}", letter.to_ascii_uppercase()));
        name = rest;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_name_says_which_rows_it_belongs_to() {
        assert_eq!(rows_of("corpus::border::c8_b10_there_are_no_handles"), ["C8", "B10"]);
        assert_eq!(rows_of("it::d12_mixed_answers::postgres"), ["D12"]);
        for none in ["corpus::a_row", "it::a_b1_x", "b_1"] {
            assert!(rows_of(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_row_is_as_written_when_it_has_tests_and_none_failed() {
        let of = |rows: &[(&str, Outcome)]| rows.iter().map(|(path, ended)| ((*path).to_owned(), *ended)).collect();
        let all = of(&[("x::a1_one", Outcome::Passed), ("x::a1_two", Outcome::Failed), ("x::a2_one", Outcome::Passed)]);
        let tally = tally(corpus(), &all);
        assert_eq!((tally.as_written, tally.failed), (1, vec!["A1".to_owned()]));
        assert_eq!(tally.rows, tally.untested.len() + 2);
    }

    #[test]
    fn the_page_holds_the_table_of_today() {
        let page = fs::read_to_string(run::repo().join(PAGE)).expect("the page");
        let fresh = with_table(&page, corpus()).expect("a table");
        assert!(page == fresh, "`{PAGE}` is not of today: run `cargo xtask corpus`");
    }
}
