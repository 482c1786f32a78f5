//! Adding a job to its lane.
//!
//! The first of a lane holds it (`head`), and a unique index lets only one do so. Whoever adds behind it locks it
//! first, and whoever finishes it changes it: so either the newcomer is seen by the one that finishes and moved up, or
//! it finds the lane free. That needs no lock on a lane that is empty, and none at all with one writer.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{FlowKey, JobId};
use wharf_domain::time::Timestamp;

use super::{NewJob, lane};
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Text, query};

/// What [`enqueue`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The new job, or the waiting one that took the new payload over.
    pub id: JobId,
    pub coalesced: bool,
}

/// Jobs that cause jobs that cause jobs: no deeper than this.
pub const MOST_DEPTH: u32 = 8;
/// Jobs of one tenant and source that wait or run: no more than this. What is parked does not count.
pub const MOST_PENDING: u32 = 10_000;
const SHORTEST_TIMER_MS: i64 = 60_000;
const LONGEST_TIMER_MS: i64 = 400 * 24 * 3_600_000;
/// Somebody else takes the lane between two looks at it; more often than this it is no coincidence.
const MOST_LOOKS: u32 = 20;

/// Adds a job, to be run after the transaction commits. With a `coalesce_key`, a job of the same tenant and key that no
/// worker has ever claimed takes the new payload, flow and deadline over instead, keeps its place, and runs at the
/// earlier of the two times with the higher of the two priorities.
///
/// Fails with [`StoreError::TooDeep`] on a job that more than eight others have caused one after the other, with
/// [`StoreError::TooManyFollow`] when the job that is being finished has caused too many, with [`StoreError::Crowded`]
/// when its source has too many waiting, and with [`StoreError::Timer`] when its source asks for a time out of range.
pub async fn enqueue(tx: &mut Tx, actor: &Actor, job: &NewJob) -> Result<Enqueued, StoreError> {
    if job.depth > MOST_DEPTH {
        return Err(StoreError::TooDeep { kind: job.kind.clone(), most: MOST_DEPTH });
    }
    check_timer(job, tx.now())?;
    tx.count_follower()?;
    tx.mark_enqueued();
    let id = JobId::mint(tx.ids(), tx.now());
    for _ in 0..MOST_LOOKS {
        if let Some(id) = coalesce(tx, job).await? {
            return Ok(Enqueued { id, coalesced: true });
        }
        check_room(tx, job).await?;
        let first = job.lane.is_none() || !lane::lock(tx, &job.tenant, job.lane.as_deref()).await?;
        if insert(tx, actor, job, &id, first).await? {
            return Ok(Enqueued { id, coalesced: false });
        }
    }
    Err(StoreError::Conflict)
}

/// Timers of an adapter's own wish; the host's may be shorter, because it is not a stranger.
fn check_timer(job: &NewJob, now: Timestamp) -> Result<(), StoreError> {
    let (Some(source), Some(at)) = (&job.source, job.run_at.filter(|at| *at > now)) else {
        return Ok(());
    };
    if (SHORTEST_TIMER_MS..=LONGEST_TIMER_MS).contains(&at.since(now)) {
        return Ok(());
    }
    Err(StoreError::Timer { source_name: source.clone(), asked: at, rule: "60 seconds to 400 days from now" })
}

/// Hosts that enqueue at the same moment may together pass the limit by what they add at once: it keeps a flood out, it
/// does not count drops.
async fn check_room(tx: &mut Tx, job: &NewJob) -> Result<(), StoreError> {
    let Some(source) = &job.source else {
        return Ok(());
    };
    let row = query(
        "SELECT COUNT(*) AS jobs FROM (SELECT 1 AS one FROM job WHERE tenant = $1 AND source = $2 \
         AND source IS NOT NULL AND state <> 'parked' LIMIT $3) pending",
    )
    .bind(job.tenant.as_str())
    .bind(source)
    .bind(i64::from(MOST_PENDING))
    .fetch_one(tx.conn())
    .await?;
    if Cols(&row).int("jobs")? < i64::from(MOST_PENDING) {
        return Ok(());
    }
    Err(StoreError::Crowded { tenant: job.tenant.clone(), source_name: source.clone(), most: MOST_PENDING })
}

