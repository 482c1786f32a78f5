//! What a partner allows one account: calls per time, and calls at once.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Deserializer, Serialize};

/// More buckets than any partner has; each costs room in the stored account.
const MAX_BUCKETS: usize = 8;

/// Limits of one account at the partner. In a manifest:
///
/// ```toml
/// [limits]
/// max_in_flight = 4
/// buckets = [{ requests = 10, per_seconds = 1 }, { requests = 5000, per_seconds = 86400 }]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A call needs room in every one of them. Absent: the partner names no rate. At most 8.
    #[serde(default, deserialize_with = "few")]
    pub buckets: Vec<Bucket>,
    /// Calls under way at the same time, over all hosts. Absent: 16.
    #[serde(default = "sixteen")]
    pub max_in_flight: NonZeroU16,
}

/// "At most `requests` in any `per_seconds` seconds", wherever those seconds begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    pub requests: NonZeroU32,
    pub per_seconds: NonZeroU32,
    /// How many of them may go back to back; 1 spaces them evenly. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

/// What an operator takes away of an adapter's limits: several systems share the account, or the contract says less.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tighter {
    /// Added to the adapter's own: a call needs room in all of them.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
    /// Absent: what the adapter says.
    #[serde(default)]
    pub max_in_flight: Option<NonZeroU16>,
}

/// Why an operator's limits cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    #[error("`max_in_flight` is {wanted} and the adapter allows {allowed}; an operator may only tighten")]
    MoreAtOnce { wanted: u16, allowed: u16 },
    #[error(
        "`buckets` allow {wanted} requests in {per_seconds} s and the adapter {allowed}; an operator may only tighten"
    )]
    MoreRequests { wanted: u32, allowed: u32, per_seconds: u32 },
    #[error("`buckets` make {0} together with the adapter's; at most 8, keep the tightest")]
    TooMany(usize),
}

const fn sixteen() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(15)
}

fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Bucket>, D::Error> {
    let buckets = Vec::<Bucket>::deserialize(from)?;
    if buckets.len() > MAX_BUCKETS {
        let text = format!("{} buckets; at most {MAX_BUCKETS}, keep the tightest", buckets.len());
        return Err(serde::de::Error::custom(text));
    }
    Ok(buckets)
}

impl Default for Limits {
    fn default() -> Self {
        Self { buckets: Vec::new(), max_in_flight: sixteen() }
    }
}

/// At most `max` calls in any `span_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) span_ms: i64,
    pub(super) max: u32,
}

/// Up to this span room comes back so soon that an urgent call only has to go first.
const SOON_MS: i64 = 10_000;
/// A longer limit is a quota: it is there to be used up, not to be spread over its day.
const QUOTA_MS: i64 = 60_000;

impl Rule {
    /// Calls only an urgent caller may make: a fifth where room comes back slowly.
    pub(super) const fn reserve(self) -> u32 {
        if self.span_ms > SOON_MS { self.max / 5 } else { 0 }
    }

    pub(super) const fn is_quota(self) -> bool {
        self.span_ms > QUOTA_MS
    }

    /// Milliseconds between two calls that use what is not reserved evenly. A twentieth longer than the limit asks for:
    /// waiters come back a little late, and the network moves calls together.
    pub(super) fn gap_ms(self) -> i64 {
        let shared = i64::from(self.max - self.reserve());
        div_up(self.span_ms * 21, 20 * shared)
    }
}

/// Rounded up, for positive numbers.
const fn div_up(number: i64, by: i64) -> i64 {
    (number + by - 1) / by
}

