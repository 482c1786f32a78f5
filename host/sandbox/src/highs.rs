//! The most that a connection's calls used, counted while they run.

use std::sync::atomic::{AtomicU64, Ordering};

use wharf_domain::peak::Peak;
use wharf_domain::time::Timestamp;

/// What one call used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) cpu_ms: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) http_requests: u64,
}

/// In memory of this host, from when the connection was bound.
#[derive(Debug)]
pub(crate) struct Highs {
    since: Timestamp,
    calls: AtomicU64,
    cpu_ms: AtomicU64,
    memory_bytes: AtomicU64,
    http_requests: AtomicU64,
}

impl Highs {
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            since,
            calls: AtomicU64::new(0),
            cpu_ms: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            http_requests: AtomicU64::new(0),
        }
    }

    /// A call has ended.
    pub(crate) fn saw(&self, took: Took) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.cpu_ms.fetch_max(took.cpu_ms, Ordering::Relaxed);
        self.memory_bytes.fetch_max(took.memory_bytes, Ordering::Relaxed);
        self.http_requests.fetch_max(took.http_requests, Ordering::Relaxed);
    }

    pub(crate) fn peak(&self) -> Peak {
        let of = |value: &AtomicU64| value.load(Ordering::Relaxed);
        Peak {
            since: self.since,
            calls: of(&self.calls),
            cpu_ms: of(&self.cpu_ms),
            memory_bytes: of(&self.memory_bytes),
            http_requests: of(&self.http_requests),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_each_is_kept() {
        let highs = Highs::new(Timestamp::from_millis(7));
        highs.saw(Took { cpu_ms: 3, memory_bytes: 1 << 16, http_requests: 2 });
        highs.saw(Took { cpu_ms: 1, memory_bytes: 1 << 20, http_requests: 0 });
        let peak = highs.peak();
        assert_eq!((peak.since.millis(), peak.calls), (7, 2));
        assert_eq!((peak.cpu_ms, peak.memory_bytes, peak.http_requests), (3, 1 << 20, 2));
    }
}