/// The id of the job that took the new one over, if any.
async fn coalesce(tx: &mut Tx, job: &NewJob) -> Result<Option<JobId>, StoreError> {
    let Some(key) = &job.coalesce_key else {
        return Ok(None);
    };
    let now = tx.now();
    let row = query(
        "UPDATE job SET payload = $3, flow = $4, deadline = $5, updated_at = $8, \
         priority = CASE WHEN $6 > priority THEN $6 ELSE priority END, \
         run_at = CASE WHEN $7 < run_at THEN $7 ELSE run_at END \
         WHERE tenant = $1 AND coalesce_key = $2 AND fence = 0 AND state IN ('waiting', 'queued', 'ready') \
         RETURNING id",
    )
    .bind(job.tenant.as_str())
    .bind(key)
    .bind(json(&job.payload)?)
    .bind(job.flow.as_ref().map(FlowKey::as_str))
    .bind(job.deadline.map(Timestamp::millis))
    .bind(job.priority)
    .bind(job.run_at.unwrap_or(now).millis())
    .bind(now.millis())
    .fetch_optional(tx.conn())
    .await?;
    row.as_ref().map(|row| Cols(row).job("id")).transpose()
}

/// False when somebody else was faster: in holding the lane, or under the same coalesce key.
async fn insert(tx: &mut Tx, actor: &Actor, job: &NewJob, id: &JobId, first: bool) -> Result<bool, StoreError> {
    let now = tx.now();
    let run_at = job.run_at.unwrap_or(now);
    let state = match first {
        true if run_at > now => "waiting",
        true => "ready",
        false => "queued",
    };
    let inserted = query(
        "INSERT INTO job (id, tenant, lane, kind, payload, flow, state, head, urgent, strict, priority, run_at, attempt, \
         max_attempts, fence, deadline, coalesce_key, depth, actor, created_at, updated_at, source) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, 0, $14, $15, $16, $17, $18, $18, $19) \
         ON CONFLICT DO NOTHING",
    )
    .bind(id.to_string())
    .bind(job.tenant.as_str())
    .bind(&job.lane)
    .bind(&job.kind)
    .bind(json(&job.payload)?)
    .bind(job.flow.as_ref().map(FlowKey::as_str))
    .bind(state)
    .bind(i64::from(first))
    .bind(i64::from(job.urgent))
    .bind(i64::from(job.strict))
    .bind(job.priority)
    .bind(run_at.millis())
    .bind(i64::from(job.max_attempts))
    .bind(job.deadline.map(Timestamp::millis))
    .bind(&job.coalesce_key)
    .bind(i64::from(job.depth))
    .bind(actor.to_string())
    .bind(now.millis())
    .bind(&job.source)
    .execute(tx.conn())
    .await?;
    Ok(inserted == 1)
}

static INSERT_MANY: Text = Text::new(
    "INSERT INTO job (id, tenant, lane, kind, payload, flow, state, head, urgent, strict, priority, run_at, attempt, \
     max_attempts, fence, deadline, depth, actor, created_at, updated_at) \
     SELECT e.value ->> 0, e.value ->> 1, NULL, e.value ->> 2, e.value ->> 3, e.value ->> 4, \
     CASE WHEN CAST(e.value ->> 8 AS BIGINT) > $3 THEN 'waiting' ELSE 'ready' END, 1, CAST(e.value ->> 5 AS BIGINT), \
     CAST(e.value ->> 6 AS BIGINT), CAST(e.value ->> 7 AS BIGINT), CAST(e.value ->> 8 AS BIGINT), 0, \
     CAST(e.value ->> 9 AS BIGINT), 0, CAST(e.value ->> 10 AS BIGINT), CAST(e.value ->> 11 AS BIGINT), $2, $3, $3 \
     FROM {each}",
);

/// Adds many jobs that are ordered with nothing, with one statement. Their ids, in the order given.
///
/// Fails with [`StoreError::NotUnordered`] when one of them has a lane, a coalesce key or a source, and like [`enqueue`].
pub async fn enqueue_unordered(tx: &mut Tx, actor: &Actor, jobs: &[NewJob]) -> Result<Vec<JobId>, StoreError> {
    let now = tx.now();
    let mut ids = Vec::with_capacity(jobs.len());
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        if job.lane.is_some() || job.coalesce_key.is_some() || job.source.is_some() {
            return Err(StoreError::NotUnordered { kind: job.kind.clone() });
        }
        if job.depth > MOST_DEPTH {
            return Err(StoreError::TooDeep { kind: job.kind.clone(), most: MOST_DEPTH });
        }
        tx.count_follower()?;
        let id = JobId::mint(tx.ids(), now);
        let (flow, payload) = (job.flow.as_ref().map(FlowKey::as_str), json(&job.payload)?);
        rows.push(value!([
            id.to_string(),
            job.tenant.as_str(),
            job.kind,
            payload,
            flow,
            i64::from(job.urgent),
            i64::from(job.strict),
            job.priority,
            job.run_at.unwrap_or(now).millis(),
            job.max_attempts,
            job.deadline.map(Timestamp::millis),
            job.depth,
        ]));
        ids.push(id);
    }
    query(&INSERT_MANY).bind(json(&rows)?).bind(actor.to_string()).bind(now.millis()).execute(tx.conn()).await?;
    tx.mark_enqueued();
    Ok(ids)
}
