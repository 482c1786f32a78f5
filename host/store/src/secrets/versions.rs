//! The versions of a slot: next, current and previous.

use serde::Serialize;
use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::secret::{SecretAt, Stage};
use wharf_domain::time::Timestamp;

use super::keys::{TenantKey, read as read_key, take_key};
use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, name};
use crate::sql::{Query, Row, Source, query};

/// A version as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretRow {
    pub connection: ConnectionId,
    pub slot: String,
    pub version: i64,
    pub stage: Stage,
    /// Of a previous one: from then on it is not used.
    pub valid_until: Option<Timestamp>,
    /// To a few minutes.
    pub used_at: Option<Timestamp>,
    /// Who handed it in.
    pub actor: String,
    pub created_at: Timestamp,
    pub stage_since: Timestamp,
}

/// A version as the vault sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    pub at: SecretAt,
    pub version: i64,
    pub stage: Stage,
    pub sealed: Vec<u8>,
    pub account: String,
    pub valid_until: Option<Timestamp>,
}

/// A version to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    /// From [`next_version`].
    pub version: i64,
    /// `Current` or `Next`.
    pub stage: Stage,
    pub sealed: &'a [u8],
    pub account: &'a str,
    /// How long the current one stays usable as the previous one, in milliseconds; 0 removes it.
    pub overlap_ms: i64,
}

pub(super) fn at_slot(text: impl Into<Source>, at: &SecretAt) -> Query {
    query(text).bind(at.tenant.as_str()).bind(at.connection.as_str()).bind(&at.slot)
}

/// The number of a slot's next version, never given before. To be called with the tenant's key taken.
pub async fn next_version(tx: &mut Tx, _actor: &Actor, at: &SecretAt) -> Result<i64, StoreError> {
    let row = at_slot(
        "INSERT INTO secret (tenant, connection, slot, last_version) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (tenant, connection, slot) DO UPDATE SET last_version = secret.last_version + 1 \
         RETURNING last_version",
        at,
    )
    .fetch_one(tx.conn())
    .await?;
    Cols(&row).int("last_version")
}

/// Keeps a version. As the current one it makes the one before it the previous one. To be called with the tenant's key
/// taken.
pub async fn put(tx: &mut Tx, actor: &Actor, at: &SecretAt, new: &NewVersion<'_>) -> Result<(), StoreError> {
    match new.stage {
        Stage::Next => delete(tx, at, Stage::Next).await?,
        _ => retire(tx, at, new.overlap_ms).await?,
    }
    let now = tx.now().millis();
    at_slot(
        "INSERT INTO secret_version (tenant, connection, slot, version, stage, sealed, account, actor, created_at, \
         stage_since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        at,
    )
    .bind(new.version)
    .bind(name(&new.stage)?)
    .bind(new.sealed)
    .bind(new.account)
    .bind(actor.to_string())
    .bind(now)
    .execute(tx.conn())
    .await?;
    let detail = value!({ "version": new.version, "stage": new.stage, "overlap_ms": new.overlap_ms });
    audit::append(tx, actor, &at.tenant, "secret.set", &format!("secret/{at}"), &detail).await
}

/// The next version becomes the current one, and that the previous one for `overlap_ms`. Returns its number.
///
/// Fails with [`StoreError::NotFound`] when there is no next one.
pub async fn promote(tx: &mut Tx, actor: &Actor, at: &SecretAt, overlap_ms: i64) -> Result<i64, StoreError> {
    take_key(tx, &at.tenant).await?;
    let next = at_slot(
        "SELECT version FROM secret_version WHERE tenant = $1 AND connection = $2 AND slot = $3 AND stage = 'next'",
        at,
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(next) = next else {
        return Err(StoreError::NotFound { what: "next version of secret", id: at.to_string() });
    };
    let version = Cols(&next).int("version")?;
    retire(tx, at, overlap_ms).await?;
    let now = tx.now().millis();
    at_slot(
        "UPDATE secret_version SET stage = 'current', stage_since = $4 \
         WHERE tenant = $1 AND connection = $2 AND slot = $3 AND stage = 'next'",
        at,
    )
    .bind(now)
    .execute(tx.conn())
    .await?;
    let detail = value!({ "version": version, "overlap_ms": overlap_ms });
    audit::append(tx, actor, &at.tenant, "secret.promoted", &format!("secret/{at}"), &detail).await?;
    Ok(version)
}

/// Forgets every version of a slot; how many there were. Their numbers are not given again.
///
/// Fails with [`StoreError::NotFound`] when there is none.
pub async fn remove(tx: &mut Tx, actor: &Actor, at: &SecretAt) -> Result<u64, StoreError> {
    take_key(tx, &at.tenant).await?;
    let gone = at_slot("DELETE FROM secret_version WHERE tenant = $1 AND connection = $2 AND slot = $3", at)
        .execute(tx.conn())
        .await?;
    if gone == 0 {
        return Err(StoreError::NotFound { what: "secret", id: at.to_string() });
    }
    at_slot(
        "UPDATE secret SET exchange_version = NULL, exchange_until = NULL \
         WHERE tenant = $1 AND connection = $2 AND slot = $3",
        at,
    )
    .execute(tx.conn())
    .await?;
    let detail = value!({ "versions": gone });
    audit::append(tx, actor, &at.tenant, "secret.removed", &format!("secret/{at}"), &detail).await?;
    Ok(gone)
}

/// What people may know of a tenant's secrets, by slot and version.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<SecretRow>, StoreError> {
    let rows = query(
        "SELECT connection, slot, version, stage, valid_until, used_at, actor, created_at, stage_since \
         FROM secret_version WHERE tenant = $1 ORDER BY connection, slot, version",
    )
    .bind(tenant.as_str())
    .fetch_all(db.reader())
    .await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(SecretRow {
                connection: cols.parse("connection", |text| ConnectionId::parse(text))?,
                slot: cols.text("slot")?,
                version: cols.int("version")?,
                stage: cols.name("stage")?,
                valid_until: cols.opt_time("valid_until")?,
                used_at: cols.opt_time("used_at")?,
                actor: cols.text("actor")?,
                created_at: cols.time("created_at")?,
                stage_since: cols.time("stage_since")?,
            })
        })
        .collect()
}

