//! The connections of this host: each bound to what somebody stands for, and bound anew when a person decides.
//!
//! Every host looks every few seconds at what was decided anywhere, so all hosts of a database go on under the same
//! versions, and none needs a restart for it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wharf_domain::ids::{ConnectionId, Digest, TenantId};
use wharf_domain::peak::Peak;
use wharf_domain::port::carrier::Carrier;
use wharf_domain::port::peaks::Peaks;
use wharf_domain::secret::SecretAt;
use wharf_egress::{Grant, Vault};
use wharf_sandbox::roles::{Connection as Bound, Settings};
use wharf_sandbox::surface::Surface;
use wharf_sandbox::{Adapter, LocalServices, Sandbox};
use wharf_store::Db;
use wharf_store::grants::{self as records, GrantAt, GrantRow};

use super::{load_adapter, sandbox};
use crate::bind::{self, Absent};
use crate::config::{Config, Connection, Tenant};
use crate::grants::{self, Asked, Kept, Open, Verdict, Withheld};

/// Between two looks at what was decided.
const LOOK: Duration = Duration::from_secs(3);

pub(crate) struct Connections {
    config: Arc<Config>,
    db: Db,
    vault: Option<Vault>,
    sandbox: Arc<Sandbox>,
    services: Arc<LocalServices>,
    kept: Kept,
    /// By name, as they lay in `adapters_dir` at the start.
    files: BTreeMap<String, Arc<Adapter>>,
    bound: Mutex<BTreeMap<GrantAt, Seat>>,
    /// Up to which revision each connection's records were seen.
    seen: Mutex<BTreeMap<GrantAt, i64>>,
}

impl Peaks for Connections {
    fn peak(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<Peak> {
        let at = GrantAt { tenant: tenant.clone(), connection: connection.clone() };
        self.bound().get(&at).and_then(|seat| seat.bound.as_ref()).map(Bound::peak)
    }
}

/// What a connection goes on with.
struct Seat {
    carrier: Arc<dyn Carrier>,
    /// The same; absent while it is held back.
    bound: Option<Bound>,
    /// The adapter's digest, or why there is none, and what waits: what an operator is told when it changes.
    told: (String, Option<Open>),
}

/// An adapter, and what it is bound to.
type Binding = (Arc<Adapter>, (Grant, Settings));

impl Connections {
    /// Loads every adapter of the configuration and binds every connection.
    pub(super) async fn new(
        config: Arc<Config>,
        db: Db,
        vault: Option<Vault>,
        services: Arc<LocalServices>,
    ) -> Result<Self> {
        let sandbox = sandbox(&config)?;
        let kept = Kept::new(config.path(&config.server.data_dir).join("adapters"));
        let mut files: BTreeMap<String, Arc<Adapter>> = BTreeMap::new();
        for connection in config.tenants.iter().flat_map(|tenant| &tenant.connections) {
            if !files.contains_key(&connection.adapter) {
                let (adapter, bytes) = load_adapter(&config, &sandbox, &connection.adapter).await?;
                if let Err(error) = kept.keep(&adapter.digest, &bytes) {
                    tracing::warn!(adapter = %adapter.name, "{error:#}; when its file is replaced, nothing goes on in its place");
                }
                files.insert(connection.adapter.clone(), Arc::new(adapter));
            }
        }
        let connections =
            Self { config, db, vault, sandbox, services, kept, files, bound: Mutex::default(), seen: Mutex::default() };
        connections.start().await?;
        Ok(connections)
    }

    async fn start(&self) -> Result<()> {
        // Before anything is decided: what is decided from now on is noticed by the next look.
        let heads = records::heads(&self.db).await?;
        let mut places = BTreeSet::new();
        for (tenant, connection) in self.configured() {
            let (asked, binding) = self.asked(tenant, connection)?;
            let verdict = grants::settle(&self.db, &asked).await?;
            for folder in &binding.1.1.capabilities.folders {
                if !places.insert(folder.path.clone()) {
                    bail!("`folders.{}` of connection `{}` is another connection's too", folder.name, connection.id);
                }
            }
            self.bind((tenant, connection), verdict, binding).await;
        }
        self.seen().extend(heads.into_iter().map(|head| (head.at, head.revision)));
        self.forget().await
    }

