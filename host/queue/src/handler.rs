//! What a kind of job does.

use async_trait::async_trait;
use serde_json::Value;
use wharf_domain::fault::Fault;
use wharf_domain::time::Timestamp;
use wharf_store::jobs::Job;
use wharf_store::{StoreError, Tx};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is done; the value is for `settle`.
    Done(Value),
    /// Try again by the backoff, not before the time the fault names. Parks instead when the fault says never, or when
    /// the attempts or the deadline are used up. Snoozes when the fault says that nothing was tried because the account
    /// at the partner has to be waited for.
    Retry(Fault),
    /// Come back at a moment; the attempt is not counted. For waiting, not for failures.
    Snooze { until: Timestamp, reason: String },
    /// A person decides.
    Park(Fault),
    /// There is nothing to do any more.
    Cancelled(String),
}

/// The code of one kind of job. Both functions may run more than once for one job: after a crash, a lost lease or a
/// failed commit.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Does the work. No transaction is open; calls to the outside belong here. May be dropped at any await when the
    /// lease is lost or the host stops. A panic is contained and counts as a failed attempt.
    async fn run(&self, job: &Job) -> Verdict;

    /// False when [`Handler::settle`] never stores anything for a job that is done: such jobs are finished many at a
    /// time, with one commit.
    fn settles(&self) -> bool {
        true
    }

    /// How many jobs `settle` may enqueue; more park the job with the reason. A limit against a run-away, so it is
    /// raised only where the business has a limit of its own.
    fn most_followers(&self) -> u32 {
        100
    }

    /// Stores what came of it, in the transaction that finishes the job; an error rolls both back and the attempt
    /// counts as failed. `verdict` is final: a retry whose attempts or deadline are used up arrives as `Park`. Nothing
    /// outside the transaction may be changed here.
    async fn settle(&self, _tx: &mut Tx, _job: &Job, _verdict: &Verdict) -> Result<(), StoreError> {
        Ok(())
    }
}
