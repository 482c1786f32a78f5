//! How long to wait before the next attempt.

use rand::Rng;

/// Full jitter: a random wait between nothing and a limit that doubles with every attempt. A wait the partner asked for
/// is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Limit after the first attempt, in milliseconds.
    pub base_ms: u64,
    /// The limit never grows beyond this.
    pub max_ms: u64,
    /// The longest wait a partner may ask for.
    pub after_max_ms: u64,
}

impl Default for Backoff {
    /// 1 s to 15 min; a partner may ask for up to 1 h.
    fn default() -> Self {
        Self { base_ms: 1_000, max_ms: 900_000, after_max_ms: 3_600_000 }
    }
}

impl Backoff {
    /// Milliseconds to wait after `attempt` (counted from 1). `after_ms` is what the partner asked for, `remaining_ms`
    /// the time left until the deadline; the wait always ends before it. `None` when that is impossible.
    pub(crate) fn wait(
        &self,
        attempt: u32,
        after_ms: Option<u64>,
        remaining_ms: Option<i64>,
        rng: &mut impl Rng,
    ) -> Option<u64> {
        let floor = after_ms.unwrap_or(0).min(self.after_max_ms);
        let doublings = attempt.saturating_sub(1).min(63);
        let mut limit = self.base_ms.saturating_mul(1 << doublings).min(self.max_ms);
        if let Some(remaining) = remaining_ms {
            let last = u64::try_from(remaining).ok()?.checked_sub(1)?;
            if floor > last {
                return None;
            }
            limit = limit.min(last);
        }
        Some(rng.random_range(0..=limit).max(floor))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const BACKOFF: Backoff = Backoff { base_ms: 1_000, max_ms: 900_000, after_max_ms: 3_600_000 };

    fn waits(attempt: u32, after_ms: Option<u64>, remaining_ms: Option<i64>) -> Vec<Option<u64>> {
        let mut rng = SmallRng::seed_from_u64(7);
        (0..2_000).map(|_| BACKOFF.wait(attempt, after_ms, remaining_ms, &mut rng)).collect()
    }

    #[test]
    fn the_limit_doubles_up_to_a_quarter_of_an_hour_and_the_wait_fills_the_whole_range() {
        for (attempt, limit) in [(1, 1_000), (2, 2_000), (5, 16_000), (11, 900_000), (30, 900_000), (u32::MAX, 900_000)]
        {
            let waits = waits(attempt, None, None);
            let (least, most) = (waits.iter().min().expect("some"), waits.iter().max().expect("some"));
            assert!(least.expect("wait") < limit / 20, "attempt {attempt}: least {least:?}");
            let most = most.expect("wait");
            assert!(most <= limit && most > limit - limit / 20, "attempt {attempt}: most {most}");
        }
    }

    #[test]
    fn what_the_partner_asked_for_is_the_least_up_to_an_hour() {
        assert!(waits(1, Some(60_000), None).iter().all(|wait| *wait == Some(60_000)));
        assert!(waits(30, Some(60_000), None).iter().any(|wait| *wait > Some(60_000)));
        assert!(waits(1, Some(u64::MAX), None).iter().all(|wait| *wait == Some(3_600_000)));
    }

    #[test]
    fn a_wait_never_reaches_the_deadline() {
        assert!(waits(30, None, Some(5_000)).iter().all(|wait| *wait < Some(5_000) && wait.is_some()));
        assert!(waits(1, Some(4_999), Some(5_000)).iter().all(|wait| *wait == Some(4_999)));
        assert!(waits(1, Some(5_000), Some(5_000)).iter().all(Option::is_none));
        assert!(waits(1, None, Some(0)).iter().all(Option::is_none));
        assert!(waits(1, None, Some(-1)).iter().all(Option::is_none));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        assert_eq!(waits(4, None, None), waits(4, None, None));
    }
}
