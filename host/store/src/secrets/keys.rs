//! The operator's keys and the tenants' keys they wrap.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Row, Text, query};

/// An operator's key by name, and a known text sealed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey {
    pub id: String,
    pub check: Vec<u8>,
}

/// A tenant's key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantKey {
    /// The id of the vault key around it, and the wrapped key; `None` before the first secret and after shredding.
    pub wrapped: Option<(String, Vec<u8>)>,
    pub revision: i64,
    pub shredded_at: Option<Timestamp>,
}

/// Every vault key this database knows.
pub async fn vault_keys(db: &Db) -> Result<Vec<VaultKey>, StoreError> {
    let rows = query("SELECT id, check_value FROM vault_key ORDER BY created_at, id").fetch_all(db.reader()).await?;
    rows.iter().map(|row| Ok(VaultKey { id: Cols(row).text("id")?, check: Cols(row).bytes("check_value")? })).collect()
}

/// Makes a vault key known; one that is known stays as it is.
pub async fn add_vault_key(tx: &mut Tx, actor: &Actor, id: &str, check: &[u8]) -> Result<(), StoreError> {
    let now = tx.now().millis();
    let added =
        query("INSERT INTO vault_key (id, check_value, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
            .bind(id)
            .bind(check)
            .bind(now)
            .execute(tx.conn())
            .await?;
    if added == 1 {
        audit::append(tx, actor, &TenantId::host(), "vault.key-added", &format!("vault-key/{id}"), &value!({})).await?;
    }
    Ok(())
}

/// Forgets every vault key but `keep` that wraps nothing any more.
pub async fn drop_vault_keys(tx: &mut Tx, actor: &Actor, keep: &str) -> Result<u64, StoreError> {
    let dropped = query(
        "DELETE FROM vault_key WHERE id <> $1 \
         AND NOT EXISTS (SELECT 1 FROM tenant_key WHERE tenant_key.vault_key = vault_key.id)",
    )
    .bind(keep)
    .execute(tx.conn())
    .await?;
    if dropped > 0 {
        let detail = value!({ "dropped": dropped });
        audit::append(tx, actor, &TenantId::host(), "vault.keys-dropped", &format!("vault-key/{keep}"), &detail)
            .await?;
    }
    Ok(dropped)
}

/// Is anything sealed here?
pub async fn any(db: &Db) -> Result<bool, StoreError> {
    let row = query("SELECT COUNT(*) AS kept FROM tenant_key WHERE wrapped IS NOT NULL").fetch_one(db.reader()).await?;
    Ok(Cols(&row).int("kept")? > 0)
}

/// Tenants whose key is wrapped with another vault key than this one.
pub async fn not_under(db: &Db, vault_key: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
    let rows = query("SELECT tenant, vault_key FROM tenant_key WHERE vault_key <> $1 ORDER BY tenant")
        .bind(vault_key)
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(|row| Ok((Cols(row).tenant()?, Cols(row).text("vault_key")?))).collect()
}

/// How often a tenant's secrets were changed; 0 for a tenant that never had one.
pub async fn revision(db: &Db, tenant: &TenantId) -> Result<i64, StoreError> {
    let row = query("SELECT revision FROM tenant_key WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_optional(db.reader())
        .await?;
    row.map_or(Ok(0), |row| Cols(&row).int("revision"))
}

static TAKE: Text =
    Text::new("SELECT vault_key, wrapped, revision, shredded_at FROM tenant_key WHERE tenant = $1 {for_update}");

/// A tenant's key, and the tenant's secrets with it, until the transaction ends. Counts a change.
pub async fn take_key(tx: &mut Tx, tenant: &TenantId) -> Result<TenantKey, StoreError> {
    let now = tx.now().millis();
    query("INSERT INTO tenant_key (tenant, revision, updated_at) VALUES ($1, 0, $2) ON CONFLICT (tenant) DO NOTHING")
        .bind(tenant.as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    let row = query(&TAKE).bind(tenant.as_str()).fetch_one(tx.conn()).await?;
    let mut key = read(&row)?;
    key.revision += 1;
    query("UPDATE tenant_key SET revision = $2, updated_at = $3 WHERE tenant = $1")
        .bind(tenant.as_str())
        .bind(key.revision)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(key)
}

/// Gives a tenant that has none a key. To be called with the tenant's key taken.
pub async fn give_key(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    vault_key: &str,
    wrapped: &[u8],
) -> Result<(), StoreError> {
    let given = query(
        "UPDATE tenant_key SET vault_key = $2, wrapped = $3, shredded_at = NULL WHERE tenant = $1 AND wrapped IS NULL",
    )
    .bind(tenant.as_str())
    .bind(vault_key)
    .bind(wrapped)
    .execute(tx.conn())
    .await?;
    if given != 1 {
        return Err(StoreError::Conflict);
    }
    audit::append(tx, actor, tenant, "vault.tenant-key-made", "vault", &value!({ "vault_key": vault_key })).await
}

/// Puts a tenant's key, which stays the same, under another vault key. False when it is not wrapped with `from` any
/// more: another host did it.
pub async fn rewrap(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    (from, to): (&str, &str),
    wrapped: &[u8],
) -> Result<bool, StoreError> {
    let now = tx.now().millis();
    let done = query(
        "UPDATE tenant_key SET vault_key = $3, wrapped = $4, revision = revision + 1, updated_at = $5 \
         WHERE tenant = $1 AND vault_key = $2",
    )
    .bind(tenant.as_str())
    .bind(from)
    .bind(to)
    .bind(wrapped)
    .bind(now)
    .execute(tx.conn())
    .await?;
    if done == 1 {
        let detail = value!({ "from": from, "to": to });
        audit::append(tx, actor, tenant, "vault.tenant-key-rewrapped", "vault", &detail).await?;
    }
    Ok(done == 1)
}

/// Destroys a tenant's key: what it sealed opens nowhere any more, in no copy of the rows either. Returns how many
/// versions went with it; `None` when there was no key.
pub async fn shred(tx: &mut Tx, actor: &Actor, tenant: &TenantId, note: &str) -> Result<Option<u64>, StoreError> {
    let key = take_key(tx, tenant).await?;
    if key.wrapped.is_none() {
        return Ok(None);
    }
    let now = tx.now().millis();
    query("UPDATE tenant_key SET vault_key = NULL, wrapped = NULL, shredded_at = $2 WHERE tenant = $1")
        .bind(tenant.as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    query("UPDATE secret SET exchange_version = NULL, exchange_until = NULL WHERE tenant = $1")
        .bind(tenant.as_str())
        .execute(tx.conn())
        .await?;
    let versions =
        query("DELETE FROM secret_version WHERE tenant = $1").bind(tenant.as_str()).execute(tx.conn()).await?;
    let detail = value!({ "versions": versions, "note": note });
    audit::append(tx, actor, tenant, "vault.shredded", "vault", &detail).await?;
    Ok(Some(versions))
}

pub(super) fn read(row: &Row) -> Result<TenantKey, StoreError> {
    let cols = Cols(row);
    let vault_key = cols.opt_text("vault_key")?;
    let wrapped = match vault_key {
        Some(id) => Some((id, cols.bytes("wrapped")?)),
        None => None,
    };
    Ok(TenantKey { wrapped, revision: cols.int("revision")?, shredded_at: cols.opt_time("shredded_at")? })
}
