//! Sales orders and their deliveries as an ERP tells them.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::shipment::Parcel;

/// A sales order with everything order release needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The ERP's own record id, as text.
    pub erp_id: String,
    /// e.g. `S00042`.
    pub number: String,
    pub state: OrderState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_reference: Option<String>,
    pub ship_from: Address,
    pub ship_to: Address,
    pub lines: Vec<OrderLine>,
    /// Outgoing deliveries only; cancelled ones are left out.
    pub deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    Draft,
    Confirmed,
    Cancelled,
}

/// A line that ships. Services and the delivery charge are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    pub erp_id: String,
    pub sku: String,
    pub description: String,
    pub quantity: Decimal,
    /// Of one unit, in grams; absent when the ERP has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_weight_g: Option<u64>,
}

/// One outgoing delivery (a picking) and what the ERP has reserved for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    pub erp_id: String,
    /// e.g. `WH/OUT/00007`.
    pub name: String,
    pub state: DeliveryState,
    pub moves: Vec<DeliveryMove>,
    /// The packages packed so far; empty when nobody packed.
    #[serde(default)]
    pub parcels: Vec<Parcel>,
    /// Already set when somebody bought a label elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_reference: Option<String>,
    /// Total of the moves, in grams, as the ERP computes it; 0 when products have no weight.
    #[serde(default)]
    pub weight_g: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Draft,
    /// Waiting for another delivery or for goods.
    Waiting,
    /// Something is reserved; `moves` tell whether everything is.
    Ready,
    Done,
    Cancelled,
}

/// Demand against reservation of one product in one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryMove {
    pub erp_id: String,
    pub sku: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_line: Option<String>,
    pub demand: Decimal,
    pub reserved: Decimal,
}

/// Who confirmed that goods are set aside, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocationProof {
    /// `odoo` or the WMS connection's id.
    pub system: String,
    /// The delivery it is about.
    pub delivery: String,
    pub lines: Vec<AllocatedLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocatedLine {
    pub sku: String,
    pub demand: Decimal,
    pub allocated: Decimal,
}

impl AllocationProof {
    /// The proof an ERP's own reservation gives for one delivery.
    pub fn from_reservation(system: &str, delivery: &Delivery) -> Self {
        Self {
            system: system.to_owned(),
            delivery: delivery.name.clone(),
            lines: delivery
                .moves
                .iter()
                .map(|m| AllocatedLine { sku: m.sku.clone(), demand: m.demand, allocated: m.reserved })
                .collect(),
        }
    }

    /// Does it cover every line in full? A proof without lines proves nothing.
    pub fn is_complete(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|l| l.allocated >= l.demand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(demand: i64, allocated: i64) -> AllocatedLine {
        AllocatedLine { sku: "A".to_owned(), demand: demand.into(), allocated: allocated.into() }
    }

    #[test]
    fn a_proof_covers_every_line_or_is_none() {
        let mut proof = AllocationProof { system: "odoo".to_owned(), delivery: "OUT/1".to_owned(), lines: vec![] };
        assert!(!proof.is_complete(), "no lines prove nothing");
        proof.lines = vec![line(2, 2), line(1, 3)];
        assert!(proof.is_complete());
        proof.lines.push(line(2, 1));
        assert!(!proof.is_complete());
    }
}
