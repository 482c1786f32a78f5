//! When something happens by the clock: a pace or a cron expression, in a zone, within a window.
//!
//! Pure: the caller brings `now` and keeps the last tick. A tick is named by its nominal time, which is the same on every
//! host; who fires a tick first records (schedule, tick) under a unique key, so it happens once over all hosts and
//! whatever the clocks do. A local time that does not exist ticks at the end of its gap; one that exists twice ticks the
//! first time. Work is bounded: a clock that leaps by a year costs no more than `at_most` ticks.

mod cron;
mod every;
#[cfg(test)]
mod tests;
mod window;
mod zone;

use std::num::NonZeroU32;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::cron::Cron;
pub use self::window::Window;
use self::zone::Zone;
use crate::time::Timestamp;

/// A tick this late (ms) still counts as on time: no missed tick, and still inside its window.
const ON_TIME: i64 = 60_000;
/// A last tick further ahead of the clock than this (ms) was recorded by a clock that was wrong.
const SET_BACK: i64 = 24 * 3_600_000;
/// How far a search goes: a 29 February on a given weekday can be 40 years away.
const HORIZON_DAYS: u32 = 41 * 366;
/// Longest pace, in seconds: 400 days, as for every timer.
const LONGEST_PACE: u32 = 400 * 86_400;
const MOST_AT_ONCE: u16 = 1000;

/// Why a schedule cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} `{value}`: {remedy}")]
pub struct ScheduleError {
    pub field: &'static str,
    pub value: String,
    pub remedy: String,
}

impl ScheduleError {
    fn new(field: &'static str, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), remedy: remedy.into() }
    }
}

/// What makes it tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    Cron(Cron),
    /// A steady pace in seconds, counted from 1970 so that every host has the same ticks.
    Every(NonZeroU32),
}

/// What becomes of ticks nobody fired in time: the host was down, the clock leapt, the window was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Missed {
    /// They are left out.
    Skip,
    /// The newest stands for all.
    #[default]
    RunOnce,
    /// Each is made up for, oldest first; of more than `at_most` (1 to 1000) only the newest.
    RunAll { at_most: u16 },
}

