//! Who works on what: claims.
//!
//! A claim is one short transaction. It first lets time do its work (what is due becomes ready, leases that ran out are
//! given up, a deadline that comes near makes a job urgent), each step only when there is something to do. Then it takes
//! urgent jobs, then others, tenants in turn, by index alone: what waits behind costs nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use serde_json::json as value;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;

use super::turns::{self, Share, Turn};
use super::{Job, read};
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Query, Row, Text, query};

/// A job with a deadline becomes urgent this long before it.
const URGENT_BEFORE_MS: i64 = 30 * 60_000;
/// How many rows one step of time moves at most in one claim; the next claim goes on.
const STEP: i64 = 1_000;
/// How long a worker goes by the shares it has read.
const SHARES_MS: i64 = 5_000;
/// With more tenants than this, one statement takes one job of each.
const FEW: usize = 8;

/// One worker's way to jobs. It remembers whose turn was last.
#[derive(Debug)]
pub struct Claimer {
    worker: String,
    lease_ms: i64,
    last: [String; 2],
    shares: BTreeMap<String, Share>,
    shares_read: Option<Timestamp>,
}

impl Claimer {
    /// `lease_ms`: how long a job is safe from others without a heartbeat.
    pub fn new(worker: impl Into<String>, lease_ms: i64) -> Self {
        let (last, shares) = ([String::new(), String::new()], BTreeMap::new());
        Self { worker: worker.into(), lease_ms, last, shares, shares_read: None }
    }

    /// Takes up to `limit` jobs, at most `ordinary` of them not urgent. Each starts a new attempt under a new fence.
    /// Empty when there is nothing to do.
    pub async fn claim(&mut self, db: &Db, limit: usize, ordinary: usize) -> Result<Vec<Job>, StoreError> {
        let mut tx = db.begin().await?;
        let clock = let_time_pass(&mut tx).await?;
        self.read_shares(&mut tx).await?;
        let taking = Taking { worker: &self.worker, lease_ms: self.lease_ms, now: clock.now };
        let mut jobs = Vec::new();
        for urgent in [true, false] {
            let wanted = if urgent { limit } else { (limit - jobs.len()).min(ordinary) };
            if wanted == 0 || (urgent && !clock.has_urgent) {
                continue;
            }
            let last = &mut self.last[usize::from(urgent)];
            let tenants = turns::next_tenants(&mut tx, last, wanted, urgent).await?;
            let turns = turns::rooms(&mut tx, tenants, &self.shares).await?;
            if let Some(turn) = turns.last() {
                last.clone_from(&turn.tenant);
            }
            taking.share_out(&mut tx, turns, wanted, urgent, &mut jobs).await?;
        }
        if jobs.is_empty() && !clock.moved {
            return Ok(jobs);
        }
        tx.commit().await?;
        Ok(jobs)
    }

    async fn read_shares(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let now = tx.now();
        if self.shares_read.is_none_or(|read| now.since(read).unsigned_abs() >= SHARES_MS.unsigned_abs()) {
            self.shares = turns::shares(tx).await?;
            self.shares_read = Some(now);
        }
        Ok(())
    }
}

/// Takes up to `limit` jobs for `worker`, from the first tenant on. For tests and tools; a worker keeps a [`Claimer`].
pub async fn claim(db: &Db, worker: &str, lease_ms: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
    Claimer::new(worker, lease_ms).claim(db, limit as usize, limit as usize).await
}

static LOOK: Text = Text::new(
    "SELECT (SELECT MIN(run_at) FROM job WHERE state = 'waiting') AS due, \
     (SELECT MIN(lease_until) FROM job WHERE state = 'running') AS lease, \
     (SELECT MIN(deadline) FROM job WHERE state = 'ready' AND urgent = 0 AND deadline IS NOT NULL) AS cutoff, \
     (SELECT MIN(tenant) FROM job WHERE state = 'ready' AND urgent = 1) AS urgent, COALESCE($1, {clock}) AS clock",
);

static DUE: Text = Text::new(
    "WITH due AS MATERIALIZED (SELECT seq FROM job WHERE state = 'waiting' AND run_at <= $1 ORDER BY run_at LIMIT $2 \
     {skip_locked}) UPDATE job SET state = 'ready', updated_at = $1 WHERE seq IN (SELECT seq FROM due)",
);

