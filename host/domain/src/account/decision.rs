//! What is asked of an account, what it answers, and what it is told afterwards.

use crate::fault::{Blame, Fault, FaultKind, Retry};
use crate::time::Timestamp;

/// Somebody wants to call the partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Cut-off or interactive: goes before everybody who waits, and may use what is reserved.
    pub urgent: bool,
    /// The `until` of the last [`Decision::Wait`] this caller was given; `None` for one that has not waited.
    pub promised: Option<Timestamp>,
    /// When the call is over at the latest. A permit nobody reports on by then counts as lost. At most 15 min ahead.
    pub over_by: Timestamp,
    /// Any random number; spreads callers that would come back at the same moment.
    pub roll: u32,
}

/// May the call go now?
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Yes, once. Say afterwards what became of it.
    Go(Permit),
    /// Ask again at `until`, not earlier. Nothing was sent and no attempt is used up.
    Wait { until: Timestamp, why: Why },
}

/// The right to make one call. Given back with [`super::Account::report`]; lost with its process, it expires. Cloned
/// only where the transaction that reports on it may have to be begun again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    pub(super) id: u64,
    pub(super) went: Timestamp,
}

/// Why a caller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The limit is used up, or others were here before.
    RateLimited,
    /// The partner said when to come back.
    Blocked,
    /// The partner is down.
    BreakerOpen,
    /// The partner was down a moment ago.
    Ramp,
    /// Too many calls are under way.
    Full,
}

impl std::fmt::Display for Why {
    /// Fits "job `x` waits until …: {why}".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RateLimited => "the account's rate limit is used up",
            Self::Blocked => "the partner asked for a pause",
            Self::BreakerOpen => "the partner is down",
            Self::Ramp => "the partner has just come back",
            Self::Full => "too many calls of this account are under way",
        })
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The partner works: a success, or a refusal that is about the request.
    Answered,
    /// The partner works and wants less. `after_ms` when it said for how long.
    RateLimited { after_ms: Option<u64> },
    /// No connection, no answer in time, a broken answer, or a 5xx.
    Outage { after_ms: Option<u64> },
    /// No byte was sent and the partner is not the reason.
    Unused,
}

impl Outcome {
    /// By an answer's status. `retry_after_ms` as [`super::retry_after_ms`] reads it.
    pub const fn of_status(status: u16, retry_after_ms: Option<u64>) -> Self {
        match status {
            429 => Self::RateLimited { after_ms: retry_after_ms },
            408 | 500.. => Self::Outage { after_ms: retry_after_ms },
            _ => Self::Answered,
        }
    }

    /// By the fault of a call that has no complete answer.
    pub fn of_fault(fault: &Fault) -> Self {
        match (&fault.kind, fault.blame) {
            (FaultKind::RateLimited, _) => Self::RateLimited { after_ms: after_ms(fault) },
            (
                FaultKind::Transient | FaultKind::Outage | FaultKind::Deadline | FaultKind::OutcomeUnknown,
                Blame::Partner | Blame::Odoo,
            ) => Self::Outage { after_ms: after_ms(fault) },
            (_, Blame::Partner | Blame::Odoo) => Self::Answered,
            (_, Blame::Guest | Blame::Operator | Blame::Host) => Self::Unused,
        }
    }
}

/// Is it about the account and not about one request: `rate-limited`, or with a time the partner named?
pub fn pauses(fault: &Fault) -> bool {
    fault.kind == FaultKind::RateLimited || after_ms(fault).is_some()
}

/// How long to wait, when the partner said so.
pub(super) const fn after_ms(fault: &Fault) -> Option<u64> {
    match fault.retry {
        Retry::Later { after_ms } => after_ms,
        Retry::Never | Retry::Reconcile | Retry::Wait { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_partner_that_works() {
        for status in [200, 204, 301, 400, 401, 404, 409, 422] {
            assert_eq!(Outcome::of_status(status, None), Outcome::Answered, "{status}");
        }
        assert_eq!(Outcome::of_status(429, Some(7)), Outcome::RateLimited { after_ms: Some(7) });
        assert_eq!(Outcome::of_status(503, Some(7)), Outcome::Outage { after_ms: Some(7) });
        assert_eq!(Outcome::of_status(408, None), Outcome::Outage { after_ms: None });
    }

    #[test]
    fn only_a_fault_of_the_partner_is_its_outage() {
        let of = |kind, blame| Outcome::of_fault(&Fault::new(kind, "x", "y", blame));
        assert_eq!(of(FaultKind::Transient, Blame::Partner), Outcome::Outage { after_ms: None });
        assert_eq!(of(FaultKind::OutcomeUnknown, Blame::Partner), Outcome::Outage { after_ms: None });
        assert_eq!(of(FaultKind::DataOutOfContract, Blame::Partner), Outcome::Answered);
        assert_eq!(of(FaultKind::Transient, Blame::Host), Outcome::Unused);
        let limited = Fault::new(FaultKind::RateLimited, "x", "y", Blame::Partner);
        let limited = limited.with_retry(Retry::Later { after_ms: Some(9) });
        assert_eq!(Outcome::of_fault(&limited), Outcome::RateLimited { after_ms: Some(9) });
    }
}
