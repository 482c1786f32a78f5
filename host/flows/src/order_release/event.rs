//! What a flow can be told. Any of it may come late, twice or out of order.

use serde::{Deserialize, Serialize};
use wharf_domain::fault::Fault;
use wharf_domain::ids::ConnectionId;
use wharf_domain::order::Order;
use wharf_domain::port::erp::ErpEventKind;
use wharf_domain::rate::RateAnswer;
use wharf_domain::shipment::Shipment;
use wharf_domain::time::Timestamp;

use super::label::StepKind;

/// A fact. `delivery` is always the ERP's record id of the delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The ERP says that something happened to the order. A hint: the order is read, the hint is never believed.
    ErpChanged {
        kind: ErpEventKind,
    },
    /// The order as it stands; none when the ERP has no such record.
    OrderRead {
        read: u64,
        order: Option<Box<Order>>,
    },
    /// One carrier's prices.
    Rated {
        delivery: String,
        round: u32,
        connection: ConnectionId,
        answer: RateAnswer,
    },
    /// A label is bought, or an earlier purchase was found again. The only event that carries the label's bytes.
    LabelBought {
        delivery: String,
        generation: u32,
        shipment: Box<Shipment>,
    },
    /// The purchase failed for good and nothing was bought.
    LabelFailed {
        delivery: String,
        generation: u32,
        fault: Fault,
    },
    /// Nobody can tell whether a label was bought.
    LabelUncertain {
        delivery: String,
        generation: u32,
        fault: Fault,
    },
    /// The purchase was given up before a byte left.
    LabelNotBought {
        delivery: String,
        generation: u32,
    },
    Voided {
        delivery: String,
        generation: u32,
    },
    /// The ERP was told one thing about a label: shipping data written, file attached, note posted.
    WrittenBack {
        delivery: String,
        generation: u32,
        step: StepKind,
    },
    /// A command that is not a purchase failed for good.
    CommandFailed {
        command: FailedCommand,
        fault: Fault,
    },
    /// The timer armed for `at` went off.
    Timer {
        at: Timestamp,
    },
    /// A person chose an action of one of this flow's exceptions. The flow closes the exception itself, when its
    /// cause is gone.
    Resolved {
        code: String,
        object: String,
        action: String,
        by: String,
    },
}

/// Which command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FailedCommand {
    ReadOrder { read: u64 },
    Rate { delivery: String, round: u32, connection: ConnectionId },
    Void { delivery: String, generation: u32 },
    WriteBack { delivery: String, generation: u32, step: StepKind },
}

impl Event {
    /// The name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ErpChanged { .. } => "erp-changed",
            Self::OrderRead { .. } => "order-read",
            Self::Rated { .. } => "rated",
            Self::LabelBought { .. } => "label-bought",
            Self::LabelFailed { .. } => "label-failed",
            Self::LabelUncertain { .. } => "label-uncertain",
            Self::LabelNotBought { .. } => "label-not-bought",
            Self::Voided { .. } => "voided",
            Self::WrittenBack { step: StepKind::Shipping {}, .. } => "shipping-written",
            Self::WrittenBack { step: StepKind::Attach { .. }, .. } => "attached",
            Self::WrittenBack { step: StepKind::Note {} | StepKind::VoidNote {}, .. } => "noted",
            Self::CommandFailed { .. } => "command-failed",
            Self::Timer { .. } => "timer",
            Self::Resolved { .. } => "resolved",
        }
    }
}
