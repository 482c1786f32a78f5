//! All SQL of the host. Other rooms see typed rows, typed ids and transactions; no SQL text and no driver type
//! leaves this crate except inside [`StoreError`].
//!
//! Rules every function here keeps: whoever changes a row passes a transaction and an [`Actor`]; time comes from the
//! [`Db`]'s clock, fixed for the length of a transaction; a transaction never stays open across a call to the
//! outside. SQL text is portable to PostgreSQL (`$1` binds, `ON CONFLICT`, `RETURNING`).
//!
//! [`Actor`]: wharf_domain::ctx::Actor

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod budgets;
mod connect;
mod db;
pub mod effects;
mod error;
pub mod exceptions;
pub mod flows;
pub mod folders;
pub mod grants;
pub mod inbox;
pub mod jobs;
pub mod kv;
mod migrate;
mod name;
pub mod retention;
mod row;
pub mod schedules;
pub mod secrets;
mod sql;
pub mod tapes;
pub mod usage;
mod wake;
mod writer;

#[cfg(test)]
mod testing;

pub use db::{Db, Tx};
pub use error::StoreError;
pub use name::HeldName;
pub use wake::Wake;
