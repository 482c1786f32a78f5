//! Faults by kind. Each constructor sets what the kind normally means for `effect` and `retry`; the `with_` methods
//! change it where a partner proves otherwise.

use crate::{EffectCertainty, Fault, FieldFault, ProviderError, RetryClass};

impl Fault {
    /// A fault of any kind, also one this SDK does not know. `effect` is none, `retry` never.
    ///
    /// `code` is stable and prefixed by the adapter's name, e.g. `acme.120202`; `message` is a lower-case fragment
    /// for people without secrets or personal data.
    pub fn new(kind: &str, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            code: code.into(),
            message: message.into(),
            effect: EffectCertainty::None,
            retry: RetryClass::Never,
            retry_after_ms: None,
            provider: None,
            fields: Vec::new(),
        }
    }

    /// A changed request may succeed. Name the wrong inputs with [`Fault::with_field`].
    pub fn invalid_input(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("invalid-input", code, message)
    }

    /// The partner does not accept the credential.
    pub fn unauthorized(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("unauthorized", code, message)
    }

    /// The credential is fine, the account may not do this.
    pub fn forbidden(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("forbidden", code, message)
    }

    /// The partner or this adapter cannot do this at all.
    pub fn unsupported(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("unsupported", code, message)
    }

    /// The partner holds no such thing. Add `with_retry(RetryClass::Later)` where it may appear.
    pub fn not_found(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("not-found", code, message)
    }

    /// The partner holds it already: look it up instead of creating it again.
    pub fn already_exists(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("already-exists", code, message).with_retry(RetryClass::Reconcile)
    }

    /// The partner's state does not allow it; a person must look.
    pub fn conflict(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("conflict", code, message)
    }

    /// Too late to cancel.
    pub fn not_cancellable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("not-cancellable", code, message)
    }

    /// Too many requests; nothing was done. `after_ms` when the partner named a time.
    pub fn rate_limited(code: impl Into<String>, message: impl Into<String>, after_ms: Option<u64>) -> Self {
        Self { retry_after_ms: after_ms, ..Self::new("rate-limited", code, message) }.with_retry(RetryClass::Later)
    }

    /// It may work in a moment. Raise `effect` when a mutating request may have been carried out.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("transient", code, message).with_retry(RetryClass::Later)
    }

    /// The partner is down.
    pub fn outage(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("outage", code, message).with_retry(RetryClass::Later)
    }

    /// Nobody knows what a mutating request did: effect maybe, and only a lookup may follow.
    pub fn outcome_unknown(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("outcome-unknown", code, message)
            .with_effect(EffectCertainty::Maybe)
            .with_retry(RetryClass::Reconcile)
    }

    /// Some of it happened: effect done.
    pub fn partial(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("partial", code, message).with_effect(EffectCertainty::Done)
    }

    /// The partner's business rules refuse it.
    pub fn business_rejected(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("business-rejected", code, message)
    }

    /// The partner's answer cannot be read.
    pub fn data_out_of_contract(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("data-out-of-contract", code, message)
    }

    /// The same with another certainty about the outside world.
    #[must_use]
    pub fn with_effect(mut self, effect: EffectCertainty) -> Self {
        self.effect = effect;
        self
    }

    /// The same with another retry class.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryClass) -> Self {
        self.retry = retry;
        self
    }

    /// The same with the partner's own words.
    #[must_use]
    pub fn with_provider(mut self, provider: ProviderError) -> Self {
        self.provider = Some(provider);
        self
    }

    /// The same with one more wrong input, by its path in the request, e.g. `ship_to.address_lines[0]`.
    #[must_use]
    pub fn with_field(mut self, path: &str, code: &str, message: &str) -> Self {
        let field = FieldFault { path: path.to_owned(), code: code.to_owned(), message: message.to_owned() };
        self.fields.push(field);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_outcome_may_only_be_followed_by_a_lookup() {
        let fault = Fault::outcome_unknown("acme.empty", "the answer was empty");
        assert_eq!((fault.effect, fault.retry), (EffectCertainty::Maybe, RetryClass::Reconcile));
    }

    #[test]
    fn a_rate_limit_keeps_the_partners_time() {
        let fault = Fault::rate_limited("acme.429", "too many requests", Some(1_500));
        assert_eq!((fault.retry, fault.retry_after_ms), (RetryClass::Later, Some(1_500)));
        assert_eq!(fault.effect, EffectCertainty::None);
    }
}
