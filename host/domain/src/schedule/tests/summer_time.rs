use super::*;

/// Zone, cron, from, the ticks that follow.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: [Case; 15] = [
    // Berlin springs from 02:00 to 03:00.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-03-27T12:00Z",
        &["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
    ),
    // Four local times that do not exist, and 03:00 itself: one tick.
    (
        "Europe/Berlin",
        "*/15 2,3 * * *",
        "2026-03-28T12:00Z",
        &["2026-03-29T01:00Z", "2026-03-29T01:15Z", "2026-03-29T01:30Z", "2026-03-29T01:45Z", "2026-03-30T00:00Z"],
    ),
    (
        "Europe/Berlin",
        "0 * * * *",
        "2026-03-28T23:30Z",
        &["2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z"],
    ),
    // Berlin falls from 03:00 to 02:00.
    ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00Z", &["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
    (
        "Europe/Berlin",
        "0 * * * *",
        "2026-10-24T23:30Z",
        &["2026-10-25T00:00Z", "2026-10-25T02:00Z", "2026-10-25T03:00Z"],
    ),
    // Asked in the middle of the second passing.
    ("Europe/Berlin", "*/20 * * * *", "2026-10-25T01:10Z", &["2026-10-25T02:00Z", "2026-10-25T02:20Z"]),
    ("America/New_York", "30 2 * * *", "2026-03-07T12:00Z", &["2026-03-08T07:00Z", "2026-03-09T06:30Z"]),
    ("America/New_York", "30 1 * * *", "2026-10-31T12:00Z", &["2026-11-01T05:30Z", "2026-11-02T06:30Z"]),
    // Lord Howe moves by half an hour: 02:00 to 02:30, and 02:00 to 01:30.
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00Z", &["2026-10-03T15:30Z", "2026-10-04T15:15Z"]),
    (
        "Australia/Lord_Howe",
        "*/15 1,2 * * *",
        "2026-04-04T14:10Z",
        &["2026-04-04T14:15Z", "2026-04-04T14:30Z", "2026-04-04T14:45Z", "2026-04-04T15:30Z", "2026-04-04T15:45Z"],
    ),
    // Samoa had no 30 December 2011.
    (
        "Pacific/Apia",
        "0 12 * * *",
        "2011-12-29T00:00Z",
        &["2011-12-29T22:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"],
    ),
    // Beirut and Santiago change at midnight.
    ("Asia/Beirut", "0 0 * * *", "2026-03-28T12:00Z", &["2026-03-28T22:00Z", "2026-03-29T21:00Z"]),
    // Leap days and month ends.
    ("UTC", "0 6 29 2 *", "2026-01-01T00:00Z", &["2028-02-29T06:00Z", "2032-02-29T06:00Z", "2036-02-29T06:00Z"]),
    ("UTC", "0 0 31 * *", "2026-01-01T00:00Z", &["2026-01-31T00:00Z", "2026-03-31T00:00Z", "2026-05-31T00:00Z"]),
    (
        "UTC",
        "0 18 15,L feb-apr *",
        "2028-01-01T00:00Z",
        &[
            "2028-02-15T18:00Z",
            "2028-02-29T18:00Z",
            "2028-03-15T18:00Z",
            "2028-03-31T18:00Z",
            "2028-04-15T18:00Z",
            "2028-04-30T18:00Z",
        ],
    ),
];

#[test]
fn local_times_that_do_not_exist_or_exist_twice_tick_once() {
    for (zone, text, from, expected) in CASES {
        let from = at(&from.replace('Z', ":00Z"));
        let schedule = cron(text, zone, ALL);
        assert_eq!(texts(&ticks(&schedule, from, expected.len())), expected, "{zone} {text}");
        // The same, all at once: the ticks of a host that slept.
        let end = at(&expected[expected.len() - 1].replace('Z', ":00Z"));
        assert_eq!(texts(&schedule.due(Some(from), end).ticks), expected, "{zone} {text}");
    }
}

#[test]
fn either_day_field_is_enough_when_both_are_restricted() {
    let from = at("2026-05-10T00:00:00Z");
    let both = ticks(&cron("0 0 13 * fri", "UTC", ALL), from, 3);
    assert_eq!(texts(&both), ["2026-05-13T00:00Z", "2026-05-15T00:00Z", "2026-05-22T00:00Z"]);
    let one = ticks(&cron("0 0 * * fri", "UTC", ALL), from, 2);
    assert_eq!(texts(&one), ["2026-05-15T00:00Z", "2026-05-22T00:00Z"]);
}

#[test]
fn a_leap_day_on_a_monday_is_found_forty_years_away() {
    let schedule = windowed("0 12 29 2 *", ("00:00", "24:00", "mon"), ALL);
    let due = schedule.due(Some(at("2072-03-01T00:00:00Z")), at("2072-03-01T00:00:00Z"));
    assert_eq!(due.next, at("2112-02-29T11:00:00Z"));
    assert_eq!(schedule.due(Some(at("2072-03-01T00:00:00Z")), due.next).ticks, [due.next]);
}

#[test]
fn a_pace_is_even_through_summer_time() {
    let from = at("2026-10-24T23:30:00Z");
    let hours = ticks(&every(3600, None, ALL), from, 4);
    assert_eq!(texts(&hours), ["2026-10-25T00:00Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z", "2026-10-25T03:00Z"]);
}