impl Limits {
    /// One rule per span, the tightest of it, shortest span first. A burst is a rule too: `burst` calls in the time the
    /// rate needs for them.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for bucket in &self.buckets {
            let (max, span_ms) = (bucket.requests.get(), i64::from(bucket.per_seconds.get()) * 1_000);
            rules.push(Rule { span_ms, max });
            if let Some(burst) = bucket.burst.filter(|burst| burst.get() < max) {
                let part = div_up(span_ms * i64::from(burst.get()), i64::from(max));
                rules.push(Rule { span_ms: part, max: burst.get() });
            }
        }
        rules.sort_by_key(|rule| (rule.span_ms, rule.max));
        rules.dedup_by_key(|rule| rule.span_ms);
        rules
    }

    /// These limits and an operator's own. Fails when the operator's are looser where both speak of the same.
    pub fn tightened(&self, by: &Tighter) -> Result<Self, LimitsError> {
        let (allowed, wanted) = (self.max_in_flight, by.max_in_flight.unwrap_or(self.max_in_flight));
        if wanted > allowed {
            return Err(LimitsError::MoreAtOnce { wanted: wanted.get(), allowed: allowed.get() });
        }
        for bucket in &by.buckets {
            let same = self.buckets.iter().filter(|own| own.per_seconds == bucket.per_seconds);
            if let Some(own) = same.min_by_key(|own| own.requests).filter(|own| own.requests < bucket.requests) {
                return Err(LimitsError::MoreRequests {
                    wanted: bucket.requests.get(),
                    allowed: own.requests.get(),
                    per_seconds: bucket.per_seconds.get(),
                });
            }
        }
        let buckets: Vec<Bucket> = self.buckets.iter().chain(&by.buckets).copied().collect();
        if buckets.len() > MAX_BUCKETS {
            return Err(LimitsError::TooMany(buckets.len()));
        }
        Ok(Self { buckets, max_in_flight: wanted })
    }

    /// Calls at once for those who are not urgent.
    pub(super) const fn shared_in_flight(&self) -> usize {
        let max = self.max_in_flight.get() as usize;
        max - max / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits, String> {
        serde_json::from_str(text).map_err(|err| err.to_string())
    }

    #[test]
    fn limits_are_read_and_the_wrong_ones_are_named() {
        assert_eq!(read("{}").expect("nothing said"), Limits::default());
        let bucket = r#"{"requests":10,"per_seconds":1}"#;
        let limits = read(&format!(r#"{{"buckets":[{bucket}],"max_in_flight":4}}"#)).expect("limits");
        assert_eq!((limits.buckets[0].requests.get(), limits.max_in_flight.get()), (10, 4));
        assert!(read(r#"{"buckets":[{"requests":0,"per_seconds":1}]}"#).expect_err("zero").contains("nonzero"));
        assert!(read(r#"{"per_minute":3}"#).expect_err("unknown").contains("unknown field `per_minute`"));
        let nine = [bucket; 9].join(",");
        assert!(read(&format!(r#"{{"buckets":[{nine}]}}"#)).expect_err("nine").contains("at most 8"));
    }

    #[test]
    fn an_operator_tightens_and_never_loosens() {
        let own =
            read(r#"{"buckets":[{"requests":10,"per_seconds":1}],"max_in_flight":4}"#).expect("the adapter's limits");
        let by = |text| own.tightened(&serde_json::from_str(text).expect("an operator's limits"));
        assert_eq!(by("{}").expect("nothing said"), own);
        let text = r#"{"buckets":[{"requests":5,"per_seconds":1},{"requests":90,"per_seconds":60}],"max_in_flight":2}"#;
        let tight = by(text).expect("tighter");
        assert_eq!(tight.rules(), [Rule { span_ms: 1_000, max: 5 }, Rule { span_ms: 60_000, max: 90 }]);
        assert_eq!(tight.max_in_flight.get(), 2);
        let more = by(r#"{"max_in_flight":5}"#).expect_err("more at once");
        assert_eq!(more, LimitsError::MoreAtOnce { wanted: 5, allowed: 4 });
        let more = by(r#"{"buckets":[{"requests":11,"per_seconds":1}]}"#).expect_err("more requests");
        assert_eq!(more, LimitsError::MoreRequests { wanted: 11, allowed: 10, per_seconds: 1 });
        let eight = [r#"{"requests":1,"per_seconds":9}"#; 8].join(",");
        assert_eq!(by(&format!(r#"{{"buckets":[{eight}]}}"#)).expect_err("nine"), LimitsError::TooMany(9));
    }

    #[test]
    fn a_burst_is_a_rule_of_its_own_and_one_span_has_one_rule() {
        let text = r#"{"buckets":[
            {"requests":100,"per_seconds":60,"burst":5}, {"requests":7,"per_seconds":3}, {"requests":9,"per_seconds":60}
        ]}"#;
        let rules = read(text).expect("limits").rules();
        assert_eq!(rules, [Rule { span_ms: 3_000, max: 5 }, Rule { span_ms: 60_000, max: 9 }]);
    }

    #[test]
    fn a_fifth_of_a_slow_limit_is_kept_for_the_urgent() {
        let slow = Rule { span_ms: 60_000, max: 100 };
        assert_eq!((slow.reserve(), slow.gap_ms()), (20, 788));
        let fast = Rule { span_ms: 1_000, max: 10 };
        assert_eq!((fast.reserve(), fast.gap_ms()), (0, 105));
    }
}
