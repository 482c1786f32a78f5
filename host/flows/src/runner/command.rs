//! The command kinds: one port call, whose answer is the flow's next event.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind, Retry};
use wharf_domain::ids::ConnectionId;
use wharf_domain::port::carrier::Carrier;
use wharf_domain::port::erp::Erp;
use wharf_domain::time::Timestamp;
use wharf_queue::{Handler, Verdict};
use wharf_store::jobs::Job;
use wharf_store::{StoreError, Tx};

use super::{MOST_FOLLOWERS, Runner, own_fault, unreadable};
use crate::order_release::{self, Command, Event, FailedCommand, StepKind};

pub(super) struct Fulfil(pub(super) Runner);

/// The payload of every command job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commanded {
    flow: String,
    command: Command,
}

pub(super) fn payload(command: &Command) -> Result<Value, StoreError> {
    Ok(serde_json::to_value(Commanded { flow: order_release::KIND.to_owned(), command: command.clone() })?)
}

pub(super) fn read(payload: &Value) -> Result<Command, Fault> {
    match serde_json::from_value::<Commanded>(payload.clone()) {
        Ok(commanded) => Ok(commanded.command),
        Err(error) => Err(unreadable("command", &error)),
    }
}

#[async_trait]
impl Handler for Fulfil {
    async fn run(&self, job: &Job) -> Verdict {
        let command = match read(&job.payload) {
            Ok(command) => command,
            Err(fault) => return Verdict::Park(fault),
        };
        if let Command::CreateShipment { .. } = command {
            return self.0.purchase(job, &command).await;
        }
        match self.call(job, command).await {
            Ok(event) => done(&event),
            Err(fault) => repeatable(fault),
        }
    }

    fn most_followers(&self) -> u32 {
        MOST_FOLLOWERS
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        let event = match verdict {
            Verdict::Retry(_) | Verdict::Snooze { .. } => None,
            Verdict::Done(event) => Some(serde_json::from_value(event.clone())?),
            Verdict::Park(fault) => {
                if let Ok(command) = read(&job.payload) {
                    self.0.note_worth(tx, job, &command).await?;
                }
                self.failure(job, fault.clone()).await?
            }
            Verdict::Cancelled(reason) => {
                let fault = own_fault(FaultKind::Cancelled, "cancelled", reason.clone(), Blame::Host);
                self.failure(job, fault).await?
            }
        };
        // An answer is something new from outside; a failure is not.
        let depth = if matches!(verdict, Verdict::Done(_)) { 1 } else { job.depth + 1 };
        match (event, &job.flow) {
            (Some(event), Some(key)) => self.0.apply(tx, &job.tenant, key, event, depth).await,
            _ => Ok(()),
        }
    }
}

impl Fulfil {
    async fn call(&self, job: &Job, command: Command) -> Result<Event, Fault> {
        let ctx = self.0.ctx(job);
        let told = |delivery, generation, step| Event::WrittenBack { delivery, generation, step };
        Ok(match command {
            Command::ReadOrder { order, read } => {
                Event::OrderRead { read, order: self.0.erp(job)?.order(&ctx, &order).await?.map(Box::new) }
            }
            Command::Rate { delivery, round, connection, request } => {
                let answer = self.0.carrier(job, &connection)?.rate(&ctx, &request).await?;
                Event::Rated { delivery, round, connection, answer }
            }
            Command::Void { delivery, generation, connection, carrier_shipment_id } => {
                self.0.carrier(job, &connection)?.void(&ctx, &carrier_shipment_id).await?;
                Event::Voided { delivery, generation }
            }
            Command::SetShipping { delivery, generation, update } => {
                self.0.erp(job)?.set_shipping(&ctx, &update).await?;
                told(delivery, generation, StepKind::Shipping {})
            }
            Command::Attach { delivery, generation, number, attachment } => {
                self.0.erp(job)?.attach(&ctx, &attachment).await?;
                told(delivery, generation, StepKind::Attach { number })
            }
            Command::Note { delivery, generation, step, note } => {
                self.0.erp(job)?.note(&ctx, &note).await?;
                told(delivery, generation, step)
            }
            other => {
                let message = format!("`{}` is not a call to the outside", other.name());
                return Err(own_fault(FaultKind::Unsupported, "command", message, Blame::Host));
            }
        })
    }

