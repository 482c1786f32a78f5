//! Shipments, parcels and their documents.

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::money::Money;
use crate::rate::{Charge, Message};

/// A box to send. Weight in grams, lengths in millimetres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// The host's own name for the parcel, stable over retries.
    pub reference: String,
    pub weight_g: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_mm: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width_mm: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height_mm: Option<u32>,
    /// The carrier's packaging code; absent means the sender's own box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packaging: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_value: Option<Money>,
}

/// Buy transport. `reference` is chosen by the host, stable over retries and must reach the carrier, so that
/// `find-by-reference` can answer what became of a request whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShipmentRequest {
    pub reference: String,
    /// The carrier's own service code.
    pub service: String,
    pub ship_from: Address,
    pub ship_to: Address,
    pub parcels: Vec<Parcel>,
    #[serde(default)]
    pub label: LabelSpec,
    /// Printed on the label where the carrier can, e.g. the sales order's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    #[serde(default)]
    pub options: Vec<(String, String)>,
}

/// The wanted label. Formats: `zpl`, `pdf`, `epl`, `png`, `gif`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSpec {
    pub format: String,
    pub width_mm: u32,
    pub height_mm: u32,
}

impl Default for LabelSpec {
    /// A thermal label of 4 x 6 inches.
    fn default() -> Self {
        Self { format: "zpl".to_owned(), width_mm: 102, height_mm: 152 }
    }
}

/// What was bought, or found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipment {
    /// The host's reference as the carrier knows it.
    pub reference: String,
    /// What `void` wants.
    pub carrier_shipment_id: String,
    /// The master number.
    pub tracking_number: String,
    pub parcels: Vec<LabelledParcel>,
    /// Documents of the whole shipment: customs forms, the carrier's receipt.
    #[serde(default)]
    pub documents: Vec<Document>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_total: Option<Money>,
    #[serde(default)]
    pub charges: Vec<Charge>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_weight_g: Option<u64>,
    #[serde(default)]
    pub messages: Vec<Message>,
    #[serde(default)]
    pub extensions: Vec<(String, String)>,
}

impl Shipment {
    /// Every label of every parcel, in parcel order.
    pub fn labels(&self) -> impl Iterator<Item = &Document> {
        self.parcels.iter().flat_map(|p| p.documents.iter()).filter(|d| d.kind == "label")
    }
}

/// A parcel with its own number and label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledParcel {
    /// As in the request; the position counted from 1 when a lookup cannot know it.
    pub reference: String,
    pub tracking_number: String,
    #[serde(default)]
    pub documents: Vec<Document>,
}

/// A document of the carrier. Kinds: label, return_label, customs, commercial_invoice, manifest, pod, bol, dg,
/// packing_slip, receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub kind: String,
    /// `zpl`, `pdf`, `epl`, `png`, `gif`, `html`.
    pub format: String,
    /// SHA-256 of the bytes, hexadecimal, computed by the host.
    pub sha256: String,
    pub size: u64,
    /// The bytes, base64.
    pub content_base64: String,
}

/// A void that the carrier accepted. A refused void is a fault of kind `not-cancellable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voided {
    pub carrier_shipment_id: String,
    /// True when it was already void before this request.
    pub already: bool,
}
