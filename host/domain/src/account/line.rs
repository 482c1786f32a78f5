//! Who waits stands in a line: each is told a later time than the one before, so that they come back one by one at the
//! rate the partner allows. The line is a few moments and no list: a place that nobody takes passes by itself.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Who has waited already and was still too early stays in front, when that is not longer than this or than so many
/// places.
const NEAR_MS: i64 = 30_000;
const NEAR_PLACES: i64 = 10;
/// An urgent caller's call is kept for so long after the time it was told.
const URGENT_LATE_MS: i64 = 2_000;
/// Nobody is told to come back later than this after the account is free again.
pub(super) const HORIZON_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// The last place that was given away.
    end: Timestamp,
    /// The same for waiters who came back and were still too early.
    near: Timestamp,
    /// The same for urgent callers, and how many of them are to come back.
    urgent: Timestamp,
    hurry: u32,
}

impl Default for Line {
    fn default() -> Self {
        let never = Timestamp::from_millis(0);
        Self { end: never, near: never, urgent: never, hurry: 0 }
    }
}

/// What a caller may claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    New,
    /// Comes back at the time it was told, or later.
    Promised,
    /// `again`: it comes back at the time it was told.
    Urgent {
        again: bool,
    },
}

/// Where somebody may stand.
pub(super) struct Want {
    /// Not before this.
    pub(super) free: Timestamp,
    /// At the end of the line not before this either.
    pub(super) behind: Timestamp,
    /// Between two places.
    pub(super) gap_ms: i64,
    pub(super) roll: u32,
}

impl Line {
    /// Are there places left that somebody may still come back for?
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.end > now
    }

    /// Nobody came for the places: the hosts that knew of them are gone, or the jobs are.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.end = self.end.min(now);
    }

    /// How many urgent callers a call is kept for. One that does not come back is not waited for.
    pub(super) fn hurry(&self, now: Timestamp) -> u32 {
        if self.urgent.plus(URGENT_LATE_MS) > now { self.hurry } else { 0 }
    }

    /// Calls that the places still to come need, at the most.
    pub(super) fn ahead(&self, gap_ms: i64, now: Timestamp) -> u32 {
        if self.waits(now) {
            u32::try_from(self.end.since(now) / gap_ms).unwrap_or(u32::MAX).saturating_add(1)
        } else {
            0
        }
    }

    /// An urgent caller that had waited goes.
    pub(super) fn hurried(&mut self) {
        self.hurry = self.hurry.saturating_sub(1);
    }

    /// A time to come back.
    pub(super) fn place(&mut self, who: Standing, want: &Want, now: Timestamp) -> Timestamp {
        let Want { gap_ms, roll, .. } = *want;
        let free = want.free.max(now.plus(1));
        if let Standing::Urgent { again } = who {
            let waiting = self.hurry(now);
            self.hurry = if again { waiting.max(1) } else { waiting.saturating_add(1) };
            self.urgent = if waiting > 0 { free.max(self.urgent.plus(gap_ms)) } else { free };
            return self.urgent;
        }
        let near = free.max(self.near.plus(gap_ms));
        if who == Standing::Promised && near.since(now) <= NEAR_MS.max(NEAR_PLACES * gap_ms) {
            self.near = near;
            return near;
        }
        let free = free.max(want.behind);
        let place = free.max(self.end.plus(gap_ms));
        if place.since(free) > HORIZON_MS {
            return free.plus(HORIZON_MS / 2 + i64::from(roll) % (HORIZON_MS / 2));
        }
        self.end = place;
        place
    }

    pub(super) fn shift(&mut self, by_ms: i64) {
        for moment in [&mut self.end, &mut self.near, &mut self.urgent] {
            *moment = moment.plus(by_ms);
        }
    }
}
