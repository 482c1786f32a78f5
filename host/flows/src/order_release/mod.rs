//! Flow 1, order release: from a confirmed sales order to a label on every delivery.
//!
//! What the warehouse sees: an order confirmed in the ERP is checked; when goods are set aside for every line of a
//! delivery, the delivery is released, a carrier and service are chosen, one label is bought, and tracking number,
//! label and a note appear on the delivery. A shortage, a bad address or a carrier that refuses stops it and a person
//! decides. A cancelled order gets no label, and a label it already has is voided.
//!
//! [`on`] is the whole process and pure: no clock, no IO, no randomness. It learns the fact, then works out what is to
//! be done from everything known, so that a fact told twice, late or out of order leads to the same end. Money is
//! spent only on facts that are fresh: never while a change is announced and the order not read again.

mod command;
mod decisions;
mod delivery;
mod event;
#[cfg(test)]
pub(crate) mod examples;
mod facts;
mod invariants;
mod label;
mod names;
mod policy;
mod problems;
mod rules;
mod service;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;

use wharf_domain::ids::TenantId;
use wharf_domain::order::{Delivery, DeliveryState, Order, OrderState};
use wharf_domain::shipment::Document;
use wharf_domain::time::Timestamp;

pub use command::{Command, Replayed};
pub use decisions::{LOOK_AGAIN, NOT_BOUGHT};
pub use event::{Event, FailedCommand};
pub use invariants::{Violation, check};
pub use label::{
    Bought, Choice, Consignment, Label, LabelDocument, LabelStatus, Offer, Quote, Shop, Step, StepKind, StepStatus,
};
pub use policy::{DefaultParcel, Policy, PolicyError, ServiceRef, ServiceRule};
pub use state::{DeliveryFlow, Reads, Stage, State};

/// The flow's kind in tables and jobs.
pub const KIND: &str = "order-release";

/// Takes one event and says what is to be done. The caller commits both together or neither.
pub fn on(policy: &Policy, mut state: State, event: Event, now: Timestamp) -> (State, Vec<Command>) {
    let mut desk = Desk { policy, now, commands: Vec::new(), documents: None, choice: None };
    facts::learn(&mut state, event, &mut desk);
    meet_deliveries(&mut state);
    let valid = problems::objections(&state, policy).is_empty();
    let mut deliveries = std::mem::take(&mut state.deliveries);
    for (id, delivery) in &mut deliveries {
        let view = View::of(&state, delivery, id, valid);
        delivery::proceed(delivery, &view, &mut desk);
    }
    state.deliveries = deliveries;
    problems::announce(&mut state, &mut desk);
    keep_watch(&mut state, &mut desk);
    (state.stage, state.held) = stage(&state);
    (state, desk.commands)
}

/// What one step works with, and what it wants done.
struct Desk<'a> {
    policy: &'a Policy,
    now: Timestamp,
    commands: Vec<Command>,
    /// The documents of the label that arrived in this step: delivery, generation, labels.
    documents: Option<(String, u32, Vec<Document>)>,
    /// What a person chose in this step.
    choice: Option<PersonsChoice>,
}

struct PersonsChoice {
    code: String,
    object: String,
    action: String,
    by: String,
}

impl Desk<'_> {
    fn push(&mut self, command: Command) {
        self.commands.push(command);
    }
}

/// One delivery as the newest reading shows it.
struct View<'a> {
    tenant: &'a TenantId,
    order_id: &'a str,
    /// The ERP's record id of the delivery.
    id: &'a str,
    /// The order, when it is confirmed.
    order: Option<&'a Order>,
    /// The delivery, when the ERP still has it and has not cancelled it, whatever became of the order.
    reading: Option<&'a Delivery>,
    /// Nothing is objected to.
    valid: bool,
    /// No change is announced and unread.
    fresh: bool,
    /// Why it is not ours to ship although the order is confirmed.
    hands_off: Option<&'static str>,
}

impl<'a> View<'a> {
    fn of(state: &'a State, delivery: &DeliveryFlow, id: &'a str, valid: bool) -> Self {
        let reading = state.reading(id).filter(|d| d.state != DeliveryState::Cancelled);
        Self {
            tenant: &state.tenant,
            order_id: &state.order_id,
            id,
            order: state.confirmed(),
            reading,
            valid,
            fresh: state.reads.fresh(),
            hands_off: reading.and_then(|d| hands_off(delivery, d)),
        }
    }

    /// Order and delivery, when the delivery is to have a label of ours.
    fn ours(&self) -> Option<(&'a Order, &'a Delivery)> {
        if self.hands_off.is_some() { None } else { self.order.zip(self.reading) }
    }

    /// The goods have left: nothing about the parcel can be changed any more.
    fn shipped(&self) -> bool {
        self.reading.is_some_and(|d| d.state == DeliveryState::Done)
    }
}

/// Deliveries somebody else has taken care of are left alone.
fn hands_off(known: &DeliveryFlow, delivery: &Delivery) -> Option<&'static str> {
    if known.standing().is_some_and(|label| !label.withdrawn) {
        return None;
    }
    match &delivery.tracking_reference {
        Some(text) if !text.trim().is_empty() && !known.is_ours(text) => {
            Some("it already has a tracking reference that is not ours")
        }
        _ if delivery.state == DeliveryState::Done && !known.released => {
            Some("it was done in the ERP before it could be released")
        }
        _ => None,
    }
}

/// Every delivery of a confirmed order gets a sub-record the first time it is seen.
fn meet_deliveries(state: &mut State) {
    let Some(order) = state.order.as_ref().filter(|order| order.state == OrderState::Confirmed) else {
        return;
    };
    for delivery in order.deliveries.iter().filter(|d| d.state != DeliveryState::Cancelled) {
        let known =
            state.deliveries.entry(delivery.erp_id.clone()).or_insert_with(|| DeliveryFlow::new(&delivery.name));
        known.name.clone_from(&delivery.name);
    }
}

/// A flow that waits for something no event announces looks again after a while.
fn keep_watch(state: &mut State, desk: &mut Desk<'_>) {
    if state.recheck.is_none() && problems::waiting(state) {
        let at = desk.now.plus(i64::from(desk.policy.recheck_seconds) * 1000);
        state.recheck = Some(at);
        desk.push(Command::StartTimer { at });
    }
}

/// The order is as far as its slowest delivery; a hold or a cancellation outranks that.
fn stage(state: &State) -> (Stage, Option<String>) {
    if state.cancelled() {
        return (Stage::Cancelled, None);
    }
    if let Some(code) = problems::hold(state) {
        return (Stage::Held, Some(code));
    }
    let Some(order) = state.confirmed() else {
        return (Stage::Received, None);
    };
    let active = state.deliveries.values().map(|d| d.stage).filter(|stage| *stage != Stage::Cancelled);
    let stage = match active.min() {
        Some(slowest) => slowest,
        // Services only: there is nothing to ship.
        None if order.lines.is_empty() => Stage::Closed,
        None => Stage::Validated,
    };
    (stage, None)
}
