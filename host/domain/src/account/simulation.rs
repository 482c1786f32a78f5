//! An outage on virtual time: lanes of jobs, a partner that is down for an hour, and the account between them.

use std::collections::BTreeMap;

use super::tests::{START, at, limits};
use super::*;

const LANES: usize = 2_500;
const JOBS_IN_LANE: usize = 4;
const JOBS: usize = LANES * JOBS_IN_LANE;
const PER_SECOND: u32 = 10;
const AT_ONCE: u16 = 16;
const HOUR_MS: i64 = 3_600_000;

enum Event {
    /// The oldest unfinished job of the lane wants to call.
    Ask {
        lane: usize,
        promised: Option<Timestamp>,
        urgent: bool,
    },
    Over {
        lane: usize,
        permit: Permit,
        outcome: Outcome,
    },
}

#[derive(Default)]
struct World {
    account: Account,
    limits: Limits,
    events: BTreeMap<(i64, u64), Event>,
    next: u64,
    noise: u32,
    /// The partner answers nothing in this time.
    down: std::ops::Range<i64>,
    calls: Vec<i64>,
    asks: Vec<i64>,
    /// Lane and number in it, in the order they were done, and when.
    done: Vec<(usize, usize, i64)>,
    in_lane: BTreeMap<usize, (usize, u32)>,
    failed_attempts: usize,
    /// How long each urgent caller waited.
    urgent: Vec<i64>,
    urgent_since: BTreeMap<usize, i64>,
}

impl World {
    fn new(down: std::ops::Range<i64>) -> Self {
        Self { limits: limits(&[(PER_SECOND, 1, None)], AT_ONCE), down, noise: 1, ..Self::default() }
    }

    fn roll(&mut self) -> u32 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.noise >> 8
    }

    fn later(&mut self, ms: i64, event: Event) {
        self.next += 1;
        self.events.insert((ms, self.next), event);
    }

    /// Every job of every lane, its lane's first at a time of its own within `over_ms`.
    fn arrive(&mut self, over_ms: i64) {
        for lane in 0..LANES {
            let ms = i64::from(self.roll()) % over_ms;
            self.later(ms, Event::Ask { lane, promised: None, urgent: false });
        }
    }

    fn run(&mut self) {
        while let Some(((ms, _), event)) = self.events.pop_first() {
            if self.asks.len() % 1_000 == 999 {
                // Another host takes over: all it knows is what is stored.
                let stored = serde_json::to_string(&self.account).expect("json");
                self.account = serde_json::from_str(&stored).expect("account");
            }
            match event {
                Event::Ask { lane, promised, urgent } => self.ask(lane, promised, urgent, ms),
                Event::Over { lane, permit, outcome } => self.over(lane, permit, outcome, ms),
            }
        }
    }

    fn ask(&mut self, lane: usize, promised: Option<Timestamp>, urgent: bool, ms: i64) {
        self.asks.push(ms);
        let ask = Ask { urgent, promised, over_by: at(ms + 30_000), roll: self.roll() };
        if urgent {
            self.urgent_since.entry(lane).or_insert(ms);
        }
        match self.account.ask(&self.limits, &ask, at(ms)) {
            Decision::Go(permit) => {
                self.calls.push(ms);
                if let Some(since) = self.urgent_since.remove(&lane) {
                    self.urgent.push(ms - since);
                }
                let (takes, outcome) = if self.down.contains(&ms) {
                    (10_000, Outcome::Outage { after_ms: None })
                } else {
                    (300, Outcome::Answered)
                };
                self.later(ms + takes, Event::Over { lane, permit, outcome });
            }
            Decision::Wait { until, .. } => {
                let back = until.millis() - START;
                assert!(back > ms, "told to come back in the past");
                self.later(back, Event::Ask { lane, promised: Some(until), urgent });
            }
        }
    }

    fn over(&mut self, lane: usize, permit: Permit, outcome: Outcome, ms: i64) {
        let roll = self.roll();
        self.account.report(permit, outcome, at(ms), roll);
        if lane >= LANES {
            return;
        }
        let (number, attempts) = self.in_lane.entry(lane).or_default();
        if outcome == Outcome::Answered {
            self.done.push((lane, *number, ms));
            (*number, *attempts) = (*number + 1, 0);
            if *number < JOBS_IN_LANE {
                self.later(ms, Event::Ask { lane, promised: None, urgent: false });
            }
        } else {
            *attempts += 1;
            self.failed_attempts += 1;
            let backoff = (1_000_i64 << (*attempts).min(10)).min(900_000);
            let back = ms + 1 + i64::from(roll) % backoff;
            self.later(back, Event::Ask { lane, promised: None, urgent: false });
        }
    }

    fn most_per_second(moments: &[i64]) -> usize {
        let mut from = 0;
        let counts = moments.iter().enumerate().map(|(index, ms)| {
            while moments[from] <= ms - 1_000 {
                from += 1;
            }
            index + 1 - from
        });
        counts.max().unwrap_or(0)
    }

    /// Jobs a second from the first done at or after `from` to the last.
    fn rate_from(&self, from: i64) -> f64 {
        let done: Vec<i64> = self.done.iter().map(|(.., ms)| *ms).filter(|ms| *ms >= from).collect();
        (done.len() - 1) as f64 * 1_000.0 / (done[done.len() - 1] - done[0]) as f64
    }

    fn assert_all_done_in_order(&self) {
        let mut next = vec![0; LANES];
        for (lane, number, _) in &self.done {
            assert_eq!(next[*lane], *number, "lane {lane}");
            next[*lane] += 1;
        }
        assert_eq!(self.done.len(), JOBS);
    }
}

