//! The only test binary with wasmtime: hostile guests, conformance of the shipped adapters, and whole-system runs.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a failing set-up fails the test; a skipped one says so")]

mod attack;
mod cache;
mod conformance;
mod corpus;
mod grants;
mod guest;
mod limits;
mod secrets;
mod spine;
mod traces;
