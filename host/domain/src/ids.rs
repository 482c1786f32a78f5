//! Identifiers. An id is never a bare `String`, so a job id cannot be passed where an effect id is meant.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::time::Timestamp;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{value}` is not a {kind}: {rule}")]
pub struct IdError {
    pub kind: &'static str,
    pub value: String,
    pub rule: &'static str,
}

/// Where fresh UUIDv7 identifiers come from. Randomness is a parameter, so tests can be repeated.
pub trait IdSource: Send + Sync {
    /// A new identifier whose leading bits are `now`, so that ids sort by creation.
    fn next(&self, now: Timestamp) -> Uuid;
}

/// Names chosen by an operator in configuration: short, lower case, safe in URLs, logs and file names.
macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 63 characters of `a-z 0-9 -`, starting with a letter or digit.
            pub fn parse(value: impl Into<String>) -> Result<Self, IdError> {
                let value = value.into();
                let fine = (1..=63).contains(&value.len())
                    && !value.starts_with('-')
                    && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if fine {
                    Ok(Self(value))
                } else {
                    Err(IdError { kind: $kind, value, rule: "use 1 to 63 characters of a-z, 0-9 and `-`, not starting with `-`" })
                }
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                Self::parse(value)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Identifiers the host mints: UUIDv7 in their hyphenated text form.
macro_rules! minted_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub fn mint(source: &dyn IdSource, now: Timestamp) -> Self {
                Self(source.next(now))
            }
            pub fn parse(value: &str) -> Result<Self, IdError> {
                Uuid::parse_str(value)
                    .map(Self)
                    .map_err(|_| IdError { kind: $kind, value: value.to_owned(), rule: "it must be a UUID" })
            }
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

slug_id!(
    /// A client of the 3PL, or a company. Every row belongs to one.
    TenantId, "tenant id"
);
slug_id!(
    /// An adapter version bound to a tenant and an environment.
    ConnectionId, "connection id"
);
minted_id!(
    /// A deduplicated fact that arrived.
    EventId, "event id"
);
minted_id!(
    /// A durable unit of work.
    JobId, "job id"
);
minted_id!(
    /// An outside change that must not be repeated.
    EffectId, "effect id"
);
minted_id!(
    /// A work item for a person.
    ExceptionId, "exception id"
);

impl TenantId {
    /// The host itself, for work that is no tenant's. No tenant may be called so.
    pub fn host() -> Self {
        Self("wharf".to_owned())
    }
}

/// The business object a flow belongs to, for example `order/S00042`. Unique per tenant and flow kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowKey(String);

impl FlowKey {
    pub fn new(kind: &str, object: &str) -> Self {
        Self(format!("{kind}/{object}"))
    }
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for FlowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a component's bytes: the identity of what ran.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes))))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The hexadecimal part alone, for file names.
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_names_the_rule_it_breaks() {
        assert!(TenantId::parse("nordic-3pl").is_ok());
        for bad in ["", "-a", "Nordic", "a/b", "a b"] {
            let err = TenantId::parse(bad).expect_err(bad);
            assert!(err.to_string().contains("tenant id"), "{err}");
        }
    }

    #[test]
    fn a_digest_is_the_sha256_of_the_bytes() {
        assert_eq!(Digest::of(b"").as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
