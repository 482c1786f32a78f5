//! The only test binary with wasmtime: hostile guests, conformance of the shipped adapters, and whole-system runs.

#![expect(clippy::expect_used, reason = "a failing set-up fails the test")]

mod attack;
mod cache;
mod conformance;
mod guest;
mod spine;
