//! The machine's clock and randomness: the only place that reads either.

use uuid::Uuid;
use wharf_domain::ids::IdSource;
use wharf_domain::time::{Clock, Timestamp};

/// The wall clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one implementation of the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// UUIDv7 with the operating system's randomness.
pub(crate) struct RandomIds;

impl IdSource for RandomIds {
    fn next(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.millis()).unwrap_or_default();
        let (seconds, rest) = (millis / 1_000, millis % 1_000);
        let nanos = u32::try_from(rest).unwrap_or_default() * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
    }
}

/// A seed for jitter; not for secrets.
pub(crate) fn seed() -> u64 {
    let bytes = Uuid::new_v4().into_bytes();
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[10], bytes[11], bytes[12], bytes[13]])
}
