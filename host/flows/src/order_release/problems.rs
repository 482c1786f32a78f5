//! What a person has to look at. The list is worked out from the state at every step: an exception is raised when its
//! cause appears and closed when the cause is gone, so a person's choice acts on the cause, never on the list.

use std::collections::BTreeMap;

use wharf_domain::exception::{self as codes, NewException, Severity};
use wharf_domain::fault::{Fault, FieldFault};
use wharf_domain::order::{Delivery, DeliveryState, Order};
use wharf_domain::time::Timestamp;

use super::decisions::{
    DONE_BY_HAND, KEEP, LOOK_AGAIN, NOT_BOUGHT, RECHECK, RELABEL, RETRY, VOID, VOIDED_BY_HAND, WRITE_OFF,
};
use super::label::{Label, LabelStatus, Quote, StepKind, StepStatus};
use super::state::{DeliveryFlow, State};
use super::{Command, Desk, Policy, hands_off, rules, service};

/// What stops the order, gravest first. The others are open while the order goes on.
const HOLDING: &[&str] = &[
    codes::LABEL_UNKNOWN,
    codes::LABEL_NOT_VOIDED,
    codes::LABEL_OUTDATED,
    codes::ORDER_UNREADABLE,
    codes::ORDER_INVALID,
    codes::ADDRESS_INVALID,
    codes::SERVICE_UNAVAILABLE,
    codes::LABEL_FAILED,
];

/// What may go away without any event.
const PASSING: &[&str] =
    &[codes::ALLOC_REFUSED, codes::PICK_SHORT, codes::SERVICE_UNAVAILABLE, codes::ORDER_UNREADABLE];

const OPERATIONS: &str = "operations";
const INTEGRATION: &str = "integration";

/// What is wrong with the order, as far as deliveries still need a label.
pub(super) fn objections(state: &State, policy: &Policy) -> Vec<FieldFault> {
    let Some(order) = state.confirmed() else {
        return Vec::new();
    };
    let open = |delivery: &Delivery| needs_label(state, delivery);
    let nothing_to_ship = order.deliveries.is_empty() && order.lines.is_empty();
    if nothing_to_ship || (!order.deliveries.is_empty() && !order.deliveries.iter().any(open)) {
        return Vec::new();
    }
    rules::objections(order, policy, open)
}

fn needs_label(state: &State, delivery: &Delivery) -> bool {
    delivery.state != DeliveryState::Cancelled
        && state
            .deliveries
            .get(&delivery.erp_id)
            .is_none_or(|known| known.standing().is_none() && hands_off(known, delivery).is_none())
}

/// Is something open that no event will end?
pub(super) fn waiting(state: &State) -> bool {
    state.raised.values().any(|e| PASSING.contains(&e.code.as_str()))
}

/// The exception that holds the order.
pub(super) fn hold(state: &State) -> Option<String> {
    HOLDING.iter().find(|code| state.raised.values().any(|e| e.code == **code)).map(|code| (*code).to_owned())
}

/// Raises what is new or different and closes what is gone.
pub(super) fn announce(state: &mut State, desk: &mut Desk<'_>) {
    let mut found = BTreeMap::new();
    for exception in problems(state, desk.policy, desk.now) {
        found.entry(key(&exception)).or_insert(exception);
    }
    for (key, exception) in &found {
        if state.raised.get(key) != Some(exception) {
            desk.commands.push(Command::Raise { exception: exception.clone() });
        }
    }
    for (key, exception) in &state.raised {
        if !found.contains_key(key) {
            desk.commands.push(close(exception, desk));
        }
    }
    state.raised = found;
}

fn close(exception: &NewException, desk: &Desk<'_>) -> Command {
    let chosen = desk.choice.as_ref().filter(|c| c.code == exception.code && c.object == exception.object);
    let (action, note) = match chosen {
        Some(choice) => (choice.action.clone(), format!("chosen by {}", choice.by)),
        None => ("cause-gone".to_owned(), String::new()),
    };
    Command::Clear { code: exception.code.clone(), object: exception.object.clone(), action, note }
}

/// The name of a problem in `State::raised`.
pub(super) fn key(exception: &NewException) -> String {
    format!("{} {}", exception.code, exception.object)
}

