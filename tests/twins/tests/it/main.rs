//! The twins from outside: over TCP, against the recorded exchanges, with faults let loose.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and speak as tests do"
)]

mod client;
mod faults;
mod odoo;
mod odoo_keys;
mod odoo_recorded;
mod odoo_replay;
mod odoo_rules;
mod parcel;

mod program;
mod recorded;
mod sink;
mod ups;
mod ups_recorded;
