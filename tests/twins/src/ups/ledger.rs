//! What happened: shipments as UPS holds them, and one effect row for every shipment bought and every void.

use std::time::Duration;

use serde::Serialize;

use super::label::{self, Format, Print};
use super::request::Party;

/// A shipment UPS has a record of.
#[derive(Debug, Clone)]
pub(super) struct Shipment {
    /// The first parcel's number.
    pub(super) id: String,
    pub(super) service: String,
    pub(super) ship_to: Party,
    pub(super) ship_from: Party,
    pub(super) parcels: Vec<Parcel>,
    /// What the shipper pays, in cents.
    pub(super) cents: i64,
    /// Age of the twin when it was made.
    pub(super) made: Duration,
    /// `YYYYMMDD`
    pub(super) day: String,
    /// `HHMMSS`
    pub(super) time: String,
}

#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) tracking: String,
    /// Values, the parcel's own first.
    pub(super) references: Vec<String>,
    pub(super) weight: String,
    pub(super) unit: String,
    pub(super) format: Format,
    pub(super) voided: bool,
}

impl Shipment {
    pub(super) fn is_void(&self) -> bool {
        self.parcels.iter().all(|p| p.voided)
    }

    pub(super) fn has_reference(&self, reference: &str) -> bool {
        self.parcels.iter().any(|p| p.references.iter().any(|r| r == reference))
    }

    /// The label of a parcel: the same bytes whenever it is asked for in the same format.
    pub(super) fn label(&self, parcel: &Parcel, format: Format) -> Vec<u8> {
        let reference = parcel.references.first().map_or("", String::as_str);
        label::bytes(format, Print { tracking: &parcel.tracking, reference, ship_to: &self.ship_to.name })
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Effect {
    /// Counted from 1.
    pub(super) id: usize,
    pub(super) kind: EffectKind,
    /// The first reference of the first parcel; empty when the request gave none.
    pub(super) reference: String,
    /// The shipment's number.
    pub(super) tracking: String,
    /// Decimal, what the shipper pays or gets back.
    pub(super) amount: String,
    pub(super) currency: &'static str,
    pub(super) at: String,
    /// Of the request's body.
    pub(super) request_sha256: String,
    /// A bought shipment's labels as delivered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) labels: Vec<LabelRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EffectKind {
    Shipment,
    Void,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct LabelRow {
    pub(super) tracking: String,
    pub(super) format: &'static str,
    /// Of the label file, not of its base64.
    pub(super) sha256: String,
}
