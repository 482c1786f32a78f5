//! What is remembered about one sales order. Facts first: the last reading, the labels, the answers of carriers;
//! what follows from them is computed again at every event. Label bytes are never here: they travel from the
//! carrier's answer straight into the attaching job, and this state keeps their hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wharf_domain::exception::NewException;
use wharf_domain::fault::Fault;
use wharf_domain::ids::TenantId;
use wharf_domain::order::{AllocationProof, Delivery, Order, OrderState};
use wharf_domain::time::Timestamp;

use super::label::{Label, LabelStatus, Shop};

/// How far an order, or one delivery of it, has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Something arrived; nothing is known to be in order yet.
    Received,
    /// The order is complete and correct.
    Validated,
    /// Goods are not, or no longer, set aside for every line.
    AwaitingAllocation,
    /// Every line is covered by an allocation proof.
    Allocated,
    /// The warehouse may ship it.
    Released,
    /// The parcels are known; carrier and label are under way.
    Packed,
    /// A label is bought; the ERP is being told.
    Labelled,
    /// The ERP knows everything, or the delivery is not ours to ship.
    Closed,
    /// A person has to decide; `held` names the exception.
    Held,
    /// Called off.
    Cancelled,
}

impl Stage {
    /// The name in tables, API and console.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Validated => "validated",
            Self::AwaitingAllocation => "awaiting-allocation",
            Self::Allocated => "allocated",
            Self::Released => "released",
            Self::Packed => "packed",
            Self::Labelled => "labelled",
            Self::Closed => "closed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }

    /// The way of an undisturbed delivery, in order.
    pub const WAY: [Self; 8] = [
        Self::Received,
        Self::Validated,
        Self::AwaitingAllocation,
        Self::Allocated,
        Self::Released,
        Self::Packed,
        Self::Labelled,
        Self::Closed,
    ];
}

/// One sales order under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub tenant: TenantId,
    /// The ERP's record id of the order.
    pub order_id: String,
    pub stage: Stage,
    /// The exception that holds it, when `stage` is `held`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The newest reading; absent before the first one and when the ERP has no such order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    pub reads: Reads,
    /// The moment of the armed timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Timestamp>,
    /// By the ERP's record id. A delivery that disappears from the order stays here: its labels must be voided.
    #[serde(default)]
    pub deliveries: BTreeMap<String, DeliveryFlow>,
    /// Open exceptions as last raised, by `problems::Problem::key`.
    #[serde(default)]
    pub raised: BTreeMap<String, NewException>,
}

impl State {
    /// A flow nobody has told anything yet.
    pub fn new(tenant: TenantId, order_id: impl Into<String>) -> Self {
        Self {
            tenant,
            order_id: order_id.into(),
            stage: Stage::Received,
            held: None,
            order: None,
            reads: Reads::default(),
            recheck: None,
            deliveries: BTreeMap::new(),
            raised: BTreeMap::new(),
        }
    }

    /// `order/<record id>`: the flow's key and the object of its exceptions.
    pub fn object(&self) -> String {
        format!("order/{}", self.order_id)
    }

    /// The order, when it is confirmed: only then is anything shipped.
    pub fn confirmed(&self) -> Option<&Order> {
        self.order.as_ref().filter(|order| order.state == OrderState::Confirmed)
    }

    /// Was the order called off? False before the first reading.
    pub fn cancelled(&self) -> bool {
        self.reads.answered > 0 && self.order.as_ref().is_none_or(|order| order.state == OrderState::Cancelled)
    }

    /// A delivery as the newest reading shows it.
    pub fn reading(&self, delivery: &str) -> Option<&Delivery> {
        self.order.as_ref()?.deliveries.iter().find(|d| d.erp_id == delivery)
    }

    pub fn label(&self, delivery: &str, generation: u32) -> Option<&Label> {
        self.deliveries.get(delivery)?.labels.iter().find(|label| label.generation == generation)
    }
}

/// Readings are numbered, so that a late answer never replaces a newer one. At most one is under way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reads {
    /// The newest reading asked for.
    pub asked: u64,
    /// The newest one that was answered.
    pub answered: u64,
    /// The newest one that failed for good.
    pub failed: u64,
    /// Something changed while a reading was under way: read once more after it.
    pub again: bool,
    /// Why the newest finished reading failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Reads {
    pub fn under_way(&self) -> bool {
        self.asked > self.answered.max(self.failed)
    }

    /// May money be spent on what is known? Not while a change is announced and unread.
    pub fn fresh(&self) -> bool {
        self.answered > 0 && !self.under_way() && self.fault.is_none()
    }
}

/// One outgoing delivery of the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryFlow {
    /// e.g. `WH/OUT/00007`.
    pub name: String,
    pub stage: Stage,
    /// When each stage on the way was reached; a step back forgets the later ones.
    #[serde(default)]
    pub reached: BTreeMap<Stage, Timestamp>,
    /// Why this delivery is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The complete proof of the newest reading; absent while goods are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<AllocationProof>,
    /// It had passed the allocation gate at some time: missing goods are a pick shortage, not a first wait.
    #[serde(default)]
    pub released: bool,
    /// Since when goods are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_since: Option<Timestamp>,
    /// Number of the last round of asking carriers for prices.
    #[serde(default)]
    pub rounds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shop: Option<Shop>,
    /// One per generation, oldest first.
    #[serde(default)]
    pub labels: Vec<Label>,
}

impl DeliveryFlow {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            stage: Stage::Received,
            reached: BTreeMap::new(),
            note: None,
            proof: None,
            released: false,
            short_since: None,
            rounds: 0,
            shop: None,
            labels: Vec::new(),
        }
    }

    /// The label that stands for this delivery now, if any: bought and not on its way out.
    pub fn standing(&self) -> Option<&Label> {
        self.labels.iter().rev().find(|label| label.status == LabelStatus::Bought {})
    }

    /// Does an earlier label have to be settled before another may be bought?
    pub fn unsettled(&self) -> bool {
        self.labels.iter().any(|label| !label.status.settled())
    }

    /// Was this tracking number given by one of our own labels?
    pub fn is_ours(&self, tracking: &str) -> bool {
        let mut numbers = self.labels.iter().filter_map(|label| Some(label.bought.as_ref()?.tracking_number.as_str()));
        numbers.any(|number| !number.is_empty() && tracking.contains(number))
    }
}
