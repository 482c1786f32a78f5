//! Plain data and rules every other room shares. No IO, no clock, no async runtime, no SQL.
//!
//! The words used here are the words of tables, the API and the docs; there are no synonyms.

pub mod account;
pub mod address;
pub mod ctx;
pub mod effect;
pub mod exception;
pub mod fault;
pub mod grant;
pub mod ids;
pub mod manifest;
pub mod money;
pub mod order;
pub mod peak;
pub mod port;
pub mod quarantine;
pub mod rate;
pub mod schedule;
pub mod secret;
pub mod shipment;
pub mod time;
pub mod tracking;