#[test]
fn p9_a_one_hour_outage_drains_by_itself() {
    let mut steady = World::new(0..0);
    steady.arrive(1_000);
    steady.run();
    steady.assert_all_done_in_order();
    let steady_rate = steady.rate_from(0);
    assert!(steady_rate >= 0.9 * f64::from(PER_SECOND), "{steady_rate} jobs a second of {PER_SECOND}");

    let (from, to) = (60_000, 60_000 + HOUR_MS);
    let mut world = World::new(from..to);
    world.arrive(to);
    // While the backlog drains, somebody is in a hurry every ten seconds.
    for n in 0..60 {
        world.later(to + 400_000 + 10_000 * n as i64, Event::Ask { lane: LANES + n, promised: None, urgent: true });
    }
    world.run();
    world.assert_all_done_in_order();

    let within = |range: std::ops::Range<i64>| world.calls.iter().filter(|ms| range.contains(*ms)).count();
    let (first, probes) = (within(from..from + 60_000), within(from + 60_000..to));
    assert!(first <= 20 + usize::from(AT_ONCE) + 4, "{first} calls until the breaker had opened and tried again");
    assert!((10..=20).contains(&probes), "{probes} probes in an hour");
    let during = first + probes;
    assert_eq!(world.failed_attempts, during, "only a call uses up an attempt");
    assert!(World::most_per_second(&world.calls) <= PER_SECOND as usize, "faster than allowed");
    let herd = World::most_per_second(&world.asks);
    assert!(herd <= 4 * PER_SECOND as usize, "{herd} came back in one second");

    let back = world.calls.iter().find(|ms| **ms >= to).expect("a call after it");
    assert!(back - to <= 300_000 + 1_000, "noticed after {} ms", back - to);
    let rate = world.rate_from(to);
    assert!(rate >= 0.9 * steady_rate, "{rate} jobs a second, {steady_rate} without an outage");
    assert_eq!(world.urgent.len(), 60);
    assert!(world.urgent.iter().all(|waited| *waited <= 1_000), "{:?}", world.urgent);
    eprintln!(
        "calls into the outage {during}, failed attempts {}, asks {}, herd {herd}, back after {} ms, rate {rate:.2}, steady {steady_rate:.2}, urgent {:?}",
        world.failed_attempts,
        world.asks.len(),
        back - to,
        world.urgent.iter().max()
    );
}
