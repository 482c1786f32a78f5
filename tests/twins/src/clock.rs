//! Time inside a twin. The wall clock is read once, at the start; after that only the monotonic clock moves it, so a
//! jump of the machine's clock never ages a token or a shipment.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Timestamp,
    began: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Timestamp::now(), began: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start.checked_add(self.began.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// Since the twin started; what ages are measured with.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// `2026-11-23T04:05:06.789Z`.
    pub(crate) fn rfc3339(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}
