//! What a host did, as it saw it: one line before and one after each thing that matters.
//!
//! Each run of a host has a file of its own, because the last line of a killed one may be cut off. A line is written
//! with one call, so it survives the process; it need not survive the machine. Something that has no line "after" may
//! or may not have happened.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::fate::Point;
use crate::order::Order;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase", deny_unknown_fields)]
pub enum Line {
    /// The order is about to be accepted.
    Invoke { order: Order },
    /// It is accepted: committed.
    Ok { order: Order },
    /// It is not accepted; nothing of it is stored.
    Fail { order: Order, why: String },
    /// Nobody knows whether it is accepted.
    Info { order: Order, why: String },
    /// A call that changes something is about to be made, under a fence of its job.
    Send { order: String, fence: i64 },
    /// It ended.
    Heard { order: String, fence: i64, said: Said },
    /// The host ends itself while it works on this order; absent where the point does not know it.
    Died { order: Option<String>, point: Point },
}

/// What a call that ended says about its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// The partner did it, and that is written down.
    Happened,
    /// It was not sent, or refused: nothing was done.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// The file one run writes.
pub struct Writer(File);

impl Writer {
    /// Begins `<host>.<run>.jsonl` in the folder; the run is the first that has no file yet.
    pub fn begin(folder: &Path, host: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
        for run in 1..u32::MAX {
            let path = folder.join(format!("{host}.{run:06}.jsonl"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self(file)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("failed to create `{}`", path.display())),
            }
        }
        anyhow::bail!("`{}` has a file for every run there can be", folder.display())
    }

    /// The host cannot go on without its history: what is not written down cannot be checked.
    pub fn write(&self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).context("failed to write a line of the history")?;
        text.push('\n');
        (&self.0).write_all(text.as_bytes()).context("failed to write the history")
    }
}

/// Every line of every run, hosts and runs in the order of their names; with `host`, only its own.
pub fn read(folder: &Path, host: Option<&str>) -> Result<Vec<Line>> {
    let mut paths = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))? {
            paths.push(entry?.path());
        }
    }
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if host.is_some_and(|host| !name.starts_with(&format!("{host}."))) {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        lines.extend(parse(&text).with_context(|| format!("in `{}`", path.display()))?);
    }
    Ok(lines)
}

/// A last line without its end was cut off by a kill and says nothing.
fn parse(text: &str) -> Result<Vec<Line>> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _cut_off)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no line of a history: `{line}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_its_file_and_a_line_that_was_cut_off_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let order = Order::at("a", 0, 1, 1);
        Writer::begin(folder.path(), "a").unwrap().write(&Line::Invoke { order: order.clone() }).unwrap();
        let second = Writer::begin(folder.path(), "a").unwrap();
        second.write(&Line::Ok { order: order.clone() }).unwrap();
        (&second.0).write_all(b"{\"event\":\"invoke\",\"ord").unwrap();
        let other = Line::Send { order: "b".to_owned(), fence: 1 };
        Writer::begin(folder.path(), "b").unwrap().write(&other).unwrap();
        let own = [Line::Invoke { order: order.clone() }, Line::Ok { order }];
        assert_eq!(read(folder.path(), Some("a")).unwrap(), own);
        assert_eq!(read(folder.path(), None).unwrap().len(), 3);
        assert!(parse("nonsense\n").is_err(), "a whole line that cannot be read is no accident");
    }
}
