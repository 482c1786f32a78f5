//! The repository as text, read once, and what a rule says about a line of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Folders that hold no source.
const SKIPPED: &[&str] = &["target", "target-guests", ".git", "node_modules", "__pycache__"];
/// Files that are read; everything else (pictures, wasm) is left alone.
const READ: &[&str] = &["rs", "toml", "md", "sql", "wit", "wat", "py", "js", "ts", "sh", "json", "yaml", "yml"];

/// Paths relative to the root, parted by `/`, with their text.
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// The repository this test was compiled in.
    pub(crate) fn repository() -> Self {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let mut files = BTreeMap::new();
        read(root, "", &mut files);
        Self(files)
    }

    /// A made-up repository.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Files whose path starts with `prefix`.
    pub(crate) fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let files = self.0.range(prefix.to_owned()..).take_while(move |(path, _)| path.starts_with(prefix));
        files.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Files under any of the prefixes with this ending.
    pub(crate) fn files(&self, prefixes: &[&str], ending: &str) -> Vec<(&str, &str)> {
        let all = prefixes.iter().flat_map(|prefix| self.under(prefix));
        all.filter(|(path, _)| path.ends_with(ending)).collect()
    }

    /// The folders directly below `prefix` (which ends with `/`).
    pub(crate) fn folders(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .under(prefix)
            .filter_map(|(path, _)| path[prefix.len()..].split_once('/'))
            .map(|(folder, _)| folder.to_owned())
            .collect();
        names.dedup();
        names
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path) || self.under(&format!("{path}/")).next().is_some()
    }
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a folder entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                read(&path, &format!("{prefix}{name}/"), files);
            }
        } else if path.extension().is_some_and(|ending| READ.iter().any(|read| ending == *read))
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            files.insert(format!("{prefix}{name}"), text);
        }
    }
}

/// One breach of a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
    remedy: &'static str,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// The places of the findings, e.g. `host/api/src/lib.rs:3`. What the tests of the rules compare.
#[cfg(test)]
pub(crate) fn places(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{}:{}", f.path, f.line)).collect()
}
