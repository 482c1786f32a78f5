//! The host's clock.

/// Milliseconds since 1970-01-01T00:00:00Z; none off wasm, where no host is there to ask.
pub fn now_ms() -> Option<u64> {
    #[cfg(target_arch = "wasm32")]
    return Some(crate::bindings::wharf::clock::wall::now_ms());
    #[cfg(not(target_arch = "wasm32"))]
    None
}
