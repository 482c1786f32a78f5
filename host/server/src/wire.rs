//! Joining the rooms: configuration in, a running set of ports out. The only place that knows every crate.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use secrecy::{ExposeSecret, SecretString};
use wharf_api::{TenantAccess, Token};
use wharf_domain::ids::{Digest, TenantId};
use wharf_domain::time::Clock;
use wharf_egress::{Egress, EgressConfig, Keys, Live, Own, Vault, VaultConfig};
use wharf_odoo::{EventSource, OdooConfig};
use wharf_sandbox::compile::{CompileLimits, Compiler};
use wharf_sandbox::{Adapter, Limits, Sandbox, SandboxConfig};
use wharf_store::{Db, secrets};

use crate::clock::{self, RandomIds, SystemClock};
use crate::config::{self, Config, Events, Odoo, Tenant};
use crate::steady::SteadyClock;

mod connections;
mod wired;

pub(crate) use connections::Connections;
pub(crate) use wired::Wired;

/// Where the database is.
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres { url: SecretString, connections: u32 },
}

/// As an operator knows it; never the password.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "the database `{}`", path.display()),
            Self::Postgres { .. } => f.write_str("the database of `database.url`"),
        }
    }
}

pub(crate) fn place(config: &Config) -> Result<Place> {
    Ok(match &config.database {
        None => Place::Sqlite(config.path(&config.server.data_dir).join("wharf.db")),
        Some(database) => Place::Postgres {
            url: config.secret(&database.url).context("`database.url`")?,
            connections: database.connections,
        },
    })
}

/// Opens the database of the configuration.
pub(crate) async fn open_db(config: &Config) -> Result<Db> {
    let (place, clock) = (place(config)?, Arc::new(SteadyClock::start()));
    let opened = match &place {
        Place::Sqlite(path) => Db::open(path, clock.clone(), Arc::new(RandomIds)).await,
        Place::Postgres { url, connections } => {
            Db::open_postgres(url.expose_secret(), *connections, clock.clone(), Arc::new(RandomIds)).await
        }
    };
    let db = opened.with_context(|| format!("failed to open {place}"))?;
    // A server's own clock counts; a file's time is ours to keep.
    if matches!(place, Place::Sqlite(_))
        && db.check_schema().await.is_ok()
        && let Some(newest) = db.newest().await?
    {
        clock.not_before(newest);
    }
    Ok(db)
}

/// The name of this host's worker. A name of a start is nobody else's.
pub(crate) fn worker_name(config: &Config) -> String {
    match (&config.server.name, &config.database) {
        (Some(name), _) => name.clone(),
        (None, None) => "host-1".to_owned(),
        (None, Some(_)) => format!("host-{:08x}", clock::seed() >> 32),
    }
}

/// Keeps a second host out of the folder for as long as the file is open. Hosts that share a database share no folder:
/// each trusts the compiled adapters in its own.
pub(crate) fn hold_data_dir(config: &Config) -> Result<File> {
    let folder = config.path(&config.server.data_dir);
    let path = folder.join("host.lock");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("`server.data_dir` `{}` is in use by another host; give each host its own", folder.display())
        }
        Err(TryLockError::Error(err)) => Err(err).with_context(|| format!("cannot lock `{}`", path.display())),
    }
}

/// The vault of the configuration, opened. A database with sealed secrets and no key for them stops the start: work would
/// fail one by one.
pub(crate) async fn vault(config: &Config, db: &Db) -> Result<Option<Vault>> {
    let Some(settings) = &config.vault else {
        if secrets::any(db).await? {
            bail!("the database holds sealed secrets and `[vault]` is missing; add `[vault] key = …` with their key");
        }
        return Ok(None);
    };
    let key = config.secret(&settings.key).context("`vault.key`")?;
    let old = settings.old_key.as_ref().map(|old| config.secret(old).context("`vault.old_key`")).transpose()?;
    let overlap_ms = i64::from(settings.overlap_hours) * 3_600_000;
    let how = VaultConfig { overlap_ms, ..VaultConfig::default() };
    let opened = Vault::open(db.clone(), &Keys { key, old }, how).await;
    Ok(Some(opened.context("the vault does not open")?))
}

