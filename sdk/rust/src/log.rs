//! Lines for the operator. Bounded by the host; no secrets, no personal data. Silent off wasm.

use crate::bindings::wharf::log::logger::{self, Level};

/// For the adapter's author.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Worth a line.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Somebody should look at it.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// The call is about to fail.
pub fn error(message: &str) {
    write(Level::Error, message);
}

fn write(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        logger::write(level, message);
    }
}