static CUTOFF: Text = Text::new(
    "WITH near AS MATERIALIZED (SELECT seq FROM job WHERE state = 'ready' AND urgent = 0 AND deadline <= $1 \
     ORDER BY deadline LIMIT $2 {skip_locked}) UPDATE job SET urgent = 1 WHERE seq IN (SELECT seq FROM near)",
);

static LOST: Text = Text::new(
    "WITH lost AS MATERIALIZED (SELECT seq, id, tenant, fence, attempt, worker, started_at FROM job \
     WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until LIMIT $2 {skip_locked}) \
     INSERT INTO job_attempt (job, tenant, fence, attempt, worker, started_at, finished_at, outcome) \
     SELECT id, tenant, fence, attempt, worker, started_at, $1, 'lost' FROM lost WHERE 1 = 1 ON CONFLICT DO NOTHING",
);

/// Those whose loss has just been recorded; a heartbeat in between is locked out by the rows above.
static GIVE_UP: Text = Text::new(
    "UPDATE job SET state = 'ready', worker = NULL, lease_until = NULL, started_at = NULL, updated_at = $1 \
     WHERE state = 'running' AND lease_until <= $1 AND EXISTS (SELECT 1 FROM job_attempt a WHERE a.job = job.id \
     AND a.fence = job.fence AND a.outcome = 'lost')",
);

/// What a first look at the clock and the indexes says.
struct Look {
    now: Timestamp,
    has_urgent: bool,
    /// Something was changed already.
    moved: bool,
}

async fn let_time_pass(tx: &mut Tx) -> Result<Look, StoreError> {
    let own = tx.own_clock().map(Timestamp::millis);
    let row = query(&LOOK).bind(own).fetch_one(tx.conn()).await?;
    let cols = Cols(&row);
    let now = cols.time("clock")?;
    let past = |moment: Option<Timestamp>, now: Timestamp| moment.is_some_and(|moment| moment <= now);
    let near = now.plus(URGENT_BEFORE_MS);
    let (due, lost) = (past(cols.opt_time("due")?, now), past(cols.opt_time("lease")?, now));
    let cutoff = past(cols.opt_time("cutoff")?, near);
    let mut has_urgent = cols.opt_text("urgent")?.is_some();
    let step = async |tx: &mut Tx, text: &'static Text, at: Timestamp| -> Result<u64, StoreError> {
        query(text).bind(at.millis()).bind(STEP).execute(tx.conn()).await
    };
    if due {
        step(tx, &DUE, now).await?;
    }
    if lost {
        let count = step(tx, &LOST, now).await?;
        query(&GIVE_UP).bind(now.millis()).execute(tx.conn()).await?;
        tracing::warn!("{count} leases ran out; their jobs are taken up again");
    }
    if cutoff || due || lost {
        has_urgent |= step(tx, &CUTOFF, near).await? > 0 || due || lost;
    }
    Ok(Look { now, has_urgent, moved: due || lost || cutoff })
}

/// What every taken job is given.
struct Taking<'a> {
    worker: &'a str,
    lease_ms: i64,
    now: Timestamp,
}

macro_rules! take {
    ($picked:literal) => {
        Text::new(concat!(
            "WITH picked AS MATERIALIZED (",
            $picked,
            ") UPDATE job SET state = 'running', fence = fence + 1, attempt = attempt + 1, worker = $2, \
             lease_until = $3, started_at = $4, updated_at = $4 WHERE seq IN (SELECT seq FROM picked) \
             RETURNING seq, id, tenant, lane, kind, payload, flow, priority, urgent, run_at, attempt, max_attempts, \
             fence, lease_until, deadline, depth, cancelled_by, created_at"
        ))
    };
}

/// The best jobs of one tenant.
static OF_ONE: Text = take!(
    "SELECT seq FROM job WHERE state = 'ready' AND urgent = $5 AND tenant = $1 ORDER BY priority DESC, seq LIMIT $6 \
     {skip_locked}"
);

/// The best job of each tenant.
static OF_EACH: Text = take!(
    "SELECT (SELECT j.seq FROM job j WHERE j.state = 'ready' AND j.urgent = $5 AND j.tenant = (e.value ->> 0) \
     ORDER BY j.priority DESC, j.seq LIMIT 1 {skip_locked}) AS seq FROM {each}"
);

