//! What one call may use up, and the limiter wasmtime asks.

use wasmtime::ResourceLimiter;

/// Limits of one adapter call, and the size of the pool. One value for all adapters; a manifest cannot raise them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a component file.
    pub component_bytes: usize,
    /// Linear memory over all memories of one call.
    pub memory_bytes: usize,
    pub memories: u32,
    pub tables: u32,
    /// Elements of one table.
    pub table_elements: usize,
    pub core_instances: u32,
    /// Milliseconds of guest CPU: epoch ticks during which guest code ran.
    pub cpu_ms: u64,
    /// Milliseconds of guest CPU for an instance to start, when an adapter is loaded.
    pub start_ms: u64,
    /// Milliseconds of wall clock for the whole call, host calls included.
    pub wall_ms: u64,
    /// Bytes copied between guest and host in one direction of one host call.
    pub hostcall_bytes: usize,
    /// Component handles alive at once.
    pub handles: usize,
    /// Host calls of any kind.
    pub host_calls: u32,
    /// HTTP requests; the next one is refused.
    pub http_requests: u32,
    /// Bytes a guest may hand to host calls, all together.
    pub bytes_in: u64,
    /// Bytes of log lines kept; what is over is counted.
    pub log_bytes: usize,
    /// Lines of log kept; what is over is counted.
    pub log_lines: usize,
    /// Calls running at once; further ones wait in order.
    pub concurrent_calls: usize,
    /// Calls of one tenant running at once; further ones wait in order.
    pub tenant_calls: usize,
    /// Milliseconds of guest CPU of one tenant in a minute; calls over it wait for the next one.
    pub tenant_cpu_ms_per_minute: u64,
    /// Memory kept zeroed in each pool slot between calls.
    pub keep_resident_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            memory_bytes: 64 << 20,
            memories: 8,
            tables: 16,
            table_elements: 20_000,
            core_instances: 64,
            cpu_ms: 5_000,
            start_ms: 500,
            wall_ms: 60_000,
            // No smaller than the largest answer the host accepts: labels that were paid for must fit through.
            hostcall_bytes: 8 << 20,
            handles: 1_000,
            host_calls: 10_000,
            http_requests: 50,
            bytes_in: 32 << 20,
            log_bytes: 64 << 10,
            log_lines: 256,
            concurrent_calls: 64,
            // A quarter of all. Two, as one could think, would let a site of one tenant buy two labels at a time.
            tenant_calls: 16,
            tenant_cpu_ms_per_minute: 60_000,
            keep_resident_bytes: 4 << 20,
        }
    }
}

/// Sums memory over all memories of a store (wasmtime's own limiter counts each alone) and remembers denials, because
/// a refused `memory.grow` reaches us only as an `unreachable` somewhere later.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_left: usize,
    table_elements: usize,
    memories: usize,
    tables: usize,
    instances: usize,
    pub(crate) memory_denied: bool,
    pub(crate) table_denied: bool,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_left: limits.memory_bytes,
            table_elements: limits.table_elements,
            memories: limits.memories as usize,
            tables: limits.tables as usize,
            instances: limits.core_instances as usize,
            memory_denied: false,
            table_denied: false,
        }
    }

    /// Bytes of linear memory so far; memories never shrink. `limits` are those it was made with.
    pub(crate) fn memory_used(&self, limits: &Limits) -> u64 {
        limits.memory_bytes.saturating_sub(self.memory_left) as u64
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if more > self.memory_left {
            self.memory_denied = true;
            return Ok(false);
        }
        self.memory_left -= more;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let fine = desired <= self.table_elements;
        self.table_denied |= !fine;
        Ok(fine)
    }

    fn instances(&self) -> usize {
        self.instances
    }
    fn tables(&self) -> usize {
        self.tables
    }
    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed_over_all_memories() {
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 60, None).expect("answer"));
        assert!(!limiter.memory_growing(0, 60, None).expect("answer"), "a second memory shares the budget");
        assert!(limiter.memory_denied);
        assert_eq!(limiter.memory_used(&limits), 60, "what was refused is not used");
        assert!(limiter.memory_growing(60, 100, None).expect("answer"));
        assert_eq!(limiter.memory_used(&limits), 100);
    }
}