    /// What the flow hears when a command is given up; nothing when the payload itself is unreadable.
    async fn failure(&self, job: &Job, fault: Fault) -> Result<Option<Event>, StoreError> {
        let Ok(command) = read(&job.payload) else {
            return Ok(None);
        };
        let written = |delivery, generation, step| FailedCommand::WriteBack { delivery, generation, step };
        let failed = match command {
            Command::ReadOrder { read, .. } => FailedCommand::ReadOrder { read },
            Command::Rate { delivery, round, connection, .. } => FailedCommand::Rate { delivery, round, connection },
            Command::Void { delivery, generation, .. } => FailedCommand::Void { delivery, generation },
            Command::SetShipping { delivery, generation, .. } => written(delivery, generation, StepKind::Shipping {}),
            Command::Attach { delivery, generation, number, .. } => {
                written(delivery, generation, StepKind::Attach { number })
            }
            Command::Note { delivery, generation, step, .. } => written(delivery, generation, step),
            Command::CreateShipment { delivery, generation, connection, key, .. } => {
                let sent = self.0.may_be_bought(&job.tenant, &connection, &key).await?;
                return Ok(Some(super::purchase::not_bought(delivery, generation, fault, sent)));
            }
            _ => return Ok(None),
        };
        Ok(Some(Event::CommandFailed { command: failed, fault }))
    }
}

impl Runner {
    /// The context of a job's calls. Their deadline leaves a fifth of the lease, so that no request is on the wire when
    /// another worker may have the job.
    pub(crate) fn ctx(&self, job: &Job) -> CallCtx {
        let now = self.db.now();
        let lease = job.lease_until.since(now).max(0);
        let deadline = now.plus(lease - lease / 5);
        CallCtx {
            tenant: job.tenant.clone(),
            job: Some(job.id),
            fence: job.fence,
            attempt: job.attempt,
            flow: job.flow.as_ref().map(ToString::to_string),
            business: None,
            deadline: job.deadline.map_or(deadline, |end: Timestamp| end.min(deadline)),
            urgent: job.urgent,
            promised: job.promised(),
        }
    }

    pub(crate) fn erp(&self, job: &Job) -> Result<Arc<dyn Erp>, Fault> {
        self.ports.erp(&job.tenant).ok_or_else(|| {
            let message = format!("`{}` has no ERP; add `[tenant.odoo]` and restart", job.tenant);
            own_fault(FaultKind::Unsupported, "no-erp", message, Blame::Operator)
        })
    }

    pub(super) fn carrier(&self, job: &Job, connection: &ConnectionId) -> Result<Arc<dyn Carrier>, Fault> {
        self.ports.carrier(&job.tenant, connection).ok_or_else(|| {
            let message = format!("`{}` has no connection `{connection}`; configure it and restart", job.tenant);
            own_fault(FaultKind::Unsupported, "no-connection", message, Blame::Operator)
        })
    }
}

pub(super) fn done(event: &Event) -> Verdict {
    match serde_json::to_value(event) {
        Ok(value) => Verdict::Done(value),
        Err(error) => Verdict::Park(unreadable("answer", &error)),
    }
}

/// Everything but a purchase may be repeated: readings change nothing, and the ports promise that a repeated write or
/// void has no second effect.
fn repeatable(fault: Fault) -> Verdict {
    match fault.retry {
        Retry::Never => Verdict::Park(fault),
        Retry::Later { .. } | Retry::Reconcile | Retry::Wait { .. } => Verdict::Retry(fault),
    }
}
