//! The durable runner. It knows jobs, leases and time, and no business: what a job does is a [`Handler`], found by the
//! job's kind in a [`Registry`].
//!
//! A [`Worker`] claims jobs, runs their handlers with no transaction open, and finishes each one in a transaction that
//! also holds what the handler wants stored ([`Handler::settle`]). A worker that dies loses its leases, not its jobs.

mod attempt;
mod backoff;
mod decide;
mod done;
mod handler;
mod lease;
mod registry;
mod worker;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use handler::{Handler, Verdict};
pub use registry::Registry;
pub use worker::{Watch, Worker, WorkerConfig};
