//! The gate before a connection: what it would come to now, against what somebody stands for.
//!
//! What is new is recorded as version 1. What is the same or less by the published order ([`widening`]) is recorded and
//! goes on. What is more is recorded as pending, and the connection keeps the version that was accepted before, until a
//! person accepts exactly the version they looked at.

mod kept;
mod withheld;

use anyhow::{Context, Result};
use wharf_domain::ctx::Actor;
use wharf_domain::ids::Digest;
use wharf_sandbox::diff::{Diff, Line, Weight, widening};
use wharf_sandbox::lookalike;
use wharf_sandbox::surface::Surface;
use wharf_store::Db;
use wharf_store::grants::{self, GrantAt, GrantRow, GrantState, NewGrant};

pub(crate) use kept::Kept;
pub(crate) use withheld::Withheld;

/// What a connection would come to, with which adapter file.
pub(crate) struct Asked {
    pub(crate) at: GrantAt,
    pub(crate) digest: Digest,
    pub(crate) surface: Surface,
}

/// Under which version a connection goes on.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// As asked.
    Granted,
    /// Somebody has to decide; until then the accepted version goes on, when there is one.
    Open { open: Open, accepted: Option<Box<GrantRow>> },
}

/// What waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) at: GrantAt,
    /// The version that waits or was refused; absent when the host has to start anew to ask.
    pub(crate) version: Option<i64>,
    pub(crate) refused: bool,
}

impl std::fmt::Display for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = &self.at;
        let Some(version) = self.version else {
            return write!(
                f,
                "less is in force of grant `{at}` than this host's adapter file and configuration ask for; it asks a person \
                 when it is started anew"
            );
        };
        let what = match self.refused {
            true => "was refused, and the adapter file or the configuration still asks for it",
            false => "asks for more than was accepted",
        };
        write!(
            f,
            "version {version} of grant `{at}` {what}; look at it with `wharf grant show {at} --version {version}`, then \
             `wharf grant accept {at} --version {version} --why \"…\"`, or put back what was there before"
        )
    }
}

/// What has to be written, if anything.
#[derive(Debug, PartialEq)]
enum Judged {
    Known,
    Open(Open),
    /// Accepted for this reason, or to be decided about.
    New {
        accepted: Option<String>,
        found: Diff,
    },
}

/// Decides at a start, and records what has to be recorded.
pub(crate) async fn settle(db: &Db, asked: &Asked) -> Result<Verdict> {
    let known = grants::publishers(db).await?;
    let mut tx = db.begin().await?;
    let rows = grants::take(&mut tx, &asked.at).await?;
    let accepted = in_force(&rows).cloned();
    let open = match judge(&rows, asked, &known)? {
        Judged::Known => return Ok(Verdict::Granted),
        Judged::Open(open) => open,
        Judged::New { accepted: why, found } => {
            let manifest = &asked.surface.manifest;
            let weight = serde_json::to_value(found.weight)?;
            let new = NewGrant {
                adapter: &manifest.name,
                adapter_version: &manifest.version,
                publisher: &manifest.publisher,
                digest: &asked.digest,
                surface: &serde_json::to_value(&asked.surface)?,
                against: accepted.as_ref().map(|row| row.version),
                weight: weight.as_str().unwrap_or_default(),
                changes: &serde_json::to_value(&found.lines)?,
                accepted: why.as_deref(),
            };
            let version = grants::record(&mut tx, &configuration(), &asked.at, &new).await?;
            tx.commit().await?;
            if why.is_some() {
                return Ok(Verdict::Granted);
            }
            Open { at: asked.at.clone(), version: Some(version), refused: false }
        }
    };
    Ok(Verdict::Open { open, accepted: accepted.map(Box::new) })
}

/// Decides while a host runs, and records nothing: two hosts that ask for different things would take each other's
/// question back for ever.
pub(crate) async fn settled(db: &Db, asked: &Asked) -> Result<Verdict> {
    let (known, rows) = (grants::publishers(db).await?, grants::history(db, &asked.at).await?);
    let open = match judge(&rows, asked, &known)? {
        Judged::Known | Judged::New { accepted: Some(_), .. } => return Ok(Verdict::Granted),
        Judged::Open(open) => open,
        Judged::New { accepted: None, .. } => Open { at: asked.at.clone(), version: None, refused: false },
    };
    Ok(Verdict::Open { open, accepted: in_force(&rows).cloned().map(Box::new) })
}

