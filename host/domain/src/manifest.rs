//! What an adapter asks for. TOML beside the code, embedded in the component, read back from it. Unknown keys are
//! errors. A request only: what an adapter may do is what its connection grants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::account::Limits;
use crate::ctx::Environment;
use crate::effect::EffectClass;

pub mod config;
mod slot;

pub use config::ConfigSchema;
pub use slot::{Encoding, Hash, JwtAlgorithm, SecretSlot};

/// The manifest of one adapter version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// e.g. `acme-parcel`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence for the operator.
    pub description: String,
    pub publisher: String,
    /// SPDX expression.
    pub licence: String,
    /// The partner's origins, by environment.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Every request the adapter may make. What is not listed is refused.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What the partner allows one account. Absent: it names no rate, and 16 calls may be under way.
    #[serde(default)]
    pub limits: Limits,
    /// Secret slots by name. The guest never sees a value.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSlot>,
    /// Settings an operator may give, as a JSON Schema.
    #[serde(default)]
    pub config: ConfigSchema,
    /// Records of the tenant's Odoo it wants to read or write, a model at a time. What is not listed is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odoo: Vec<OdooRequest>,
    /// Bytes of key-value storage per connection; 0 means none.
    #[serde(default)]
    pub kv_bytes: u64,
    /// Drop folders the adapter works with; the operator says where they are.
    #[serde(default)]
    pub folders: Vec<Folder>,
    /// Example inputs by `interface.function` or `interface.function/variant`, JSON text; what `adapter call` uses when
    /// no input is given.
    #[serde(default)]
    pub examples: BTreeMap<String, String>,
}

/// A drop folder, as the adapter knows it. The defaults are for files of orders and stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// a-z, 0-9 and `-`, e.g. `orders-in`.
    pub name: String,
    /// Takes files the partner leaves there.
    #[serde(default)]
    pub read: bool,
    /// Leaves files for the partner.
    #[serde(default)]
    pub create: bool,
    /// Keeps what is finished; without it a finished file is deleted.
    #[serde(default)]
    pub archive: bool,
    /// Of one file.
    #[serde(default = "default_file_bytes")]
    pub max_file_bytes: u64,
    /// Of all files left there that the partner has not taken yet.
    #[serde(default = "default_folder_bytes")]
    pub max_bytes: u64,
    #[serde(default = "default_folder_files")]
    pub max_files: u32,
    /// Why the adapter needs it, for the person who grants it.
    pub reason: String,
}

fn default_file_bytes() -> u64 {
    8 << 20
}
fn default_folder_bytes() -> u64 {
    256 << 20
}
fn default_folder_files() -> u32 {
    1_000
}

/// One origin of the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub environment: Environment,
    /// `https://host` or `https://host:port`, no path.
    pub origin: String,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Upper case.
    pub method: String,
    /// Path template; a `*` stands for exactly one segment.
    pub path: String,
    /// Absent: `read` for GET and HEAD, `once` for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<EffectClass>,
    /// The effect's type, e.g. `buy-label`; needed where a business key applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Name of the secret slot the host adds to the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Statuses that prove nothing was changed. Absent: 400, 401, 403, 404, 405, 413, 415, 422.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proves_no_effect: Option<Vec<u16>>,
    /// Where the key goes and how long it holds; for class `keyed` and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySlot>,
    /// Why the adapter needs it, for the person who grants it.
    pub reason: String,
}

/// One model of Odoo an adapter asks for. It may do what both this and the operator's grant allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OdooRequest {
    /// By its technical name, e.g. `res.country`.
    pub model: String,
    /// Fields that may be read, searched and sorted by. `id` needs no mention.
    #[serde(default)]
    pub read: Vec<String>,
    /// Fields that may be written, in new records too.
    #[serde(default)]
    pub write: Vec<String>,
    /// May records be created?
    #[serde(default)]
    pub create: bool,
    /// An Odoo domain as JSON text, e.g. `[["code", "=", "outgoing"]]`: only records that fit it are there for the
    /// adapter. Its fields are among `read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Records of the model one call of the adapter may be given or change, 1 to 10,000. Absent: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_records: Option<u32>,
    /// Why the adapter needs it, for the person who grants it.
    pub reason: String,
}

/// A partner's idempotency key, made and placed by the host. Exactly one of `header` and `body` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySlot {
    /// e.g. `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// JSON pointer (RFC 6901) to a member of the request body, e.g. `/meta/request_id`. What it points into exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long the partner remembers a key, at least 60. The host relies on nine tenths of it.
    pub retention_seconds: u32,
    pub stores: Stores,
    /// When the key is no longer remembered, `find-by-reference` can tell. Absent: then a person decides.
    #[serde(default)]
    pub lookup: bool,
}

/// Which answers a partner gives again under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stores {
    /// Every answer, refusals too: a request that was refused and corrected needs a new key.
    All,
    /// Successes only: a refused or failed request is worked on again under the same key.
    Success,
}

pub const DEFAULT_NO_EFFECT: [u16; 8] = [400, 401, 403, 404, 405, 413, 415, 422];

impl Route {
    pub fn class(&self) -> EffectClass {
        self.class.unwrap_or(match self.method.as_str() {
            "GET" | "HEAD" => EffectClass::Read,
            _ => EffectClass::Once,
        })
    }

    /// Does `find-by-reference` tell what became of a request on this route?
    pub fn looks_up(&self) -> bool {
        match self.class() {
            EffectClass::Lookup => true,
            EffectClass::Keyed => self.key.as_ref().is_some_and(|key| key.lookup),
            _ => false,
        }
    }

    /// How long a key of this route is relied on, in milliseconds; `None` for a route without one.
    pub fn key_holds_ms(&self) -> Option<i64> {
        let key = self.key.as_ref().filter(|_| self.class() == EffectClass::Keyed)?;
        Some(i64::from(key.retention_seconds) * 900)
    }

    pub fn proves_no_effect(&self, status: u16) -> bool {
        match &self.proves_no_effect {
            Some(list) => list.contains(&status),
            None => DEFAULT_NO_EFFECT.contains(&status),
        }
    }

    /// Does `path` (without query) fit the template? Segment by segment; `*` fits one non-empty segment.
    pub fn fits(&self, method: &str, path: &str) -> bool {
        if self.method != method {
            return false;
        }
        let mut want = self.path.split('/');
        let mut have = path.split('/');
        loop {
            match (want.next(), have.next()) {
                (None, None) => return true,
                (Some("*"), Some(segment)) if !segment.is_empty() => {}
                (Some(template), Some(segment)) if template == segment => {}
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> Route {
        Route {
            method: method.to_owned(),
            path: path.to_owned(),
            class: None,
            effect: None,
            secret: None,
            proves_no_effect: None,
            key: None,
            reason: "test".to_owned(),
        }
    }

    #[test]
    fn an_undeclared_mutating_route_is_never_resent() {
        assert_eq!(route("POST", "/x").class(), EffectClass::Once);
        assert_eq!(route("DELETE", "/x").class(), EffectClass::Once);
        assert_eq!(route("GET", "/x").class(), EffectClass::Read);
    }

    #[test]
    fn a_template_fits_whole_segments_only() {
        let r = route("GET", "/api/track/v1/details/*");
        assert!(r.fits("GET", "/api/track/v1/details/1Z"));
        assert!(!r.fits("POST", "/api/track/v1/details/1Z"));
        assert!(!r.fits("GET", "/api/track/v1/details/"));
        assert!(!r.fits("GET", "/api/track/v1/details/1Z/more"));
        assert!(!r.fits("GET", "/api/track/v1/detailsX/1Z"));
    }
}
