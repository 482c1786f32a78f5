//! Removing what is old: a little at a time, and nothing that something unfinished still refers to.
//!
//! One call looks at a bounded number of rows by age, removes those nobody needs in one transaction, and says where to
//! go on. Effects, their history and the audit are never removed here: a business key counts for ever, and what happened
//! is not forgotten.

use serde_json::json as value;
use wharf_domain::time::Timestamp;

use crate::db::Db;
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Row, Text, query};

/// No transaction looks at more rows than this.
pub const BATCH: u32 = 1_000;

/// What goes by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// Finished jobs of a flow, with their attempts.
    FlowJobs,
    /// Finished jobs without a flow: what only kept the house going.
    QuickJobs,
    /// Recorded exchanges with partners.
    Tapes,
    /// Facts that arrived. One that goes can be told again as if it were new.
    Events,
    /// Ticks that were fired.
    Ticks,
}

/// Where the next call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    at: i64,
    /// Among rows of the same moment.
    key: String,
}

/// What one call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    pub removed: u64,
    /// Absent: everything old enough was looked at.
    pub next: Option<Place>,
}

/// Looks at up to [`BATCH`] rows older than `before`, from `from` on, and removes what nobody needs:
/// - a job of a flow that is in none of the `closed` states stays, with its attempts and facts;
/// - a job stays while one of its effects is not settled;
/// - a tape stays while its job is not over, or one of its effects is not settled.
pub async fn sweep(
    db: &Db,
    what: Old,
    before: Timestamp,
    closed: &[&str],
    from: Option<Place>,
) -> Result<Swept, StoreError> {
    let from = from.unwrap_or(Place { at: i64::MIN, key: String::new() });
    let closed: Vec<_> = closed.iter().map(|status| value!([status])).collect();
    let mut tx = db.begin().await?;
    let rows = query(what.look())
        .bind(json(&closed)?)
        .bind(before.millis())
        .bind(from.at)
        .bind(&from.key)
        .bind(i64::from(BATCH))
        .fetch_all(tx.conn())
        .await?;
    let mut gone = Vec::new();
    for row in &rows {
        let cols = Cols(row);
        if cols.int("kept")? == 0 {
            gone.push(value!([cols.text("sort_key")?, cols.int("age")?]));
        }
    }
    let removed = u64::try_from(gone.len()).unwrap_or(u64::MAX);
    if gone.is_empty() {
        drop(tx);
    } else {
        let gone = json(&gone)?;
        for text in what.remove() {
            query(text).bind(&gone).execute(tx.conn()).await?;
        }
        tx.commit().await?;
    }
    let full = rows.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| full).map(place).transpose()?;
    Ok(Swept { removed, next })
}

fn place(row: &Row) -> Result<Place, StoreError> {
    Ok(Place { at: Cols(row).int("age")?, key: Cols(row).text("sort_key")? })
}

impl Old {
    fn look(self) -> &'static Text {
        match self {
            Self::FlowJobs => &LOOK_FLOW_JOBS,
            Self::QuickJobs => &LOOK_QUICK_JOBS,
            Self::Tapes => &LOOK_TAPES,
            Self::Events => &LOOK_EVENTS,
            Self::Ticks => &LOOK_TICKS,
        }
    }

    fn remove(self) -> Vec<&'static Text> {
        match self {
            Self::FlowJobs | Self::QuickJobs => vec![&REMOVE_ATTEMPTS, &REMOVE_JOBS],
            Self::Tapes => vec![&REMOVE_TAPES],
            Self::Events => vec![&REMOVE_EVENTS],
            Self::Ticks => vec![&REMOVE_TICKS],
        }
    }
}

/// Rows by age and key; `kept` is 1 when something unfinished refers to the row. `$1`: states of closed flows, `$2`:
/// before, `$3` and `$4`: the place, `$5`: how many.
macro_rules! look {
    ($table:literal, $age:literal, $key:literal, $only:literal, $kept:expr) => {
        Text::new(concat!(
            "SELECT ",
            $age,
            " AS age, ",
            $key,
            " AS sort_key, CAST(CASE WHEN ",
            $kept,
            " THEN 1 ELSE 0 END AS BIGINT) AS kept FROM ",
            $table,
            " o WHERE ",
            $age,
            " < $2 AND ",
            $age,
            " >= $3 AND (",
            $age,
            " > $3 OR ",
            $key,
            " > $4) AND $1 <> '' AND ",
            $only,
            " ORDER BY 1, 2 LIMIT $5"
        ))
    };
}

/// An effect in any other state than these may still be asked about.
macro_rules! open_effect {
    ($job:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM effect x WHERE x.job = ",
            $job,
            " AND x.state NOT IN ('succeeded', 'rejected', 'resolved-happened', 'abandoned', 'compensated'))"
        )
    };
}

macro_rules! live_flow {
    () => {
        "EXISTS (SELECT 1 FROM flow f WHERE f.tenant = o.tenant AND f.flow_key = o.flow \
         AND f.status NOT IN (SELECT e.value ->> 0 FROM {each}))"
    };
}

static LOOK_FLOW_JOBS: Text = look!(
    "job_done",
    "o.finished_at",
    "o.id",
    "o.flow IS NOT NULL",
    concat!(live_flow!(), " OR ", open_effect!("o.id"))
);
static LOOK_QUICK_JOBS: Text = look!("job_done", "o.finished_at", "o.id", "o.flow IS NULL", open_effect!("o.id"));
static LOOK_TAPES: Text = look!(
    "tape",
    "o.at",
    "CAST(o.seq AS TEXT)",
    "1 = 1",
    concat!("EXISTS (SELECT 1 FROM job j WHERE j.id = o.job) OR ", open_effect!("o.job"))
);
static LOOK_EVENTS: Text = look!("event", "o.received_at", "o.id", "1 = 1", live_flow!());
static LOOK_TICKS: Text = look!(
    "schedule_tick",
    "o.fired_at",
    "o.tenant || '/' || o.schedule || '/' || CAST(o.tick AS TEXT)",
    "1 = 1",
    // The one that is its schedule's last stands for all before it.
    "EXISTS (SELECT 1 FROM schedule s WHERE s.tenant = o.tenant AND s.name = o.schedule AND s.last_tick = o.tick)"
);

static REMOVE_JOBS: Text = Text::new("DELETE FROM job_done WHERE id IN (SELECT e.value ->> 0 FROM {each})");
static REMOVE_ATTEMPTS: Text = Text::new("DELETE FROM job_attempt WHERE job IN (SELECT e.value ->> 0 FROM {each})");
static REMOVE_TAPES: Text =
    Text::new("DELETE FROM tape WHERE seq IN (SELECT CAST(e.value ->> 0 AS BIGINT) FROM {each})");
static REMOVE_EVENTS: Text = Text::new("DELETE FROM event WHERE id IN (SELECT e.value ->> 0 FROM {each})");
// By age first: that has an index.
static REMOVE_TICKS: Text = Text::new(
    "DELETE FROM schedule_tick WHERE fired_at IN (SELECT CAST(e.value ->> 1 AS BIGINT) FROM {each}) \
     AND tenant || '/' || schedule || '/' || CAST(tick AS TEXT) IN (SELECT e.value ->> 0 FROM {each})",
);

#[cfg(test)]
mod tests;
