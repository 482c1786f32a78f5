//! Odoo, spoken: the only room that knows Odoo's models, its JSON-2 interface and how its errors read.
//!
//! Everything leaves through the door of `wharf-egress` under a grant made here, so a call that is not in `routes`
//! cannot be made. What an adapter asks for passes the `gate` first. Reads are one nested call where Odoo can do it; every write can be repeated without a second
//! effect. Deliberately absent: any write that moves stock, confirms an order or posts a document.

mod client;
mod erp;
mod events;
mod fault;
pub mod gate;
mod json2;
mod load;
mod models;
mod probe;
mod records;
mod routes;
pub mod setup;
mod value;

use std::collections::BTreeMap;

use secrecy::SecretString;
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::SecretSlot;
use wharf_egress::BoundSecret;

pub use erp::OdooErp;
pub use probe::{Finding, Level, probe};
pub use records::OdooRecords;

/// The custom model that holds events until the host has stored them.
pub const OUTBOX_MODEL: &str = "x_wharf_outbox";

/// One tenant's Odoo and how to speak to it.
#[derive(Clone)]
pub struct OdooConfig {
    pub tenant: TenantId,
    /// `https://host` or `https://host:port`, no path.
    pub url: String,
    pub database: String,
    /// The bot user's key; for setup, an administrator's.
    pub api_key: SecretString,
    /// Permits a loopback or private address, and a key over plain http to it.
    pub allow_private_address: bool,
    /// Record id of the company this tenant is; absent means every company of the key's user.
    pub company: Option<i64>,
    pub events: EventSource,
}

/// What the door calls a tenant's Odoo in place of a connection.
pub const CONNECTION: &str = "odoo";

/// The slot of the API key, by its name, with the configuration's value.
pub fn key_slot(config: &OdooConfig) -> (String, BoundSecret) {
    let values = BTreeMap::from([("value".to_owned(), config.api_key.clone())]);
    (routes::KEY_SLOT.to_owned(), BoundSecret { slot: SecretSlot::OdooKey, values })
}

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSource {
    /// Rows of the outbox model, written with the change itself: nothing is lost.
    Outbox,
    /// Records whose write date moved. Deletions and changes in flight for longer than `overlap_s` go unseen.
    Poll {
        /// Seconds read again each time; more than the longest transaction (Odoo's `limit_time_real`, 120 s).
        overlap_s: u32,
        /// Seconds looked back at the start of the process, as the cursor lives in memory only.
        look_back_s: u32,
    },
}

impl EventSource {
    /// Polling with an overlap of 3 minutes and a look-back of a day.
    pub const POLL: Self = Self::Poll { overlap_s: 180, look_back_s: 86_400 };
}