impl Taking<'_> {
    /// Takes up to `wanted` jobs. What a tenant had no use for goes to those who want more.
    async fn share_out(
        &self,
        tx: &mut Tx,
        mut turns: Vec<Turn>,
        wanted: usize,
        urgent: bool,
        jobs: &mut Vec<Job>,
    ) -> Result<(), StoreError> {
        let most = jobs.len() + wanted;
        while jobs.len() < most && !turns.is_empty() {
            let offers = turns::offers(&turns, most - jobs.len());
            let taken = self.take(tx, &turns, &offers, urgent).await?;
            if taken.is_empty() {
                break;
            }
            let mut left = Vec::new();
            for (mut turn, offer) in turns.into_iter().zip(offers) {
                let got = taken.iter().filter(|job| job.tenant.as_str() == turn.tenant).count();
                turn.room -= got;
                if got == offer {
                    left.push(turn);
                }
            }
            turns = left;
            in_turns(taken, jobs);
        }
        Ok(())
    }

    /// What was offered and could be had.
    async fn take(&self, tx: &mut Tx, turns: &[Turn], offers: &[usize], urgent: bool) -> Result<Vec<Job>, StoreError> {
        let most = offers.iter().copied().max().unwrap_or(0);
        let mut taken = Vec::new();
        if turns.len() <= FEW.max(most) {
            for (turn, offer) in turns.iter().zip(offers).filter(|(_, offer)| **offer > 0) {
                let text = query(&OF_ONE).bind(turn.tenant.as_str());
                let limit = i64::try_from(*offer).unwrap_or(i64::MAX);
                taken.extend(self.run(tx, text, urgent, Some(limit)).await?);
            }
            return Ok(taken);
        }
        for round in 0..most {
            let asked = turns.iter().zip(offers).filter(|(_, offer)| **offer > round);
            let names: Vec<_> = asked.map(|(turn, _)| value!([turn.tenant])).collect();
            let more = self.run(tx, query(&OF_EACH).bind(json(&names)?), urgent, None).await?;
            if more.is_empty() {
                break;
            }
            taken.extend(more);
        }
        Ok(taken)
    }

    async fn run(&self, tx: &mut Tx, text: Query, urgent: bool, limit: Option<i64>) -> Result<Vec<Job>, StoreError> {
        let mut text = text
            .bind(self.worker)
            .bind(self.now.plus(self.lease_ms).millis())
            .bind(self.now.millis())
            .bind(i64::from(urgent));
        if let Some(limit) = limit {
            text = text.bind(limit);
        }
        let rows = text.fetch_all(tx.conn()).await?;
        let mut jobs = rows.iter().map(claimed).collect::<Result<Vec<_>, _>>()?;
        jobs.sort_by_key(|job| (Reverse(job.priority), job.seq));
        Ok(jobs)
    }
}

/// One of each tenant, the best first, then the next of each.
fn in_turns(taken: Vec<Job>, jobs: &mut Vec<Job>) {
    let mut tenants: BTreeMap<TenantId, VecDeque<Job>> = BTreeMap::new();
    for job in taken {
        tenants.entry(job.tenant.clone()).or_default().push_back(job);
    }
    loop {
        let mut turn: Vec<Job> = tenants.values_mut().filter_map(VecDeque::pop_front).collect();
        if turn.is_empty() {
            return;
        }
        turn.sort_by_key(|job| (Reverse(job.priority), job.seq));
        jobs.append(&mut turn);
    }
}

fn claimed(row: &Row) -> Result<Job, StoreError> {
    let cols = Cols(row);
    let (payload, unreadable) = read::payload(cols.text("payload")?);
    Ok(Job {
        id: cols.job("id")?,
        seq: cols.int("seq")?,
        tenant: cols.tenant()?,
        lane: cols.opt_text("lane")?,
        kind: cols.text("kind")?,
        payload,
        unreadable,
        flow: cols.flow()?,
        priority: cols.int("priority")?,
        urgent: cols.int("urgent")? == 1,
        run_at: cols.time("run_at")?,
        attempt: cols.count("attempt")?,
        max_attempts: cols.count("max_attempts")?,
        fence: cols.int("fence")?,
        lease_until: cols.opt_time("lease_until")?.unwrap_or(Timestamp::from_millis(0)),
        deadline: cols.opt_time("deadline")?,
        depth: cols.count("depth")?,
        cancelled_by: cols.opt_text("cancelled_by")?,
        created_at: cols.time("created_at")?,
    })
}