const SEALED: &str = "SELECT connection, slot, version, stage, sealed, account, valid_until \
     FROM secret_version WHERE tenant = $1 ORDER BY connection, slot, version";

/// A tenant's key and sealed versions, for the vault. The revision is at most as new as the rows, so that a change in
/// between is noticed by the next look. `None` for a tenant that never had a secret.
pub async fn sealed(db: &Db, tenant: &TenantId) -> Result<Option<(TenantKey, Vec<SealedRow>)>, StoreError> {
    let key = query("SELECT vault_key, wrapped, revision, shredded_at FROM tenant_key WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_optional(db.reader())
        .await?;
    let Some(key) = key.as_ref().map(read_key).transpose()? else {
        return Ok(None);
    };
    let rows = query(SEALED).bind(tenant.as_str()).fetch_all(db.reader()).await?;
    let rows = rows.iter().map(|row| read(tenant, row)).collect::<Result<_, _>>()?;
    Ok(Some((key, rows)))
}

/// The sealed versions of one slot. To be called with the tenant's key taken.
pub async fn kept(tx: &mut Tx, at: &SecretAt) -> Result<Vec<SealedRow>, StoreError> {
    let rows = at_slot(
        "SELECT connection, slot, version, stage, sealed, account, valid_until FROM secret_version \
         WHERE tenant = $1 AND connection = $2 AND slot = $3 ORDER BY version",
        at,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| read(&at.tenant, row)).collect()
}

/// Writes down that a version was sent. Nobody's decision, so no audit row.
pub async fn used(tx: &mut Tx, _actor: &Actor, at: &SecretAt, version: i64) -> Result<(), StoreError> {
    let now = tx.now().millis();
    at_slot(
        "UPDATE secret_version SET used_at = $5 \
         WHERE tenant = $1 AND connection = $2 AND slot = $3 AND version = $4 AND (used_at IS NULL OR used_at < $5)",
        at,
    )
    .bind(version)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes down that a partner sent a secret back.
pub async fn echoed(tx: &mut Tx, actor: &Actor, at: &SecretAt, route: &str, status: u16) -> Result<(), StoreError> {
    let detail = value!({ "route": route, "status": status });
    audit::append(tx, actor, &at.tenant, "secret.echo", &format!("secret/{at}"), &detail).await
}

/// The current version becomes the previous one, and the previous one goes.
async fn retire(tx: &mut Tx, at: &SecretAt, overlap_ms: i64) -> Result<(), StoreError> {
    delete(tx, at, Stage::Previous).await?;
    if overlap_ms <= 0 {
        return delete(tx, at, Stage::Current).await;
    }
    let now = tx.now();
    at_slot(
        "UPDATE secret_version SET stage = 'previous', stage_since = $4, valid_until = $5 \
         WHERE tenant = $1 AND connection = $2 AND slot = $3 AND stage = 'current'",
        at,
    )
    .bind(now.millis())
    .bind(now.plus(overlap_ms).millis())
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn delete(tx: &mut Tx, at: &SecretAt, stage: Stage) -> Result<(), StoreError> {
    at_slot("DELETE FROM secret_version WHERE tenant = $1 AND connection = $2 AND slot = $3 AND stage = $4", at)
        .bind(name(&stage)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn read(tenant: &TenantId, row: &Row) -> Result<SealedRow, StoreError> {
    let cols = Cols(row);
    let connection = cols.parse("connection", |text| ConnectionId::parse(text))?;
    Ok(SealedRow {
        at: SecretAt { tenant: tenant.clone(), connection, slot: cols.text("slot")? },
        version: cols.int("version")?,
        stage: cols.name("stage")?,
        sealed: cols.bytes("sealed")?,
        account: cols.text("account")?,
        valid_until: cols.opt_time("valid_until")?,
    })
}