/// A schedule as `wharf.toml` writes it; checked when read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Schedule {
    when: When,
    zone: Zone,
    window: Option<Window>,
    missed: Missed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Exactly one of `cron` and `every_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<Cron>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_seconds: Option<NonZeroU32>,
    /// IANA name; what cron and window mean by local time.
    #[serde(default = "utc")]
    zone: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(default)]
    missed: Missed,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What is to be done at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Nominal times to fire now, oldest first. The last of them is the next call's `last`, also when the store already
    /// knew it.
    pub ticks: Vec<Timestamp>,
    /// When to ask again; always after `now`.
    pub next: Timestamp,
}

impl Schedule {
    /// Fails when it could never fire, or when a number is out of range.
    pub fn new(when: When, zone: &str, window: Option<Window>, missed: Missed) -> Result<Self, ScheduleError> {
        if let When::Every(seconds) = &when
            && seconds.get() > LONGEST_PACE
        {
            return Err(ScheduleError::new("every_seconds", seconds, format!("use 1 to {LONGEST_PACE} (400 days)")));
        }
        if let Missed::RunAll { at_most } = missed
            && !(1..=MOST_AT_ONCE).contains(&at_most)
        {
            return Err(ScheduleError::new("missed.run_all.at_most", at_most, format!("use 1 to {MOST_AT_ONCE}")));
        }
        let schedule = Self { when, zone: Zone::parse(zone)?, window, missed };
        let millennium = jiff::Timestamp::constant(946_684_800, 0);
        if schedule.earliest(millennium).is_none() {
            let window = schedule.window.as_ref().map(Window::to_string).unwrap_or_default();
            return Err(ScheduleError::new("window", window, "no tick ever falls into it; widen it or move the ticks"));
        }
        Ok(schedule)
    }

    /// Which ticks fire at `now`, and when to ask again. `last` is the tick that was fired last; before the first one,
    /// the moment the schedule came into being. Without it nothing counts as missed: cron waits for its next tick, a
    /// pace starts at once.
    ///
    /// A clock set back by up to a day fires nothing until it has caught up with `last`. Set back further, `last` is
    /// taken for a mistake and left aside; the unique key guards what was fired before. Missed ticks wait for the window.
    pub fn due(&self, last: Option<Timestamp>, now: Timestamp) -> Due {
        let last = last.filter(|last| last.since(now) <= SET_BACK);
        let at = instant(now);
        let newest = self.latest(at, last.map(instant));
        let open = self.open_at(now);
        let late = |tick: jiff::Timestamp| now.since(moment(tick));
        let (fires, waits) = match newest {
            None => (false, false),
            Some(tick) if late(tick) <= ON_TIME => (true, false),
            Some(tick) if last.is_none() => (open && self.is_current(late(tick)), false),
            Some(_) => (open && self.missed != Missed::Skip, !open && self.missed != Missed::Skip),
        };
        let ticks = match newest {
            Some(tick) if fires => self.back_from(tick, last.map(instant)),
            _ => Vec::new(),
        };
        let next_tick = self.earliest(last.map_or(at, |last| at.max(instant(last))));
        let opening = self.window.as_ref().filter(|_| waits).and_then(|window| {
            let opening = window.next_opening(self.zone.reading(at))?;
            self.zone.moment(opening)
        });
        let next = next_tick.into_iter().chain(opening).min();
        // Only at the end of the calendar is there nothing more to wait for.
        Due { ticks, next: next.map_or(Timestamp::from_millis(i64::MAX), moment) }
    }

    /// Every full hour; missed ones count as one.
    pub fn hourly() -> Self {
        let when = When::Every(NonZeroU32::new(3_600).unwrap_or(NonZeroU32::MIN));
        Self { when, zone: Zone::utc(), window: None, missed: Missed::RunOnce }
    }

    /// The `last` of a schedule that comes into being at `born`: cron ticks count from there on, a pace starts at once.
    pub fn first(&self, born: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Cron(_) => Some(born),
            When::Every(_) => None,
        }
    }

    /// Is `at` inside the window? What runs may go on until it is not. Always true without a window.
    pub fn open_at(&self, at: Timestamp) -> bool {
        self.fits(self.zone.reading(instant(at)))
    }

    fn fits(&self, wall: DateTime) -> bool {
        self.window.as_ref().is_none_or(|window| window.contains(wall))
    }

    /// Is a tick this late (ms) still the one of now, although none was fired before it?
    fn is_current(&self, late: i64) -> bool {
        matches!(&self.when, When::Every(seconds) if late < every::millis(*seconds))
    }

    /// The ticks that fire when `newest` does.
    fn back_from(&self, newest: jiff::Timestamp, last: Option<jiff::Timestamp>) -> Vec<Timestamp> {
        let at_most = match self.missed {
            Missed::RunAll { at_most } if last.is_some() => at_most,
            _ => 1,
        };
        let before = |tick: &jiff::Timestamp| self.latest(instant(moment(*tick).plus(-1)), last);
        let mut ticks: Vec<_> = std::iter::successors(Some(newest), before).take(at_most.into()).map(moment).collect();
        ticks.reverse();
        ticks
    }

    /// The first tick after `after`.
    fn earliest(&self, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
        match &self.when {
            When::Cron(cron) => {
                let wall = cron.earliest(self.zone.reading(after), |wall| self.fits(wall))?;
                self.zone.moment(wall)
            }
            When::Every(seconds) => every::earliest(*seconds, &self.zone, self.window.as_ref(), after),
        }
    }

    /// The last tick up to `until` that comes after `last`.
    fn latest(&self, until: jiff::Timestamp, last: Option<jiff::Timestamp>) -> Option<jiff::Timestamp> {
        let tick = match &self.when {
            When::Cron(cron) => {
                let from = last.map_or(DateTime::MIN, |last| self.zone.reading(last));
                let wall = cron.latest(self.zone.reading(until), from, |wall| self.fits(wall))?;
                self.zone.moment(wall)
            }
            When::Every(seconds) => every::latest(*seconds, &self.zone, self.window.as_ref(), until, last),
        };
        tick.filter(|tick| last.is_none_or(|last| *tick > last))
    }
}

impl TryFrom<Text> for Schedule {
    type Error = ScheduleError;
    fn try_from(text: Text) -> Result<Self, ScheduleError> {
        let when = match (text.cron, text.every_seconds) {
            (Some(cron), None) => When::Cron(cron),
            (None, Some(seconds)) => When::Every(seconds),
            (None, None) => return Err(ScheduleError::new("cron", "", "give cron or every_seconds")),
            (Some(cron), Some(_)) => {
                return Err(ScheduleError::new("cron", String::from(cron), "give cron or every_seconds, not both"));
            }
        };
        Self::new(when, &text.zone, text.window, text.missed)
    }
}

impl From<Schedule> for Text {
    fn from(schedule: Schedule) -> Self {
        let zone = schedule.zone.name().to_owned();
        let (cron, every_seconds) = match schedule.when {
            When::Cron(cron) => (Some(cron), None),
            When::Every(seconds) => (None, Some(seconds)),
        };
        Self { cron, every_seconds, zone, window: schedule.window, missed: schedule.missed }
    }
}

/// As the calendar counts; a time beyond the years 1 to 9987 becomes the nearest within.
fn instant(at: Timestamp) -> jiff::Timestamp {
    let millis = at.millis().clamp(-62_135_596_800_000, 253_000_000_000_000);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn moment(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}
