//! An account as people see it.

use serde::Serialize;

use super::{Account, Limits, window};
use crate::time::Timestamp;

/// Where an account stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// How full every limit is, the shortest span first. Empty when the partner names no rate.
    pub buckets: Vec<BucketView>,
    /// Calls under way over all hosts, and how many there may be.
    pub under_way: u64,
    pub max_in_flight: u16,
    /// The partner asked for a pause until then; absent when there is none.
    pub blocked_until: Option<Timestamp>,
    pub breaker: BreakerView,
    /// Places in the line that are still to come: about how many callers wait.
    pub waiting: u32,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BucketView {
    pub requests: u32,
    pub span_ms: i64,
    /// Calls of the span that ends now.
    pub used: u64,
}

/// Does the partner answer?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BreakerView {
    Closed,
    /// It does not. Nobody calls before `until`; then one does.
    Open {
        until: Timestamp,
    },
    /// One call is under way to find out.
    Probing,
    /// It does again; calls go at a rate that grows.
    Ramp,
}

impl BreakerView {
    /// Do callers wait for the partner to come back?
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open { .. } | Self::Probing)
    }
}

impl View {
    /// Does nobody have to wait, for all the partner has said and done?
    pub const fn is_calm(&self) -> bool {
        self.blocked_until.is_none() && matches!(self.breaker, BreakerView::Closed) && self.waiting == 0
    }
}

impl Account {
    /// Where it stands, without changing it.
    pub fn view(&self, limits: &Limits, now: Timestamp) -> View {
        let mut state = self.state.clone();
        let rules = limits.rules();
        let now = state.tick(now);
        window::fit(&mut state.windows, &rules);
        state.windows.iter_mut().for_each(|window| window.expire(now));
        let gap_ms = state.gap_ms(&rules, now);
        state.breaker.settle(gap_ms, now);
        let bucket = |(rule, window): (&super::Rule, &window::Window)| BucketView {
            requests: rule.max,
            span_ms: rule.span_ms,
            used: window.used(),
        };
        View {
            buckets: rules.iter().zip(&state.windows).map(bucket).collect(),
            under_way: state.under_way.len() as u64,
            max_in_flight: limits.max_in_flight.get(),
            blocked_until: Some(state.paused_until).filter(|until| *until > now),
            breaker: state.breaker.view(),
            waiting: state.line.ahead(gap_ms, now),
        }
    }

    /// Does the partner answer? As of the last thing that was heard.
    pub fn breaker(&self) -> BreakerView {
        self.state.breaker.view()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, limits};
    use super::*;
    use crate::account::{Ask, Decision, Outcome};

    #[test]
    fn a_view_tells_level_pause_breaker_and_line_and_changes_nothing() {
        let limits = limits(&[(2, 1, None)], 4);
        let mut account = Account::default();
        let ask = Ask { urgent: false, promised: None, over_by: at(30_000), roll: 0 };
        let Decision::Go(permit) = account.ask(&limits, &ask, at(0)) else { panic!("there is room") };
        let Decision::Go(_under_way) = account.ask(&limits, &ask, at(0)) else { panic!("there is room") };
        let Decision::Wait { .. } = account.ask(&limits, &ask, at(0)) else { panic!("it is full") };
        account.report(permit, Outcome::RateLimited { after_ms: Some(5_000) }, at(10), 0);
        let before = account.clone();
        let view = account.view(&limits, at(20));
        assert_eq!(view.buckets, [BucketView { requests: 2, span_ms: 1_000, used: 2 }]);
        assert_eq!((view.under_way, view.max_in_flight, view.waiting), (1, 4, 2));
        assert_eq!((view.blocked_until, view.breaker), (Some(at(5_010)), BreakerView::Closed));
        assert_eq!(account, before);
        let view = account.view(&limits, at(40_000));
        assert_eq!((view.buckets[0].used, view.under_way, view.blocked_until, view.waiting), (0, 0, None, 0));
    }

    #[test]
    fn an_open_breaker_says_until_when() {
        let limits = limits(&[], 40);
        let mut account = Account::default();
        let ask = Ask { urgent: false, promised: None, over_by: at(30_000), roll: 0 };
        for _ in 0..20 {
            let Decision::Go(permit) = account.ask(&limits, &ask, at(0)) else { panic!("still closed") };
            account.report(permit, Outcome::Outage { after_ms: None }, at(0), 0);
        }
        assert_eq!(account.breaker(), BreakerView::Open { until: at(5_000) });
        let Decision::Go(_probe) = account.ask(&limits, &ask, at(5_000)) else { panic!("the probe goes") };
        assert_eq!(account.view(&limits, at(5_000)).breaker, BreakerView::Probing);
        assert!(account.breaker().is_open());
    }
}
