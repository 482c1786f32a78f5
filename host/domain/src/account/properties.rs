//! Several hosts on one state, any schedule: the limit holds, and who waits is served.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::tests::{START, at, limits};
use super::*;

fn some_limits(longest: u32) -> impl Strategy<Value = (Vec<(u32, u32, Option<u32>)>, u16)> {
    let bucket = (1..60_u32, 1..=longest, prop::option::of(1..10_u32));
    (prop::collection::vec(bucket, 1..4), 1..20_u16)
}

fn some_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        8 => Just(Outcome::Answered),
        2 => Just(Outcome::Outage { after_ms: None }),
        1 => (0..5_000_u64).prop_map(|after| Outcome::RateLimited { after_ms: Some(after) }),
        1 => Just(Outcome::RateLimited { after_ms: None }),
        1 => Just(Outcome::Unused),
    ]
}

/// The most calls in any span of `span_ms`, by looking at every one of them.
fn most(calls: &[i64], span_ms: i64) -> usize {
    calls
        .iter()
        .map(|from| calls.iter().filter(|call| (*from..from + span_ms).contains(*call)).count())
        .max()
        .unwrap_or(0)
}

#[derive(Debug, Clone)]
struct Step {
    pass_ms: i64,
    urgent: bool,
    comes_back: bool,
    /// Absent: the host dies with the permit.
    outcome: Option<Outcome>,
    takes_ms: i64,
    roll: u32,
}

fn some_step() -> impl Strategy<Value = Step> {
    let pass = prop_oneof![6 => 0..50_i64, 3 => 0..2_000_i64, 1 => 0..60_000_i64];
    (
        pass,
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::option::weighted(0.9, some_outcome()),
        0..3_000_i64,
        any::<u32>(),
    )
        .prop_map(|(pass_ms, urgent, comes_back, outcome, takes_ms, roll)| Step {
            pass_ms,
            urgent,
            comes_back,
            outcome,
            takes_ms,
            roll,
        })
}

/// Callers that wait come back at the time they were told and `late_ms` later. What each of them needed: how often it
/// asked, and how long it took.
fn serve(limits: &Limits, arrivals: &[(i64, bool)], late_ms: i64) -> Vec<(u32, i64)> {
    let mut account = Account::default();
    let mut queue: BTreeMap<(i64, usize), (u32, Option<Timestamp>)> = BTreeMap::new();
    for (caller, (ms, _)) in arrivals.iter().enumerate() {
        queue.insert((*ms, caller), (0, None));
    }
    let mut served = Vec::new();
    while let Some(((ms, caller), (asked, promised))) = queue.pop_first() {
        let (came, dies) = arrivals[caller];
        match account.ask(limits, &Ask { urgent: false, promised, over_by: at(ms + 1_000), roll: 0 }, at(ms)) {
            Decision::Go(permit) => {
                account.report(permit, Outcome::Answered, at(ms), 0);
                served.push((asked + 1, ms - came));
            }
            Decision::Wait { .. } if dies => {}
            Decision::Wait { until, .. } => {
                let back = until.millis() - START + (caller as i64 * 7) % (late_ms + 1);
                queue.insert((back, caller), (asked + 1, Some(until)));
            }
        }
    }
    served
}

