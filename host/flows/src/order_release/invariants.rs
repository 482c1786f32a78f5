//! What must never be. Checked after every step of the property tests and, by the runner, before anything is
//! committed: a violation stops the flow and nothing of the step is executed.

use thiserror::Error;
use wharf_domain::exception as codes;

use super::command::Command;
use super::label::{Label, LabelStatus};
use super::state::{DeliveryFlow, State};

/// A broken promise. The text names the delivery and says which promise.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    #[error("label {generation} of `{delivery}` has no complete allocation proof")]
    NoProof { delivery: String, generation: u32 },
    #[error("`{delivery}` has two labels of generation {generation}")]
    SameGeneration { delivery: String, generation: u32 },
    #[error("`{delivery}` has more than one label that is not called off")]
    TwoLabels { delivery: String },
    #[error("label {generation} of `{delivery}` is asked for more than once")]
    AskedTwice { delivery: String, generation: u32 },
    #[error("label {generation} of `{delivery}` is bought although the order is not confirmed")]
    NotConfirmed { delivery: String, generation: u32 },
    #[error("label {generation} of the cancelled `{delivery}` is neither voided nor an open exception")]
    NotCalledOff { delivery: String, generation: u32 },
    #[error("the ERP is told about label {generation} of `{delivery}`, which is not bought")]
    ToldTooEarly { delivery: String, generation: u32 },
}

/// Holds the state and the commands of the same step against every invariant of the flow.
pub fn check(state: &State, commands: &[Command]) -> Result<(), Violation> {
    for (id, flow) in &state.deliveries {
        labels_are_single(id, flow)?;
        for label in &flow.labels {
            let (delivery, generation) = (id.clone(), label.generation);
            if !label.proof.is_complete() {
                return Err(Violation::NoProof { delivery, generation });
            }
            if label.bought.is_none() && !label.steps.is_empty() {
                return Err(Violation::ToldTooEarly { delivery, generation });
            }
            if state.cancelled() && !called_off(state, flow, label) {
                return Err(Violation::NotCalledOff { delivery, generation });
            }
        }
    }
    commands.iter().enumerate().try_for_each(|(index, command)| allowed(state, command, &commands[..index]))
}

fn labels_are_single(id: &str, flow: &DeliveryFlow) -> Result<(), Violation> {
    let standing = flow.labels.iter().filter(|label| {
        matches!(label.status, LabelStatus::Asked {} | LabelStatus::Uncertain { .. } | LabelStatus::Bought {})
    });
    if standing.count() > 1 {
        return Err(Violation::TwoLabels { delivery: id.to_owned() });
    }
    let mut generations: Vec<u32> = flow.labels.iter().map(|label| label.generation).collect();
    generations.sort_unstable();
    match generations.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Violation::SameGeneration { delivery: id.to_owned(), generation: pair[0] }),
    }
}

/// Is the label of a cancelled order gone, on its way out, or a person's open question?
fn called_off(state: &State, flow: &DeliveryFlow, label: &Label) -> bool {
    let object = format!("{}/{}", state.object(), flow.name);
    let open = |code: &str| state.raised.contains_key(&format!("{code} {object}"));
    match &label.status {
        LabelStatus::NotBought {} | LabelStatus::Voided {} | LabelStatus::WrittenOff {} => true,
        LabelStatus::Voiding {} => true,
        LabelStatus::Asked {} => label.withdrawn,
        LabelStatus::Uncertain { .. } => open(codes::LABEL_UNKNOWN),
        LabelStatus::VoidFailed { .. } | LabelStatus::Bought {} => open(codes::LABEL_NOT_VOIDED),
        LabelStatus::Failed { .. } => false,
    }
}

fn allowed(state: &State, command: &Command, before: &[Command]) -> Result<(), Violation> {
    match command {
        Command::CreateShipment { delivery, generation, key, .. } => {
            let (delivery, generation) = (delivery.clone(), *generation);
            let asked = |other: &Command| matches!(other, Command::CreateShipment { key: k, .. } if k == key);
            if before.iter().any(asked) {
                return Err(Violation::AskedTwice { delivery, generation });
            }
            if state.confirmed().is_none() {
                return Err(Violation::NotConfirmed { delivery, generation });
            }
            let name = state.deliveries.get(&delivery).map(|flow| &flow.name);
            match state.label(&delivery, generation) {
                // Asked for in this very step: nothing can have happened to it yet.
                Some(label) if label.status != (LabelStatus::Asked {}) => {
                    Err(Violation::AskedTwice { delivery, generation })
                }
                Some(label) if label.proof.is_complete() && Some(&label.proof.delivery) == name => Ok(()),
                _ => Err(Violation::NoProof { delivery, generation }),
            }
        }
        Command::SetShipping { delivery, generation, .. }
        | Command::Attach { delivery, generation, .. }
        | Command::Note { delivery, generation, .. } => {
            match state.label(delivery, *generation).and_then(|label| label.bought.as_ref()) {
                Some(_) => Ok(()),
                None => Err(Violation::ToldTooEarly { delivery: delivery.clone(), generation: *generation }),
            }
        }
        _ => Ok(()),
    }
}