    /// What the connection goes on with now; absent when there is no such connection.
    pub(super) fn carrier(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<Arc<dyn Carrier>> {
        let at = GrantAt { tenant: tenant.clone(), connection: connection.clone() };
        self.bound().get(&at).map(|seat| Arc::clone(&seat.carrier))
    }

    /// Binds anew what somebody decided about, until `stopped`.
    pub(crate) async fn watch(self: Arc<Self>, stopped: impl Future<Output = ()>) {
        tokio::pin!(stopped);
        let mut told = String::new();
        loop {
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let failed = self.look().await.err().map(|error| format!("{error:#}")).unwrap_or_default();
            if !failed.is_empty() && failed != told {
                tracing::warn!("what was decided about grants does not count here yet: {failed}");
            }
            told = failed;
        }
    }

    /// A connection that cannot be looked at is tried again by the next look, and holds back no other one.
    async fn look(&self) -> Result<()> {
        let mut failed = Ok(());
        for head in records::heads(&self.db).await? {
            if self.seen().get(&head.at) == Some(&head.revision) {
                continue;
            }
            match self.renew(&head.at).await {
                Ok(()) => drop(self.seen().insert(head.at, head.revision)),
                Err(error) => failed = failed.and(Err(error.context(format!("connection `{}`", head.at)))),
            }
        }
        failed
    }

    /// Binds a connection by what was decided about it; one that is not of this host is none of its business.
    async fn renew(&self, at: &GrantAt) -> Result<()> {
        let here =
            |(tenant, connection): &(&Tenant, &Connection)| tenant.id == at.tenant && connection.id == at.connection;
        if let Some((tenant, connection)) = self.configured().find(here) {
            let (asked, binding) = self.asked(tenant, connection)?;
            let verdict = grants::settled(&self.db, &asked).await?;
            self.bind((tenant, connection), verdict, binding).await;
        }
        Ok(())
    }

    /// What file and configuration come to for a connection.
    fn asked(&self, tenant: &Tenant, connection: &Connection) -> Result<(Asked, Binding)> {
        let adapter = self.files.get(&connection.adapter).context("an adapter that was not loaded")?;
        let of_it = (&adapter.manifest, Some(adapter.digest.clone()));
        let (grant, settings) = bind::connection(&self.config, tenant, connection, of_it, Absent::of(&self.config))?;
        let at = GrantAt { tenant: tenant.id.clone(), connection: connection.id.clone() };
        let surface = Surface::of(adapter, &grant, &settings);
        let asked = Asked { at, digest: adapter.digest.clone(), surface };
        Ok((asked, (Arc::clone(adapter), (grant, settings))))
    }

    /// Binds a connection to what was asked for or, while that waits, to what was accepted before.
    async fn bind(&self, (tenant, connection): (&Tenant, &Connection), verdict: Verdict, asked: Binding) {
        let at = GrantAt { tenant: tenant.id.clone(), connection: connection.id.clone() };
        // What waits can be handed its secrets before it is accepted.
        self.wire_secrets(&asked.1.0, &at);
        match verdict {
            Verdict::Granted => self.seat(&tenant.name, at, asked, None),
            Verdict::Open { open, accepted: Some(row) } => match self.before(tenant, connection, &at, &row).await {
                Ok(before) => self.seat(&tenant.name, at, before, Some(open)),
                Err(error) => self.withhold(at, &open, &format!("version {}: {error:#}", row.version)),
            },
            Verdict::Open { open, accepted: None } => self.withhold(at, &open, "nothing was accepted before"),
        }
    }

    /// The accepted version of a connection, which need not be the file of today.
    async fn before(&self, tenant: &Tenant, connection: &Connection, at: &GrantAt, row: &GrantRow) -> Result<Binding> {
        let adapter = match self.files.values().find(|adapter| adapter.digest == row.digest) {
            Some(adapter) => Arc::clone(adapter),
            None => Arc::new(self.sandbox.load(self.kept.read(&row.digest)?).await?),
        };
        let accepted = grants::surface(at, row)?;
        let of_it = (&accepted, &adapter.manifest, row.digest.clone());
        let bound = bind::held(&self.config, tenant, connection, of_it, Absent::of(&self.config))?;
        self.wire_secrets(&bound.0, at);
        Ok((adapter, bound))
    }

    fn seat(&self, name: &str, at: GrantAt, (adapter, (grant, settings)): Binding, open: Option<Open>) {
        let told = (adapter.digest.to_string(), open.clone());
        if self.bound().get(&at).is_none_or(|seat| seat.told != told) {
            let GrantAt { tenant, connection } = &at;
            let version = &adapter.version;
            tracing::info!(%tenant, %name, %connection, adapter = %adapter.name, %version, digest = %adapter.digest, "connection bound");
            if let Some(open) = &open {
                tracing::warn!(%tenant, %connection, "{open}; until then adapter {} {version} goes on under what was accepted", adapter.name);
            }
        }
        let (sandbox, services) = (Arc::clone(&self.sandbox), Arc::clone(&self.services));
        let bound = Bound::new(sandbox, adapter, services, Arc::new(grant), settings);
        self.bound().insert(at, Seat { carrier: Arc::new(bound.clone()), bound: Some(bound), told });
    }

    fn withhold(&self, at: GrantAt, open: &Open, reason: &str) {
        let why = format!("connection `{at}` is not served: {open}");
        let told = (why.clone(), Some(open.clone()));
        if self.bound().get(&at).is_none_or(|seat| seat.told != told) {
            tracing::error!(tenant = %at.tenant, connection = %at.connection, "{why}; its jobs wait ({reason})");
        }
        let carrier = Arc::new(Withheld { clock: Arc::new(self.db.clone()), why });
        self.bound().insert(at, Seat { carrier, bound: None, told });
    }

    /// Makes a connection's slots known to the vault, with what the configuration has for them.
    fn wire_secrets(&self, grant: &Grant, at: &GrantAt) {
        let Some(vault) = &self.vault else { return };
        for (slot, bound) in &grant.secrets {
            let at = SecretAt { tenant: at.tenant.clone(), connection: at.connection.clone(), slot: slot.clone() };
            vault.wire(at, &bound.slot, &bound.values);
        }
    }

    /// Lets go of adapter files nobody could ask for any more.
    async fn forget(&self) -> Result<()> {
        let mut wanted: BTreeSet<Digest> = self.files.values().map(|adapter| adapter.digest.clone()).collect();
        for standing in records::all(&self.db).await? {
            wanted.extend([standing.accepted, standing.open].into_iter().flatten().map(|row| row.digest));
        }
        self.kept.forget_others(&wanted);
        Ok(())
    }

    fn configured(&self) -> impl Iterator<Item = (&Tenant, &Connection)> {
        self.config.tenants.iter().flat_map(|tenant| tenant.connections.iter().map(move |c| (tenant, c)))
    }

    fn bound(&self) -> MutexGuard<'_, BTreeMap<GrantAt, Seat>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<GrantAt, i64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
