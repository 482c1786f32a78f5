//! Joins the pure flows with store, queue and ports. Nothing here decides about business.
//!
//! An event is applied in the transaction that finishes the job it came with: new state, command jobs, exceptions and
//! audit are committed together or not at all. A command is a job of its own; its handler calls one port, with no
//! transaction open, and what the port answers is the next event.
//!
//! Lanes: `order/42` takes the events of one flow in order, `order/42#read` its readings, `order/42#7` the commands of
//! delivery 7, `order/42#timer` its timers, `order/42#resume` what wakes it after it was stopped. A cancellation
//! therefore never waits behind a carrier that is down, and nothing of one delivery waits for another.
//!
//! Depth: a job that another one causes is one deeper. What comes from outside starts over: an event of the ERP, an
//! answer of a port, a timer, a person. So an order may live for years and be worked on a thousand times, and a chain
//! of jobs that feeds on itself ends after a few.

mod advance;
mod apply;
mod command;
mod decide;
mod purchase;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, FlowKey, TenantId};
use wharf_domain::port::carrier::Carrier;
use wharf_domain::port::erp::Erp;
use wharf_domain::time::Timestamp;
use wharf_queue::{Registry, Verdict};
use wharf_store::jobs::{Enqueued, NewJob};
use wharf_store::{Db, StoreError, Tx, jobs};

pub use decide::{ChoiceError, choose, decided};

use crate::intake;
use crate::order_release::{self, Event, Policy};

/// The status of a flow that broke an invariant: its events wait until a person resumes it.
pub const STOPPED: &str = "stopped";
/// How long a job of a stopped flow waits before it looks again.
const STOPPED_WAIT_MS: i64 = 60_000;

/// Moves a flow on by one event.
pub const ADVANCE: &str = "flow.advance";
pub const READ_ORDER: &str = "erp.read-order";
pub const SET_SHIPPING: &str = "erp.set-shipping";
pub const ATTACH: &str = "erp.attach";
pub const NOTE: &str = "erp.note";
pub const RATE: &str = "carrier.rate";
pub const CREATE_SHIPMENT: &str = "carrier.create-shipment";
pub const VOID: &str = "carrier.void";

/// How many jobs one event may cause: an order of some hundred parcels writes every label back in a job of its own.
const MOST_FOLLOWERS: u32 = 1_000;

/// Kinds that fulfil a command of a flow.
const COMMANDS: [&str; 7] = [READ_ORDER, SET_SHIPPING, ATTACH, NOTE, RATE, CREATE_SHIPMENT, VOID];

/// What the wiring knows about tenants. `None` means that the tenant has no such thing.
pub trait Ports: Send + Sync {
    fn erp(&self, tenant: &TenantId) -> Option<Arc<dyn Erp>>;
    fn carrier(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<Arc<dyn Carrier>>;
    fn order_release(&self, tenant: &TenantId) -> Option<Policy>;
}

/// What every handler of this crate works with.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) db: Db,
    pub(crate) ports: Arc<dyn Ports>,
}

impl Runner {
    /// The tenant's rules. A tenant whose order release was switched off keeps the flows under way: their results are
    /// recorded, and without a carrier nothing new is bought.
    pub(crate) fn policy(&self, tenant: &TenantId) -> Policy {
        self.ports.order_release(tenant).unwrap_or_else(|| Policy::of(Vec::new()))
    }
}

/// Names every handler of this crate.
pub fn register(registry: &mut Registry, db: Db, ports: Arc<dyn Ports>) {
    let runner = Runner { db, ports };
    registry.register(ADVANCE, Arc::new(advance::Advance(runner.clone())));
    registry.register(intake::PULL, Arc::new(intake::Pull(runner.clone())));
    let command = Arc::new(command::Fulfil(runner));
    for kind in COMMANDS {
        registry.register(kind, command.clone());
    }
}

/// The key of an order's flow by the ERP's record id.
pub fn order_key(erp_id: &str) -> FlowKey {
    FlowKey::new("order", erp_id)
}

/// Queues an event for an order's flow, to be applied after the transaction commits.
pub async fn tell(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    key: &FlowKey,
    event: Event,
) -> Result<Enqueued, StoreError> {
    jobs::enqueue(tx, actor, &told_job(tenant, key, event)?).await
}

/// The job that tells a flow of an event.
pub(crate) fn told_job(tenant: &TenantId, key: &FlowKey, event: Event) -> Result<NewJob, StoreError> {
    // The events of a stopped flow wait in its lane: what resumes it must not wait behind them.
    let lane = if apply::resumes(&event) { format!("{key}#resume") } else { key.to_string() };
    advance_job(tenant, key, event, lane)
}

/// What a job of a stopped flow does: nothing yet.
fn wait_for_resume(now: Timestamp) -> Verdict {
    Verdict::Snooze { until: now.plus(STOPPED_WAIT_MS), reason: "its flow is stopped".to_owned() }
}

/// What an event of a tenant does whose order release is off in this host's file: it waits. Another host may have it on,
/// or this one tomorrow; a fact that was accepted is not forgotten because of a setting.
fn switched_off(tenant: &TenantId, now: Timestamp) -> Verdict {
    let reason = format!("order release is switched off for `{tenant}` on this host");
    Verdict::Snooze { until: now.plus(STOPPED_WAIT_MS), reason }
}

/// The payload of `flow.advance`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advancing {
    flow: String,
    event: Event,
}

fn advance_job(tenant: &TenantId, key: &FlowKey, event: Event, lane: String) -> Result<NewJob, StoreError> {
    let payload = serde_json::to_value(Advancing { flow: order_release::KIND.to_owned(), event })?;
    Ok(NewJob { flow: Some(key.clone()), ..NewJob::new(tenant.clone(), lane, ADVANCE, payload) })
}

/// Who acts when a flow decides.
fn actor() -> Actor {
    Actor::Flow(order_release::KIND.to_owned())
}

/// A failure of the host's own making: a payload or a wiring that makes no sense.
fn own_fault(kind: FaultKind, code: &str, message: String, blame: Blame) -> Fault {
    Fault::new(kind, format!("flows.{code}"), message, blame)
}

fn unreadable(what: &str, error: &serde_json::Error) -> Fault {
    let message = format!("the job's {what} cannot be read: {error}; start the version that wrote it, then replay");
    own_fault(FaultKind::DataOutOfContract, "payload", message, Blame::Host)
}
