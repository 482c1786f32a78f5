//! Where failures of this room become faults: whose it is, whether the outside changed, and what may happen next.

use wharf_domain::account::Why;
use wharf_domain::effect::{self, EffectClass, EffectState};
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Provider, Retry};
use wharf_domain::secret::SecretAt;
use wharf_domain::time::Timestamp;
use wharf_store::StoreError;
use wharf_store::effects::EffectRow;

use crate::oauth::TokenError;
use crate::policy::Denial;
use crate::vault::SealError;
use crate::wire::WireError;

/// A request the policy refuses. Nothing was sent.
pub(crate) fn denied(denial: &Denial) -> Fault {
    let (kind, blame) = match denial {
        Denial::InvalidUrl { .. } | Denial::InvalidHeader { .. } | Denial::TooLarge { .. } => {
            (FaultKind::InvalidInput, Blame::Guest)
        }
        // The operator granted an origin at an address nobody may dial.
        Denial::Address { granted: true, .. } | Denial::BadGrant { .. } => (FaultKind::Forbidden, Blame::Operator),
        _ => (FaultKind::Forbidden, Blame::Guest),
    };
    Fault::new(kind, format!("egress.{}", denial.rule()), denial.to_string(), blame)
}

/// More requests than one call may make.
pub(crate) fn too_many_requests(limit: u32) -> Fault {
    let text = format!("this call has made its {limit} requests; do less per call");
    Fault::new(FaultKind::Forbidden, "egress.limit-requests", text, Blame::Guest)
}

/// The context's deadline has passed.
pub(crate) fn deadline(name: &str) -> Fault {
    Fault::new(FaultKind::Deadline, "egress.deadline", format!("no time left to send `{name}`"), Blame::Host)
}

/// The account at the partner is to be asked again at `until`. Nothing was sent.
pub(crate) fn wait(until: Timestamp, why: Why) -> Fault {
    let kind = match why {
        Why::BreakerOpen | Why::Ramp => FaultKind::Outage,
        Why::RateLimited | Why::Blocked | Why::Full => FaultKind::RateLimited,
    };
    Fault::new(kind, "egress.wait", why.to_string(), Blame::Partner).with_retry(Retry::Wait { until })
}

/// There is no complete answer. `sent`: a byte of the request may have left.
pub(crate) fn no_answer(err: &WireError, name: &str, class: EffectClass, sent: bool) -> Fault {
    let code = format!("egress.{}", err.name());
    let fault = |kind, blame| Fault::new(kind, code.clone(), err.to_string(), blame);
    let mut fault = match (sent, class) {
        (true, EffectClass::Read) if matches!(err, WireError::TooLarge { .. } | WireError::Encoding { .. }) => {
            fault(FaultKind::DataOutOfContract, Blame::Partner)
        }
        (true, EffectClass::Read) => fault(FaultKind::Transient, Blame::Partner),
        (true, _) => unknown(fault(FaultKind::OutcomeUnknown, Blame::Partner), class),
        (false, _) => match err {
            WireError::Address { .. } => fault(FaultKind::Forbidden, Blame::Operator),
            WireError::NoRecording { .. } => fault(FaultKind::InvalidInput, Blame::Operator),
            _ => fault(FaultKind::Transient, Blame::Partner),
        },
    };
    fault.frames = vec![name.to_owned()];
    fault
}

/// Nobody knows what happened; a natural request, and one under a key, may simply be repeated.
fn unknown(fault: Fault, class: EffectClass) -> Fault {
    match class {
        EffectClass::Natural | EffectClass::Keyed => fault.with_retry(Retry::Later { after_ms: None }),
        _ => fault,
    }
}

/// The token endpoint gave no complete answer. The resource was not asked, so nothing changed.
pub(crate) fn token_unanswered(err: &WireError, slot: &str) -> Fault {
    let fault = no_answer(err, "token request", EffectClass::Read, false);
    Fault { message: format!("no token for secret `{slot}`: {}", fault.message), ..fault }
}

