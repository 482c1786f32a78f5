//! Incoming HTTP: what the ERP's hooks and people's tools talk to. It reads the store, and it starts work by queueing
//! it; it never waits for work and never calls outside. Every answer that is not a success is a problem of RFC 9457.
//!
//! [`router`] is the whole face: one list of rows, each with method, path, who may, and the handler.

mod admin;
mod body;
mod caller;
#[cfg(test)]
mod fuzz;
mod health;
mod ingress;
mod loops;
mod path;
mod problem;
mod router;
mod state;
#[cfg(test)]
mod testing;

pub use loops::without_loops;
pub use problem::Problem;
pub use router::router;
pub use state::{ApiState, TenantAccess, Token};
