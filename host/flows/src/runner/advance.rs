//! `flow.advance`: one event for one flow.

use async_trait::async_trait;
use serde_json::Value;
use wharf_domain::exception::{self as codes, NewException, Severity};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::FlowKey;
use wharf_queue::{Handler, Verdict};
use wharf_store::jobs::Job;
use wharf_store::{StoreError, Tx, exceptions, flows};

use super::apply::resumes;
use super::{Advancing, MOST_FOLLOWERS, Runner, STOPPED, actor, own_fault, switched_off, unreadable, wait_for_resume};
use crate::order_release;

/// The action that applies a parked event once more.
pub(super) const REPLAY: &str = "replay";

pub(super) struct Advance(pub(super) Runner);

#[async_trait]
impl Handler for Advance {
    /// Nothing but a look: the work is done in the transaction that finishes the job.
    async fn run(&self, job: &Job) -> Verdict {
        let (key, advancing) = match read(job) {
            Ok(read) => read,
            Err(fault) => return Verdict::Park(fault),
        };
        if self.0.ports.order_release(&job.tenant).is_none() {
            return switched_off(&job.tenant, self.0.db.now());
        }
        match flows::get(&self.0.db, &job.tenant, order_release::KIND, &key).await {
            Ok(Some(row)) if row.status == STOPPED && !resumes(&advancing.event) => wait_for_resume(self.0.db.now()),
            Ok(_) => Verdict::Done(Value::Null),
            Err(error) => {
                let message = format!("the flow cannot be read: {error}");
                Verdict::Retry(own_fault(FaultKind::Transient, "state", message, Blame::Host))
            }
        }
    }

    fn most_followers(&self) -> u32 {
        MOST_FOLLOWERS
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        match verdict {
            Verdict::Done(_) => match read(job) {
                Ok((key, advancing)) => self.0.apply(tx, &job.tenant, &key, advancing.event, job.depth + 1).await,
                Err(_) => Ok(()),
            },
            // Of a payload that cannot be read the queue tells.
            Verdict::Park(fault) if fault.is_of_payload() => Ok(()),
            Verdict::Park(fault) => unapplied(tx, job, fault).await,
            Verdict::Retry(_) | Verdict::Snooze { .. } | Verdict::Cancelled(_) => Ok(()),
        }
    }
}

fn read(job: &Job) -> Result<(FlowKey, Advancing), Fault> {
    let advancing: Advancing =
        serde_json::from_value(job.payload.clone()).map_err(|error| unreadable("event", &error))?;
    let key = job.flow.clone().filter(|_| advancing.flow == order_release::KIND);
    let key = key.ok_or_else(|| {
        let message =
            format!("this version has no flow `{}`; start the one that wrote it, then replay", advancing.flow);
        own_fault(FaultKind::DataOutOfContract, "payload", message, Blame::Host)
    })?;
    Ok((key, advancing))
}

/// An event that cannot be applied is a fact the flow never heard of: a person must know.
async fn unapplied(tx: &mut Tx, job: &Job, fault: &Fault) -> Result<(), StoreError> {
    let exception = NewException {
        code: codes::INVARIANT_BROKEN.to_owned(),
        severity: Severity::Critical,
        object: job.flow.as_ref().map_or_else(|| format!("job/{}", job.id), |key| format!("{key}/job/{}", job.id)),
        owner_role: "integration".to_owned(),
        cause: format!("an event could not be applied: {fault}; replay job `{}` when the reason is gone", job.id),
        actions: vec![REPLAY.to_owned()],
    };
    exceptions::raise(tx, &actor(), &job.tenant, job.flow.as_ref(), &exception).await.map(|_| ())
}