#[test]
fn the_stored_form_is_versioned_small_and_complete() {
    let limits = limits(&[(10, 1, None), (5_000, 86_400, None)], 16);
    let mut account = Account::default();
    let mut now = 0;
    for _ in 0..6_000 {
        let ask = Ask { urgent: false, promised: None, over_by: at(now + 30_000), roll: 7 };
        match account.ask(&limits, &ask, at(now)) {
            Decision::Go(permit) => account.report(permit, Outcome::Answered, at(now), 0),
            Decision::Wait { until, .. } => now = until.millis() - START,
        }
    }
    let text = serde_json::to_string(&account).expect("json");
    assert!(text.starts_with(r#"{"v":"1","#) && text.len() < 1_500, "{} bytes: {text}", text.len());
    assert_eq!(serde_json::from_str::<Account>(&text).expect("account"), account);
    assert!(serde_json::from_str::<Account>(&text.replacen("\"1\"", "\"2\"", 1)).is_err());
}

proptest! {
    // A fixed seed: the same run every time. `PROPTEST_RNG_SEED` and `PROPTEST_CASES` look further.
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: RngSeed::Fixed(42),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_span_holds_more_calls_than_its_bucket_allows(
        (buckets, at_once) in some_limits(90),
        steps in prop::collection::vec(some_step(), 0..400),
    ) {
        let limits = limits(&buckets, at_once);
        let mut stored = serde_json::to_string(&Account::default()).expect("json");
        let (mut now, mut calls, mut waiting, mut open) = (0, Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            now += step.pass_ms;
            // Every step is another host: all it knows is what is stored.
            let mut account: Account = serde_json::from_str(&stored).expect("account");
            let mut left = Vec::new();
            for (over, lost, permit, outcome) in open {
                match outcome {
                    Some(outcome) if over <= now => account.report(permit, outcome, at(now), step.roll),
                    _ if lost > now => left.push((over, lost, permit, outcome)),
                    _ => {}
                }
            }
            open = left;
            let promised = if step.comes_back { waiting.pop() } else { None };
            let ask = Ask { urgent: step.urgent, promised, over_by: at(now + 5_000), roll: step.roll };
            match account.ask(&limits, &ask, at(now)) {
                Decision::Go(permit) => {
                    calls.push(now);
                    open.push((now + step.takes_ms, now + 5_000, permit, step.outcome));
                }
                Decision::Wait { until, .. } => {
                    prop_assert!(until > at(now));
                    waiting.push(until);
                }
            }
            prop_assert!(open.len() <= usize::from(at_once), "{} calls at once", open.len());
            stored = serde_json::to_string(&account).expect("json");
        }
        for (requests, per_seconds, burst) in buckets {
            let span = i64::from(per_seconds) * 1_000;
            prop_assert!(most(&calls, span) <= requests as usize);
            if let Some(burst) = burst.filter(|burst| *burst < requests) {
                prop_assert!(most(&calls, span * i64::from(burst) / i64::from(requests)) <= burst as usize);
            }
        }
    }

    #[test]
    fn whoever_comes_back_on_time_goes(
        // None is a quota: a line is not spread over what a quota may still hold.
        (buckets, _) in some_limits(60),
        arrivals in prop::collection::vec(0..2_000_i64, 1..300),
    ) {
        let limits = limits(&buckets, 1_000);
        let slowest = limits.rules().iter().map(|rule| rule.gap_ms()).max().unwrap_or(1);
        let arrivals = arrivals.into_iter().map(|ms| (ms, false));
        let arrivals: Vec<_> = arrivals.take(usize::try_from(line::HORIZON_MS / slowest).expect("positive")).collect();
        let served = serve(&limits, &arrivals, 0);
        prop_assert_eq!(served.len(), arrivals.len());
        let asks: Vec<u32> = served.iter().map(|(asks, _)| *asks).collect();
        prop_assert!(asks.iter().all(|asks| *asks <= 2), "{:?} {:?}", buckets, asks);
    }

    #[test]
    fn late_and_lost_waiters_hold_nobody_up_for_long(
        (requests, per_seconds) in (1..60_u32, 1..60_u32),
        arrivals in prop::collection::vec((0..2_000_i64, prop::bool::weighted(0.3)), 1..300),
        late_ms in 0..1_000_i64,
    ) {
        let limits = limits(&[(requests, per_seconds, None)], 1_000);
        let gap = limits.rules()[0].gap_ms();
        let arrivals = &arrivals[..arrivals.len().min(usize::try_from(line::HORIZON_MS / gap).expect("positive"))];
        let longest = gap * (arrivals.len() as i64 + 2) + 2 * i64::from(per_seconds) * 1_000 + 2 * late_ms;
        for (asks, took) in serve(&limits, arrivals, late_ms) {
            prop_assert!(took <= longest, "{took} ms of {longest}, {asks} asks");
            prop_assert!(asks <= 12, "{asks} asks");
        }
    }

    #[test]
    fn a_jumping_clock_neither_blocks_for_ever_nor_opens_a_flood(
        (requests, per_seconds) in (1..30_u32, 1..90_u32),
        jumps in prop::collection::vec((-100_000_000..100_000_000_i64, 0..40_usize, 0..3_000_i64, some_outcome()), 1..8),
    ) {
        let limits = limits(&[(requests, per_seconds, None)], 1_000);
        let (mut account, mut real, mut offset) = (Account::default(), 0, 0);
        let (mut calls, mut forward) = (Vec::new(), Vec::new());
        for (jump, asks, pass_ms, outcome) in jumps {
            offset += jump;
            if jump > 0 {
                forward.push(real);
            }
            for _ in 0..asks {
                real += pass_ms / 10;
                let now = at(real + offset);
                let ask = Ask { urgent: true, promised: None, over_by: now.plus(1_000), roll: 0 };
                if let Decision::Go(permit) = account.ask(&limits, &ask, now) {
                    calls.push(real);
                    account.report(permit, outcome, now, 0);
                }
            }
        }
        let span = i64::from(per_seconds) * 1_000;
        for from in &calls {
            let within = |moment: &&i64| (*from..from + span).contains(*moment);
            let allowed = requests as usize * (1 + forward.iter().filter(within).count());
            prop_assert!(calls.iter().filter(within).count() <= allowed);
        }
        // Whatever the clock did, a caller that comes back when it is told goes within the longest wait there is.
        let (mut now, mut promised, began) = (at(real + offset), None, at(real + offset));
        loop {
            let ask = Ask { urgent: false, promised, over_by: now.plus(1_000), roll: 0 };
            match account.ask(&limits, &ask, now) {
                Decision::Go(_) => break,
                Decision::Wait { until, .. } => (now, promised) = (until, Some(until)),
            }
            prop_assert!(now.since(began) <= LONGEST_PAUSE_MS + SKEW_MS + 2 * span);
        }
    }
}
