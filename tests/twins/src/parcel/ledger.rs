//! What really happened, a row for each request that was carried out. Nothing is ever taken away.

use serde::{Deserialize, Serialize};

/// One request that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Counted from 1: the order in which it happened.
    pub n: usize,
    pub route: Route,
    /// Of the business, as the request gave it.
    pub reference: String,
    /// Did it change anything? A repeat of a known idempotency key does not.
    pub effect: bool,
    /// What was made; empty for an address.
    pub number: String,
    /// RFC 3339 with milliseconds, UTC.
    pub at: String,
}

/// Which route, named after what it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    Label,
    Shipment,
    Pickup,
    Address,
}
