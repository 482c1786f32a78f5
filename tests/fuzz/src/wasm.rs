//! WebAssembly out of bytes: well formed, and like nothing a compiler emits. The same bytes give the same file.

use arbitrary::Unstructured;
use wasm_smith::{Component, Config, Module};

/// A component that imports nothing; `None` when the bytes do not suffice.
pub fn component(bytes: &[u8]) -> Option<Vec<u8>> {
    let config = Config { max_components: 3, max_imports: 0, ..Config::default() };
    Some(Component::new(config, &mut Unstructured::new(bytes)).ok()?.to_bytes())
}

/// A core module that imports nothing. With `proposals` it may use threads, 64-bit memories, garbage collection,
/// exceptions and relaxed SIMD.
pub fn module(bytes: &[u8], proposals: bool) -> Option<Vec<u8>> {
    let config = Config {
        max_imports: 0,
        max_instructions: 300,
        max_memory32_bytes: 1 << 20,
        memory_max_size_required: true,
        max_tables: 3,
        max_table_elements: 1_000,
        threads_enabled: proposals,
        memory64_enabled: proposals,
        gc_enabled: proposals,
        exceptions_enabled: proposals,
        relaxed_simd_enabled: proposals,
        ..Config::default()
    };
    Some(Module::new(config, &mut Unstructured::new(bytes)).ok()?.to_bytes())
}
