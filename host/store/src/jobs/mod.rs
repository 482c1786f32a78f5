//! Durable units of work.
//!
//! A job is enqueued in the transaction of the change that caused it and finished in the transaction that stores what
//! came of it. In between, a worker holds it by a lease and a fence: a number that grows with every claim, so a worker
//! that lost its lease can change nothing. Jobs of one lane run one at a time, in the order they were enqueued; a job
//! waiting for its next attempt keeps its lane waiting, a parked one only when it is strict.
//!
//! Where a job stands is kept, not computed: the first of each lane is marked, and only what may be claimed at this
//! moment is `ready`. A claim therefore costs the same whatever waits behind.

mod cancel;
mod claim;
mod enqueue;
mod find;
mod finish;
#[cfg(test)]
mod history;
mod lane;
mod lease;
#[cfg(test)]
mod operate_tests;
mod overview;
mod plan;
mod read;
mod replay;
#[cfg(test)]
mod tests;
mod turns;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_domain::fault::Fault;
use wharf_domain::ids::{FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;

pub use cancel::{call_off, cancel_unstarted};
pub use claim::{Claimer, claim};
pub use enqueue::{Enqueued, MOST_DEPTH, MOST_PENDING, enqueue, enqueue_unordered};
pub use find::{Filter, MOST_FOUND, Page, find_parked, list};
pub use finish::{Finish, finish, finish_done};
pub use lease::{expire_leases, heartbeat, release};
pub use overview::{DeadLetters, Overview, TenantLoad, dead_letters, overview};
pub use plan::{Foreseen, Planned, PlannedEffect, plan};
pub use read::{attempts, counts, for_flow, get, parked};
pub use replay::{mend, replay, replay_many};
pub use turns::{Share, set_share};

/// How often a job is tried when nobody says otherwise: with the usual backoff, about three hours.
pub const MAX_ATTEMPTS: u32 = 30;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub tenant: TenantId,
    /// Jobs of one tenant and lane run one after the other; absent: ordered with nothing.
    pub lane: Option<String>,
    /// Names the handler, e.g. `carrier.create-shipment`.
    pub kind: String,
    pub payload: Value,
    /// The flow that hears of the result.
    pub flow: Option<FlowKey>,
    /// Higher goes first among the lanes of a tenant; never within a lane. Usually 0.
    pub priority: i64,
    /// A person waits for it, or a truck does: it has a reserved share of the workers.
    pub urgent: bool,
    /// When it parks, its lane stops with it, visibly, until a person has decided.
    pub strict: bool,
    /// Not before this moment; absent means now.
    pub run_at: Option<Timestamp>,
    pub max_attempts: u32,
    /// No attempt starts after this moment. Shortly before it a waiting job becomes urgent.
    pub deadline: Option<Timestamp>,
    /// Jobs with the same key say the same thing; it determines kind and lane.
    pub coalesce_key: Option<String>,
    /// How many jobs caused one another before this one, with nothing new from outside, no timer and no person in
    /// between; 0 for work that came from outside.
    pub depth: u32,
    /// Who outside caused it: the ERP, or a connection whose adapter asked for it. Of each only so many may be waiting,
    /// and its timers are bounded. Absent for the host's own work.
    pub source: Option<String>,
}

impl NewJob {
    /// A job to run now, in a lane: no flow, priority 0, [`MAX_ATTEMPTS`], no deadline, not coalesced.
    pub fn new(tenant: TenantId, lane: impl Into<String>, kind: impl Into<String>, payload: Value) -> Self {
        Self { lane: Some(lane.into()), ..Self::unordered(tenant, kind, payload) }
    }

    /// The same without a lane: it waits for nothing but its turn.
    pub fn unordered(tenant: TenantId, kind: impl Into<String>, payload: Value) -> Self {
        Self {
            tenant,
            lane: None,
            kind: kind.into(),
            payload,
            flow: None,
            priority: 0,
            urgent: false,
            strict: false,
            run_at: None,
            max_attempts: MAX_ATTEMPTS,
            deadline: None,
            coalesce_key: None,
            depth: 0,
            source: None,
        }
    }
}

/// A claimed job, as its handler sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    pub id: JobId,
    /// Its place in the order of its lane; names it in the store's own statements.
    pub seq: i64,
    pub tenant: TenantId,
    pub lane: Option<String>,
    pub kind: String,
    /// What it was enqueued with; the bare text when that is `unreadable`.
    pub payload: Value,
    /// Why the payload in the database is no JSON (any more): nobody can work on it until it is mended.
    pub unreadable: Option<String>,
    pub flow: Option<FlowKey>,
    pub priority: i64,
    pub urgent: bool,
    /// What it waited for before this attempt; when it was enqueued if it never waited.
    pub run_at: Timestamp,
    /// This attempt, counted from 1. Greater than `max_attempts` when the last one ended without a result.
    pub attempt: u32,
    pub max_attempts: u32,
    pub fence: i64,
    /// As of the claim; heartbeats move it on.
    pub lease_until: Timestamp,
    pub deadline: Option<Timestamp>,
    pub depth: u32,
    /// Who called it off: it is not run, only ended.
    pub cancelled_by: Option<String>,
    pub created_at: Timestamp,
}

impl Job {
    /// When it was told to come back; absent when it was never told to. A wait gives the number of its attempt back, so
    /// there were more claims than attempts.
    pub fn promised(&self) -> Option<Timestamp> {
        (self.fence > i64::from(self.attempt)).then_some(self.run_at)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The first of its lane, and it waits for its time.
    Waiting,
    /// Behind another job of its lane.
    Queued,
    /// Waits for a worker.
    Ready,
    Running,
    Done,
    /// Given up: a person decides.
    Parked,
    Cancelled,
}

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    pub id: JobId,
    pub tenant: TenantId,
    pub lane: Option<String>,
    pub kind: String,
    /// The bare text when it is no JSON.
    pub payload: Value,
    pub flow: Option<FlowKey>,
    pub state: JobState,
    pub priority: i64,
    pub run_at: Timestamp,
    pub attempt: u32,
    pub max_attempts: u32,
    pub fence: i64,
    pub worker: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub depth: u32,
    /// Parked and strict: whatever comes after it in its lane waits for a person's decision.
    pub holds_lane: bool,
    /// Of the last attempt that had one.
    pub fault: Option<Fault>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// One attempt. Never deleted while its job is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    pub fence: i64,
    /// A snoozed or released attempt gives its number back, so a number may appear twice.
    pub attempt: u32,
    pub worker: String,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// `done`, `retry`, `snooze`, `park`, `cancelled`, `released`, `lost`; absent while it runs.
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub fault: Option<Fault>,
}

/// Jobs per state, over all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub waiting: u64,
    pub queued: u64,
    pub ready: u64,
    pub running: u64,
    pub done: u64,
    pub parked: u64,
    pub cancelled: u64,
}

impl Counts {
    /// Every job that was ever accepted and is still kept.
    pub fn total(&self) -> u64 {
        self.unfinished() + self.done + self.parked + self.cancelled
    }

    /// What the host still has to do by itself.
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.queued + self.ready + self.running
    }
}