/// The token endpoint does not take the client's credentials.
pub(crate) const TOKEN_REFUSED: &str = "egress.token-refused";

/// The token endpoint answered, but with no token.
pub(crate) fn token_refused(status: u16, slot: &str) -> Fault {
    let (kind, code, blame, why) = match status {
        400 | 401 => (FaultKind::Unauthorized, TOKEN_REFUSED, Blame::Operator, "check its client id and client secret"),
        403 => (FaultKind::Forbidden, "egress.token-forbidden", Blame::Operator, "the account lacks a permission"),
        429 => (FaultKind::RateLimited, "egress.token-rate-limited", Blame::Partner, "too many token requests"),
        500.. => (FaultKind::Outage, "egress.token-outage", Blame::Partner, "the token endpoint is failing"),
        _ => (FaultKind::DataOutOfContract, "egress.token-answer", Blame::Partner, "the answer makes no sense"),
    };
    let text = format!("the token endpoint answered {status} for secret `{slot}`: {why}");
    let provider = Provider { http_status: Some(status), ..Provider::default() };
    Fault::new(kind, code, text, blame).with_provider(provider)
}

/// The token endpoint said yes and sent something else.
pub(crate) fn token_unreadable(err: &TokenError, slot: &str) -> Fault {
    let text = format!("the token answer for secret `{slot}` is unusable: {err}");
    Fault::new(FaultKind::DataOutOfContract, "egress.token-answer", text, Blame::Partner)
}

/// A value the operator has to give or correct. `what` names it.
pub(crate) fn operator(code: &str, text: String) -> Fault {
    Fault::new(FaultKind::Unauthorized, format!("egress.{code}"), text, Blame::Operator)
}

/// The vault cannot be read or written now. Nothing was sent or changed.
pub(crate) fn vault(err: &StoreError) -> Fault {
    let text = format!("the vault does not answer: {err}");
    Fault::new(FaultKind::Transient, "egress.vault", text, Blame::Host)
}

/// A secret is there and does not open. `name` is `connection/slot`.
pub(crate) fn sealed(name: &str, why: &str) -> Fault {
    let text = format!(
        "secret `{name}` does not open: {why}; hand it in again with `wharf secret set`, or bring the right `vault.key` back"
    );
    operator("secret-sealed", text)
}

/// Another host is exchanging a secret for its next one, or has just done so.
pub(crate) fn exchange_running(at: &SecretAt) -> Fault {
    let text = format!("secret `{at}` is being exchanged for a new one by another host; its outcome is waited for");
    let fault = Fault::new(FaultKind::Transient, "egress.exchange-running", text, Blame::Host);
    fault.with_retry(Retry::Later { after_ms: None })
}

/// The partner takes the refresh token no more, and there is no other.
pub(crate) fn authorise_again(status: u16, at: &SecretAt, cut_off: bool) -> Fault {
    let why = if cut_off {
        "an exchange was cut off before its answer was kept, and the partner has given the next refresh token away with it"
    } else {
        "it has expired, was revoked, or somebody else has used it"
    };
    let text = format!(
        "the partner refuses the refresh token of secret `{at}` with {status}: {why}; authorise again at the partner and hand the new one in with `wharf secret set`"
    );
    let provider = Provider { http_status: Some(status), ..Provider::default() };
    operator("authorise-again", text).with_provider(provider)
}

/// Nothing can be sealed.
pub(crate) fn sealing(err: &SealError) -> Fault {
    Fault::new(FaultKind::Transient, "egress.vault", format!("nothing can be sealed: {err}"), Blame::Host)
}

/// No connection that runs here has such a slot.
pub(crate) fn unknown_slot(at: &SecretAt) -> Fault {
    let text = format!("tenant `{}` has no secret `{}`; list them to see which there are", at.tenant, shown(at));
    Fault::new(FaultKind::NotFound, "egress.unknown-secret", text, Blame::Operator)
}

