//! Where a parcel is. The state is a fold over all events, never "last message".

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::time::DateTime;

/// The settled phase set: `announced accepted in-transit out-for-delivery pickup-ready attempt-failed delayed on-hold
/// exception returning returned delivered cancelled unknown`, and `info` for an event without a status.
pub type Phase = String;

/// One number's answer. One number may name several shipments, so there may be several trackers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackResult {
    pub number: String,
    #[serde(default)]
    pub trackers: Vec<Tracker>,
    /// Why this number, and only this one, has no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// One shipment's or parcel's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracker {
    pub tracking_number: String,
    pub phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub terminal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_delivery: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    #[serde(default)]
    pub references: Vec<(String, String)>,
    /// Oldest first.
    #[serde(default)]
    pub events: Vec<TrackingEvent>,
    #[serde(default)]
    pub extensions: Vec<(String, String)>,
}

/// One scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackingEvent {
    pub phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The carrier's own code as text: leading zeros count.
    pub carrier_code: String,
    pub carrier_text: String,
    pub occurred_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The same event seen twice has the same key.
    pub dedupe_key: String,
}

/// What a partner's webhook told, already verified by the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEvent {
    /// The partner's own event id when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Open list; `tracking` is the only kind so far.
    pub kind: String,
    #[serde(default)]
    pub trackers: Vec<Tracker>,
    #[serde(default)]
    pub extensions: Vec<(String, String)>,
}
