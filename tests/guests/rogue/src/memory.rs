//! What a guest can find in its own memory, and what it may leave behind there.

use std::hint::black_box;

/// Patterns arrive with every byte changed by this, so that looking for one does not put it into memory.
const HIDES: u8 = 0x5a;
const PAGE: usize = 65_536;

/// Which of the hidden patterns stand anywhere in this instance's memory. An empty one counts as found.
pub(crate) fn hunt(hidden: &[Vec<u8>]) -> Vec<bool> {
    #[cfg(target_arch = "wasm32")]
    let end = core::arch::wasm32::memory_size(0) * PAGE;
    #[cfg(not(target_arch = "wasm32"))]
    let end = PAGE;
    // Null is no place to read from, as far as the compiler knows.
    hidden.iter().map(|pattern| pattern.is_empty() || (1..end).any(|at| stands(pattern, at, end))).collect()
}

fn stands(hidden: &[u8], at: usize, end: usize) -> bool {
    at + hidden.len() <= end
        && hidden.iter().enumerate().all(|(place, byte)| {
            // SAFETY: a memory of WebAssembly is whole from its first byte to its last, and `at + place < end`.
            let there = unsafe { std::ptr::read_volatile((at + place) as *const u8) };
            there ^ HIDES == *byte
        })
}

/// Writes the pattern all over so many bytes and keeps them.
pub(crate) fn fill(hidden: &[u8], bytes: usize) {
    let plain = hidden.iter().map(|byte| byte ^ HIDES);
    let all: Vec<u8> = plain.cycle().take(bytes).collect();
    black_box(Box::leak(all.into_boxed_slice()));
}