fn shown(at: &SecretAt) -> String {
    at.to_string().chars().take(100).flat_map(char::escape_debug).collect()
}

/// A value that does not fit its slot. The text never holds it.
pub(crate) fn bad_value(field: &str, text: String) -> Fault {
    let fault = Fault::new(FaultKind::InvalidInput, "egress.bad-secret", text.clone(), Blame::Operator);
    fault.with_field(field, "format", text)
}

/// A mistake of the host's own code.
pub(crate) fn host(code: &str, text: String) -> Fault {
    Fault::new(FaultKind::Unsupported, format!("egress.{code}"), text, Blame::Host)
}

/// The ledger failed before anything was sent.
pub(crate) fn store(err: &StoreError) -> Fault {
    let (kind, code) = match err {
        StoreError::LostLease { .. } => (FaultKind::Cancelled, "egress.lease-lost"),
        StoreError::Moved { .. } => (FaultKind::Conflict, "egress.in-progress"),
        _ => (FaultKind::Transient, "egress.ledger"),
    };
    let fault = Fault::new(kind, code, err.to_string(), Blame::Host);
    match err {
        // With a lease that is lost this verdict is refused anyway. With one that is too short for a send, the next
        // attempt has a whole one.
        StoreError::Moved { .. } | StoreError::LostLease { .. } => fault.with_retry(Retry::Later { after_ms: None }),
        _ => fault,
    }
}

/// The request was sent and what became of it could not be written down.
pub(crate) fn unrecorded(err: &StoreError, class: EffectClass) -> Fault {
    let text = format!("the request was sent, and its outcome could not be recorded: {err}");
    unknown(Fault::new(FaultKind::OutcomeUnknown, "egress.unrecorded", text, Blame::Host), class)
}

/// The step was taken before, by this row, and may not be taken now.
pub(crate) fn settled(row: &EffectRow) -> Fault {
    let (kind, code, text) = match row.state {
        EffectState::Sending | EffectState::Reconciling => (
            FaultKind::Conflict,
            "egress.in-progress",
            format!("effect `{}` is being worked on by job `{}`", row.id, row.job),
        ),
        EffectState::Succeeded => (
            FaultKind::AlreadyExists,
            "egress.already-done",
            format!("effect `{}` is done, and its answer is not in the journal; use its outcome", row.id),
        ),
        EffectState::ResolvedHappened => (
            FaultKind::AlreadyExists,
            "egress.already-done",
            format!("a person found effect `{}` at the partner; use its reference", row.id),
        ),
        EffectState::Compensated => (
            FaultKind::Conflict,
            "egress.compensated",
            format!("effect `{}` was undone; it is not done again under this step", row.id),
        ),
        EffectState::Abandoned => (
            FaultKind::Conflict,
            "egress.abandoned",
            format!("a person gave up on effect `{}`; release its key to try again", row.id),
        ),
        EffectState::Parked => (
            FaultKind::OutcomeUnknown,
            "egress.parked",
            format!("nobody knows whether effect `{}` happened; a person must decide", row.id),
        ),
        _ => (
            FaultKind::OutcomeUnknown,
            "egress.outcome-unknown",
            format!(
                "an earlier request of effect `{}` may have reached the partner; look it up before it is sent again",
                row.id
            ),
        ),
    };
    let fault = Fault::new(kind, code, text, Blame::Host);
    match row.state {
        EffectState::Sending | EffectState::Reconciling => fault.with_retry(Retry::Later { after_ms: None }),
        EffectState::Succeeded | EffectState::ResolvedHappened => fault.with_effect(EffectCertainty::Done),
        EffectState::Parked => fault.with_retry(Retry::Never),
        _ => fault,
    }
}

