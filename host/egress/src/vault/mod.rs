//! The vault: secret values at rest, and the one that is to be sent now.
//!
//! A value is sealed with its tenant's own key, bound to tenant, connection, slot and version; the tenant's key is
//! wrapped with a key of the operator's that is never in the database. Opened values live in the memory of this room
//! and nowhere else. Before a value is used the vault looks whether the database has another one, at most every few
//! seconds, so that a rotation needs no restart and reaches every host; what is changed through this vault it knows at
//! once.
//!
//! Deliberately absent: a way to read a value out.

mod exchange;
mod port;
mod ring;
mod seal;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use tokio::time::Instant;
use wharf_domain::fault::Fault;
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::SecretSlot;
use wharf_domain::secret::SecretAt;
use wharf_domain::time::Timestamp;
use wharf_store::{Db, StoreError, secrets};

use crate::fault;
use crate::tape::actor;

use ring::Ring;
pub(crate) use seal::SealError;
pub(crate) use view::{Held, Value, account};

/// A value's last use is written down no more often than this.
const USED_EVERY: Duration = Duration::from_secs(300);

/// The operator's keys as texts: 32 bytes each, in hexadecimal or base64.
pub struct Keys {
    pub key: SecretString,
    /// The one before it, while tenants' keys are still wrapped with that.
    pub old: Option<SecretString>,
}

/// How the vault goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultConfig {
    /// A change another host made is seen after this time at the latest, in milliseconds.
    pub look_every_ms: u64,
    /// How long a version stays usable after the one that follows it, in milliseconds.
    pub overlap_ms: i64,
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self { look_every_ms: 2_000, overlap_ms: 24 * 3_600_000 }
    }
}

/// Why the vault does not open. Names no key.
#[derive(Debug, Error)]
pub enum VaultError {
    #[error("`vault.{name}` is no key: {why}; give 32 random bytes, e.g. what `openssl rand -base64 32` prints")]
    NoKey { name: &'static str, why: &'static str },
    #[error(
        "`vault.key` is not the key this database was sealed with; put that one back, or give it as `vault.old_key` and run `wharf secret rekey`"
    )]
    OtherKey,
    #[error("the key check of the vault is damaged: {0}")]
    Check(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The vault. Clones share what they have opened.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    db: Db,
    ring: Ring,
    config: VaultConfig,
    wired: Mutex<BTreeMap<SecretAt, Slot>>,
    tenants: Mutex<HashMap<TenantId, Arc<Tenant>>>,
    used: Mutex<HashMap<(SecretAt, i64), Instant>>,
}

/// A slot of a connection that runs here.
#[derive(Clone)]
struct Slot {
    slot: SecretSlot,
    /// The account the configuration's value belongs to; `None` when the configuration has none.
    configured: Option<String>,
}

/// What is known of one tenant.
#[derive(Default)]
struct Tenant {
    look: tokio::sync::Mutex<Look>,
    stale: AtomicBool,
    view: RwLock<Arc<view::View>>,
}

#[derive(Default)]
struct Look {
    at: Option<Instant>,
    revision: Option<i64>,
}

impl Vault {
    /// Opens the vault of a database, and checks that the keys are the ones it was sealed with. In a database without a
    /// vault it makes one.
    ///
    /// # Errors
    /// [`VaultError::OtherKey`] when somebody's secrets would not open.
    pub async fn open(db: Db, keys: &Keys, config: VaultConfig) -> Result<Self, VaultError> {
        let ring = Ring::read(keys)?;
        ring.check(&db).await?;
        Ok(Self(Arc::new(Inner {
            db,
            ring,
            config,
            wired: Mutex::default(),
            tenants: Mutex::default(),
            used: Mutex::default(),
        })))
    }

