//! Secrets by name: where one belongs and which of its versions is meant. Never a value.

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionId, TenantId};

/// A secret slot of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretAt {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    /// As the manifest calls it.
    pub slot: String,
}

impl std::fmt::Display for SecretAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.connection, self.slot)
    }
}

/// Where a version stands. Of each there is at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Laid by; not sent until it is promoted.
    Next,
    /// What is sent.
    Current,
    /// Sent once more when the partner turns the current one down; only for a while.
    Previous,
}

/// Does a new version belong to the same account at the partner? Effects in doubt are looked up under the account they
/// were sent under, and the version before is sent again for the same account only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Account {
    /// By the field that names the account; a secret that names nobody is the same account's.
    #[default]
    Auto,
    Same,
    Other,
}
