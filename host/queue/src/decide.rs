//! What becomes of a job, given how its attempt ended. Pure.

use rand::Rng;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Retry};
use wharf_domain::time::Timestamp;
use wharf_store::jobs::{Finish, Job};

use crate::backoff::Backoff;
use crate::handler::Verdict;

/// Why a claimed job must not be run at all; `None` when it may.
pub(crate) fn refusal(job: &Job, now: Timestamp) -> Option<Fault> {
    if let Some(reason) = &job.unreadable {
        let message = format!(
            "the payload is no JSON: {reason}; give it a good one with \
             `wharf jobs replay --tenant {} {} --payload <file>`",
            job.tenant, job.id
        );
        return Some(
            Fault::new(FaultKind::DataOutOfContract, "queue.bad-payload", message, Blame::Host)
                .with_retry(Retry::Never),
        );
    }
    if job.attempt > job.max_attempts {
        let message = format!("gave up after {} attempts; the last one ended without a result", job.max_attempts);
        let fault = Fault::new(FaultKind::OutcomeUnknown, "queue.attempts-lost", message, Blame::Host);
        return Some(fault.with_retry(Retry::Never));
    }
    job.deadline.filter(|deadline| *deadline <= now).map(|deadline| too_late("queue.deadline", deadline))
}

/// The final verdict and how the job ends with it.
pub(crate) fn decide(
    job: &Job,
    verdict: Verdict,
    now: Timestamp,
    backoff: &Backoff,
    rng: &mut impl Rng,
) -> (Verdict, Finish) {
    match verdict {
        Verdict::Done(value) => (Verdict::Done(value), Finish::Done),
        Verdict::Cancelled(reason) => (Verdict::Cancelled(reason.clone()), Finish::Cancelled { reason }),
        Verdict::Park(fault) => park(fault),
        Verdict::Snooze { until, reason } => snooze(job, until, reason, now),
        Verdict::Retry(fault) => match fault.retry {
            // Nothing was tried: the account at the partner said when to come back.
            Retry::Wait { until } => snooze(job, until, fault.to_string(), now),
            _ => retry(job, fault, now, backoff, rng),
        },
    }
}

fn snooze(job: &Job, until: Timestamp, reason: String, now: Timestamp) -> (Verdict, Finish) {
    match job.deadline {
        Some(deadline) if until >= deadline => park(too_late("queue.deadline", deadline)),
        _ => {
            // Never into the past: a handler that always snoozes must not spin.
            let until = until.max(now.plus(1));
            (Verdict::Snooze { until, reason: reason.clone() }, Finish::Snooze { until, reason })
        }
    }
}

fn retry(job: &Job, fault: Fault, now: Timestamp, backoff: &Backoff, rng: &mut impl Rng) -> (Verdict, Finish) {
    let after_ms = match fault.retry {
        Retry::Never => return park(fault),
        Retry::Later { after_ms } => after_ms,
        Retry::Reconcile | Retry::Wait { .. } => None,
    };
    if job.attempt >= job.max_attempts {
        return park(gave_up(fault, &format!("gave up after {} attempts", job.max_attempts)));
    }
    let remaining = job.deadline.map(|deadline| deadline.since(now));
    match backoff.wait(job.attempt, after_ms, remaining, rng) {
        None => park(gave_up(fault, "no time is left before the deadline")),
        Some(wait) => {
            let at = now.plus(i64::try_from(wait).unwrap_or(i64::MAX));
            (Verdict::Retry(fault.clone()), Finish::Retry { at, fault })
        }
    }
}

fn park(fault: Fault) -> (Verdict, Finish) {
    (Verdict::Park(fault.clone()), Finish::Park { fault })
}

/// The last cause stays, told with why there is no further attempt.
fn gave_up(mut fault: Fault, why: &str) -> Fault {
    fault.message = format!("{}; {why}", fault.message);
    fault
}

fn too_late(code: &str, deadline: Timestamp) -> Fault {
    let message = format!("the deadline {deadline} leaves no time for another attempt");
    Fault::new(FaultKind::Deadline, code, message, Blame::Host).with_retry(Retry::Never)
}

/// The fault of a handler that panicked. It may have sent something; the effect ledger knows what.
pub(crate) fn panicked(kind: &str) -> Fault {
    let message = format!("the handler of `{kind}` panicked");
    Fault::new(FaultKind::Transient, "queue.panic", message, Blame::Host).with_effect(EffectCertainty::Maybe)
}

/// The fault of a kind nobody registered.
pub(crate) fn unknown_kind(kind: &str) -> Fault {
    let message = format!("no handler runs jobs of kind `{kind}`; start a version that does, then replay the job");
    Fault::new(FaultKind::Unsupported, "queue.unknown-kind", message, Blame::Host)
}

