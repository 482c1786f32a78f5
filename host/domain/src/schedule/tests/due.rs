use super::*;

#[test]
fn a_host_that_was_down_for_a_day_follows_its_policy() {
    let (last, now) = (at("2026-06-01T10:00:00Z"), at("2026-06-02T10:30:00Z"));
    let next = at("2026-06-02T11:00:00Z");
    let fired = |missed| {
        let due = cron("@hourly", "UTC", missed).due(Some(last), now);
        assert_eq!(due.next, next);
        texts(&due.ticks)
    };
    assert!(fired(Missed::Skip).is_empty());
    assert_eq!(fired(Missed::RunOnce), ["2026-06-02T10:00Z"]);
    assert_eq!(fired(Missed::RunAll { at_most: 2 }), ["2026-06-02T09:00Z", "2026-06-02T10:00Z"]);
    assert_eq!(fired(ALL).len(), 24);
    // What was skipped stays skipped, and the next tick is an ordinary one.
    assert_eq!(cron("@hourly", "UTC", Missed::Skip).due(Some(last), next.plus(900)).ticks, [next]);
}

#[test]
fn a_tick_up_to_a_minute_late_is_on_time() {
    let schedule = cron("0 2 * * *", "UTC", Missed::Skip);
    let (last, tick) = (at("2026-06-01T02:00:00Z"), at("2026-06-02T02:00:00Z"));
    assert!(schedule.due(Some(last), tick.plus(-1)).ticks.is_empty());
    assert_eq!(schedule.due(Some(last), tick.plus(-1)).next, tick);
    assert_eq!(schedule.due(Some(last), tick.plus(MINUTE)).ticks, [tick]);
    assert!(schedule.due(Some(last), tick.plus(MINUTE + 1)).ticks.is_empty());
}

#[test]
fn before_the_first_tick_nothing_is_missed_unless_it_is_known_since_when() {
    let now = at("2026-06-01T15:30:00Z");
    let daily = cron("0 2 * * *", "UTC", Missed::RunOnce);
    assert!(daily.due(None, now).ticks.is_empty());
    assert_eq!(daily.due(None, now).next, at("2026-06-02T02:00:00Z"));
    assert_eq!(daily.due(None, at("2026-06-02T02:00:00.040Z")).ticks, [at("2026-06-02T02:00:00Z")]);
    assert_eq!(daily.due(Some(now), at("2026-06-02T09:00:00Z")).ticks, [at("2026-06-02T02:00:00Z")]);
    // A pace starts at once, and then keeps to the ticks every host has.
    let pace = every(600, None, Missed::RunOnce);
    let due = pace.due(None, at("2026-06-01T15:37:00Z"));
    assert_eq!((due.ticks, due.next), (vec![at("2026-06-01T15:30:00Z")], at("2026-06-01T15:40:00Z")));
}

#[test]
fn nothing_ticks_outside_its_window_which_may_cross_midnight() {
    // Opens Monday to Friday at 22:00, so Saturday's small hours belong to it and Monday's do not.
    let schedule = windowed("0 */4 * * *", ("22:00", "06:00", "mon-fri"), ALL);
    let found = ticks(&schedule, at("2026-06-05T12:00:00Z"), 4);
    assert_eq!(texts(&found), ["2026-06-05T22:00Z", "2026-06-06T02:00Z", "2026-06-08T22:00Z", "2026-06-09T02:00Z"]);
    let pace = every(7200, Some(("22:00", "06:00", "mon-fri")), ALL);
    let found = ticks(&pace, at("2026-06-06T01:00:00Z"), 3);
    assert_eq!(texts(&found), ["2026-06-06T02:00Z", "2026-06-08T20:00Z", "2026-06-08T22:00Z"]);
    for (time, open) in [
        ("2026-06-05T19:59:59Z", false),
        ("2026-06-05T20:00:00Z", true),
        ("2026-06-06T03:59:59Z", true),
        ("2026-06-06T04:00:00Z", false),
        ("2026-06-06T20:00:00Z", false),
        ("2026-06-08T01:00:00Z", false),
    ] {
        assert_eq!(schedule.open_at(at(time)), open, "{time}");
    }
}

#[test]
fn a_missed_tick_waits_for_the_window_to_open() {
    let window = ("22:00", "06:00", "*");
    let (last, now) = (at("2026-06-01T01:00:00Z"), at("2026-06-02T09:00:00Z"));
    let opening = at("2026-06-02T20:00:00Z");
    for (missed, tick) in [(Missed::RunOnce, true), (ALL, true), (Missed::Skip, false)] {
        let schedule = windowed("0 3 * * *", window, missed);
        let due = schedule.due(Some(last), now);
        assert!(due.ticks.is_empty());
        assert_eq!(due.next, if tick { opening } else { at("2026-06-03T01:00:00Z") }, "{missed:?}");
        let expected: &[_] = if tick { &[at("2026-06-02T01:00:00Z")] } else { &[] };
        assert_eq!(schedule.due(Some(last), opening).ticks, expected, "{missed:?}");
    }
    // The last tick of a window is not lost because it was noticed a moment after the close.
    let schedule = windowed("59 5 * * *", window, Missed::Skip);
    assert_eq!(schedule.due(Some(last), at("2026-06-02T04:00:00Z")).ticks, [at("2026-06-02T03:59:00Z")]);
    let pace = every(30, Some(window), Missed::Skip);
    let tick = at("2026-06-02T03:59:30Z");
    assert_eq!(pace.due(Some(tick.plus(-30_000)), tick.plus(40_000)).ticks, [tick]);
}

#[test]
fn a_window_that_summer_time_swallows_still_has_its_tick() {
    let schedule = windowed("30 2 * * *", ("02:00", "03:00", "*"), Missed::RunOnce);
    let found = ticks(&schedule, at("2026-03-28T12:00:00Z"), 2);
    assert_eq!(texts(&found), ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
    // An hour that comes twice is one window, open from its first start.
    let schedule = windowed("15 2 * * *", ("02:00", "02:30", "*"), Missed::RunOnce);
    assert!(schedule.open_at(at("2026-10-25T00:15:00Z")));
    assert!(!schedule.open_at(at("2026-10-25T01:15:00Z")));
}

#[test]
fn the_ends_of_time_are_survived() {
    for schedule in [cron("* * * * *", "Europe/Berlin", ALL), every(1, Some(("22:00", "06:00", "mon")), ALL)] {
        for now in [i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_millis) {
            for last in [None, Some(i64::MIN), Some(0), Some(i64::MAX)] {
                let due = schedule.due(last.map(Timestamp::from_millis), now);
                assert!(due.ticks.len() <= 1000 && due.ticks.iter().all(|tick| *tick <= now || now.millis() < 0));
            }
        }
    }
}
