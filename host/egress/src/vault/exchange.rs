//! A secret that changes with every use: the exchange is written down before the partner hears of it, and what it brings
//! is kept before it is used. Whatever happens in between is seen afterwards.

use std::collections::BTreeMap;

use secrecy::SecretString;
use wharf_domain::fault::Fault;
use wharf_domain::port::vault::Vault as _;
use wharf_domain::secret::{SecretAt, Stage};
use wharf_store::StoreError;
use wharf_store::secrets::{self, NewVersion};

use super::{Vault, ring};
use crate::fault;
use crate::tape::actor;

/// What an exchange brought is lost for good when it cannot be kept, so it is tried again.
const TRIES: u32 = 3;

impl Vault {
    /// The exchange of a version begins. True when an earlier one of the same version was cut off: nobody knows whether
    /// the partner has seen it.
    ///
    /// # Errors
    /// Retry later when another host is at it, or has just changed the version. Nothing may be sent.
    pub(crate) async fn begin_exchange(&self, at: &SecretAt, version: i64, millis: i64) -> Result<bool, Fault> {
        let begun = async {
            let mut tx = self.0.db.begin().await?;
            let now = tx.now();
            let before = secrets::begin_exchange(&mut tx, &actor(), at, version, now.plus(millis)).await?;
            tx.commit().await?;
            Ok::<_, StoreError>((before, now))
        };
        match begun.await {
            Ok((Some(before), now)) if before.until > now => Err(fault::exchange_running(at)),
            Ok((before, _)) => Ok(before.is_some_and(|before| before.version == version)),
            Err(StoreError::Conflict) => Err(fault::exchange_running(at)),
            Err(err) => Err(fault::vault(&err)),
        }
    }

    /// The exchange is over and changed nothing. When that cannot be written down, the next one takes it for cut off.
    pub(crate) async fn end_exchange(&self, at: &SecretAt) {
        let ended = async {
            let mut tx = self.0.db.begin().await?;
            secrets::end_exchange(&mut tx, &actor(), at).await?;
            tx.commit().await
        };
        if let Err(err) = ended.await {
            tracing::warn!(tenant = %at.tenant, "failed to write down that the exchange of `{at}` is over: {err}");
        }
    }

    /// The exchange of `version` brought these values: they are the current ones once this returns.
    ///
    /// # Errors
    /// They could not be kept and must not be used; the exchange counts as cut off.
    pub(crate) async fn exchanged(
        &self,
        at: &SecretAt,
        version: i64,
        values: &BTreeMap<String, SecretString>,
    ) -> Result<(), Fault> {
        let mut tries = 1;
        loop {
            match self.keep_exchanged(at, version, values).await {
                Err(fault) if fault.retryable() && tries < TRIES => tries += 1,
                Ok(()) => {
                    self.changed(&at.tenant);
                    return Ok(());
                }
                Err(fault) => {
                    tracing::error!(tenant = %at.tenant, "what the exchange of `{at}` brought is lost: {fault}");
                    return Err(fault);
                }
            }
        }
    }

    async fn keep_exchanged(
        &self,
        at: &SecretAt,
        version: i64,
        values: &BTreeMap<String, SecretString>,
    ) -> Result<(), Fault> {
        let unread = |err| fault::vault(&err);
        let mut tx = self.0.db.begin().await.map_err(unread)?;
        let kept = secrets::take_key(&mut tx, &at.tenant).await.map_err(unread)?;
        let key = self.0.ring.tenant_key(&mut tx, &at.tenant, &kept).await?;
        let rows = secrets::kept(&mut tx, at).await.map_err(unread)?;
        // A person's newer value counts for more.
        if let Some(row) = rows.iter().find(|row| row.stage == Stage::Current && row.version == version) {
            let next = secrets::next_version(&mut tx, &actor(), at).await.map_err(unread)?;
            let sealed = ring::seal(&key, at, next, values).map_err(|err| fault::sealing(&err))?;
            let row = NewVersion {
                version: next,
                stage: Stage::Current,
                sealed: &sealed,
                account: &row.account,
                overlap_ms: 0,
            };
            secrets::put(&mut tx, &actor(), at, &row).await.map_err(unread)?;
        }
        secrets::end_exchange(&mut tx, &actor(), at).await.map_err(unread)?;
        tx.commit().await.map_err(unread)
    }
}