/// Who asks: the file an operator writes.
fn configuration() -> Actor {
    Actor::Host("configuration".to_owned())
}

/// What a start would have to ask a person; nothing when it goes on as asked. Records nothing.
pub(crate) async fn look(db: &Db, asked: &Asked) -> Result<Option<String>> {
    let (known, rows) = (grants::publishers(db).await?, grants::history(db, &asked.at).await?);
    Ok(match judge(&rows, asked, &known)? {
        Judged::Open(open) => Some(open.to_string()),
        Judged::New { accepted: None, found } => {
            let mut more = found.lines.iter().filter(|line| line.weight > Weight::Narrower);
            let first = more.next().map(|line| format!("{} {}", line.group, line.what)).unwrap_or_default();
            let others = match more.count() {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            let at = &asked.at;
            Some(format!("`{at}` will ask for more than was accepted ({first}{others}), and waits for a person then"))
        }
        Judged::Known | Judged::New { .. } => None,
    })
}

/// The surface a record holds.
pub(crate) fn surface(at: &GrantAt, row: &GrantRow) -> Result<Surface> {
    let unreadable = || format!("version {} of grant `{at}` was written by a newer wharf; start that one", row.version);
    serde_json::from_value(row.surface.clone()).with_context(unreadable)
}

/// The newest accepted version.
fn in_force(rows: &[GrantRow]) -> Option<&GrantRow> {
    rows.iter().rev().find(|row| row.state == GrantState::Accepted)
}

/// The decision, from the records and the publishers this database knows. A file that was accepted once and is no wider
/// than what is in force needs no new record: hosts of one database may run an old and a new version side by side while
/// files are replaced.
fn judge(rows: &[GrantRow], Asked { at, digest, surface: asked }: &Asked, publishers: &[String]) -> Result<Judged> {
    let same = |row: &GrantRow| -> Result<bool> { Ok(row.digest == *digest && surface(at, row)? == *asked) };
    let mut found = Diff { weight: Weight::Narrower, lines: Vec::new() };
    let Some(ceiling) = in_force(rows) else {
        taken_for_another(&mut found, asked, publishers);
        if found.weight == Weight::Narrower {
            return Ok(Judged::New { accepted: Some("the first version of this connection".to_owned()), found });
        }
        return ask(rows, at, same, found);
    };
    if same(ceiling)? {
        return Ok(Judged::Known);
    }
    found = widening(&surface(at, ceiling)?, asked);
    taken_for_another(&mut found, asked, publishers);
    if found.weight == Weight::Narrower {
        for row in rows.iter().filter(|row| row.state == GrantState::Accepted) {
            if same(row)? {
                return Ok(Judged::Known);
            }
        }
        let why = format!("the same as version {} or less", ceiling.version);
        return Ok(Judged::New { accepted: Some(why), found });
    }
    ask(rows, at, same, found)
}

/// A person has to decide, and is asked once.
fn ask(rows: &[GrantRow], at: &GrantAt, same: impl Fn(&GrantRow) -> Result<bool>, found: Diff) -> Result<Judged> {
    match rows.last() {
        Some(last) if matches!(last.state, GrantState::Pending | GrantState::Refused) && same(last)? => {
            let refused = last.state == GrantState::Refused;
            Ok(Judged::Open(Open { at: at.clone(), version: Some(last.version), refused }))
        }
        _ => Ok(Judged::New { accepted: None, found }),
    }
}

/// A publisher whose name would be taken for another one's, which somebody has accepted, is nobody's by itself.
fn taken_for_another(found: &mut Diff, asked: &Surface, publishers: &[String]) {
    let name = &asked.manifest.publisher;
    if let Some(other) = lookalike::like(name, publishers) {
        let what = format!("`{name}`, written `{}`, looks like `{other}`", lookalike::spelled(name));
        let means = "it is another name: what you think of the one says nothing about the other".to_owned();
        found.lines.insert(0, Line { weight: Weight::WiderHigh, group: "lookalike publisher", what, means });
        found.weight = found.weight.max(Weight::WiderHigh);
    }
}

#[cfg(test)]
mod tests;