/// After a lookup that found nothing, only the very same request may be sent again.
pub(crate) fn changed_since_lookup(row: &EffectRow) -> Fault {
    let text = format!(
        "effect `{}` was looked up and not found, and the request has changed since (account, endpoint or adapter): the lookup may have asked somebody else; look at the partner's side and decide",
        row.id
    );
    Fault::new(FaultKind::OutcomeUnknown, "egress.changed-since-lookup", text, Blame::Operator).with_retry(Retry::Never)
}

/// Within its retention a key repeats the very same request and no other.
pub(crate) fn changed_under_key(row: &EffectRow) -> Fault {
    let text = format!(
        "effect `{}` may have happened, and the request has changed since: under the same key the partner would refuse it or give the old answer; look at the partner's side and decide",
        row.id
    );
    Fault::new(FaultKind::OutcomeUnknown, "egress.changed-under-key", text, Blame::Operator).with_retry(Retry::Never)
}

/// Nobody knows whether it happened, and only a person can find out.
pub(crate) fn for_a_person(row: &EffectRow, why: effect::Why) -> Fault {
    let id = row.id;
    let (code, text, blame) = match why {
        effect::Why::NoLookup => (
            "egress.no-lookup",
            format!("the answer to effect `{id}` was lost, and the partner offers no lookup"),
            Blame::Partner,
        ),
        effect::Why::KeyExpired => (
            "egress.key-expired",
            format!(
                "the partner may have forgotten the key of effect `{id}`, and offers no lookup; look at the partner's side and decide"
            ),
            Blame::Partner,
        ),
        effect::Why::OtherAccount => (
            "egress.account-changed",
            format!(
                "effect `{id}` was sent under another account or endpoint than `{}` has now: put it back and look again, or look there yourself and decide",
                row.connection
            ),
            Blame::Operator,
        ),
        effect::Why::OtherAdapter => (
            "egress.adapter-gone",
            format!(
                "effect `{id}` was sent by adapter `{}`, which `{}` does not run any more: install that version again and look again, or decide",
                row.adapter_digest.as_ref().map_or("of the host", |digest| digest.as_str()),
                row.connection
            ),
            Blame::Operator,
        ),
    };
    Fault::new(FaultKind::OutcomeUnknown, code, text, blame).with_retry(Retry::Never)
}

/// A restored backup may be older than its send, and nobody can look it up.
pub(crate) fn held(row: &EffectRow) -> Fault {
    let text = format!(
        "effect `{}` is held: a backup was restored and may be older than its send, and `{}` offers no lookup; look at the partner's side and lift the hold of tenant `{}`",
        row.id, row.connection, row.tenant
    );
    Fault::new(FaultKind::OutcomeUnknown, "egress.restore-hold", text, Blame::Operator)
        .with_retry(Retry::Later { after_ms: Some(HELD_WAIT_MS) })
}

/// How long somebody waits before looking whether a hold was lifted.
const HELD_WAIT_MS: u64 = 60_000;

/// The step was taken with another request: the adapter is not repeatable, or somebody reuses a business key.
pub(crate) fn mismatch(row: &EffectRow) -> Fault {
    let text = format!(
        "step `{}` already succeeded as effect `{}` with a different request; nothing was sent, a person must look",
        row.step_key, row.id
    );
    Fault::new(FaultKind::Conflict, "egress.replay-mismatch", text, Blame::Guest).with_effect(EffectCertainty::Done)
}

/// An answer that proves neither success nor refusal, or a refusal: for the ledger's row and its history.
pub(crate) fn answered(status: u16, refused: bool, name: &str) -> Fault {
    let provider = Provider { http_status: Some(status), ..Provider::default() };
    let fault = if refused {
        let text = format!("the partner refused with status {status}");
        Fault::new(FaultKind::BusinessRejected, "egress.refused", text, Blame::Partner)
    } else {
        let text = format!("the answer with status {status} proves neither success nor refusal");
        Fault::new(FaultKind::OutcomeUnknown, "egress.unproven", text, Blame::Partner)
    };
    Fault { frames: vec![name.to_owned()], ..fault.with_provider(provider) }
}
