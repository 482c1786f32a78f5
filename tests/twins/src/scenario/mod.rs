//! The fault script: which requests go wrong, and how.
//!
//! Every rule counts the requests it matches. `nth`, `every` and `probability` then say which of those fire (all of
//! them when none is given) and `times` how often at most. Rules are looked at in order: latencies add up, the first
//! other fault that fires wins. With the same seed and the same order of requests the same ones fail.

mod script;

use serde::{Deserialize, Serialize};

pub(crate) use self::script::{Decision, Facts, Script};

/// One line of the script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Only this matching request, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Each matching request whose count is a multiple of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Each matching request with this chance, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// At most so many firings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    pub fault: Fault,
}

/// All given conditions must hold; none given matches every request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// In the path or the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_contains: Option<String>,
    /// In the path, the query or the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_contains: Option<String>,
}

/// What goes wrong. "After" means that the twin has done what was asked of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The request is done at once and the answer comes this much later.
    Latency { ms: u64 },
    /// The request is done and answered this much later, also when the client has left meanwhile.
    LateEffect { ms: u64 },
    /// Nothing is done; the partner's own words for the status unless `body` is given, which is JSON if it reads as JSON.
    Status {
        code: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
    },
    /// The request is read, nothing is done, the connection is reset.
    ResetBeforeEffect,
    /// Everything is done, then the connection is reset without a byte of an answer.
    AnswerLostAfterEffect,
    /// Everything is done, and the answer says otherwise: the partner's own words for the status.
    StatusAfterEffect { code: u16 },
    /// Everything is done, and the answer is 200 without a body.
    #[serde(rename = "empty_200")]
    Empty200,
    #[serde(rename = "empty_200_no_effect")]
    Empty200NoEffect,
    /// A page of something in between, status 200; nothing is done.
    #[serde(rename = "html_200")]
    Html200,
    /// Everything is done; the JSON stops in the middle, with a Content-Length that fits what is sent.
    CutJson,
    /// Everything is done; the answer arrives in pieces of `bytes`, one each `ms`.
    SlowDrip {
        #[serde(default = "drip_bytes")]
        bytes: usize,
        #[serde(default = "drip_ms")]
        ms: u64,
    },
}

/// The two forms RFC 9110 section 10.2.3 allows, both counted from the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// `Retry-After: 3`
    Seconds(u64),
    /// `Retry-After: Mon, 23 Nov 2026 04:05:06 GMT`, so many seconds ahead.
    HttpDate(u64),
}

fn drip_bytes() -> usize {
    64
}

fn drip_ms() -> u64 {
    50
}

impl Fault {
    /// The name the script uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::LateEffect { .. } => "late_effect",
            Self::Status { .. } => "status",
            Self::ResetBeforeEffect => "reset_before_effect",
            Self::AnswerLostAfterEffect => "answer_lost_after_effect",
            Self::StatusAfterEffect { .. } => "status_after_effect",
            Self::Empty200 => "empty_200",
            Self::Empty200NoEffect => "empty_200_no_effect",
            Self::Html200 => "html_200",
            Self::CutJson => "cut_json",
            Self::SlowDrip { .. } => "slow_drip",
        }
    }
}

/// A rule and how often it was met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleCount {
    pub rule: Rule,
    /// Requests that matched.
    pub seen: u64,
    /// Of those, the ones it was let loose on.
    pub fired: u64,
}
