//! A zone's wall clock as one line that never runs backwards.
//!
//! `moment` and `reading` belong together: a wall-clock time that does not exist happens at the end of its gap, one that
//! exists twice happens the first time, and `moment(wall) <= at` exactly when `wall <= reading(at)`. So a search among
//! wall-clock times needs no rule of its own for summer time.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};

use super::ScheduleError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// By IANA name. Always from the rules built into the program, never from the machine: two hosts with different
    /// rules would disagree about when a tick is.
    pub(super) fn parse(name: &str) -> Result<Self, ScheduleError> {
        match TimeZoneDatabase::bundled().get(name) {
            Ok(zone) if !zone.is_unknown() => Ok(Self(zone)),
            _ => Err(ScheduleError::new("zone", name, "use an IANA name such as Europe/Berlin, or UTC")),
        }
    }

    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    pub(super) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// When the wall clock shows `wall`. `None` outside the years -9999 to 9999.
    pub(super) fn moment(&self, wall: DateTime) -> Option<Timestamp> {
        match self.0.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(wall).ok()
            }
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the later offset, the time lies before the change; the change is the end of the gap.
                let before_change = after.to_timestamp(wall).ok()?;
                self.0.following(before_change).next().map(|change| change.timestamp())
            }
        }
    }

    /// The latest time the wall clock has shown by `at`. While an hour passes for the second time, that is the end of
    /// its first passing.
    pub(super) fn reading(&self, at: Timestamp) -> DateTime {
        let offset = self.0.to_offset(at);
        let wall = offset.to_datetime(at);
        match self.0.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Fold { before, after } if offset == after => self.first_passing_ended(at, before),
            _ => None,
        }
        .unwrap_or(wall)
    }

    fn first_passing_ended(&self, at: Timestamp, before: jiff::tz::Offset) -> Option<DateTime> {
        let tiny = Span::new().nanoseconds(1);
        let change = self.0.preceding(at.checked_add(tiny).ok()?).next()?;
        before.to_datetime(change.timestamp()).checked_sub(tiny).ok()
    }
}
