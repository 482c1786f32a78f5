//! Small values an adapter keeps per connection. Bounded by the bytes the connection was granted.

use wharf_domain::ctx::Actor;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::time::Timestamp;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::query;

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvKey {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    pub key: String,
}

/// The value; `None` when there is none or it has expired.
pub async fn get(db: &Db, at: &KvKey) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query(
        "SELECT entry_value FROM kv WHERE tenant = $1 AND connection = $2 AND entry_key = $3 \
         AND (expires_at IS NULL OR expires_at > $4)",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.key)
    .bind(db.now().millis())
    .fetch_optional(db.reader())
    .await?;
    row.as_ref().map(|row| Cols(row).bytes("entry_value")).transpose()
}

/// Stores a value, replacing the one before. `quota` is the most bytes (keys and values) the whole connection may
/// hold; going over it fails with [`StoreError::OverQuota`] and changes nothing. Expired values do not count.
pub async fn set(
    tx: &mut Tx,
    actor: &Actor,
    at: &KvKey,
    value: &[u8],
    expires_at: Option<Timestamp>,
    quota: u64,
) -> Result<(), StoreError> {
    let now = tx.now().millis();
    query("DELETE FROM kv WHERE tenant = $1 AND connection = $2 AND expires_at <= $3")
        .bind(at.tenant.as_str())
        .bind(at.connection.as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    let size = (at.key.len() + value.len()) as u64;
    let row = query(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS used FROM kv \
         WHERE tenant = $1 AND connection = $2 AND entry_key <> $3",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.key)
    .fetch_one(tx.conn())
    .await?;
    let wanted = Cols(&row).count::<u64>("used")?.saturating_add(size);
    if wanted > quota {
        return Err(StoreError::OverQuota { connection: at.connection.to_string(), wanted, quota });
    }
    query(
        "INSERT INTO kv (tenant, connection, entry_key, entry_value, size, expires_at, actor, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant, connection, entry_key) DO UPDATE SET \
         entry_value = excluded.entry_value, size = excluded.size, expires_at = excluded.expires_at, \
         actor = excluded.actor, updated_at = excluded.updated_at",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.key)
    .bind(value)
    .bind(i64::try_from(size).unwrap_or(i64::MAX))
    .bind(expires_at.map(Timestamp::millis))
    .bind(actor.to_string())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets a value; true when there was one. Nothing is kept of it, not even who forgot it.
pub async fn delete(tx: &mut Tx, _actor: &Actor, at: &KvKey) -> Result<bool, StoreError> {
    let gone = query("DELETE FROM kv WHERE tenant = $1 AND connection = $2 AND entry_key = $3")
        .bind(at.tenant.as_str())
        .bind(at.connection.as_str())
        .bind(&at.key)
        .execute(tx.conn())
        .await?;
    Ok(gone == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, actor, both, tenant};

    fn at(tenant_name: &str, key: &str) -> KvKey {
        KvKey {
            tenant: tenant(tenant_name),
            connection: ConnectionId::parse("acme").expect("connection"),
            key: key.to_owned(),
        }
    }

    async fn put(house: &House, at: &KvKey, value: &[u8], expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        let mut tx = house.db.begin().await?;
        set(&mut tx, &actor(), at, value, expires_at, 10).await?;
        tx.commit().await
    }

    both! {
        async fn a_value_is_kept_per_tenant_until_it_is_deleted(house) {
            put(&house, &at("t", "k"), b"one", None).await.expect("set");
            put(&house, &at("t", "k"), b"two", None).await.expect("replace");
            assert_eq!(get(&house.db, &at("t", "k")).await.expect("get"), Some(b"two".to_vec()));
            assert_eq!(get(&house.db, &at("u", "k")).await.expect("get"), None);
            let mut tx = house.db.begin().await.expect("begin");
            assert!(delete(&mut tx, &actor(), &at("t", "k")).await.expect("delete"));
            assert!(!delete(&mut tx, &actor(), &at("t", "k")).await.expect("delete again"));
            tx.commit().await.expect("commit");
            assert_eq!(get(&house.db, &at("t", "k")).await.expect("get"), None);
        }
    }

    both! {
        async fn the_quota_counts_keys_and_values_and_forgets_what_expired(house) {
            let soon = house.db.now().plus(100);
            put(&house, &at("t", "aa"), b"123", Some(soon)).await.expect("5 of 10");
            put(&house, &at("t", "bb"), b"123", None).await.expect("10 of 10");
            put(&house, &at("t", "bb"), b"321", None).await.expect("a replacement is not counted twice");
            let refused = put(&house, &at("t", "c"), b"", None).await.expect_err("11 of 10");
            assert!(matches!(refused, StoreError::OverQuota { wanted: 11, quota: 10, .. }), "{refused}");
            put(&house, &at("u", "c"), b"", None).await.expect("another tenant has its own");
            house.clock.advance(100);
            assert_eq!(get(&house.db, &at("t", "aa")).await.expect("get"), None);
            put(&house, &at("t", "c"), b"", None).await.expect("there is room again");
        }
    }
}
