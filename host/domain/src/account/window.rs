//! The calls of one limit that still count. Exact up to 32 calls; above, calls are remembered in groups that count until
//! the last of the group is over, so what is remembered is never less than what happened.

use serde::{Deserialize, Serialize};

use super::limits::Rule;
use crate::time::Timestamp;

const GROUPS: u32 = 32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) span_ms: i64,
    /// When the last call of a group went, and how many calls are in it. Oldest first.
    calls: Vec<(Timestamp, u32)>,
}

/// The windows for these rules, with the calls that the old ones remember. A rule that is new begins with the calls of
/// the longest memory there is: changing a limit opens no flood.
pub(super) fn fit(old: &mut Vec<Window>, rules: &[Rule]) {
    if old.iter().map(|window| window.span_ms).eq(rules.iter().map(|rule| rule.span_ms)) {
        return;
    }
    let of = |rule: &Rule| {
        let same = old.iter().find(|window| window.span_ms == rule.span_ms);
        let from = same.or_else(|| old.iter().max_by_key(|window| window.span_ms));
        Window { span_ms: rule.span_ms, calls: from.map(|window| window.calls.clone()).unwrap_or_default() }
    };
    *old = rules.iter().map(of).collect();
}

impl Window {
    /// Forgets what no longer counts.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let span_ms = self.span_ms;
        self.calls.retain(|(last, _)| now.since(*last) < span_ms);
    }

    /// When there is room for one more with at most `cap` calls in the span; the past when there is now.
    pub(super) fn free_at(&self, cap: u32) -> Option<Timestamp> {
        let mut used = self.used();
        let mut free = None;
        for (last, count) in &self.calls {
            if used < u64::from(cap) {
                break;
            }
            used -= u64::from(*count);
            free = Some(last.plus(self.span_ms));
        }
        free
    }

    /// Calls that still count.
    pub(super) fn used(&self) -> u64 {
        self.calls.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    pub(super) fn push(&mut self, rule: Rule, now: Timestamp) {
        let size = rule.max.div_ceil(GROUPS);
        match self.calls.last_mut() {
            Some((last, count)) if *count < size => (*last, *count) = (now, *count + 1),
            _ => self.calls.push((now, 1)),
        }
    }

    pub(super) fn shift(&mut self, by_ms: i64) {
        for (last, _) in &mut self.calls {
            *last = last.plus(by_ms);
        }
    }
}
