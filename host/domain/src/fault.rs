//! One failure type for every border: adapter, partner, Odoo, operator, host.
//!
//! A fault says what must happen next, not what went wrong inside: `retry` and `effect` are small and closed, so a
//! host that does not know a `kind` still acts correctly. It is made only where a border is crossed.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What kind of failure, from the open list of the adapter interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FaultKind {
    InvalidInput,
    Unauthorized,
    Forbidden,
    Unsupported,
    NotFound,
    AlreadyExists,
    Conflict,
    NotCancellable,
    RateLimited,
    Transient,
    Outage,
    OutcomeUnknown,
    Partial,
    BusinessRejected,
    DataOutOfContract,
    AdapterFault,
    Cancelled,
    Deadline,
    /// A kind this host does not know; it acts on `retry` and `effect`.
    Other(String),
}

impl FaultKind {
    pub fn as_str(&self) -> &str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unsupported => "unsupported",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Conflict => "conflict",
            Self::NotCancellable => "not-cancellable",
            Self::RateLimited => "rate-limited",
            Self::Transient => "transient",
            Self::Outage => "outage",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Partial => "partial",
            Self::BusinessRejected => "business-rejected",
            Self::DataOutOfContract => "data-out-of-contract",
            Self::AdapterFault => "adapter-fault",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::Other(text) => text,
        }
    }
}

impl From<String> for FaultKind {
    fn from(text: String) -> Self {
        match text.as_str() {
            "invalid-input" => Self::InvalidInput,
            "unauthorized" => Self::Unauthorized,
            "forbidden" => Self::Forbidden,
            "unsupported" => Self::Unsupported,
            "not-found" => Self::NotFound,
            "already-exists" => Self::AlreadyExists,
            "conflict" => Self::Conflict,
            "not-cancellable" => Self::NotCancellable,
            "rate-limited" => Self::RateLimited,
            "transient" => Self::Transient,
            "outage" => Self::Outage,
            "outcome-unknown" => Self::OutcomeUnknown,
            "partial" => Self::Partial,
            "business-rejected" => Self::BusinessRejected,
            "data-out-of-contract" => Self::DataOutOfContract,
            "adapter-fault" => Self::AdapterFault,
            "cancelled" => Self::Cancelled,
            "deadline" => Self::Deadline,
            _ => Self::Other(text),
        }
    }
}

impl From<FaultKind> for String {
    fn from(kind: FaultKind) -> String {
        kind.as_str().to_owned()
    }
}

/// Did the outside world change? This decides whether a repeat may cost money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectCertainty {
    None,
    Maybe,
    Done,
}

/// Who has to act to make it go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    Guest,
    Partner,
    Odoo,
    Operator,
    Host,
}

/// May the same request be sent again, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case", deny_unknown_fields)]
pub enum Retry {
    Never,
    /// Again by the host's backoff; not before `after_ms` when the partner named a time.
    Later {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// Only after a lookup has shown what the first request did.
    Reconcile,
    /// Nothing was sent, because the account at the partner is to be asked again at `until`. That is waiting and no
    /// failure: no attempt is counted.
    Wait {
        until: Timestamp,
    },
}

/// What the partner itself said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// One wrong input, by its path in the canonical request, e.g. `parcels[1].weight_g`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldFault {
    pub path: String,
    pub code: String,
    pub message: String,
}

/// A classified failure. The message is for people; nobody may branch on it. It holds no secret and no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: FaultKind,
    /// Stable and open: `acme.120202`, `egress.timeout`, `odoo.access-error`.
    pub code: String,
    /// Lower-case fragment without a final dot; fits "failed to {x}: {message}".
    pub message: String,
    pub blame: Blame,
    pub effect: EffectCertainty,
    pub retry: Retry,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFault>,
    /// What was running: guest function names for a trap, the request for a partner's failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}

impl Fault {
    /// A fault without provider, fields or frames. `effect` starts at `None`: raise it where a byte may have left.
    pub fn new(kind: FaultKind, code: impl Into<String>, message: impl Into<String>, blame: Blame) -> Self {
        let retry = match kind {
            FaultKind::RateLimited | FaultKind::Transient | FaultKind::Outage | FaultKind::Deadline => {
                Retry::Later { after_ms: None }
            }
            FaultKind::OutcomeUnknown => Retry::Reconcile,
            _ => Retry::Never,
        };
        let effect = if kind == FaultKind::OutcomeUnknown { EffectCertainty::Maybe } else { EffectCertainty::None };
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            blame,
            effect,
            retry,
            provider: None,
            fields: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Could the same intent succeed later without a person? False when the effect is uncertain.
    pub fn retryable(&self) -> bool {
        matches!(self.retry, Retry::Later { .. } | Retry::Wait { .. }) && self.effect == EffectCertainty::None
    }

    /// Is it about a job whose stored payload cannot be read: no JSON, or not of the shape its kind has?
    pub fn is_of_payload(&self) -> bool {
        matches!(self.code.as_str(), "queue.bad-payload" | "flows.payload")
    }

    #[must_use]
    pub fn with_effect(mut self, effect: EffectCertainty) -> Self {
        self.effect = effect;
        self
    }

    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    #[must_use]
    pub fn with_provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    #[must_use]
    pub fn with_field(mut self, path: &str, code: &str, message: impl Into<String>) -> Self {
        self.fields.push(FieldFault { path: path.to_owned(), code: code.to_owned(), message: message.into() });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_survives_a_round_trip() {
        let kind: FaultKind = serde_json::from_str("\"from-the-future\"").expect("kind");
        assert_eq!(kind, FaultKind::Other("from-the-future".to_owned()));
        assert_eq!(serde_json::to_string(&kind).expect("text"), "\"from-the-future\"");
    }

    #[test]
    fn an_unknown_outcome_is_never_retryable() {
        let fault = Fault::new(FaultKind::OutcomeUnknown, "x", "y", Blame::Partner);
        assert_eq!(fault.effect, EffectCertainty::Maybe);
        assert!(!fault.retryable());
        let fault = Fault::new(FaultKind::Transient, "x", "y", Blame::Partner).with_effect(EffectCertainty::Maybe);
        assert!(!fault.retryable());
    }
}
