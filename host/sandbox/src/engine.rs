//! The one wasmtime configuration. Every engine of the process comes from here: two configurations would silently
//! compile every adapter twice.
//!
//! Deliberately absent: WASI, threads, GC, 64-bit memories, exceptions, relaxed SIMD, the async component ABI. Each is a
//! source of escapes or of nondeterminism that no adapter needs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy, WasmFeatures};

use crate::limits::Limits;

/// How often the deadline of a running guest is looked at.
pub const EPOCH_TICK: Duration = Duration::from_millis(1);

/// Bytes of stack a guest may use.
pub const STACK_BYTES: usize = 512 << 10;

/// The configuration for `limits`.
pub fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        // The difference to `max_wasm_stack` is what host functions get; overflowing it would abort the process.
        .async_stack_size(1 << 20)
        .async_stack_zeroing(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(16))
        .wasm_features(refused(), false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    config
}

/// The proposals an adapter may use.
pub fn features() -> Result<WasmFeatures, EngineError> {
    let mut config = config(&Limits::default());
    // Nothing is instantiated, so no room is needed for it.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = Engine::new(&config).map_err(|error| EngineError::Config(format!("{error:#}")))?;
    Ok(engine.get_wasm_features())
}

/// Proposals no adapter needs. Some are on by default, some not compiled in: all are switched off by name.
fn refused() -> WasmFeatures {
    WasmFeatures::THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::GC
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::CM_ASYNC
}

/// The top of a call's stack, cleared by hand after it: giving these pages back to the kernel and faulting them in again
/// costs a small call a third of its time. What lies deeper is given back.
const STACK_KEPT: usize = 32 << 10;

/// One slot per concurrent call, and of everything in it as much as one component may have: no adapter that is let in can
/// take another one's room. Kept pages and `pagemap_scan` make a fresh instance cost one system
/// call; the memory reservation stays at its 4 GiB default because a smaller one makes Cranelift emit bounds checks.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let slots = u32::try_from(limits.concurrent_calls).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(limits.core_instances))
        .total_memories(slots.saturating_mul(limits.memories))
        .total_tables(slots.saturating_mul(limits.tables))
        .total_stacks(slots)
        .async_stack_keep_resident(STACK_KEPT)
        .max_memory_size(limits.memory_bytes)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_core_instances_per_component(limits.core_instances)
        .table_elements(limits.table_elements);
    // Without the kernel's page map (before 6.7) keeping pages means clearing them blindly, which costs more than it saves.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(limits.keep_resident_bytes)
            .table_keep_resident(64 << 10);
    }
    pool
}

/// An engine and the thread that advances its epoch. The thread ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct TickingEngine {
    engine: Engine,
    _ticker: Arc<Ticker>,
}

struct Ticker(Arc<AtomicBool>);

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TickingEngine {
    pub(crate) fn new(limits: &Limits) -> Result<Self, EngineError> {
        let engine = Engine::new(&config(limits)).map_err(|e| EngineError::Config(format!("{e:#}")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let weak = engine.weak();
        let flag = Arc::downgrade(&stop);
        // A thread of its own: a busy async runtime must not be able to hold back the deadline.
        std::thread::Builder::new()
            .name("wharf-epoch".to_owned())
            .spawn(move || tick(&weak, &flag))
            .map_err(EngineError::Thread)?;
        Ok(Self { engine, _ticker: Arc::new(Ticker(stop)) })
    }

    pub(crate) fn get(&self) -> &Engine {
        &self.engine
    }
}

fn tick(engine: &wasmtime::EngineWeak, stop: &Weak<AtomicBool>) {
    loop {
        std::thread::sleep(EPOCH_TICK);
        let stopped = stop.upgrade().is_none_or(|s| s.load(Ordering::Relaxed));
        match engine.upgrade() {
            Some(engine) if !stopped => engine.increment_epoch(),
            _ => return,
        }
    }
}

/// Why the sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the wasm engine refused its configuration: {0}")]
    Config(String),
    #[error("could not start a thread of the sandbox: {0}")]
    Thread(std::io::Error),
    #[error("cannot use the folder `{path}` for compiled adapters: {source}; `server.data_dir` must be writable")]
    Cache { path: std::path::PathBuf, source: std::io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings table of the security design, read back one by one.
    #[test]
    fn every_required_setting_is_in_force() {
        let limits = Limits::default();
        let c = Engine::new(&config(&limits)).expect("engine");
        assert!(c.get_epoch_interruption());
        assert_eq!(c.get_max_wasm_stack(), 512 << 10);
        assert_eq!(c.get_async_stack_size(), 1 << 20);
        assert!(c.get_async_stack_zeroing());
        assert!(!c.get_concurrency_support());
        assert_eq!(c.get_wasm_backtrace_max_frames(), 16);
        assert_eq!(c.get_strategy(), Some(Strategy::Cranelift));
        assert_eq!(c.get_memory_reservation(), 4 << 30, "a smaller reservation costs bounds checks");
        let on = c.get_wasm_features().intersection(refused());
        assert!(on.is_empty(), "{on:?}");
        let pool = c.get_pooling_config().expect("pooling");
        assert_eq!(pool.get_max_memory_size(), limits.memory_bytes);
        assert_eq!(pool.get_table_elements(), limits.table_elements);
        assert_eq!(pool.get_max_memories_per_component(), limits.memories);
        assert_eq!(pool.get_max_tables_per_component(), limits.tables);
        assert_eq!(pool.get_max_core_instances_per_component(), limits.core_instances);
        let slots = u32::try_from(limits.concurrent_calls).expect("a few");
        assert_eq!(pool.get_total_memories(), slots * limits.memories, "QuickJS has three");
        assert_eq!(pool.get_total_tables(), slots * limits.tables);
        assert_eq!(pool.get_total_core_instances(), slots * limits.core_instances);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            assert_eq!(pool.get_memory_keep_resident(), limits.keep_resident_bytes);
            assert_eq!(pool.get_pagemap_scan(), Enabled::Yes);
        }
    }
}
