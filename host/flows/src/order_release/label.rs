//! What is remembered about one delivery's prices and labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wharf_domain::address::Address;
use wharf_domain::fault::Fault;
use wharf_domain::ids::ConnectionId;
use wharf_domain::money::Money;
use wharf_domain::order::AllocationProof;
use wharf_domain::shipment::{Document, Parcel, Shipment};

/// What is to be sent, and between whom. A label is bought for exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consignment {
    pub ship_from: Address,
    pub ship_to: Address,
    pub parcels: Vec<Parcel>,
}

impl Consignment {
    pub fn weight_g(&self) -> u64 {
        self.parcels.iter().map(|parcel| parcel.weight_g).sum()
    }
}

/// One round of asking carriers for prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shop {
    pub round: u32,
    pub consignment: Consignment,
    pub quotes: BTreeMap<ConnectionId, Quote>,
}

/// One carrier's part in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Quote {
    Asked {},
    Answered { offers: Vec<Offer> },
    Failed { fault: Fault },
}

/// What is kept of a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The carrier's own service code.
    pub service: String,
    pub service_name: String,
    pub total: Money,
    /// Business days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit_days: Option<u32>,
}

/// Who carries it, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub connection: ConnectionId,
    pub service: String,
    /// Absent when the policy fixes the service without asking for prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Money>,
}

/// One attempt to have a label. Its generation is part of the business key: it is asked for once, ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Counted from 1 in each delivery.
    pub generation: u32,
    pub choice: Choice,
    /// How the carrier knows it.
    pub reference: String,
    /// What allowed the purchase.
    pub proof: AllocationProof,
    pub consignment: Consignment,
    pub status: LabelStatus,
    /// Not wanted any more: it is not bought if that can still be helped, and voided when it arrives.
    #[serde(default)]
    pub withdrawn: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bought: Option<Bought>,
    /// What the ERP is told about it, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// A person kept the label although the order looks different by now: this is how it looked then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Consignment>,
}

/// Where one label stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelStatus {
    /// The purchase is queued or in flight.
    Asked {},
    /// Refused for good; nothing was bought.
    Failed {
        fault: Fault,
    },
    /// Given up before anything was bought, or a person has made sure of that.
    NotBought {},
    /// Nobody knows; a person looks.
    Uncertain {
        fault: Fault,
    },
    Bought {},
    Voiding {},
    /// The carrier did not void it; a person decides.
    VoidFailed {
        fault: Fault,
    },
    Voided {},
    /// A person decided to live with an unvoided label nobody will use.
    WrittenOff {},
}

impl LabelStatus {
    /// Can nothing more come of it by itself?
    pub fn settled(&self) -> bool {
        matches!(self, Self::NotBought {} | Self::Voided {} | Self::WrittenOff {})
    }
}

/// What is kept of a bought shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bought {
    pub carrier_shipment_id: String,
    pub tracking_number: String,
    /// One per label document, in parcel order.
    pub documents: Vec<LabelDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_weight_g: Option<u64>,
}

/// A label without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelDocument {
    pub format: String,
    pub sha256: String,
    pub size: u64,
}

impl From<&Shipment> for Bought {
    fn from(shipment: &Shipment) -> Self {
        let document =
            |d: &Document| LabelDocument { format: d.format.clone(), sha256: d.sha256.clone(), size: d.size };
        Self {
            carrier_shipment_id: shipment.carrier_shipment_id.clone(),
            tracking_number: shipment.tracking_number.clone(),
            documents: shipment.labels().map(document).collect(),
            total: shipment.total.clone(),
            billed_weight_g: shipment.billed_weight_g,
        }
    }
}

/// One thing the ERP is told about a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub what: StepKind,
    pub status: StepStatus,
}

/// What the ERP is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepKind {
    /// Carrier, tracking number and weight on the delivery.
    Shipping {},
    /// The label's file; `number` counts from 1.
    Attach { number: u32 },
    /// A line in the history: bought.
    Note {},
    /// A line in the history: voided.
    VoidNote {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepStatus {
    Asked {},
    Done {},
    Failed {
        fault: Fault,
    },
    /// A person did it by hand.
    ByHand {},
}

impl StepStatus {
    pub fn settled(&self) -> bool {
        matches!(self, Self::Done {} | Self::ByHand {})
    }
}
