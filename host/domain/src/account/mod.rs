//! One connection's account at its partner: rate limits, the partner's own pauses, breaker and calls under way. They
//! belong to the account and not to a job: whoever waits is told when to come back, and burns no attempt.
//!
//! The state is small data that every host changes in a transaction of its own: [`Account::ask`] before a call,
//! [`Account::report`] after it, nothing in between. A host that dies in between leaves a permit that expires and
//! places in the line that pass; nothing has to be cleaned up.
//!
//! In any span of a bucket, wherever it begins, no more calls go than the bucket allows. Waiters are told one time
//! after the other, so they come back at 95 % of the allowed rate and in order; an urgent caller goes before them, and
//! of a limit that takes longer than ten seconds to come back a fifth is kept for it.
//!
//! Clocks: up to a minute back is two hosts that differ, and time stands still until it is caught up; more is a clock
//! that was set, and the account moves along, so that a wait is as long as before. A jump forward is the same as time
//! passing: it frees at most what one span holds.

mod breaker;
mod decision;
mod limits;
mod line;
#[cfg(test)]
mod properties;
mod retry_after;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod view;
mod window;

pub use decision::{Ask, Decision, Outcome, Permit, Why, pauses};
pub use limits::{Bucket, Limits, LimitsError, Tighter};
pub use retry_after::retry_after_ms;
pub use view::{BreakerView, BucketView, View};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::time::Timestamp;
use breaker::{Breaker, Gate};
use limits::Rule;
use line::{Line, Standing, Want};
use window::Window;

/// No pause is believed beyond this, whatever the partner says.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// Without a time from the partner: 1 s, 2 s, 4 s … 15 min; from the start again after a quiet minute.
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_BACKOFF_MS: i64 = 900_000;
const QUIET_MS: i64 = 60_000;
/// No call takes longer.
const LONGEST_CALL_MS: i64 = 900_000;
/// Clocks of two hosts differ by less.
const SKEW_MS: i64 = 60_000;
/// A line that nobody comes to for so long, and three places more, is forgotten.
const DESERTED_MS: i64 = 5_000;
/// Places in the line of a partner that names no rate, and how soon a place among the calls under way may be free.
const UNNAMED_GAP_MS: i64 = 50;
const FULL_MS: i64 = 250;

/// The state of one account. [`Account::default`] is one that was never used. Stored as JSON, about 1 KiB for a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Account {
    state: State,
}

/// The versions of the stored form.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum Stored {
    #[serde(rename = "1")]
    V1(State),
}

impl From<Stored> for Account {
    fn from(stored: Stored) -> Self {
        let Stored::V1(state) = stored;
        Self { state }
    }
}

impl From<Account> for Stored {
    fn from(account: Account) -> Self {
        Self::V1(account.state)
    }
}

