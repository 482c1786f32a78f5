//! The ERP port. Implemented by the Odoo room; by fakes in tests. Every write may be repeated without a second effect.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ctx::CallCtx;
use crate::fault::Fault;
use crate::order::Order;

/// One tenant's ERP.
#[async_trait]
pub trait Erp: Send + Sync {
    /// The order as it stands now; `None` when there is no such record.
    async fn order(&self, ctx: &CallCtx, erp_id: &str) -> Result<Option<Order>, Fault>;

    /// Writes what the carrier said onto the delivery. Absolute values: repeating is harmless.
    async fn set_shipping(&self, ctx: &CallCtx, update: &ShippingUpdate) -> Result<(), Fault>;

    /// Attaches a file once per `attachment.key`; a repeat finds the first one. Returns the ERP's attachment id.
    async fn attach(&self, ctx: &CallCtx, attachment: &Attachment) -> Result<String, Fault>;

    /// Posts a note once per `note.key`; a repeat finds the first one.
    async fn note(&self, ctx: &CallCtx, note: &Note) -> Result<(), Fault>;

    /// Events of the ERP not yet acknowledged, oldest first, at most `limit`.
    async fn pending_events(&self, ctx: &CallCtx, limit: u32) -> Result<Vec<ErpEvent>, Fault>;

    /// Forgets events the host has stored. Repeating is harmless.
    async fn acknowledge(&self, ctx: &CallCtx, events: &[ErpEvent]) -> Result<(), Fault>;
}

/// What order release writes back to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippingUpdate {
    /// The delivery's record id.
    pub delivery: String,
    /// The carrier by the name it has in the ERP; left alone when the ERP knows no such carrier.
    pub carrier: String,
    pub tracking_reference: String,
    /// In grams.
    pub weight_g: u64,
}

/// A file for a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Unique per tenant and stable over retries; letters, digits, `_` and `-`.
    pub key: String,
    pub delivery: String,
    pub file_name: String,
    pub media_type: String,
    pub content_base64: String,
}

/// A line in the delivery's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Unique per tenant and stable over retries; letters, digits, `_` and `-`.
    pub key: String,
    pub delivery: String,
    /// Plain text.
    pub text: String,
}

/// A fact the ERP told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErpEvent {
    /// Unique per tenant: the outbox row, or record and write date for a poll. The same fact has the same key.
    pub key: String,
    pub kind: ErpEventKind,
    /// The sales order's record id.
    pub order: String,
    /// What `acknowledge` needs; absent for a polled event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErpEventKind {
    /// The order, or a delivery of it, changed: read it again.
    OrderChanged,
    OrderConfirmed,
    OrderCancelled,
}
