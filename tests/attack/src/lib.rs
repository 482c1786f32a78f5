//! The attack corpus: what may be tried, and what must come of it. Tests take from here what to expect.

#![expect(clippy::expect_used, reason = "a corpus that cannot be read fails every test that asks for it")]

use std::sync::OnceLock;

use serde::Deserialize;

/// The whole corpus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    pub group: Vec<Group>,
    pub row: Vec<Row>,
}

/// Rows of one letter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `A` and so on.
    pub id: String,
    pub name: String,
}

/// One behaviour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// e.g. `A1`. Its tests' names begin with it, in lower case.
    pub id: String,
    pub tries: String,
    pub ends: String,
    /// Codes of which a test must see one; empty while nothing is written down.
    pub expect: Vec<String>,
    /// The counter that grows when a guest tries it, e.g. `denials_total`.
    #[serde(default)]
    pub counter: Option<String>,
    /// What the audit says of it, e.g. `adapter.denied`.
    #[serde(default)]
    pub audit: Option<String>,
}

/// The corpus of this source tree.
pub fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(|| toml::from_str(include_str!("../corpus.toml")).expect("the corpus can be read"))
}

impl Corpus {
    /// The row of that id.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.row.iter().find(|row| row.id == id)
    }

    /// The table of docs/SECURITY.md.
    pub fn table(&self) -> String {
        let cell = |text: &str| text.replace('|', "\\|");
        let mut out = String::new();
        for group in &self.group {
            out.push_str(&format!(
                "\n### {}. {}\n\n| | tries | ends | code | counted, in the audit |\n|---|---|---|---|---|\n",
                group.id, group.name
            ));
            for row in self.row.iter().filter(|row| row.id.starts_with(&group.id)) {
                let codes: Vec<String> = row.expect.iter().map(|code| format!("`{code}`")).collect();
                let (tries, ends) = (cell(&row.tries), cell(&row.ends));
                let shown: Vec<String> = row.counter.iter().chain(&row.audit).map(|name| format!("`{name}`")).collect();
                out.push_str(&format!(
                    "| {} | {tries} | {ends} | {} | {} |\n",
                    row.id,
                    codes.join(", "),
                    shown.join(", ")
                ));
            }
        }
        out
    }
}

/// Panics unless `code` is one the row `id` names.
pub fn assert_as_written(id: &str, code: &str) {
    let row = corpus().row(id).unwrap_or_else(|| panic!("the corpus has no row `{id}`"));
    assert!(
        row.expect.iter().any(|expected| expected == code),
        "{id} ({}): `{code}` and not {:?}",
        row.tries,
        row.expect
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_belongs_to_a_group_and_is_there_once() {
        let corpus = corpus();
        for (index, row) in corpus.row.iter().enumerate() {
            assert!(corpus.group.iter().any(|group| row.id.starts_with(&group.id)), "{}", row.id);
            assert!(corpus.row[..index].iter().all(|other| other.id != row.id), "{} twice", row.id);
            assert!(!row.tries.is_empty() && !row.ends.is_empty(), "{}", row.id);
        }
        assert!(corpus.table().contains("| A1 |"));
    }
}