impl Default for Account {
    fn default() -> Self {
        let never = Timestamp::from_millis(0);
        Self {
            state: State {
                seen: never,
                windows: Vec::new(),
                line: Line::default(),
                paused_until: never,
                pause_step: 0,
                breaker: Breaker::default(),
                under_way: Vec::new(),
                next_permit: 0,
                last: never,
                held_until: never,
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The latest time any host came with.
    seen: Timestamp,
    windows: Vec<Window>,
    line: Line,
    paused_until: Timestamp,
    pause_step: u8,
    breaker: Breaker,
    /// Permits given and not reported on, and when each counts as lost.
    under_way: Vec<(u64, Timestamp)>,
    next_permit: u64,
    /// When the last call went.
    last: Timestamp,
    /// Until when somebody was told that nothing goes.
    held_until: Timestamp,
}

impl Account {
    /// May a call go now? Store the account before acting on the answer.
    pub fn ask(&mut self, limits: &Limits, ask: &Ask, now: Timestamp) -> Decision {
        let state = &mut self.state;
        let rules = limits.rules();
        let now = state.tick(now);
        window::fit(&mut state.windows, &rules);
        state.windows.iter_mut().for_each(|window| window.expire(now));
        let gap_ms = state.gap_ms(&rules, now);
        state.breaker.settle(gap_ms, now);
        let again = ask.promised.is_some_and(|promised| promised <= now);
        let who = match again {
            _ if ask.urgent => Standing::Urgent { again },
            true => Standing::Promised,
            false => Standing::New,
        };
        let gate = state.breaker.gate(state.last, now);
        let obstacle = state.obstacle(limits, &rules, who, gate, now);
        if let Some((free, _)) = obstacle {
            state.held_until = state.held_until.max(free);
        } else if now.since(state.last.max(state.held_until)) > DESERTED_MS + 3 * gap_ms {
            state.line.forget(now);
        }
        let in_line = who == Standing::New && state.line.waits(now);
        if let Some((free, why)) = obstacle.or(in_line.then_some((now, Why::RateLimited))) {
            let behind = state.behind(&rules, gap_ms, now);
            let until = state.line.place(who, &Want { free, behind, gap_ms, roll: ask.roll }, now);
            return Decision::Wait { until, why };
        }
        if who == (Standing::Urgent { again: true }) {
            state.line.hurried();
        }
        Decision::Go(state.go(&rules, gate, ask.over_by, now))
    }

    /// What became of the call. `roll` is any random number. A permit that has expired is heard all the same.
    pub fn report(&mut self, permit: Permit, outcome: Outcome, now: Timestamp, roll: u32) {
        let state = &mut self.state;
        let now = state.tick(now);
        state.under_way.retain(|(id, _)| *id != permit.id);
        match outcome {
            Outcome::Unused => state.breaker.unused(permit.id, now),
            _ => state.ended(Some(permit.id), permit.went, outcome, now, roll),
        }
    }

    /// What became of calls that an account in the memory of one host let go, as it does for a partner that names no
    /// limit and works: so many were `answered` within the last minute, then one, by `permit`, ended with `outcome`.
    pub fn told(&mut self, answered: u32, permit: &Permit, outcome: Outcome, now: Timestamp, roll: u32) {
        let now = self.state.tick(now);
        self.state.breaker.answered(answered, now);
        self.state.ended(None, permit.went, outcome, now, roll);
    }

    /// A fault the adapter read out of an answer that looked well, after it was reported. Counts only when
    /// it [`pauses`].
    pub fn heard(&mut self, fault: &Fault, now: Timestamp) {
        let now = self.state.tick(now);
        if pauses(fault) {
            self.state.pause(decision::after_ms(fault), now);
        }
    }
}

impl State {
    /// The time that counts: it never goes back. Forgets lost permits.
    fn tick(&mut self, now: Timestamp) -> Timestamp {
        let behind = self.seen.since(now);
        if behind > SKEW_MS {
            self.shift(-behind);
        }
        self.seen = self.seen.max(now);
        let now = self.seen;
        self.under_way.retain(|(_, lost)| *lost > now);
        now
    }

    /// Everything moves along with a clock that was set back.
    fn shift(&mut self, by_ms: i64) {
        let moments = [&mut self.seen, &mut self.paused_until, &mut self.last, &mut self.held_until].into_iter();
        for moment in moments.chain(self.under_way.iter_mut().map(|(_, lost)| lost)) {
            *moment = moment.plus(by_ms);
        }
        self.windows.iter_mut().for_each(|window| window.shift(by_ms));
        self.line.shift(by_ms);
        self.breaker.shift(by_ms);
    }

    /// Between two places in the line: what the tightest rate needs. A quota counts only once it is used up.
    fn gap_ms(&self, rules: &[Rule], now: Timestamp) -> i64 {
        let counting = rules.iter().zip(&self.windows).filter(|(rule, window)| {
            !rule.is_quota() || window.free_at(rule.max - rule.reserve()).is_some_and(|free| free > now)
        });
        counting.map(|(rule, _)| rule.gap_ms()).max().unwrap_or(UNNAMED_GAP_MS)
    }

    /// What forbids a call now, and until when.
    fn obstacle(
        &self,
        limits: &Limits,
        rules: &[Rule],
        who: Standing,
        gate: Gate,
        now: Timestamp,
    ) -> Option<(Timestamp, Why)> {
        let hurry = self.line.hurry(now);
        let used = |(rule, window): (&Rule, &Window)| {
            let kept = match who {
                Standing::New => rule.reserve(),
                // A place was promised at a time; somebody came late to an earlier one.
                Standing::Promised => rule.reserve() / 2,
                Standing::Urgent { .. } => return window.free_at(rule.max),
            };
            window.free_at(rule.max - kept.max(hurry.min(rule.max / 5)))
        };
        let at_once = match who {
            Standing::Urgent { .. } => usize::from(limits.max_in_flight.get()),
            Standing::New | Standing::Promised => limits.shared_in_flight(),
        };
        let full = (self.under_way.len() >= at_once).then(|| (now.plus(FULL_MS), Why::Full));
        let waits = match gate {
            Gate::Wait(until, why) => Some((until, why)),
            Gate::Pass | Gate::Probe => None,
        };
        let paused = Some((self.paused_until, Why::Blocked));
        let used = rules.iter().zip(&self.windows).filter_map(used);
        let all = used.map(|free| (free, Why::RateLimited)).chain(full).chain(waits).chain(paused);
        all.filter(|(until, _)| *until > now).max_by_key(|(until, _)| *until)
    }

    /// When there is room for one more after everybody in the line.
    fn behind(&self, rules: &[Rule], gap_ms: i64, now: Timestamp) -> Timestamp {
        let ahead = self.line.ahead(gap_ms, now);
        let rates = rules.iter().zip(&self.windows).filter(|(rule, _)| !rule.is_quota());
        let free =
            rates.filter_map(|(rule, window)| window.free_at((rule.max - rule.reserve()).saturating_sub(ahead).max(1)));
        free.max().unwrap_or(now)
    }

    fn go(&mut self, rules: &[Rule], gate: Gate, over_by: Timestamp, now: Timestamp) -> Permit {
        let id = self.next_permit;
        self.next_permit = id.wrapping_add(1);
        let lost = over_by.max(now.plus(1)).min(now.plus(LONGEST_CALL_MS));
        self.under_way.push((id, lost));
        for (window, rule) in self.windows.iter_mut().zip(rules) {
            window.push(*rule, now);
        }
        if gate == Gate::Probe {
            self.breaker.probing(id, lost);
        }
        self.last = now;
        Permit { id, went: now }
    }

    fn ended(&mut self, permit: Option<u64>, went: Timestamp, outcome: Outcome, now: Timestamp, roll: u32) {
        let outage = matches!(outcome, Outcome::Outage { .. });
        if outcome != Outcome::Unused {
            self.breaker.record(permit, went, outage, now, roll);
        }
        match outcome {
            Outcome::RateLimited { after_ms } => self.pause(after_ms, now),
            Outcome::Outage { after_ms: Some(after) } => self.pause(Some(after), now),
            _ => {}
        }
    }

    /// The whole account stops. Calls that were on their way together make one pause, not a longer one each.
    fn pause(&mut self, after_ms: Option<u64>, now: Timestamp) {
        let named = after_ms.map(|after| i64::try_from(after).unwrap_or(LONGEST_PAUSE_MS));
        if self.paused_until <= now {
            let quiet = now.since(self.paused_until) > QUIET_MS;
            self.pause_step = if quiet { 0 } else { self.pause_step.saturating_add(1) };
        }
        let backoff = (FIRST_PAUSE_MS << self.pause_step.min(20)).min(LONGEST_BACKOFF_MS);
        let pause = named.unwrap_or(backoff).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        self.paused_until = self.paused_until.max(now.plus(pause));
    }
}
