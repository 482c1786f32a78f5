use super::*;
use crate::fault::{Blame, FaultKind, Retry};

pub(super) const START: i64 = 1_800_000_000_000;

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START + ms)
}

pub(super) fn limits(buckets: &[(u32, u32, Option<u32>)], max_in_flight: u16) -> Limits {
    let bucket = |(requests, per_seconds, burst): &(u32, u32, Option<u32>)| serde_json::json!({ "requests": requests, "per_seconds": per_seconds, "burst": burst });
    let buckets: Vec<_> = buckets.iter().map(bucket).collect();
    serde_json::from_value(serde_json::json!({ "buckets": buckets, "max_in_flight": max_in_flight })).expect("limits")
}

fn ask_as(account: &mut Account, limits: &Limits, urgent: bool, promised: Option<Timestamp>, ms: i64) -> Decision {
    account.ask(limits, &Ask { urgent, promised, over_by: at(ms + 30_000), roll: 7 }, at(ms))
}

fn ask(account: &mut Account, limits: &Limits, ms: i64) -> Decision {
    ask_as(account, limits, false, None, ms)
}

#[track_caller]
fn go(decision: Decision) -> Permit {
    match decision {
        Decision::Go(permit) => permit,
        Decision::Wait { until, why } => panic!("waits until {until}: {why}"),
    }
}

/// Milliseconds after the start, and why.
#[track_caller]
fn wait(decision: Decision) -> (i64, Why) {
    match decision {
        Decision::Wait { until, why } => (until.millis() - START, why),
        Decision::Go(permit) => panic!("goes: {permit:?}"),
    }
}

fn call(account: &mut Account, limits: &Limits, outcome: Outcome, ms: i64) {
    let permit = go(ask(account, limits, ms));
    account.report(permit, outcome, at(ms), 0);
}

/// Twenty calls that fail, half a second apart from 0 ms; the breaker is open from 9,500 ms to 14,500 ms.
fn down(limits: &Limits) -> Account {
    let mut account = Account::default();
    for n in 0..20 {
        call(&mut account, limits, Outcome::Outage { after_ms: None }, n * 500);
    }
    account
}

#[test]
fn waiters_get_one_time_each_and_are_served_at_it() {
    let limits = limits(&[(10, 1, None)], 100);
    let mut account = Account::default();
    for _ in 0..10 {
        call(&mut account, &limits, Outcome::Answered, 0);
    }
    let told: Vec<_> = (0..100).map(|_| wait(ask(&mut account, &limits, 0))).collect();
    let expected: Vec<_> = (0..100).map(|n| (1_000 + n * 105, Why::RateLimited)).collect();
    assert_eq!(told, expected);
    for (until, _) in told {
        let permit = go(ask_as(&mut account, &limits, false, Some(at(until)), until));
        account.report(permit, Outcome::Answered, at(until), 0);
        let (later, _) = wait(ask(&mut account, &limits, until));
        assert!(later > 11_000, "somebody new stands at the end");
    }
}

#[test]
fn an_urgent_caller_goes_before_everybody_who_waits() {
    let limits = limits(&[(100, 60, None)], 100);
    let mut account = Account::default();
    for _ in 0..80 {
        call(&mut account, &limits, Outcome::Answered, 0);
    }
    assert_eq!(wait(ask(&mut account, &limits, 1)), (60_000, Why::RateLimited));
    for _ in 0..20 {
        let permit = go(ask_as(&mut account, &limits, true, None, 1));
        account.report(permit, Outcome::Answered, at(1), 0);
    }
    assert_eq!(wait(ask_as(&mut account, &limits, true, None, 2)).1, Why::RateLimited, "the limit is the limit");
}

#[test]
fn a_call_is_kept_for_an_urgent_caller_that_is_to_come_back() {
    let limits = limits(&[(10, 1, None)], 100);
    let mut account = Account::default();
    for _ in 0..10 {
        call(&mut account, &limits, Outcome::Answered, 0);
    }
    let told: Vec<_> = (0..14).map(|_| wait(ask(&mut account, &limits, 0)).0).collect();
    let (urgent, _) = wait(ask_as(&mut account, &limits, true, None, 900));
    let late = told.iter().map(|until| ask_as(&mut account, &limits, false, Some(at(*until)), 2_500));
    assert_eq!(late.filter(|decision| matches!(decision, Decision::Go(_))).count(), 9, "all of them came at once");
    let _permit = go(ask_as(&mut account, &limits, true, Some(at(urgent)), 2_600));
}

#[test]
fn a_line_nobody_comes_back_to_is_forgotten() {
    let limits = limits(&[(1, 1, None)], 4);
    let mut account = Account::default();
    call(&mut account, &limits, Outcome::Answered, 0);
    for _ in 0..1_000 {
        let _ = wait(ask(&mut account, &limits, 0));
    }
    assert!(wait(ask(&mut account, &limits, 2_000)).0 > 1_000_000);
    call(&mut account, &limits, Outcome::Answered, 10_000);
    call(&mut account, &limits, Outcome::Answered, 11_000);
}

