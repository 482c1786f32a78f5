//! When an adapter that keeps failing by its own fault is left alone.
//!
//! Five bad ends within ten minutes, and the connection's version is in quarantine: its jobs wait, visibly and without
//! using up attempts, and one of them at a time is let through to see whether it has got better.

use std::collections::VecDeque;

use crate::time::Timestamp;

/// So many bad ends …
pub const STRIKES: usize = 5;
/// … within this time, in milliseconds.
pub const WITHIN_MS: i64 = 600_000;
/// Between two probes, at first; it doubles with each that fails.
pub const FIRST_PROBE_MS: i64 = 60_000;
/// No longer than this lies between two probes.
pub const LAST_PROBE_MS: i64 = 1_800_000;

/// What is remembered of one version of one connection's adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strikes {
    bad: VecDeque<Timestamp>,
    quarantine: Option<Quarantine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Quarantine {
    next_probe: Timestamp,
    every_ms: i64,
}

/// May a call go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Free,
    /// It decides about the quarantine.
    Probe,
    Wait {
        until: Timestamp,
    },
}

impl Strikes {
    pub fn ask(&mut self, now: Timestamp) -> Leave {
        let Some(quarantine) = &mut self.quarantine else { return Leave::Free };
        if now < quarantine.next_probe {
            return Leave::Wait { until: quarantine.next_probe };
        }
        // A probe nobody hears of again is followed by the next one.
        quarantine.next_probe = now.plus(quarantine.every_ms);
        Leave::Probe
    }

    /// A call that was let go has ended; `bad`: by the adapter's own fault. True when that begins a quarantine.
    pub fn ended(&mut self, leave: Leave, bad: bool, now: Timestamp) -> bool {
        if leave == Leave::Probe {
            match &mut self.quarantine {
                Some(quarantine) if bad => {
                    quarantine.every_ms = (quarantine.every_ms * 2).min(LAST_PROBE_MS);
                    quarantine.next_probe = now.plus(quarantine.every_ms);
                }
                _ => *self = Self::default(),
            }
            return false;
        }
        if !bad || self.quarantine.is_some() {
            return false;
        }
        self.bad.push_back(now);
        while self.bad.front().is_some_and(|first| now.since(*first) > WITHIN_MS) {
            self.bad.pop_front();
        }
        if self.bad.len() < STRIKES {
            return false;
        }
        self.bad.clear();
        self.quarantine = Some(Quarantine { next_probe: now.plus(FIRST_PROBE_MS), every_ms: FIRST_PROBE_MS });
        true
    }

    /// Nothing is worth remembering.
    pub fn is_clean(&self, now: Timestamp) -> bool {
        self.quarantine.is_none() && self.bad.back().is_none_or(|last| now.since(*last) > WITHIN_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn quarantined() -> Strikes {
        let mut strikes = Strikes::default();
        for strike in 0..STRIKES {
            let begun = strikes.ended(Leave::Free, true, at(strike as i64));
            assert_eq!(begun, strike + 1 == STRIKES, "strike {strike}");
        }
        strikes
    }

    #[test]
    fn five_bad_ends_in_ten_minutes_and_not_in_eleven() {
        let mut strikes = quarantined();
        let until = at(STRIKES as i64 - 1 + FIRST_PROBE_MS);
        assert_eq!(strikes.ask(at(10)), Leave::Wait { until });
        let mut slow = Strikes::default();
        for strike in 0..20 {
            assert!(!slow.ended(Leave::Free, true, at(strike * (WITHIN_MS / 4 + 1))), "strike {strike}");
            assert_eq!(slow.ask(at(0)), Leave::Free);
        }
        let mut good = Strikes::default();
        for _ in 0..100 {
            assert!(!good.ended(Leave::Free, false, at(0)));
        }
        assert!(good.is_clean(at(0)) && !strikes.is_clean(at(i64::MAX / 2)));
    }

    #[test]
    fn one_probe_at_a_time_and_it_decides() {
        let mut strikes = quarantined();
        let first = STRIKES as i64 - 1 + FIRST_PROBE_MS;
        assert_eq!(strikes.ask(at(first)), Leave::Probe);
        assert_eq!(strikes.ask(at(first)), Leave::Wait { until: at(first + FIRST_PROBE_MS) }, "not a second one");
        // One that began before the quarantine proves nothing.
        assert!(!strikes.ended(Leave::Free, false, at(first)));
        assert!(matches!(strikes.ask(at(first)), Leave::Wait { .. }));
        strikes.ended(Leave::Probe, true, at(first));
        assert_eq!(strikes.ask(at(first + FIRST_PROBE_MS)), Leave::Wait { until: at(first + 2 * FIRST_PROBE_MS) });
        assert_eq!(strikes.ask(at(first + 2 * FIRST_PROBE_MS)), Leave::Probe);
        strikes.ended(Leave::Probe, false, at(first + 2 * FIRST_PROBE_MS));
        assert_eq!(strikes.ask(at(first)), Leave::Free);
        assert!(strikes.is_clean(at(first)));
    }

    #[test]
    fn probes_come_no_rarer_than_every_half_hour_and_a_lost_one_is_followed_by_another() {
        let mut strikes = quarantined();
        let mut now = 1_000_000_000;
        for _ in 0..12 {
            assert_eq!(strikes.ask(at(now)), Leave::Probe);
            strikes.ended(Leave::Probe, true, at(now));
            now += LAST_PROBE_MS;
        }
        assert_eq!(strikes.ask(at(now)), Leave::Probe);
        assert_eq!(strikes.ask(at(now + LAST_PROBE_MS)), Leave::Probe, "nobody heard of the one before");
    }
}
