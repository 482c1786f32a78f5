//! How near a connection's calls came to their limits.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The most that one call used, of all that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    /// When this host bound the connection to what it has now: calls before it do not count.
    pub since: Timestamp,
    /// Calls that ended since then, well or badly.
    pub calls: u64,
    /// Milliseconds of processor time, rounded up.
    pub cpu_ms: u64,
    /// Bytes of linear memory, all of a call's memories together.
    pub memory_bytes: u64,
    /// Requests to the partner, refused ones included.
    pub http_requests: u64,
}
