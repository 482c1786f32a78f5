//! The only test binary with wasmtime: hostile guests, conformance of the shipped adapters, and whole-system runs.

mod attack;
mod cache;
mod guest;
mod spine;
