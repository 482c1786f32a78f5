//! How near calls come to their limits, as the host that makes them knows it.

use crate::ids::{ConnectionId, TenantId};
use crate::peak::Peak;

/// What this host has seen since it bound each connection. Other hosts on the same database have seen other calls.
pub trait Peaks: Send + Sync {
    /// Absent when this host has no such connection, or holds it back.
    fn peak(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<Peak>;
}
