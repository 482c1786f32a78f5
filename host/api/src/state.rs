//! What handlers share.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wharf_domain::ids::TenantId;
use wharf_store::Db;

/// What one tenant's callers know. Only digests are kept in memory.
pub struct TenantAccess {
    /// Last part of the URL Odoo posts to; absent when the tenant has no Odoo.
    pub webhook_token: Option<String>,
}

/// The API's state. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    db: Db,
    admin: Secret,
    tenants: BTreeMap<TenantId, Option<Secret>>,
}

/// SHA-256 of a token: comparing digests in constant time tells nothing about length or content.
struct Secret([u8; 32]);

impl Secret {
    fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
    fn is(&self, given: &str) -> bool {
        self.0.ct_eq(&Self::of(given).0).into()
    }
}

impl ApiState {
    pub fn new(db: Db, tenants: BTreeMap<TenantId, TenantAccess>, admin_token: &str) -> Self {
        let tenants =
            tenants.into_iter().map(|(id, access)| (id, access.webhook_token.as_deref().map(Secret::of))).collect();
        Self(Arc::new(Inner { db, admin: Secret::of(admin_token), tenants }))
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn is_admin(&self, token: &str) -> bool {
        self.0.admin.is(token)
    }

    /// The tenant of that name, when it is configured.
    pub(crate) fn tenant(&self, name: &str) -> Option<TenantId> {
        TenantId::parse(name).ok().filter(|id| self.0.tenants.contains_key(id))
    }

    /// The tenant when the webhook token is its own. Unknown tenant and wrong token take the same way.
    pub(crate) fn webhook_tenant(&self, name: &str, token: &str) -> Option<TenantId> {
        let tenant = self.tenant(name);
        let known = tenant.as_ref().and_then(|id| self.0.tenants.get(id)).and_then(Option::as_ref);
        let nobody = Secret::of("");
        let fits = known.unwrap_or(&nobody).is(token);
        tenant.filter(|_| known.is_some() && fits)
    }
}