    /// A slot of a connection that runs here: from now on it takes values. `configured` are those of the configuration.
    pub fn wire(&self, at: SecretAt, slot: &SecretSlot, configured: &BTreeMap<String, SecretString>) {
        let configured = (!configured.is_empty()).then(|| view::account(slot, configured));
        let mut wired = self.0.wired.lock().unwrap_or_else(PoisonError::into_inner);
        wired.insert(at, Slot { slot: slot.clone(), configured });
    }

    /// Slots of this tenant that have a value neither here nor in the configuration.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn missing(&self, tenant: &TenantId) -> Result<Vec<SecretAt>, Fault> {
        self.fresh(tenant).await?;
        let wired = self.0.wired.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let empty = |(at, slot): &(SecretAt, Slot)| {
            at.tenant == *tenant
                && slot.configured.is_none()
                && self.peek(tenant, at.connection.as_str(), &at.slot).is_none()
        };
        Ok(wired.into_iter().filter(empty).map(|(at, _)| at).collect())
    }

    /// Looks whether somebody changed a tenant's secrets, unless it has just looked.
    pub(crate) async fn fresh(&self, tenant: &TenantId) -> Result<(), Fault> {
        let known = self.tenant(tenant);
        let mut look = known.look.lock().await;
        let stale = known.stale.swap(false, Ordering::SeqCst);
        let every = Duration::from_millis(self.0.config.look_every_ms);
        if !stale && look.at.is_some_and(|at| at.elapsed() < every) {
            return Ok(());
        }
        look.at = None;
        let revision = secrets::revision(&self.0.db, tenant).await.map_err(|err| fault::vault(&err))?;
        if look.revision != Some(revision) {
            let sealed = secrets::sealed(&self.0.db, tenant).await.map_err(|err| fault::vault(&err))?;
            let (revision, view) = match sealed {
                Some((key, rows)) => (key.revision, self.0.ring.open_all(tenant, &key, &rows)),
                None => (0, view::View::default()),
            };
            *known.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
            look.revision = Some(revision);
        }
        look.at = Some(Instant::now());
        Ok(())
    }

    /// Like [`Vault::fresh`], and looks in any case.
    pub(crate) async fn look_again(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.tenant(tenant).stale.store(true, Ordering::SeqCst);
        self.fresh(tenant).await
    }

    /// What is held of a slot, as of the last look. `None`: the configuration's value counts.
    pub(crate) fn peek(&self, tenant: &TenantId, connection: &str, slot: &str) -> Option<Held> {
        let known = self.tenant(tenant);
        let view = Arc::clone(&known.view.read().unwrap_or_else(PoisonError::into_inner));
        view.get(connection, slot)
    }

    /// A value the partner has turned down: is there another one to try, once?
    pub(crate) async fn another(&self, at: &SecretAt, refused: i64, now: Timestamp) -> bool {
        if let Err(err) = self.look_again(&at.tenant).await {
            tracing::warn!(tenant = %at.tenant, "failed to look for another value of `{at}`: {err}");
            return false;
        }
        let held = self.peek(&at.tenant, at.connection.as_str(), &at.slot);
        held.is_some_and(|held| held.after(refused, now).is_some())
    }

    /// A version was sent. Written down now and then; failing to is no failure.
    pub(crate) async fn used(&self, at: &SecretAt, version: i64) {
        {
            let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            // What is older says nothing any more; refresh tokens come and go.
            used.retain(|_, last| now.duration_since(*last) < USED_EVERY);
            if used.contains_key(&(at.clone(), version)) {
                return;
            }
            used.insert((at.clone(), version), now);
        }
        let written = async {
            let mut tx = self.0.db.begin().await?;
            secrets::used(&mut tx, &actor(), at, version).await?;
            tx.commit().await
        };
        if let Err(err) = written.await {
            tracing::debug!(tenant = %at.tenant, "failed to write down that `{at}` was used: {err}");
        }
    }

    fn tenant(&self, tenant: &TenantId) -> Arc<Tenant> {
        let mut tenants = self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        match tenants.get(tenant) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(tenants.entry(tenant.clone()).or_default()),
        }
    }
}
