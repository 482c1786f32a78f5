//! Learning: what each event changes in what is known. Nothing is decided here except what a person decided.
//!
//! A fact about the outside ("bought", "voided", "written") is taken whenever it comes. A failure is taken only while
//! its command is still open, because a failure told late says nothing about what happened since.

use wharf_domain::fault::{EffectCertainty, Fault};
use wharf_domain::shipment::Shipment;

use super::event::{Event, FailedCommand};
use super::label::{Bought, Label, LabelStatus, Quote, Step, StepKind, StepStatus};
use super::state::State;
use super::{Command, Desk, PersonsChoice, decisions, names, problems, service};

pub(super) fn learn(state: &mut State, event: Event, desk: &mut Desk<'_>) {
    match event {
        Event::ErpChanged { .. } => ask_order(state, desk),
        Event::OrderRead { read, order } => {
            if read > state.reads.answered {
                state.reads.answered = read;
                state.reads.fault = None;
                state.order = order.map(|order| *order);
            }
            ask_order_again(state, desk);
        }
        Event::Rated { delivery, round, connection, answer } => {
            let offers = service::offers(&answer);
            if let Some(quote) = open_quote(state, &delivery, round, &connection) {
                *quote = Quote::Answered { offers };
            }
        }
        Event::LabelBought { delivery, generation, shipment } => bought(state, desk, delivery, generation, &shipment),
        Event::LabelFailed { delivery, generation, fault } => {
            // "Failed, but something may have happened" is not a failure: only a lookup or a person can tell.
            let nothing_happened = fault.effect == EffectCertainty::None;
            if let Some(label) = open_purchase(state, &delivery, generation) {
                label.status = match (nothing_happened, label.withdrawn) {
                    (false, _) => LabelStatus::Uncertain { fault },
                    (true, true) => LabelStatus::NotBought {},
                    (true, false) => LabelStatus::Failed { fault },
                };
            }
        }
        Event::LabelUncertain { delivery, generation, fault } => {
            if let Some(label) = open_purchase(state, &delivery, generation) {
                label.status = LabelStatus::Uncertain { fault };
            }
        }
        Event::LabelNotBought { delivery, generation } => {
            if let Some(label) = open_purchase(state, &delivery, generation) {
                label.status = LabelStatus::NotBought {};
            }
        }
        Event::Voided { delivery, generation } => voided(state, desk, &delivery, generation),
        Event::WrittenBack { delivery, generation, step } => {
            if let Some(step) = step_of(state, &delivery, generation, step) {
                step.status = StepStatus::Done {};
            }
        }
        Event::CommandFailed { command, fault } => failed(state, desk, &command, fault),
        Event::Timer { at } => {
            if state.recheck == Some(at) {
                state.recheck = None;
                if problems::waiting(state) {
                    look_again(state, desk);
                }
            }
        }
        Event::Resolved { code, object, action, by } => {
            decisions::decided(state, desk, &code, &object, &action);
            desk.choice = Some(PersonsChoice { code, object, action, by });
        }
    }
}

/// Reads the order; while a reading is under way, once more after it, because it may have been too early.
pub(super) fn ask_order(state: &mut State, desk: &mut Desk<'_>) {
    if state.reads.under_way() {
        state.reads.again = true;
        return;
    }
    state.reads.asked += 1;
    desk.push(Command::ReadOrder { order: state.order_id.clone(), read: state.reads.asked });
}

fn ask_order_again(state: &mut State, desk: &mut Desk<'_>) {
    if state.reads.again && !state.reads.under_way() {
        state.reads.again = false;
        ask_order(state, desk);
    }
}

/// Reads the order again and forgets prices of which none could be used: the carriers may have come back.
pub(super) fn look_again(state: &mut State, desk: &mut Desk<'_>) {
    for delivery in state.deliveries.values_mut() {
        let answered = |quote: &Quote| !matches!(quote, Quote::Asked {});
        if delivery.shop.as_ref().is_some_and(|shop| shop.quotes.values().all(answered)) {
            delivery.shop = None;
        }
    }
    ask_order(state, desk);
}

fn bought(state: &mut State, desk: &mut Desk<'_>, delivery: String, generation: u32, shipment: &Shipment) {
    let Some(label) = label_of(state, &delivery, generation) else {
        return;
    };
    // Known already: doubled, or told after the void.
    if label.bought.is_some() {
        return;
    }
    label.bought = Some(Bought::from(shipment));
    label.status = LabelStatus::Bought {};
    let documents = shipment.labels().cloned().collect();
    desk.documents = Some((delivery, generation, documents));
}

fn voided(state: &mut State, desk: &mut Desk<'_>, delivery: &str, generation: u32) {
    let erp_knows_order = state.order.is_some();
    let Some(label) = label_of(state, delivery, generation) else {
        return;
    };
    if label.bought.is_none() || label.status.settled() {
        return;
    }
    label.status = LabelStatus::Voided {};
    if erp_knows_order && label.steps.iter().any(|step| step.what == (StepKind::Shipping {})) {
        let step = StepKind::VoidNote {};
        label.steps.push(Step { what: step, status: StepStatus::Asked {} });
        let note = names::void_note(label, delivery);
        desk.push(Command::Note { delivery: delivery.to_owned(), generation, step, note });
    }
}

fn failed(state: &mut State, desk: &mut Desk<'_>, command: &FailedCommand, fault: Fault) {
    match command {
        FailedCommand::ReadOrder { read } => {
            if *read > state.reads.answered.max(state.reads.failed) {
                state.reads.failed = *read;
                state.reads.fault = Some(fault);
            }
            ask_order_again(state, desk);
        }
        FailedCommand::Rate { delivery, round, connection } => {
            if let Some(quote) = open_quote(state, delivery, *round, connection) {
                *quote = Quote::Failed { fault };
            }
        }
        FailedCommand::Void { delivery, generation } => {
            if let Some(label) = label_of(state, delivery, *generation)
                && label.status == (LabelStatus::Voiding {})
            {
                label.status = LabelStatus::VoidFailed { fault };
            }
        }
        FailedCommand::WriteBack { delivery, generation, step } => {
            if let Some(step) = step_of(state, delivery, *generation, *step)
                && !step.status.settled()
            {
                step.status = StepStatus::Failed { fault };
            }
        }
    }
}

fn label_of<'s>(state: &'s mut State, delivery: &str, generation: u32) -> Option<&'s mut Label> {
    state.deliveries.get_mut(delivery)?.labels.iter_mut().find(|label| label.generation == generation)
}

/// The label, while nothing is settled about its purchase.
fn open_purchase<'s>(state: &'s mut State, delivery: &str, generation: u32) -> Option<&'s mut Label> {
    label_of(state, delivery, generation)
        .filter(|label| matches!(label.status, LabelStatus::Asked {} | LabelStatus::Uncertain { .. }))
}

fn step_of<'s>(state: &'s mut State, delivery: &str, generation: u32, what: StepKind) -> Option<&'s mut Step> {
    label_of(state, delivery, generation)?.steps.iter_mut().find(|step| step.what == what)
}

fn open_quote<'s>(
    state: &'s mut State,
    delivery: &str,
    round: u32,
    connection: &wharf_domain::ids::ConnectionId,
) -> Option<&'s mut Quote> {
    let shop = state.deliveries.get_mut(delivery)?.shop.as_mut().filter(|shop| shop.round == round)?;
    shop.quotes.get_mut(connection).filter(|quote| matches!(quote, Quote::Asked {}))
}
