//! What every handler works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::money::Money;
use wharf_domain::peak::Peak;
use wharf_domain::port::peaks::Peaks;
use wharf_domain::port::vault::Vault;
use wharf_store::Db;

use crate::problem::Problem;

/// Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    db: Db,
    tenants: BTreeMap<TenantId, TenantAccess>,
    admin_token: Token,
    four_eyes_above: Option<Money>,
    vault: Option<Arc<dyn Vault>>,
    peaks: Option<Arc<dyn Peaks>>,
}

/// How the outside reaches one tenant.
pub struct TenantAccess {
    /// The last part of the hook's path; absent when the tenant's ERP sends no hooks.
    pub webhook_token: Option<Token>,
}

/// A secret to compare with, kept as its SHA-256. It cannot be printed.
pub struct Token([u8; 32]);

impl Token {
    pub fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Is it the same secret? Takes the same time whatever differs. An empty text is never a secret.
    pub(crate) fn matches(&self, given: &str) -> bool {
        let same = bool::from(Self::new(given).0.ct_eq(&self.0));
        same && !given.is_empty()
    }

    /// Compares like a real token and never matches, so that an unknown tenant takes as long as a wrong token.
    fn nobodys() -> Self {
        Self([0; 32])
    }
}

impl ApiState {
    /// `four_eyes_above`: a second send of something worth more needs two people; absent: one is always enough.
    pub fn new(
        db: Db,
        tenants: BTreeMap<TenantId, TenantAccess>,
        admin_token: Token,
        four_eyes_above: Option<Money>,
    ) -> Self {
        Self(Arc::new(Inner { db, tenants, admin_token, four_eyes_above, vault: None, peaks: None }))
    }

    /// Takes secrets in, too. Only for a state nobody has cloned yet.
    #[must_use]
    pub fn with_vault(mut self, vault: Arc<dyn Vault>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.vault = Some(vault);
        }
        self
    }

    /// Tells how near calls come to their limits, too. Only for a state nobody has cloned yet.
    #[must_use]
    pub fn with_peaks(mut self, peaks: Arc<dyn Peaks>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.peaks = Some(peaks);
        }
        self
    }

    pub(crate) fn peak(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<Peak> {
        self.0.peaks.as_ref().and_then(|peaks| peaks.peak(tenant, connection))
    }

    /// The vault; a host without one takes no secrets.
    pub(crate) fn vault(&self) -> Result<&Arc<dyn Vault>, Problem> {
        self.0.vault.as_ref().ok_or_else(|| {
            Problem::conflict("no-vault", "this host has no vault").hint("add `[vault] key = …` to its configuration")
        })
    }

    pub(crate) fn four_eyes_above(&self) -> Option<&Money> {
        self.0.four_eyes_above.as_ref()
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn is_admin(&self, token: &str) -> bool {
        self.0.admin_token.matches(token)
    }

    /// The tenant a hook is for. A tenant that does not exist, one without hooks and a wrong token look the same.
    pub(crate) fn hooked(&self, tenant: &str, token: &str) -> Result<TenantId, Problem> {
        let id = TenantId::parse(tenant).ok();
        let known = id.as_ref().and_then(|id| self.0.tenants.get(id)).and_then(|access| access.webhook_token.as_ref());
        let matches = known.unwrap_or(&Token::nobodys()).matches(token);
        id.filter(|_| matches).ok_or_else(Problem::no_such_resource)
    }

    /// A tenant of this host, or the host itself, whose own work is nobody else's.
    pub(crate) fn tenant_or_host(&self, tenant: &str) -> Result<TenantId, Problem> {
        let host = TenantId::host();
        if tenant == host.as_str() { Ok(host) } else { self.tenant(tenant) }
    }

    /// A tenant of this host.
    pub(crate) fn tenant(&self, tenant: &str) -> Result<TenantId, Problem> {
        let id = TenantId::parse(tenant).ok().filter(|id| self.0.tenants.contains_key(id));
        id.ok_or_else(|| {
            Problem::not_found("unknown-tenant", format!("there is no tenant `{tenant}`"))
                .hint("tenants are listed in the configuration file")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_only_itself() {
        let token = Token::new("s3cret");
        assert!(token.matches("s3cret"));
        assert!(!token.matches("s3cre") && !token.matches("") && !token.matches("S3CRET"));
        assert!(!Token::new("").matches(""), "an empty secret opens nothing");
        assert!(!Token::nobodys().matches("s3cret"));
    }
}
