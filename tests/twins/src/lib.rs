//! Twins of the outside systems: deterministic stand-ins that speak as the real ones were recorded speaking.
//!
//! A twin keeps a ledger of what really happened to it (shipments bought, attachments stored), so that a test can ask
//! the one question that counts: how many effects came of how many requests. A fault script makes it misbehave on
//! purpose, and `/__admin/*` reads and steers it.
//!
//! Nothing here depends on the host: a twin must not share a mistake with what it checks.

pub mod odoo;
pub mod parcel;
pub mod scenario;
pub mod serve;
pub mod ups;

mod admin;
mod clock;
mod desk;

pub use serve::Running;