fn object_of(state: &State, delivery: &DeliveryFlow) -> String {
    format!("{}/{}", state.object(), delivery.name)
}

fn problems(state: &State, policy: &Policy, now: Timestamp) -> Vec<NewException> {
    let mut found = Vec::new();
    if let Some(fault) = &state.reads.fault {
        let cause = format!("the order cannot be read: {fault}; nothing is released until it can");
        found.push(exception(codes::ORDER_UNREADABLE, Severity::Warning, state.object(), cause, &[RECHECK]));
    }
    let (address, other): (Vec<_>, Vec<_>) = objections(state, policy).into_iter().partition(rules::concerns_address);
    for (code, faults) in [(codes::ADDRESS_INVALID, address), (codes::ORDER_INVALID, other)] {
        if !faults.is_empty() {
            let cause = format!("correct it in the ERP: {}", listed(&faults));
            found.push(exception(code, Severity::Warning, state.object(), cause, &[RECHECK]));
        }
    }
    let valid = found.iter().all(|e| e.code == codes::ORDER_UNREADABLE);
    for (id, flow) in &state.deliveries {
        let object = object_of(state, flow);
        let reading = state.reading(id).filter(|d| d.state != DeliveryState::Cancelled);
        if let (Some(order), Some(delivery)) = (state.confirmed(), reading)
            && needs_label(state, delivery)
            && valid
        {
            found.extend(shortage(flow, delivery, policy, now, &object));
            found.extend(no_service(order, flow, delivery, policy, &object));
        }
        for label in &flow.labels {
            found.extend(label_problem(state, reading, label, &object));
        }
    }
    found
}

fn shortage(
    flow: &DeliveryFlow,
    delivery: &Delivery,
    policy: &Policy,
    now: Timestamp,
    object: &str,
) -> Option<NewException> {
    let since = flow.short_since.filter(|_| flow.proof.is_none())?;
    let missing: Vec<_> = delivery
        .moves
        .iter()
        .filter(|m| m.reserved < m.demand)
        .map(|m| format!("`{}` {} of {}", m.sku, m.reserved.normalize(), m.demand.normalize()))
        .collect();
    let missing = if missing.is_empty() { "no line".to_owned() } else { missing.join(", ") };
    let late = now.since(since) >= i64::from(policy.allocation_warning_seconds) * 1000;
    let (code, severity, cause) = if flow.released {
        let cause = format!(
            "goods that had been set aside are missing ({missing}); nothing is released until they are back or the \
             delivery is changed, split or cancelled in the ERP"
        );
        (codes::PICK_SHORT, Severity::Warning, cause)
    } else {
        let severity = if late { Severity::Warning } else { Severity::Info };
        (codes::ALLOC_REFUSED, severity, format!("not everything is set aside: {missing}; released as soon as it is"))
    };
    Some(exception(code, severity, object.to_owned(), cause, &[RECHECK]))
}

fn no_service(
    order: &Order,
    flow: &DeliveryFlow,
    delivery: &Delivery,
    policy: &Policy,
    object: &str,
) -> Option<NewException> {
    let shop = flow.shop.as_ref()?;
    let current = rules::consignment(order, delivery, policy).as_ref() == Some(&shop.consignment);
    let open = shop.quotes.values().any(|quote| matches!(quote, Quote::Asked {}));
    if open || !current || flow.proof.is_none() || flow.unsettled() || service::choose(policy, shop).is_some() {
        return None;
    }
    let answer = |quote: &Quote| match quote {
        Quote::Failed { fault } => fault.to_string(),
        Quote::Answered { offers } if offers.is_empty() => "offers nothing".to_owned(),
        Quote::Answered { .. } | Quote::Asked {} => "offers nothing that fits the rule".to_owned(),
    };
    let answers: Vec<_> = shop.quotes.iter().map(|(id, quote)| format!("`{id}`: {}", answer(quote))).collect();
    let cause = format!("no carrier takes it ({}); they are asked again after a while", answers.join("; "));
    Some(exception(codes::SERVICE_UNAVAILABLE, Severity::Warning, object.to_owned(), cause, &[RECHECK]))
}

