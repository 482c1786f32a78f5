//! A schedule against an oracle that knows no search: the wall clock watched minute by minute.

use std::collections::BTreeSet;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;

type Fits = fn(DateTime) -> bool;
type Hours = Option<(&'static str, &'static str, &'static str)>;

const CRONS: [(&str, Fits); 6] = [
    ("*/5 * * * *", |t| t.minute() % 5 == 0),
    ("30 2 * * *", |t| (t.hour(), t.minute()) == (2, 30)),
    ("7,41 0-3 * * *", |t| t.hour() <= 3 && [7, 41].contains(&t.minute())),
    ("0 */6 L * sun", |t| {
        t.minute() == 0 && t.hour() % 6 == 0 && (t.date() == t.date().last_of_month() || t.weekday() == Weekday::Sunday)
    }),
    ("59 23 * 3,10 sat-sun", |t| {
        (t.hour(), t.minute()) == (23, 59)
            && [3, 10].contains(&t.month())
            && [Weekday::Saturday, Weekday::Sunday].contains(&t.weekday())
    }),
    ("*/20 1-2 */2 * *", |t| t.minute() % 20 == 0 && (1..=2).contains(&t.hour()) && t.day() % 2 == 1),
];
const WINDOWS: [(Hours, Fits); 4] = [
    (None, |_| true),
    (Some(("22:30", "02:15", "*")), |t| (t.hour(), t.minute()) >= (22, 30) || (t.hour(), t.minute()) < (2, 15)),
    (Some(("02:00", "24:00", "sat,sun")), |t| {
        t.hour() >= 2 && [Weekday::Saturday, Weekday::Sunday].contains(&t.weekday())
    }),
    (Some(("12:00", "03:00", "sat")), |t| match t.weekday() {
        Weekday::Saturday => t.hour() >= 12,
        Weekday::Sunday => t.hour() < 3,
        _ => false,
    }),
];
/// Zones with a day before one of their changes.
const CHANGES: [(&str, &str); 7] = [
    ("Europe/Berlin", "2026-03-28T00:00:00Z"),
    ("Europe/Berlin", "2026-10-24T00:00:00Z"),
    ("America/New_York", "2026-03-07T00:00:00Z"),
    ("America/New_York", "2026-10-31T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T10:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
    ("Pacific/Apia", "2011-12-29T00:00:00Z"),
];

/// Each minute from `from` to `to`: does the wall clock show, for the first time, a time that fits? Times that were
/// jumped over count as shown.
fn watched(zone: &str, from: Timestamp, to: Timestamp, fits: impl Fn(DateTime) -> bool) -> Vec<Timestamp> {
    let zone = TimeZoneDatabase::bundled().get(zone).expect(zone);
    let wall = |at: i64| zone.to_datetime(jiff::Timestamp::from_millisecond(at).expect("time"));
    // Starts a day early, for an hour that is just passing for the second time.
    let mut shown = wall(from.millis() - DAY);
    let mut found = Vec::new();
    let mut at = from.millis() - DAY;
    while at <= to.millis() {
        let mut fresh = false;
        while shown < wall(at) {
            shown = shown.checked_add(jiff::Span::new().minutes(1)).expect("time");
            fresh |= fits(shown);
        }
        if fresh && at > from.millis() {
            found.push(Timestamp::from_millis(at));
        }
        at += MINUTE;
    }
    found
}

/// Asks at each of `moments`, then goes on until nothing up to the last of them is left waiting.
fn walked(schedule: &Schedule, from: Timestamp, moments: &[Timestamp]) -> Vec<Timestamp> {
    let (mut last, mut fired) = (from, Vec::new());
    let end = *moments.last().expect("moments");
    let mut moments = moments.to_vec();
    for turn in 0.. {
        let Some(now) = moments.get(turn).copied() else { break };
        let due = schedule.due(Some(last), now);
        assert!(due.next > now, "{} is not after {now}", due.next);
        assert!(due.ticks.iter().all(|tick| *tick > last && *tick <= now), "{:?} at {now}", due.ticks);
        last = due.ticks.last().copied().unwrap_or(last);
        fired.extend(due.ticks);
        if turn + 1 == moments.len() && last <= end && due.next.since(end) < 10 * DAY {
            moments.push(due.next);
        }
    }
    fired.retain(|tick| *tick <= end);
    fired
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_fires_what_a_walk_minute_by_minute_fires(
        cron_index in 0..CRONS.len(),
        window_index in 0..WINDOWS.len(),
        change in 0..CHANGES.len(),
        start in 0..2880_i64,
        steps in prop::collection::vec((0..900_i64, 0..MINUTE), 1..6),
    ) {
        let (zone, day) = CHANGES[change];
        let (text, fits) = CRONS[cron_index];
        let (window, inside) = WINDOWS[window_index];
        let window = window.map(|(from, to, days)| Window::parse(from, to, days).expect("window"));
        let when = When::Cron(Cron::parse(text).expect(text));
        // Some pairs have no tick at all; that is refused elsewhere.
        let Ok(schedule) = Schedule::new(when, zone, window, ALL) else { return Ok(()) };
        let from = at(day).plus(start * MINUTE);
        let moments: Vec<_> = steps
            .iter()
            .scan(from, |now, (minutes, millis)| {
                *now = now.plus(minutes * MINUTE + millis);
                Some(*now)
            })
            .collect();
        let end = *moments.last().expect("moments");
        let minutes: Vec<_> = (0..=end.since(from) / MINUTE + 1).map(|n| end.min(from.plus(n * MINUTE))).collect();
        let expected = watched(zone, from, end, |wall| fits(wall) && inside(wall));
        prop_assert_eq!(&walked(&schedule, from, &minutes), &expected);
        prop_assert_eq!(&walked(&schedule, from, &moments), &expected);
    }

    #[test]
    fn a_pace_keeps_its_multiples_inside_the_window(
        minutes in 1..500_u32,
        window_index in 0..WINDOWS.len(),
        start in 0..2880_i64,
        steps in prop::collection::vec(0..900_i64, 1..6),
    ) {
        let (window, inside) = WINDOWS[window_index];
        let window = window.map(|(from, to, days)| Window::parse(from, to, days).expect("window"));
        let seconds = NonZeroU32::new(minutes * 60).expect("seconds");
        let Ok(schedule) = Schedule::new(When::Every(seconds), "UTC", window, ALL) else { return Ok(()) };
        let from = at("2026-03-28T00:00:00Z").plus(start * MINUTE);
        let moments: Vec<_> = steps
            .iter()
            .scan(from, |now, minutes| {
                *now = now.plus(minutes * MINUTE);
                Some(*now)
            })
            .collect();
        let period = i64::from(minutes) * MINUTE;
        let expected: Vec<_> = watched("UTC", from, *moments.last().expect("moments"), inside)
            .into_iter()
            .filter(|tick| tick.millis() % period == 0)
            .collect();
        let fired = walked(&schedule, from, &moments);
        // Of more than a thousand only the newest are made up for.
        prop_assert_eq!(&fired[..], &expected[expected.len() - fired.len()..]);
        prop_assert!(fired.len() == expected.len() || expected.len() > 1000);
    }
}

/// A host: its clock, the last tick it keeps, and the store's unique key.
struct Host {
    schedule: Schedule,
    now: Timestamp,
    last: Option<Timestamp>,
    fired: BTreeSet<Timestamp>,
    refused: usize,
}

impl Host {
    /// Lives for `minutes`; returns how many ticks were new.
    fn live(&mut self, minutes: i64) -> usize {
        let known = self.fired.len();
        for _ in 0..minutes {
            self.now = self.now.plus(MINUTE);
            let due = self.schedule.due(self.last, self.now);
            assert!(due.ticks.len() <= 50, "bounded work");
            for tick in due.ticks {
                assert!(tick <= self.now, "{tick} fired early, at {}", self.now);
                self.last = Some(tick);
                self.refused += usize::from(!self.fired.insert(tick));
            }
        }
        self.fired.len() - known
    }

    fn jump(&mut self, millis: i64) {
        self.now = self.now.plus(millis);
    }
}

#[test]
fn p18_clock_jumps_fire_no_tick_early_or_twice() {
    let schedules = |missed| [cron("* * * * *", "Europe/Berlin", missed), every(60, None, missed)];
    let policies = [(Missed::Skip, 1), (Missed::RunOnce, 1), (Missed::RunAll { at_most: 50 }, 50)];
    // The day before the clocks change; midnight before a leap day; the last leap second.
    for start in ["2026-03-28T22:00:00Z", "2028-02-28T22:30:00Z", "2016-12-31T23:30:00Z"] {
        for (missed, made_up) in policies {
            for schedule in schedules(missed) {
                let even = matches!(schedule.when, When::Every(_));
                let fired = BTreeSet::new();
                let mut host = Host { schedule, now: at(start), last: None, fired, refused: 0 };
                host.live(29);
                assert_eq!(host.fired.len(), 29);
                // A leap second stalls the clock or repeats a second.
                host.jump(-1000);
                assert_eq!(host.live(2), 1, "the repeated second brings nothing");
                host.jump(1000);
                host.jump(HOUR);
                assert_eq!(host.live(1), made_up);
                host.jump(-HOUR);
                let due = host.schedule.due(host.last, host.now);
                assert_eq!(Some(due.next), host.last.map(|last| last.plus(MINUTE)));
                assert_eq!(host.live(60), 0, "that hour has had its ticks");
                assert_eq!(host.live(30), 30, "and then it goes on");
                host.jump(400 * DAY);
                assert_eq!(host.live(1), made_up);
                assert_eq!(host.refused, 0, "so far no help from the unique key was needed");
                // The clock was wrong and is corrected: the schedule must not be silent for 400 days.
                host.jump(-400 * DAY);
                assert!(host.live(3 * 60) >= if even { 178 } else { 118 });
                assert!(host.refused <= 1, "{}", host.refused);
            }
        }
    }
}

#[test]
fn a_leap_of_400_days_costs_no_more_than_it_may_make_up_for() {
    let window = Some(("22:00", "22:01", "sat"));
    for schedule in [cron("* * * * *", "Europe/Berlin", ALL), every(1, None, ALL), every(1, window, ALL)] {
        let (last, now) = (at("2026-01-03T21:00:30Z"), at("2027-02-06T21:00:30Z"));
        assert_eq!(schedule.due(Some(last), now).ticks.len(), 1000);
        assert!(schedule.due(Some(last), now).next > now);
    }
}
