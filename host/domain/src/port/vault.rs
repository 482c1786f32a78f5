//! The vault port: what a person hands in goes behind it and does not come back. Implemented by the door out, which alone
//! sees values; by fakes in tests.

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::ctx::Actor;
use crate::fault::Fault;
use crate::ids::{ConnectionId, TenantId};
use crate::secret::{Account, SecretAt};

/// A slot as it is wired, with or without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wired {
    pub connection: ConnectionId,
    pub slot: String,
    /// The type of the manifest, e.g. `basic`.
    pub kind: &'static str,
    pub fields: &'static [&'static str],
    /// The configuration file has a value, which is used while the vault has none.
    pub configured: bool,
}

/// A value handed in. It has no `Debug`.
pub struct NewSecret {
    /// By field.
    pub values: BTreeMap<String, SecretString>,
    /// Laid by as the next version instead of being used at once.
    pub as_next: bool,
    /// How long the version before stays usable, in milliseconds; 0 ends it now. Absent: as configured.
    pub overlap_ms: Option<i64>,
    pub account: Account,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub version: i64,
    /// False: this very value was there already, and nothing was changed.
    pub fresh: bool,
}

/// Seals what a person hands in.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Every slot of a tenant that can take a value.
    fn wired(&self, tenant: &TenantId) -> Vec<Wired>;

    /// Keeps a value, with an audit row. Handing the same one in again changes nothing.
    ///
    /// # Errors
    /// `not-found` for a slot nobody wired, `invalid-input` for wrong fields; nothing was kept. Others may pass.
    async fn set(&self, actor: &Actor, at: &SecretAt, new: NewSecret) -> Result<Kept, Fault>;

    /// How long the version before stays usable when nobody says otherwise, in milliseconds.
    fn overlap_ms(&self) -> i64;

    /// Wraps every tenant's key with the operator's present key, where it is still wrapped with the one before. May be
    /// broken off and repeated. Returns how many it did.
    ///
    /// # Errors
    /// Some may be done already; the rest is done by the next try.
    async fn rekey(&self, actor: &Actor) -> Result<u32, Fault>;

    /// Somebody changed a tenant's secrets in the database: the next use looks again.
    fn changed(&self, tenant: &TenantId);
}
