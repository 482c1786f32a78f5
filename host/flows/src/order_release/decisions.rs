//! What a person can decide about an exception of this flow, and what becomes of it. An action that does not fit the
//! state any more changes nothing.

use wharf_domain::exception as codes;
use wharf_domain::order::Order;

use super::command::Replayed;
use super::label::{Consignment, Label, LabelStatus, StepStatus};
use super::state::State;
use super::{Command, Desk, delivery, facts};

/// Read the order again now.
pub(super) const RECHECK: &str = "recheck";
/// Try the same once more.
pub(super) const RETRY: &str = "retry";
/// A person has told the ERP.
pub(super) const DONE_BY_HAND: &str = "done-by-hand";
/// Ask the carrier for the reference again.
pub const LOOK_AGAIN: &str = "look-again";
/// A person has made sure that the carrier has no such label.
pub const NOT_BOUGHT: &str = "not-bought";
/// Void it, or try to once more.
pub(super) const VOID: &str = "void";
/// A person has voided it at the carrier.
pub(super) const VOIDED_BY_HAND: &str = "voided-by-hand";
/// Leave the label unvoided; nobody will use it.
pub(super) const WRITE_OFF: &str = "write-off";
/// Void the label and buy another.
pub(super) const RELABEL: &str = "relabel";
/// The label is good as it is.
pub(super) const KEEP: &str = "keep";

/// Does what a person chose.
pub(super) fn decided(state: &mut State, desk: &mut Desk<'_>, code: &str, object: &str, action: &str) {
    if action == RECHECK {
        facts::look_again(state, desk);
        return;
    }
    let order = state.order.clone();
    let base = state.object();
    for (id, flow) in &mut state.deliveries {
        if object != format!("{base}/{}", flow.name) {
            continue;
        }
        for label in &mut flow.labels {
            decide_label(order.as_ref(), id, label, desk, (code, action));
        }
    }
}

fn decide_label(order: Option<&Order>, id: &str, label: &mut Label, desk: &mut Desk<'_>, choice: (&str, &str)) {
    match (choice, &label.status) {
        ((codes::LABEL_FAILED, RETRY), LabelStatus::Failed { .. }) => label.status = LabelStatus::NotBought {},
        ((codes::LABEL_UNKNOWN, LOOK_AGAIN), LabelStatus::Uncertain { .. }) => {
            let what = Replayed::Label { delivery: id.to_owned(), generation: label.generation };
            desk.commands.push(Command::Replay { what });
        }
        ((codes::LABEL_UNKNOWN, NOT_BOUGHT), LabelStatus::Uncertain { .. }) => {
            label.withdrawn = true;
            label.status = LabelStatus::NotBought {};
        }
        ((codes::LABEL_NOT_VOIDED, action), LabelStatus::VoidFailed { .. } | LabelStatus::Bought {}) => match action {
            VOID => desk.commands.extend(delivery::void(label, id)),
            VOIDED_BY_HAND => label.status = LabelStatus::Voided {},
            WRITE_OFF => label.status = LabelStatus::WrittenOff {},
            _ => {}
        },
        ((codes::LABEL_OUTDATED, RELABEL), LabelStatus::Bought {}) => {
            desk.commands.extend(delivery::void(label, id));
        }
        ((codes::LABEL_OUTDATED, KEEP), LabelStatus::Bought {}) => label.accepted = looks_now(order, id, label),
        ((codes::WRITE_BACK_FAILED, RETRY), _) => {
            for step in label.steps.iter_mut().filter(|s| matches!(s.status, StepStatus::Failed { .. })) {
                let (delivery, generation) = (id.to_owned(), label.generation);
                step.status = StepStatus::Asked {};
                let what = Replayed::WriteBack { delivery, generation, step: step.what };
                desk.commands.push(Command::Replay { what });
            }
        }
        ((codes::WRITE_BACK_FAILED, DONE_BY_HAND), _) => {
            for step in label.steps.iter_mut().filter(|s| matches!(s.status, StepStatus::Failed { .. })) {
                step.status = StepStatus::ByHand {};
            }
        }
        _ => {}
    }
}

/// The delivery as the person who kept the label saw it.
fn looks_now(order: Option<&Order>, id: &str, label: &Label) -> Option<Consignment> {
    let order = order?;
    let delivery = order.deliveries.iter().find(|d| d.erp_id == id)?;
    let parcels =
        if delivery.parcels.is_empty() { label.consignment.parcels.clone() } else { delivery.parcels.clone() };
    Some(Consignment { ship_from: order.ship_from.clone(), ship_to: order.ship_to.clone(), parcels })
}
