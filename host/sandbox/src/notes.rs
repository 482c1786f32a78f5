//! What adapters tried and were refused, and how their calls ended: counted, and written to the audit.
//!
//! A guest can be denied thousands of times a second, and must not be able to flood the audit: the same thing within one
//! minute is one line, written when it first happens, and one more with the count when the minute is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;
use wharf_store::{Db, StoreError, audit};

/// One thing to write down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    pub tenant: TenantId,
    pub connection: String,
    /// The adapter's digest; empty for none.
    pub adapter: String,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// `target`: a host, a key's length, never a whole URL or a value.
    Denied {
        capability: &'static str,
        rule: String,
        target: String,
    },
    Limit {
        name: String,
    },
    /// The call ended by the adapter's own fault: the fault's code, e.g. `trap.compute`.
    Trap {
        kind: String,
    },
    /// Its calls wait from here on.
    Quarantined,
}

impl What {
    fn action(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "adapter.denied",
            Self::Limit { .. } => "adapter.limited",
            Self::Trap { .. } => "adapter.trapped",
            Self::Quarantined => "adapter.quarantined",
        }
    }

    /// The counter's name and label: few, so that no guest can make many.
    fn counter(&self) -> (&'static str, String) {
        match self {
            Self::Denied { capability, rule, .. } => ("denials_total", format!("{capability},{rule}")),
            Self::Limit { name } => ("limit_hits_total", name.clone()),
            Self::Trap { kind } => ("adapter_traps_total", kind.clone()),
            Self::Quarantined => ("quarantines_total", String::new()),
        }
    }
}

const MINUTE_MS: i64 = 60_000;
/// Different things remembered at once; further ones are written without being folded into a target.
const MOST: usize = 10_000;
/// How often counts of minutes that are over are written.
const LOOK: Duration = Duration::from_secs(15);

/// Lines to write: the note, and how often it happened.
type Lines = Vec<(Note, u64)>;

/// Folds what is the same within a minute.
#[derive(Default)]
struct Fold(BTreeMap<Note, (i64, u64)>);

impl Fold {
    /// The line to write now; `None` when this minute has one already.
    fn add(&mut self, mut note: Note, now: Timestamp) -> Option<(Note, u64)> {
        let minute = now.millis().div_euclid(MINUTE_MS);
        if self.0.len() >= MOST
            && !self.0.contains_key(&note)
            && let What::Denied { target, .. } = &mut note.what
        {
            "others".clone_into(target);
        }
        match self.0.get_mut(&note) {
            Some((at, more)) if *at == minute => {
                *more += 1;
                None
            }
            found => {
                let owed = found.map_or(0, |(_, more)| *more);
                self.0.insert(note.clone(), (minute, 0));
                Some((note, owed + 1))
            }
        }
    }

    /// What happened more often than was written, in minutes that are over. Those are forgotten.
    fn over(&mut self, now: Timestamp) -> Lines {
        let minute = now.millis().div_euclid(MINUTE_MS);
        let over: Vec<Note> = self.0.iter().filter(|(_, (at, _))| *at < minute).map(|(note, _)| note.clone()).collect();
        let counted = over.into_iter().filter_map(|note| self.0.remove(&note).map(|(_, more)| (note, more)));
        counted.filter(|(_, more)| *more > 0).collect()
    }
}

/// Counts and writes.
#[derive(Default)]
pub(crate) struct Notes {
    fold: Mutex<Fold>,
    counts: Mutex<BTreeMap<(&'static str, String), u64>>,
    db: Option<Db>,
}

impl Notes {
    /// Without a database things are counted and nothing is written.
    pub(crate) fn new(db: Option<Db>) -> Arc<Self> {
        Arc::new(Self { db, ..Self::default() })
    }

    pub(crate) async fn note(&self, note: Note, now: Timestamp) {
        let counter = note.what.counter();
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(counter).or_default() += 1;
        let line = self.fold.lock().unwrap_or_else(PoisonError::into_inner).add(note, now);
        self.write(line.into_iter().collect()).await;
    }

    /// How often each thing has happened, by counter and label, since the start.
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, String), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes counts of minutes that are over, for as long as anybody makes notes.
    pub(crate) async fn keep_up(notes: Weak<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(notes) = notes.upgrade() else { return };
            if let Some(db) = &notes.db {
                let over = notes.fold.lock().unwrap_or_else(PoisonError::into_inner).over(db.now());
                notes.write(over).await;
            }
        }
    }

    async fn write(&self, lines: Lines) {
        let (Some(db), false) = (&self.db, lines.is_empty()) else { return };
        if let Err(error) = append(db, &lines).await {
            tracing::error!("failed to write down what adapters were refused: {error}; first: {:?}", lines[0].0.what);
        }
    }
}

async fn append(db: &Db, lines: &Lines) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    for (note, count) in lines {
        let actor = Actor::Host(format!("adapter/{}", note.connection));
        let detail = match &note.what {
            What::Denied { capability, rule, target } => {
                json!({ "capability": capability, "rule": rule, "target": target, "count": count, "adapter": note.adapter })
            }
            What::Limit { name } => json!({ "limit": name, "count": count, "adapter": note.adapter }),
            What::Trap { kind } => json!({ "kind": kind, "count": count, "adapter": note.adapter }),
            What::Quarantined => json!({ "adapter": note.adapter }),
        };
        let object = format!("connection/{}", note.connection);
        audit::append(&mut tx, &actor, &note.tenant, note.what.action(), &object, &detail).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(target: &str) -> Note {
        Note {
            tenant: TenantId::parse("t").expect("tenant"),
            connection: "c".to_owned(),
            adapter: String::new(),
            what: What::Denied { capability: "http", rule: "port".to_owned(), target: target.to_owned() },
        }
    }

    #[test]
    fn the_same_thing_within_a_minute_is_one_line_and_its_count_another() {
        let (mut fold, at) = (Fold::default(), Timestamp::from_millis);
        assert_eq!(fold.add(denied("a"), at(0)), Some((denied("a"), 1)));
        for ms in 1..1_000 {
            assert_eq!(fold.add(denied("a"), at(ms)), None);
        }
        assert_eq!(fold.add(denied("b"), at(5)), Some((denied("b"), 1)), "another target is another line");
        assert_eq!(fold.over(at(59_999)), []);
        assert_eq!(fold.over(at(60_000)), [(denied("a"), 999)], "`b` has its line already");
        assert_eq!(fold.over(at(120_000)), []);
        assert_eq!(fold.add(denied("a"), at(120_000)), Some((denied("a"), 1)));
        fold.add(denied("a"), at(120_001));
        assert_eq!(fold.add(denied("a"), at(180_000)), Some((denied("a"), 2)), "nobody looked meanwhile");
    }

    #[test]
    fn a_guest_that_makes_up_targets_makes_no_more_lines() {
        let mut fold = Fold::default();
        let now = Timestamp::from_millis(0);
        let lines = (0..3 * MOST).filter(|n| fold.add(denied(&n.to_string()), now).is_some()).count();
        assert_eq!(lines, MOST + 1);
        assert_eq!(fold.0.len(), MOST + 1);
    }
}
