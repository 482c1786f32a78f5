//! Exchanges of secrets that change with every use.

use wharf_domain::ctx::Actor;
use wharf_domain::secret::SecretAt;
use wharf_domain::time::Timestamp;

use super::versions::at_slot;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::Text;

/// An exchange of a version for a new one that somebody has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    pub version: i64,
    /// Until then nobody else may; after it, it was cut off.
    pub until: Timestamp,
}

static EXCHANGE: Text = Text::new(
    "SELECT exchange_version, exchange_until FROM secret \
     WHERE tenant = $1 AND connection = $2 AND slot = $3 {for_update}",
);

/// Somebody is about to exchange `version`, the current one, for a new one: written down before the partner hears of it.
/// Returns the exchange that was there before, if any. One that still runs is left alone: look whether its `until` has
/// come. Fails with [`StoreError::Conflict`] when `version` is not the current one any more.
pub async fn begin_exchange(
    tx: &mut Tx,
    _actor: &Actor,
    at: &SecretAt,
    version: i64,
    until: Timestamp,
) -> Result<Option<Exchange>, StoreError> {
    let row = at_slot(&EXCHANGE, at).fetch_optional(tx.conn()).await?;
    let current = at_slot(
        "SELECT version FROM secret_version WHERE tenant = $1 AND connection = $2 AND slot = $3 AND stage = 'current'",
        at,
    )
    .fetch_optional(tx.conn())
    .await?;
    let current = current.map(|row| Cols(&row).int("version")).transpose()?;
    let Some(row) = row.filter(|_| current == Some(version)) else {
        return Err(StoreError::Conflict);
    };
    let cols = Cols(&row);
    let before = match (cols.opt_int("exchange_version")?, cols.opt_time("exchange_until")?) {
        (Some(version), Some(until)) => Some(Exchange { version, until }),
        _ => None,
    };
    if before.is_none_or(|before| before.until <= tx.now()) {
        set_exchange(tx, at, Some(Exchange { version, until })).await?;
    }
    Ok(before)
}

/// The exchange is over: its outcome is known.
pub async fn end_exchange(tx: &mut Tx, _actor: &Actor, at: &SecretAt) -> Result<(), StoreError> {
    set_exchange(tx, at, None).await
}

async fn set_exchange(tx: &mut Tx, at: &SecretAt, exchange: Option<Exchange>) -> Result<(), StoreError> {
    at_slot(
        "UPDATE secret SET exchange_version = $4, exchange_until = $5 \
         WHERE tenant = $1 AND connection = $2 AND slot = $3",
        at,
    )
    .bind(exchange.map(|exchange| exchange.version))
    .bind(exchange.map(|exchange| exchange.until.millis()))
    .execute(tx.conn())
    .await?;
    Ok(())
}
