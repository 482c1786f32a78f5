//! The Rust SDK for Wharf adapters.
//!
//! An adapter is a struct that implements one `Guest` trait per ability and names them in [`export!`]:
//!
//! ```
//! use wharf_sdk::{export, info};
//!
//! struct Acme;
//!
//! impl info::Guest for Acme {
//!     fn describe() -> info::Description {
//!         info::Description {
//!             name: "ACME Parcel".to_owned(),
//!             services: vec![],
//!             label_formats: vec!["pdf".to_owned()],
//!             test_environment: true,
//!             limits: vec![],
//!             extensions: vec![],
//!         }
//!     }
//! }
//!
//! export!(Acme: info);
//! ```
//!
//! Write each operation as two pure functions, `request(context, input) -> Result<http::Request, Fault>` and
//! `answer(&http::Response) -> Result<…, Fault>`, joined by [`http::Request::send`]. Off wasm the host's imports do not
//! exist: `send`, [`kv`], [`files`] and [`odoo`] panic, the log is silent, the clock says nothing. So the pure functions
//! are what unit tests
//! run, and they run without a wasm engine.
//!
//! On wasm the crate also brings a memory allocator made for one short call and a panic hook that writes the panic's
//! place and text to the host's log before the trap.

mod arena;
pub mod bindings;
pub mod clock;
mod context;
pub mod decimal;
mod export;
mod fault;
pub mod files;
pub mod http;
pub mod log;
pub mod odoo;
mod retry_after;
#[doc(hidden)]
pub mod section;

pub use bindings::exports::wharf::adapter::info;
pub use bindings::exports::wharf::carrier::{labels, rates, tracking};
pub use bindings::exports::wharf::webhook::parser as webhook;
/// Small durable state per connection: `get`, `set`, `delete`. Panics off wasm.
pub use bindings::wharf::kv::store as kv;
pub use bindings::wharf::types::types::{
    Address, CallContext, Datetime, Document, EffectCertainty, Fault, FieldFault, Message, Money, Parcel, Precision,
    ProviderError, RetryClass,
};
pub use context::lookup;
#[doc(hidden)]
pub use export::enter;
pub use retry_after::http_date_ms;
