//! A steady pace: the multiples of its period since 1970, less those outside the window.

use std::num::NonZeroU32;

use jiff::Timestamp;

use super::HORIZON_DAYS;
use super::window::Window;
use super::zone::Zone;

pub(super) fn millis(seconds: NonZeroU32) -> i64 {
    i64::from(seconds.get()) * 1000
}

/// The first tick after `after`; each turn passes one closed time of the window.
pub(super) fn earliest(
    seconds: NonZeroU32,
    zone: &Zone,
    window: Option<&Window>,
    after: Timestamp,
) -> Option<Timestamp> {
    let mut tick = multiple_before(after.as_millisecond() + 1, seconds) + millis(seconds);
    for _ in 0..HORIZON_DAYS {
        let at = Timestamp::from_millisecond(tick).ok()?;
        let Some(window) = window.filter(|window| !window.contains(zone.reading(at))) else {
            return Some(at);
        };
        let opening = zone.moment(window.next_opening(zone.reading(at))?)?;
        tick = multiple_before(opening.as_millisecond(), seconds) + millis(seconds);
    }
    None
}

/// The last tick up to `until`, unless it is not after `last`.
pub(super) fn latest(
    seconds: NonZeroU32,
    zone: &Zone,
    window: Option<&Window>,
    until: Timestamp,
    last: Option<Timestamp>,
) -> Option<Timestamp> {
    let mut tick = multiple_before(until.as_millisecond() + 1, seconds);
    for _ in 0..HORIZON_DAYS {
        let at = Timestamp::from_millisecond(tick).ok().filter(|at| last.is_none_or(|last| *at > last))?;
        let Some(window) = window.filter(|window| !window.contains(zone.reading(at))) else {
            return Some(at);
        };
        let closing = zone.moment(window.last_closing(zone.reading(at))?)?;
        tick = multiple_before(closing.as_millisecond(), seconds);
    }
    None
}

/// The last multiple of the period before `millis_since_1970`.
fn multiple_before(millis_since_1970: i64, seconds: NonZeroU32) -> i64 {
    (millis_since_1970 - 1).div_euclid(millis(seconds)) * millis(seconds)
}
