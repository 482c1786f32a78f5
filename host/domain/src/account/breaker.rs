//! The breaker of an account: closed until the partner is down, open for a growing time, one probe, then a ramp.

use serde::{Deserialize, Serialize};

use super::decision::Why;
use super::view::BreakerView;
use crate::time::Timestamp;

/// Failures are counted over twelve cells of five seconds.
const CELL_MS: i64 = 5_000;
const CELLS: i64 = 12;
/// It opens when half of at least so many calls failed; after a recovery it is quicker.
const ENOUGH_CALLS: u32 = 20;
const ENOUGH_IN_RAMP: u32 = 4;
/// It also opens when so many failed one after the other: the successes of the busy minute before do not count then, nor
/// does it matter how slowly an idle account gathers them.
const IN_A_ROW: u32 = 20;
const FIRST_OPEN_MS: i64 = 5_000;
pub(super) const LONGEST_OPEN_MS: i64 = 300_000;
/// While a probe is under way nobody knows more before this.
const LOOK_AGAIN_MS: i64 = 2_000;
/// The ramp starts at two calls a second and doubles every second.
const FIRST_RAMP_GAP_MS: i64 = 500;
const RAMP_MS: i64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Phase {
    Closed,
    /// Nobody calls before `until`; then the first to ask is the probe.
    Open {
        until: Timestamp,
    },
    /// One call is under way; it is lost when nothing was heard by `until`.
    Probing {
        permit: u64,
        until: Timestamp,
    },
    /// The partner is back: calls at a rate that doubles.
    Ramp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    phase: Phase,
    /// When it last closed: a call that left before says nothing about the partner of today.
    since: Timestamp,
    /// How often it opened again without having been closed.
    step: u8,
    /// Cell number, calls, failures.
    cells: Vec<(i64, u32, u32)>,
    in_a_row: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { phase: Phase::Closed, since: Timestamp::from_millis(0), step: 0, cells: Vec::new(), in_a_row: 0 }
    }
}

/// May a call go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Pass,
    /// Yes, as the probe.
    Probe,
    Wait(Timestamp, Why),
}

impl Breaker {
    /// What time alone changes: a lost probe makes room for another, the ramp ends. `gap_ms`: between two calls at the
    /// rate the account has anyway.
    pub(super) fn settle(&mut self, gap_ms: i64, now: Timestamp) {
        match self.phase {
            Phase::Probing { until, .. } if until <= now => self.phase = Phase::Open { until: now },
            Phase::Open { until } if until.since(now) > LONGEST_OPEN_MS => {
                self.phase = Phase::Open { until: now.plus(LONGEST_OPEN_MS) };
            }
            Phase::Ramp if now.since(self.since) >= RAMP_MS || self.ramp_gap_ms(now) <= gap_ms => {
                (self.phase, self.step) = (Phase::Closed, 0);
            }
            _ => {}
        }
    }

    /// `last`: when the last call went.
    pub(super) fn gate(&self, last: Timestamp, now: Timestamp) -> Gate {
        match self.phase {
            Phase::Closed => Gate::Pass,
            Phase::Open { until } if until <= now => Gate::Probe,
            Phase::Open { until } => Gate::Wait(until, Why::BreakerOpen),
            Phase::Probing { until, .. } => Gate::Wait(until.min(now.plus(LOOK_AGAIN_MS)), Why::BreakerOpen),
            Phase::Ramp => match last.plus(self.ramp_gap_ms(now)) {
                next if next <= now => Gate::Pass,
                next => Gate::Wait(next, Why::Ramp),
            },
        }
    }

    pub(super) fn view(&self) -> BreakerView {
        match self.phase {
            Phase::Closed => BreakerView::Closed,
            Phase::Open { until } => BreakerView::Open { until },
            Phase::Probing { .. } => BreakerView::Probing,
            Phase::Ramp => BreakerView::Ramp,
        }
    }

    fn ramp_gap_ms(&self, now: Timestamp) -> i64 {
        FIRST_RAMP_GAP_MS >> (now.since(self.since).clamp(0, RAMP_MS) / 1_000)
    }

    pub(super) fn probing(&mut self, permit: u64, until: Timestamp) {
        self.phase = Phase::Probing { permit, until };
    }

    /// The probe was never sent: the next to ask is the probe.
    pub(super) fn unused(&mut self, permit: u64, now: Timestamp) {
        if matches!(self.phase, Phase::Probing { permit: probe, .. } if probe == permit) {
            self.phase = Phase::Open { until: now };
        }
    }

    /// So many calls went well.
    pub(super) fn answered(&mut self, calls: u32, now: Timestamp) {
        if calls > 0 && matches!(self.phase, Phase::Closed | Phase::Ramp) {
            self.count(calls, 0, now);
            self.in_a_row = 0;
        }
    }

    /// What became of the call that was let go at `went`; without a permit it cannot be the probe. `roll` is random:
    /// hosts and accounts do not probe in step.
    pub(super) fn record(&mut self, permit: Option<u64>, went: Timestamp, outage: bool, now: Timestamp, roll: u32) {
        let enough = match self.phase {
            Phase::Probing { permit: probe, .. } if Some(probe) == permit => {
                if outage {
                    self.open_again(now, roll);
                } else {
                    (self.phase, self.since) = (Phase::Ramp, now);
                }
                return;
            }
            Phase::Open { .. } | Phase::Probing { .. } => return,
            Phase::Closed => ENOUGH_CALLS,
            Phase::Ramp => ENOUGH_IN_RAMP,
        };
        if went < self.since {
            return;
        }
        let (calls, failed) = self.count(1, u32::from(outage), now);
        self.in_a_row = if outage { self.in_a_row.saturating_add(1) } else { 0 };
        if (calls >= enough && failed >= calls - failed) || self.in_a_row >= IN_A_ROW {
            match self.phase {
                Phase::Ramp => self.open_again(now, roll),
                _ => self.open(now, roll),
            }
        }
    }

    /// Calls and failures of the last minute, these among them.
    fn count(&mut self, more: u32, bad: u32, now: Timestamp) -> (u32, u32) {
        let this = now.millis().div_euclid(CELL_MS);
        self.cells.retain(|(cell, ..)| (this - CELLS + 1..=this).contains(cell));
        if self.cells.last().is_none_or(|(cell, ..)| *cell != this) {
            self.cells.push((this, 0, 0));
        }
        if let Some((_, calls, failed)) = self.cells.last_mut() {
            (*calls, *failed) = (calls.saturating_add(more), failed.saturating_add(bad));
        }
        self.cells.iter().fold((0, 0), |(calls, failed), (_, more, bad)| {
            (u32::saturating_add(calls, *more), u32::saturating_add(failed, *bad))
        })
    }

    fn open_again(&mut self, now: Timestamp, roll: u32) {
        self.step = self.step.saturating_add(1);
        self.open(now, roll);
    }

    /// Three to four quarters of 5 s, 10 s, 20 s … 5 min.
    fn open(&mut self, now: Timestamp, roll: u32) {
        let whole = (FIRST_OPEN_MS << self.step.min(10)).min(LONGEST_OPEN_MS);
        let quarter = whole / 4;
        self.phase = Phase::Open { until: now.plus(whole - i64::from(roll) % (quarter + 1)) };
        self.cells.clear();
        self.in_a_row = 0;
    }

    pub(super) fn shift(&mut self, by_ms: i64) {
        self.since = self.since.plus(by_ms);
        match &mut self.phase {
            Phase::Open { until } | Phase::Probing { until, .. } => *until = until.plus(by_ms),
            Phase::Closed | Phase::Ramp => {}
        }
        self.cells.clear();
    }
}