/// Where the host itself answers, and the mark its requests carry. Hosts with the same advertised origins know each
/// other's.
pub(crate) fn own(config: &Config, listen: SocketAddr) -> Own {
    let mut advertised = config.server.advertised.clone();
    advertised.sort();
    let name = if advertised.is_empty() { clock::seed().to_string() } else { advertised.join(" ") };
    let mark = format!("wharf-{:.16}", Digest::of(name.as_bytes()).hex());
    Own { listen: vec![listen], advertised, mark: Some(mark) }
}

/// The door out, over the network.
pub(crate) fn egress(config: &Config, db: Option<Db>, vault: Option<Vault>, own: Own) -> Result<Egress> {
    let settle_delay_ms = i64::from(config.server.settle_seconds) * 1_000;
    let settings = EgressConfig { settle_delay_ms, own, ..EgressConfig::default() };
    let live = Live::new(&settings).context("failed to start TLS")?;
    // Deadlines come from leases, so they go by the same clock.
    let clock: Arc<dyn Clock> = match &db {
        Some(db) => Arc::new(db.clone()),
        None => Arc::new(SystemClock),
    };
    Ok(Egress::with_vault(db, clock, settings, Arc::new(live), vault))
}

/// How to speak to a tenant's Odoo.
pub(crate) fn odoo(config: &Config, tenant: &Tenant, odoo: &Odoo) -> Result<OdooConfig> {
    let api_key = config.secret(&odoo.api_key).with_context(|| format!("`odoo.api_key` of tenant `{}`", tenant.id))?;
    Ok(OdooConfig {
        tenant: tenant.id.clone(),
        url: odoo.url.trim_end_matches('/').to_owned(),
        database: odoo.database.clone(),
        api_key,
        allow_private_address: odoo.allow_private_address,
        company: odoo.company,
        events: match odoo.events {
            Events::Outbox => EventSource::Outbox,
            Events::Poll => EventSource::POLL,
        },
    })
}

/// The sandbox with its cache of compiled adapters.
pub(crate) fn sandbox(config: &Config) -> Result<Arc<Sandbox>> {
    let cache_dir = config.path(&config.server.data_dir).join("compiled");
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let limits = Limits::default();
    let config = SandboxConfig { limits, cache_dir: Some(cache_dir), threads, compiler: Some(compiler()?) };
    Ok(Arc::new(Sandbox::new(config).context("failed to start the sandbox")?))
}

/// This program, as the one that compiles.
pub(crate) fn compiler() -> Result<Compiler> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let args = vec![COMPILE_ADAPTER.to_owned()];
    Ok(Compiler { program, args, limits: CompileLimits::default() })
}

/// The hidden command behind [`compiler`].
const COMPILE_ADAPTER: &str = "compile-adapter";

/// Reads an adapter file of the configuration's folder, and loads it.
pub(crate) async fn load_adapter(config: &Config, sandbox: &Sandbox, name: &str) -> Result<(Adapter, Vec<u8>)> {
    let path = config.path(&config.server.adapters_dir).join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path).with_context(|| {
        format!(
            "cannot read the adapter `{}`; build it with `wharf adapter build` or mend `adapters_dir`",
            path.display()
        )
    })?;
    let adapter = sandbox.load(bytes.clone()).await;
    Ok((adapter.with_context(|| format!("the adapter `{}` cannot be used", path.display()))?, bytes))
}

/// Who may call the API.
pub(crate) fn access(config: &Config) -> Result<BTreeMap<TenantId, TenantAccess>> {
    let mut out = BTreeMap::new();
    for tenant in &config.tenants {
        let webhook_token = match &tenant.odoo {
            Some(odoo) => {
                let token = config
                    .secret(&odoo.webhook_token)
                    .with_context(|| format!("`odoo.webhook_token` of tenant `{}`", tenant.id))?;
                Some(Token::new(token.expose_secret()))
            }
            None => None,
        };
        out.insert(tenant.id.clone(), TenantAccess { webhook_token });
    }
    Ok(out)
}

/// Tenants whose Odoo is asked for news, with the seconds between two times.
pub(crate) fn polls(config: &Config) -> Vec<(TenantId, u32)> {
    let wanted = |t: &&config::Tenant| t.order_release.is_some();
    config
        .tenants
        .iter()
        .filter(wanted)
        .filter_map(|t| t.odoo.as_ref().map(|o| (t.id.clone(), o.poll_seconds)))
        .collect()
}