fn label_problem(state: &State, reading: Option<&Delivery>, label: &Label, object: &str) -> Option<NewException> {
    let name = format!("label {} (`{}`)", label.generation, label.reference);
    let problem = |code, severity, cause: String, actions: &[&str]| {
        Some(exception(code, severity, object.to_owned(), cause, actions))
    };
    let called_off = state.confirmed().is_none() || reading.is_none();
    match &label.status {
        LabelStatus::Failed { fault } => {
            let cause = format!("the carrier refused {name}, nothing was bought: {}", said(fault));
            problem(codes::LABEL_FAILED, Severity::Warning, cause, &[RETRY])
        }
        LabelStatus::Uncertain { fault } => {
            let cause = format!(
                "nobody knows whether {name} was bought: {fault}; look for the reference at the carrier, nothing is \
                 bought again until then"
            );
            problem(codes::LABEL_UNKNOWN, Severity::Critical, cause, &[LOOK_AGAIN, NOT_BOUGHT])
        }
        LabelStatus::VoidFailed { fault } => {
            let cause = format!("{name} is not wanted any more but the carrier did not void it: {fault}");
            problem(codes::LABEL_NOT_VOIDED, Severity::Critical, cause, &[VOID, VOIDED_BY_HAND, WRITE_OFF])
        }
        LabelStatus::Bought {} if called_off || label.withdrawn => {
            let cause = format!("the order was called off, but the goods have left with {name}");
            problem(codes::LABEL_NOT_VOIDED, Severity::Critical, cause, &[VOID, VOIDED_BY_HAND, WRITE_OFF])
        }
        LabelStatus::Bought {} if outdated(state, reading, label) => {
            let cause = format!("address or number of parcels changed after {name} was bought");
            problem(codes::LABEL_OUTDATED, Severity::Warning, cause, &[RELABEL, KEEP])
        }
        LabelStatus::Bought {} | LabelStatus::Voided {} => untold(label, &name, object),
        _ => None,
    }
}

fn untold(label: &Label, name: &str, object: &str) -> Option<NewException> {
    let voided = label.status == (LabelStatus::Voided {});
    let failed = label.steps.iter().find_map(|step| match &step.status {
        StepStatus::Failed { fault } if !voided || step.what == (StepKind::VoidNote {}) => Some((step.what, fault)),
        _ => None,
    });
    let (what, fault) = failed?;
    let what = match what {
        StepKind::Shipping {} => "the tracking number",
        StepKind::Attach { .. } => "the file",
        StepKind::Note {} | StepKind::VoidNote {} => "the note",
    };
    let cause = format!("{what} of {name} could not be written to the ERP: {fault}");
    let mut problem =
        exception(codes::WRITE_BACK_FAILED, Severity::Warning, object.to_owned(), cause, &[RETRY, DONE_BY_HAND]);
    problem.owner_role = INTEGRATION.to_owned();
    Some(problem)
}

/// Does the label say something else than the order by now? The weight may differ: it is an estimate until packed.
fn outdated(state: &State, reading: Option<&Delivery>, label: &Label) -> bool {
    let (Some(order), Some(delivery)) = (state.confirmed(), reading) else {
        return false;
    };
    let labelled = label.accepted.as_ref().unwrap_or(&label.consignment);
    let parcels_differ = !delivery.parcels.is_empty() && delivery.parcels.len() != labelled.parcels.len();
    delivery.state != DeliveryState::Done && (order.ship_to != labelled.ship_to || parcels_differ)
}

fn exception(code: &str, severity: Severity, object: String, cause: String, actions: &[&str]) -> NewException {
    NewException {
        code: code.to_owned(),
        severity,
        object,
        owner_role: OPERATIONS.to_owned(),
        cause,
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
    }
}

/// At most five, so that a cause stays one sentence.
fn listed(faults: &[FieldFault]) -> String {
    let mut text: Vec<_> = faults.iter().take(5).map(|f| format!("`{}`: {}", f.path, f.message)).collect();
    if faults.len() > text.len() {
        text.push(format!("and {} more", faults.len() - text.len()));
    }
    text.join("; ")
}

fn said(fault: &Fault) -> String {
    if fault.fields.is_empty() { fault.to_string() } else { format!("{fault} ({})", listed(&fault.fields)) }
}
