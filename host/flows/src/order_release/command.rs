//! What a flow wants done. One command becomes one job, one exception or one timer.

use serde::{Deserialize, Serialize};
use wharf_domain::effect::BusinessKey;
use wharf_domain::exception::NewException;
use wharf_domain::ids::ConnectionId;
use wharf_domain::port::erp::{Attachment, Note, ShippingUpdate};
use wharf_domain::rate::RateRequest;
use wharf_domain::shipment::ShipmentRequest;
use wharf_domain::time::Timestamp;

use super::label::StepKind;

/// A wish with everything needed to fulfil it, and what its answer has to name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    ReadOrder {
        order: String,
        read: u64,
    },
    Rate {
        delivery: String,
        round: u32,
        connection: ConnectionId,
        request: RateRequest,
    },
    CreateShipment {
        delivery: String,
        generation: u32,
        connection: ConnectionId,
        key: BusinessKey,
        request: ShipmentRequest,
    },
    Void {
        delivery: String,
        generation: u32,
        connection: ConnectionId,
        carrier_shipment_id: String,
    },
    SetShipping {
        delivery: String,
        generation: u32,
        update: ShippingUpdate,
    },
    /// Carries the label's bytes, so that they are stored once, with the job that needs them, and a parked job can
    /// be replayed without asking the carrier again.
    Attach {
        delivery: String,
        generation: u32,
        number: u32,
        attachment: Attachment,
    },
    /// `step` says which of the two notes it is.
    Note {
        delivery: String,
        generation: u32,
        step: StepKind,
        note: Note,
    },
    /// Runs a parked job of this flow once more.
    Replay {
        what: Replayed,
    },
    /// Opens an exception, or tells an open one of the same code and object the newest cause.
    Raise {
        exception: NewException,
    },
    /// Closes an exception whose cause is gone.
    Clear {
        code: String,
        object: String,
        action: String,
        note: String,
    },
    StartTimer {
        at: Timestamp,
    },
}

/// Which parked job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Replayed {
    /// The purchase of one label: the carrier port settles the earlier attempt first.
    Label {
        delivery: String,
        generation: u32,
    },
    WriteBack {
        delivery: String,
        generation: u32,
        step: StepKind,
    },
}

impl Command {
    /// The name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ReadOrder { .. } => "read-order",
            Self::Rate { .. } => "rate",
            Self::CreateShipment { .. } => "create-shipment",
            Self::Void { .. } => "void",
            Self::SetShipping { .. } => "set-shipping",
            Self::Attach { .. } => "attach",
            Self::Note { .. } => "note",
            Self::Replay { .. } => "replay",
            Self::Raise { .. } => "raise-exception",
            Self::Clear { .. } => "clear-exception",
            Self::StartTimer { .. } => "start-timer",
        }
    }

    /// The purchase or write-back step this command, when replayed, stands for.
    pub fn replayed(&self) -> Option<Replayed> {
        let step = |delivery: &String, generation: &u32, step| Replayed::WriteBack {
            delivery: delivery.clone(),
            generation: *generation,
            step,
        };
        match self {
            Self::CreateShipment { delivery, generation, .. } => {
                Some(Replayed::Label { delivery: delivery.clone(), generation: *generation })
            }
            Self::SetShipping { delivery, generation, .. } => Some(step(delivery, generation, StepKind::Shipping {})),
            Self::Attach { delivery, generation, number, .. } => {
                Some(step(delivery, generation, StepKind::Attach { number: *number }))
            }
            Self::Note { delivery, generation, step: which, .. } => Some(step(delivery, generation, *which)),
            _ => None,
        }
    }
}
