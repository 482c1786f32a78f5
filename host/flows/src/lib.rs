//! The business. Each flow is a folder with a pure state machine; [`runner`] is the only place that joins it with the
//! store, the queue and the ports. Nothing here knows SQL, wasm, HTTP or a partner's name.

#[cfg(test)]
mod harness;
pub mod intake;
pub mod order_release;
pub mod retention;
pub mod runner;
pub mod schedules;
#[cfg(test)]
mod testing;

pub use runner::Ports;

/// Every flow of this host by its kind. The harness shuffles, repeats and breaks each of them.
pub const FLOWS: &[&str] = &[order_release::KIND];
