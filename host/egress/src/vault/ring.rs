//! The operator's keys, and what they wrap.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use wharf_domain::fault::Fault;
use wharf_domain::ids::TenantId;
use wharf_domain::secret::SecretAt;
use wharf_store::secrets::{self, SealedRow, TenantKey};
use wharf_store::{Db, Tx};
use zeroize::Zeroizing;

use super::seal::{Bond, Key, SealError};
use super::view::{Value, View};
use super::{Keys, VaultError};
use crate::fault;
use crate::tape::actor;

const CHECK: &[u8] = b"wharf";

/// A key of the operator's and its name.
pub(super) struct Named {
    pub(super) id: String,
    key: Key,
}

/// The key in use, and perhaps the one before it.
pub(super) struct Ring {
    pub(super) present: Named,
    old: Option<Named>,
}

impl Ring {
    pub(super) fn read(keys: &Keys) -> Result<Self, VaultError> {
        let named = |name, text: &SecretString| {
            let key = Key::parse(text).map_err(|why| VaultError::NoKey { name, why })?;
            Ok::<_, VaultError>(Named { id: key.id(), key })
        };
        let old = keys.old.as_ref().map(|text| named("old_key", text)).transpose()?;
        Ok(Self { present: named("key", &keys.key)?, old })
    }

