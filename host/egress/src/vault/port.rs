//! The vault as people's requests meet it.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::ctx::Actor;
use wharf_domain::fault::Fault;
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::SecretSlot;
use wharf_domain::port::vault::{Kept, NewSecret, Vault as Port, Wired};
use wharf_domain::secret::{Account, SecretAt, Stage};
use wharf_store::secrets::{self, NewVersion, SealedRow};

use super::{Slot, Vault, ring, view};
use crate::fault;
use crate::identity::Identity;
use crate::jwt::SigningKey;

/// A value is at most this long; a certificate chain with its key fits.
const LONGEST: usize = 32 << 10;

#[async_trait]
impl Port for Vault {
    fn wired(&self, tenant: &TenantId) -> Vec<Wired> {
        let wired = self.0.wired.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = wired.iter().filter(|(at, _)| at.tenant == *tenant);
        of_tenant
            .map(|(at, slot)| Wired {
                connection: at.connection.clone(),
                slot: at.slot.clone(),
                kind: slot.slot.kind(),
                fields: slot.slot.fields(),
                configured: slot.configured.is_some(),
            })
            .collect()
    }

    async fn set(&self, actor: &Actor, at: &SecretAt, new: NewSecret) -> Result<Kept, Fault> {
        let slot = self.0.wired.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned();
        let slot = slot.ok_or_else(|| fault::unknown_slot(at))?;
        check(&slot.slot, at, &new.values)?;
        let kept = self.keep(actor, at, &slot, &new).await?;
        Port::changed(self, &at.tenant);
        Ok(kept)
    }

    fn overlap_ms(&self) -> i64 {
        self.0.config.overlap_ms
    }

    async fn rekey(&self, actor: &Actor) -> Result<u32, Fault> {
        let present = self.0.ring.present.id.clone();
        let left = secrets::not_under(&self.0.db, &present).await.map_err(|err| fault::vault(&err))?;
        let mut done = 0;
        // One at a time, each in a transaction of its own: whoever comes after a crash goes on with the rest.
        for (tenant, _) in left {
            done += u32::from(self.0.ring.rewrap(&self.0.db, actor, &tenant).await?);
            Port::changed(self, &tenant);
        }
        let dropped = async {
            let mut tx = self.0.db.begin().await?;
            secrets::drop_vault_keys(&mut tx, actor, &present).await?;
            tx.commit().await
        };
        dropped.await.map_err(|err| fault::vault(&err))?;
        Ok(done)
    }

    fn changed(&self, tenant: &TenantId) {
        self.tenant(tenant).stale.store(true, Ordering::SeqCst);
    }
}

impl Vault {
    /// One transaction: the tenant's key, the version, the audit row.
    async fn keep(&self, actor: &Actor, at: &SecretAt, slot: &Slot, new: &NewSecret) -> Result<Kept, Fault> {
        let unread = |err| fault::vault(&err);
        let mut tx = self.0.db.begin().await.map_err(unread)?;
        let kept = secrets::take_key(&mut tx, &at.tenant).await.map_err(unread)?;
        let key = self.0.ring.tenant_key(&mut tx, &at.tenant, &kept).await?;
        let rows = secrets::kept(&mut tx, at).await.map_err(unread)?;
        let stage = if new.as_next { Stage::Next } else { Stage::Current };
        let there = |stage| rows.iter().find(|row: &&SealedRow| row.stage == stage);
        if let Some(row) = there(stage)
            && ring::open(&key, at, row.version, &row.sealed).is_ok_and(|fields| same(&fields, &new.values))
        {
            // Somebody asks again because the answer was lost: another version would push the one before it out.
            return Ok(Kept { version: row.version, fresh: false });
        }
        let version = secrets::next_version(&mut tx, actor, at).await.map_err(unread)?;
        let sealed = ring::seal(&key, at, version, &new.values).map_err(|err| fault::sealing(&err))?;
        let before = there(Stage::Current).map(|row| row.account.as_str()).or(slot.configured.as_deref());
        let account = account(&slot.slot, new, before, version);
        let overlap_ms = new.overlap_ms.unwrap_or(self.0.config.overlap_ms);
        let row = NewVersion { version, stage, sealed: &sealed, account: &account, overlap_ms };
        secrets::put(&mut tx, actor, at, &row).await.map_err(unread)?;
        tx.commit().await.map_err(unread)?;
        tracing::info!(tenant = %at.tenant, secret = %at, version, "secret `{at}` has version {version}");
        Ok(Kept { version, fresh: true })
    }
}

/// Exactly the fields of the slot, each with something in it that can be sent.
fn check(slot: &SecretSlot, at: &SecretAt, values: &BTreeMap<String, SecretString>) -> Result<(), Fault> {
    let fields = slot.fields();
    let wanted = fields.join("`, `");
    if let Some(unknown) = values.keys().find(|name| !fields.contains(&name.as_str())) {
        let text = format!("secret `{at}` has no field `{}`; it has `{wanted}`", unknown.escape_debug());
        return Err(fault::bad_value(unknown, text));
    }
    for field in fields {
        let Some(value) = values.get(*field).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty()) else {
            return Err(fault::bad_value(field, format!("`{field}` of secret `{at}` is missing; give `{wanted}`")));
        };
        if value.len() > LONGEST {
            return Err(fault::bad_value(field, format!("`{field}` of secret `{at}` is over {LONGEST} bytes")));
        }
        slot.check(field, value)
            .map_err(|rule| fault::bad_value(field, format!("`{field}` of secret `{at}` {rule}")))?;
    }
    let value = |field: &str| values.get(field).map(ExposeSecret::expose_secret).unwrap_or_default();
    let usable = match slot {
        SecretSlot::JwtBearer { algorithm, .. } => SigningKey::parse(*algorithm, value("private_key")).map(drop),
        SecretSlot::Mtls => Identity::parse(value("certificate"), value("private_key")).map(drop),
        _ => Ok(()),
    };
    usable.map_err(|rule| fault::bad_value("private_key", format!("`private_key` of secret `{at}` {rule}")))
}

fn same(one: &BTreeMap<String, SecretString>, other: &BTreeMap<String, SecretString>) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((a, x), (b, y))| a == b && x.expose_secret() == y.expose_secret())
}

/// Whose account the new version is; see [`Account`].
fn account(slot: &SecretSlot, new: &NewSecret, before: Option<&str>, version: i64) -> String {
    let own = view::account(slot, &new.values);
    match (new.account, before) {
        (Account::Same, Some(before)) => before.to_owned(),
        (Account::Auto, Some(before)) if slot.names_account().is_none() => before.to_owned(),
        (Account::Other, Some(before)) if own == before => {
            // The same name at another partner's door, or one chance in 65,536.
            let mut marks = (0_u32..).map(|salt| view::mark(format!("{version}:{salt}").as_bytes()));
            marks.find(|mark| mark != before).unwrap_or(own)
        }
        _ => own,
    }
}