/// The fault of an attempt whose result could not be stored.
pub(crate) fn not_settled(reason: &str) -> Fault {
    let message = format!("failed to store the result: {reason}");
    Fault::new(FaultKind::Transient, "queue.not-settled", message, Blame::Host)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use serde_json::json;

    use super::*;
    use crate::testing::{START, claimed, fault};

    const HOUR: u64 = 3_600_000;

    fn decided(job: &Job, verdict: Verdict) -> (Verdict, Finish) {
        let mut rng = SmallRng::seed_from_u64(1);
        decide(job, verdict, Timestamp::from_millis(START), &Backoff::default(), &mut rng)
    }

    /// Milliseconds until the next attempt; `None` when it parks, and then both say so.
    fn next(job: &Job, fault: Fault) -> Option<i64> {
        match decided(job, Verdict::Retry(fault.clone())) {
            (Verdict::Retry(told), Finish::Retry { at, fault: kept }) => {
                assert_eq!((&told, &kept), (&fault, &fault));
                Some(at.millis() - START)
            }
            (Verdict::Park(told), Finish::Park { fault: kept }) => {
                assert_eq!(told, kept);
                assert_eq!(told.code, fault.code, "the last cause stays");
                None
            }
            other => panic!("{other:?}"),
        }
    }

    fn after(ms: u64) -> Fault {
        fault(FaultKind::RateLimited).with_retry(Retry::Later { after_ms: Some(ms) })
    }

    #[test]
    fn a_retry_goes_by_what_the_fault_says() {
        let job = claimed(1, None);
        assert!(next(&job, fault(FaultKind::Transient)).is_some_and(|wait| wait <= 1_000));
        assert!(next(&job, fault(FaultKind::OutcomeUnknown)).is_some_and(|wait| wait <= 1_000), "to reconcile");
        assert_eq!(next(&job, after(5_000)), Some(5_000));
        assert_eq!(next(&job, after(9 * HOUR)), Some(HOUR as i64));
        assert_eq!(next(&job, fault(FaultKind::InvalidInput)), None);
        let unknown = fault(FaultKind::Other("from-the-future".to_owned()));
        assert_eq!(next(&job, unknown.clone()), None);
        assert!(next(&job, unknown.with_retry(Retry::Later { after_ms: None })).is_some());
    }

    #[test]
    fn the_last_attempt_and_the_deadline_park() {
        assert!(next(&claimed(2, None), fault(FaultKind::Outage)).is_some());
        assert_eq!(next(&claimed(3, None), fault(FaultKind::Outage)), None);
        assert!(next(&claimed(1, Some(100)), fault(FaultKind::Outage)).is_some_and(|wait| wait < 100));
        assert_eq!(next(&claimed(1, Some(4_000)), after(5_000)), None);
        assert_eq!(next(&claimed(1, Some(0)), fault(FaultKind::Outage)), None);
        let (Verdict::Park(told), _) = decided(&claimed(3, None), Verdict::Retry(fault(FaultKind::Outage))) else {
            panic!("parks")
        };
        assert_eq!(told.message, "no luck; gave up after 3 attempts");
    }

    #[test]
    fn waiting_for_the_partners_account_is_no_failure_even_at_the_last_attempt() {
        let until = Timestamp::from_millis(START + 700);
        let wait = fault(FaultKind::RateLimited).with_retry(Retry::Wait { until });
        let (verdict, finish) = decided(&claimed(3, None), Verdict::Retry(wait.clone()));
        let reason = "test.fault: no luck".to_owned();
        assert_eq!(finish, Finish::Snooze { until, reason: reason.clone() });
        assert_eq!(verdict, Verdict::Snooze { until, reason });
        let (_, finish) = decided(&claimed(1, Some(600)), Verdict::Retry(wait));
        assert!(matches!(finish, Finish::Park { fault } if fault.kind == FaultKind::Deadline));
    }

    #[test]
    fn a_snooze_goes_to_the_future_and_not_beyond_the_deadline() {
        let snooze =
            |until: i64| Verdict::Snooze { until: Timestamp::from_millis(START + until), reason: String::new() };
        let until = |decided: (Verdict, Finish)| match decided {
            (Verdict::Snooze { until: told, .. }, Finish::Snooze { until, .. }) => {
                assert_eq!(told, until);
                Some(until.millis() - START)
            }
            (Verdict::Park(told), Finish::Park { .. }) => {
                assert_eq!(told.kind, FaultKind::Deadline);
                None
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(until(decided(&claimed(1, None), snooze(50))), Some(50));
        assert_eq!(until(decided(&claimed(1, None), snooze(-50))), Some(1));
        assert_eq!(until(decided(&claimed(1, Some(51)), snooze(50))), Some(50));
        assert_eq!(until(decided(&claimed(1, Some(50)), snooze(50))), None);
    }

    #[test]
    fn the_other_verdicts_are_final_as_they_are() {
        let job = claimed(3, Some(0));
        assert_eq!(decided(&job, Verdict::Done(json!(1))), (Verdict::Done(json!(1)), Finish::Done));
        let (verdict, finish) = decided(&job, Verdict::Cancelled("gone".to_owned()));
        assert_eq!(verdict, Verdict::Cancelled("gone".to_owned()));
        assert_eq!(finish, Finish::Cancelled { reason: "gone".to_owned() });
        let retryable = fault(FaultKind::Transient);
        assert_eq!(decided(&job, Verdict::Park(retryable.clone())).1, Finish::Park { fault: retryable });
    }

    #[test]
    fn a_job_is_not_run_past_its_attempts_or_its_deadline() {
        let now = Timestamp::from_millis(START);
        let code = |job: &Job| refusal(job, now).map(|fault| fault.code);
        assert_eq!(code(&claimed(3, Some(1))), None);
        assert_eq!(code(&claimed(4, None)).as_deref(), Some("queue.attempts-lost"));
        assert_eq!(code(&claimed(1, Some(0))).as_deref(), Some("queue.deadline"));
    }
}
