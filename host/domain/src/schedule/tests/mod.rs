mod due;
mod summer_time;
mod text;
mod walk;

use std::num::NonZeroU32;

use super::{Cron, Missed, Schedule, When, Window};
use crate::time::Timestamp;

const ALL: Missed = Missed::RunAll { at_most: 1000 };
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect(text).as_millisecond())
}

fn cron(text: &str, zone: &str, missed: Missed) -> Schedule {
    Schedule::new(When::Cron(Cron::parse(text).expect(text)), zone, None, missed).expect(text)
}

fn windowed(text: &str, window: (&str, &str, &str), missed: Missed) -> Schedule {
    let window = Window::parse(window.0, window.1, window.2).expect("window");
    Schedule::new(When::Cron(Cron::parse(text).expect(text)), "Europe/Berlin", Some(window), missed).expect(text)
}

fn every(seconds: u32, window: Option<(&str, &str, &str)>, missed: Missed) -> Schedule {
    let window = window.map(|(from, to, days)| Window::parse(from, to, days).expect("window"));
    let seconds = NonZeroU32::new(seconds).expect("seconds");
    Schedule::new(When::Every(seconds), "Europe/Berlin", window, missed).expect("schedule")
}

/// The first `count` ticks after `from` of a host that asks exactly when it was told to.
fn ticks(schedule: &Schedule, from: Timestamp, count: usize) -> Vec<Timestamp> {
    let (mut last, mut now, mut fired) = (from, from, Vec::new());
    for _ in 0..2 * count {
        now = schedule.due(Some(last), now).next;
        let due = schedule.due(Some(last), now).ticks;
        last = due.last().copied().unwrap_or(last);
        fired.extend(due);
    }
    fired.truncate(count);
    fired
}

fn texts(ticks: &[Timestamp]) -> Vec<String> {
    ticks.iter().map(|tick| tick.to_string().replace(":00.000Z", "Z")).collect()
}