    /// Are these the keys of this database? Makes the present one known where it may be.
    pub(super) async fn check(&self, db: &Db) -> Result<(), VaultError> {
        let known = secrets::vault_keys(db).await?;
        for kept in &known {
            if let Some(named) = self.named(&kept.id) {
                let check = named.key.open(&bond_of_check(), &kept.check);
                check.map_err(|err| VaultError::Check(err.to_string()))?;
            }
        }
        let strangers = secrets::not_under(db, &self.present.id).await?;
        if strangers.iter().any(|(_, id)| self.named(id).is_none()) {
            return Err(VaultError::OtherKey);
        }
        if known.iter().all(|kept| kept.id != self.present.id) {
            // A vault without a secret gives no proof by opening one: what it was made with counts all the same.
            if !known.is_empty() && known.iter().all(|kept| self.named(&kept.id).is_none()) {
                return Err(VaultError::OtherKey);
            }
            let check = self.present.key.seal(&bond_of_check(), CHECK);
            let check = check.map_err(|err| VaultError::Check(err.to_string()))?;
            let mut tx = db.begin().await?;
            secrets::add_vault_key(&mut tx, &actor(), &self.present.id, &check).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    fn named(&self, id: &str) -> Option<&Named> {
        std::iter::once(&self.present).chain(&self.old).find(|named| named.id == id)
    }

    /// A tenant's key; `Err` says why it does not open.
    fn unwrap_key(&self, tenant: &TenantId, (id, wrapped): &(String, Vec<u8>)) -> Result<Key, String> {
        let Some(named) = self.named(id) else {
            return Err("the tenant's key is wrapped with another `vault.key`".to_owned());
        };
        let bytes =
            named.key.open(&bond_of_tenant(tenant), wrapped).map_err(|err| format!("the tenant's key: {err}"))?;
        Key::of(&bytes).ok_or_else(|| "the tenant's key is no key".to_owned())
    }

    /// The tenant's key in a transaction that has taken it; makes one where there is none.
    pub(super) async fn tenant_key(&self, tx: &mut Tx, tenant: &TenantId, kept: &TenantKey) -> Result<Key, Fault> {
        if let Some(wrapped) = &kept.wrapped {
            return self.unwrap_key(tenant, wrapped).map_err(|why| fault::sealed("vault", &why));
        }
        let key = Key::random().map_err(|err| fault::sealing(&err))?;
        let wrapped = self.wrap(tenant, &key)?;
        let given = secrets::give_key(tx, &actor(), tenant, &self.present.id, &wrapped).await;
        given.map_err(|err| fault::vault(&err))?;
        Ok(key)
    }

    fn wrap(&self, tenant: &TenantId, key: &Key) -> Result<Vec<u8>, Fault> {
        self.present.key.seal(&bond_of_tenant(tenant), key.bytes()).map_err(|err| fault::sealing(&err))
    }

    /// Puts one tenant's key under the present key. False when it is there already.
    pub(super) async fn rewrap(
        &self,
        db: &Db,
        actor: &wharf_domain::ctx::Actor,
        tenant: &TenantId,
    ) -> Result<bool, Fault> {
        let mut tx = db.begin().await.map_err(|err| fault::vault(&err))?;
        let kept = secrets::take_key(&mut tx, tenant).await.map_err(|err| fault::vault(&err))?;
        let Some(wrapped) = kept.wrapped.filter(|(id, _)| *id != self.present.id) else {
            return Ok(false);
        };
        let key = self.unwrap_key(tenant, &wrapped).map_err(|why| {
            let text =
                format!("the key of tenant `{tenant}` cannot be wrapped anew: {why}; give that one as `vault.old_key`");
            fault::operator("vault-key", text)
        })?;
        let (from, to) = (wrapped.0.as_str(), self.present.id.as_str());
        let done = secrets::rewrap(&mut tx, actor, tenant, (from, to), &self.wrap(tenant, &key)?).await;
        let done = done.map_err(|err| fault::vault(&err))?;
        tx.commit().await.map_err(|err| fault::vault(&err))?;
        Ok(done)
    }

    /// Opens what opens. What does not is shut, with the reason, and told once here.
    pub(super) fn open_all(&self, tenant: &TenantId, key: &TenantKey, rows: &[SealedRow]) -> View {
        let opened = match &key.wrapped {
            Some(wrapped) => self.unwrap_key(tenant, wrapped),
            None => Err("the tenant's key was destroyed".to_owned()),
        };
        let mut view = View::default();
        for row in rows {
            let fields = match &opened {
                Ok(key) => open(key, &row.at, row.version, &row.sealed).map_err(|err| err.to_string()),
                Err(why) => Err(why.clone()),
            };
            match fields {
                Ok(fields) => {
                    let value = Value { version: row.version, fields, account: row.account.clone() };
                    view.add(&row.at, row.stage, row.valid_until, value);
                }
                Err(why) => {
                    let (at, version) = (&row.at, row.version);
                    tracing::error!(%tenant, secret = %at, version, "secret `{at}` does not open: {why}");
                    view.shut(&row.at, row.stage, why);
                }
            }
        }
        view
    }
}

/// Seals values for their place.
pub(super) fn seal(
    key: &Key,
    at: &SecretAt,
    version: i64,
    fields: &BTreeMap<String, SecretString>,
) -> Result<Vec<u8>, SealError> {
    let mut plain = Zeroizing::new(Vec::new());
    for (name, value) in fields {
        for part in [name.as_bytes(), value.expose_secret().as_bytes()] {
            plain.extend_from_slice(&(part.len() as u64).to_be_bytes());
            plain.extend_from_slice(part);
        }
    }
    key.seal(&bond_of_secret(at, version), &plain)
}

/// Opens what [`seal`] sealed.
pub(super) fn open(
    key: &Key,
    at: &SecretAt,
    version: i64,
    sealed: &[u8],
) -> Result<BTreeMap<String, SecretString>, SealError> {
    let plain = key.open(&bond_of_secret(at, version), sealed)?;
    let (mut fields, mut rest) = (BTreeMap::new(), plain.as_slice());
    while !rest.is_empty() {
        let name = part(&mut rest)?.to_owned();
        fields.insert(name, SecretString::from(part(&mut rest)?.to_owned()));
    }
    Ok(fields)
}

/// Takes one text with its length off the front.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a str, SealError> {
    let (length, after) = rest.split_first_chunk::<8>().ok_or(SealError::Foreign)?;
    let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| SealError::Foreign)?;
    let (text, after) = after.split_at_checked(length).ok_or(SealError::Foreign)?;
    *rest = after;
    std::str::from_utf8(text).map_err(|_| SealError::Foreign)
}

fn bond_of_check() -> Bond {
    Bond::new("wharf vault check", &[])
}

fn bond_of_tenant(tenant: &TenantId) -> Bond {
    Bond::new("wharf tenant key", &[tenant.as_str()])
}

fn bond_of_secret(at: &SecretAt, version: i64) -> Bond {
    Bond::new("wharf secret", &[at.tenant.as_str(), at.connection.as_str(), &at.slot, &version.to_string()])
}