#[test]
fn a_permit_that_died_with_its_process_comes_back() {
    let limits = limits(&[], 1);
    let mut account = Account::default();
    drop(go(ask(&mut account, &limits, 0)));
    assert_eq!(wait(ask(&mut account, &limits, 29_999)).1, Why::Full);
    let _permit = go(ask(&mut account, &limits, 40_000));
}

#[test]
fn a_pause_holds_everybody_for_the_time_the_partner_named() {
    let limits = limits(&[], 4);
    let mut account = Account::default();
    call(&mut account, &limits, Outcome::RateLimited { after_ms: Some(7_000) }, 0);
    assert_eq!(wait(ask(&mut account, &limits, 1)), (7_000, Why::Blocked));
    assert_eq!(wait(ask_as(&mut account, &limits, true, None, 6_999)), (7_000, Why::Blocked));
    let _permit = go(ask_as(&mut account, &limits, false, Some(at(7_000)), 7_000));
    call(&mut account, &limits, Outcome::Outage { after_ms: Some(u64::MAX) }, 8_000);
    assert_eq!(wait(ask(&mut account, &limits, 8_001)), (8_000 + LONGEST_PAUSE_MS, Why::Blocked));
}

#[test]
fn a_pause_without_a_time_grows_once_for_calls_that_were_together() {
    let limits = limits(&[], 4);
    let mut account = Account::default();
    let mut now = 0;
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        let together = [go(ask(&mut account, &limits, now)), go(ask(&mut account, &limits, now))];
        for permit in together {
            account.report(permit, Outcome::RateLimited { after_ms: None }, at(now), 0);
        }
        let (until, why) = wait(ask_as(&mut account, &limits, true, None, now));
        assert_eq!((until - now, why), (expected * 1_000, Why::Blocked));
        now = until;
    }
    now += QUIET_MS + 1;
    call(&mut account, &limits, Outcome::RateLimited { after_ms: None }, now);
    assert_eq!(wait(ask_as(&mut account, &limits, true, None, now)).0 - now, 1_000);
}

#[test]
fn a_fault_in_an_answer_that_looked_well_pauses_too() {
    let limits = limits(&[], 4);
    let mut account = Account::default();
    let fault = Fault::new(FaultKind::BusinessRejected, "acme.address", "no such street", Blame::Partner);
    account.heard(&fault, at(0));
    call(&mut account, &limits, Outcome::Answered, 0);
    let fault = Fault::new(FaultKind::RateLimited, "acme.slow-down", "too many", Blame::Partner);
    account.heard(&fault.with_retry(Retry::Later { after_ms: Some(3_000) }), at(0));
    assert_eq!(wait(ask(&mut account, &limits, 1)), (3_000, Why::Blocked));
}

#[test]
fn refusals_and_rate_limits_never_open_the_breaker() {
    let limits = limits(&[], 4);
    let mut account = Account::default();
    for n in 0..100 {
        call(&mut account, &limits, Outcome::of_status(422, None), n * 2_000);
        call(&mut account, &limits, Outcome::RateLimited { after_ms: Some(0) }, n * 2_000);
    }
}

#[test]
fn half_of_twenty_failures_within_a_minute_open_the_breaker() {
    let limits = limits(&[], 4);
    let outcome = |n: i64| if n % 2 == 0 { Outcome::Answered } else { Outcome::Outage { after_ms: None } };
    let mut account = Account::default();
    for n in 0..19 {
        call(&mut account, &limits, outcome(n), n * 100);
    }
    call(&mut account.clone(), &limits, Outcome::Answered, 1_900);
    call(&mut account, &limits, outcome(19), 1_900);
    assert_eq!(wait(ask(&mut account, &limits, 1_901)), (6_900, Why::BreakerOpen));

    let mut slow = Account::default();
    for n in 0..40 {
        call(&mut slow, &limits, outcome(n), n * 4_000);
    }
}

#[test]
fn twenty_failures_in_a_row_open_the_breaker_however_well_or_slow_it_was() {
    let limits = limits(&[], 4);
    let (mut busy, mut idle) = (Account::default(), Account::default());
    for n in 0..100 {
        call(&mut busy, &limits, Outcome::Answered, n * 10);
    }
    for n in 0..20 {
        call(&mut busy, &limits, Outcome::Outage { after_ms: None }, 1_000 + n * 10);
        call(&mut idle, &limits, Outcome::Outage { after_ms: None }, n * 600_000);
    }
    assert_eq!(wait(ask(&mut busy, &limits, 1_191)).1, Why::BreakerOpen);
    assert_eq!(wait(ask(&mut idle, &limits, 11_400_001)).1, Why::BreakerOpen);
}

