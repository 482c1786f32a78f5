//! Work items for people.

use serde::{Deserialize, Serialize};

/// What a person is asked to decide. Codes are an open list; the ones this host raises are constants below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewException {
    /// e.g. `label-unknown`.
    pub code: String,
    pub severity: Severity,
    /// The business object, e.g. `order/S00042`.
    pub object: String,
    /// Who is asked: `operations`, `integration`, `finance`.
    pub owner_role: String,
    /// One sentence for the person: what happened and what is safe to do.
    pub cause: String,
    /// Names of the actions that resolve it.
    pub actions: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

pub const ALLOC_REFUSED: &str = "alloc-refused";
pub const PICK_SHORT: &str = "pick-short";
pub const ADDRESS_INVALID: &str = "address-invalid";
pub const ORDER_INVALID: &str = "order-invalid";
pub const ORDER_UNREADABLE: &str = "order-unreadable";
pub const SERVICE_UNAVAILABLE: &str = "service-unavailable";
pub const LABEL_UNKNOWN: &str = "label-unknown";
pub const LABEL_FAILED: &str = "label-failed";
/// A label nobody will use still stands at the carrier.
pub const LABEL_NOT_VOIDED: &str = "label-not-voided";
/// The order changed after its label was bought.
pub const LABEL_OUTDATED: &str = "label-outdated";
pub const ERP_UNREACHABLE: &str = "erp-unreachable";
pub const WRITE_BACK_FAILED: &str = "write-back-failed";
pub const INVARIANT_BROKEN: &str = "invariant-broken";
/// A parked job keeps everything behind it in its lane waiting.
pub const LANE_HELD: &str = "lane-held";
/// A job's stored payload cannot be read: it needs another one.
pub const PAYLOAD_UNREADABLE: &str = "payload-unreadable";
pub const ADAPTER_FAULT: &str = "adapter-fault";