#[test]
fn one_probe_goes_and_its_failure_doubles_the_time() {
    let limits = limits(&[], 4);
    let mut account = down(&limits);
    let mut now = 9_500;
    for expected in [5, 10, 20, 40, 80, 160, 300, 300] {
        let (until, why) = wait(ask_as(&mut account, &limits, true, None, now));
        assert_eq!((until - now, why), (expected * 1_000, Why::BreakerOpen));
        now = until;
        let probe = go(ask(&mut account, &limits, now));
        assert_eq!(wait(ask_as(&mut account, &limits, true, None, now)).1, Why::BreakerOpen);
        account.report(probe, Outcome::Outage { after_ms: None }, at(now), 0);
    }
}

#[test]
fn a_lost_or_unused_probe_makes_room_for_another() {
    let limits = limits(&[], 4);
    let mut account = down(&limits);
    let lost = go(ask(&mut account, &limits, 14_500));
    assert_eq!(wait(ask_as(&mut account, &limits, true, None, 44_499)).1, Why::BreakerOpen);
    let unused = go(ask_as(&mut account, &limits, true, None, 44_500));
    account.report(unused, Outcome::Unused, at(44_600), 0);
    let probe = go(ask_as(&mut account, &limits, true, None, 44_700));
    account.report(lost, Outcome::Outage { after_ms: None }, at(44_800), 0);
    account.report(probe, Outcome::Answered, at(45_000), 0);
    let _permit = go(ask_as(&mut account, &limits, true, None, 45_200));
}

#[test]
fn a_partner_that_is_back_is_called_at_a_rate_that_doubles() {
    let limits = limits(&[(50, 1, None)], 100);
    let mut account = down(&limits);
    call(&mut account, &limits, Outcome::Answered, 14_500);
    let mut per_second = [0; 7];
    for tick in 0..700 {
        let ms = 14_500 + tick * 10;
        if let Decision::Go(permit) = ask_as(&mut account, &limits, true, None, ms) {
            account.report(permit, Outcome::Answered, at(ms), 0);
            per_second[usize::try_from(tick / 100).expect("small")] += 1;
        }
    }
    assert_eq!(per_second[..4], [1, 4, 8, 15]);
    assert!((48..=50).contains(&per_second[6]), "{per_second:?}");
}

#[test]
fn a_failing_ramp_opens_at_once_and_for_longer() {
    let limits = limits(&[], 100);
    let mut account = down(&limits);
    let old = go(ask(&mut account, &limits, 14_500));
    account.report(old, Outcome::Answered, at(14_500), 0);
    for n in 1..=4 {
        let permit = go(ask_as(&mut account, &limits, true, None, 14_500 + n * 500));
        account.report(permit, Outcome::Outage { after_ms: None }, at(14_500 + n * 500), 0);
    }
    assert_eq!(wait(ask_as(&mut account, &limits, true, None, 16_500)), (26_500, Why::BreakerOpen));
}

#[test]
fn a_call_from_before_the_outage_does_not_open_the_breaker_again() {
    let limits = limits(&[], 100);
    let mut account = Account::default();
    let hanging: Vec<_> = (0..10).map(|_| go(ask(&mut account, &limits, 0))).collect();
    for n in 0..20 {
        call(&mut account, &limits, Outcome::Outage { after_ms: None }, n * 500);
    }
    call(&mut account, &limits, Outcome::Answered, 14_500);
    for permit in hanging {
        account.report(permit, Outcome::Outage { after_ms: None }, at(15_000), 0);
    }
    let _permit = go(ask_as(&mut account, &limits, true, None, 15_001));
}

#[test]
fn a_clock_that_is_set_back_moves_the_waits_along() {
    let limits = limits(&[(2, 60, None)], 4);
    let mut account = Account::default();
    call(&mut account, &limits, Outcome::Answered, 0);
    call(&mut account, &limits, Outcome::RateLimited { after_ms: Some(90_000) }, 1_000);
    let hour = 3_600_000;
    assert_eq!(wait(ask(&mut account, &limits, 1_000 - hour)), (91_000 - hour, Why::Blocked));
    let _permit = go(ask_as(&mut account, &limits, true, None, 91_000 - hour));
}

#[test]
fn calls_of_a_hosts_own_memory_count_like_any_other() {
    let (limits, mut own, mut shared) = (limits(&[], 1_000), Account::default(), Account::default());
    let outage = Outcome::Outage { after_ms: None };
    let mut fail = |answered, ms| {
        let permit = go(ask(&mut own, &limits, ms));
        shared.told(answered, &permit, outage, at(ms), 0);
        own.report(permit, Outcome::Unused, at(ms), 0);
        shared.breaker().is_open()
    };
    // One in three is no outage; twenty in a row are.
    for n in 0..40 {
        assert!(!fail(2, n * 10), "failure {n}");
    }
    for n in 0..18 {
        assert!(!fail(0, 1_000 + n * 10), "failure {n} in a row");
    }
    assert!(fail(0, 2_000));
    let mut paused = Account::default();
    let permit = go(ask(&mut own, &limits, 3_000));
    paused.told(9, &permit, Outcome::RateLimited { after_ms: Some(1_700) }, at(3_000), 0);
    assert_eq!(wait(ask(&mut paused, &limits, 3_000)), (4_700, Why::Blocked));
}
