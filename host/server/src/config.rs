//! `wharf.toml`: who the tenants are and what they are connected to. Unknown keys are errors that name the key; secrets
//! are references to files or environment variables, never values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use secrecy::SecretString;
use serde::Deserialize;
use wharf_domain::account::Tighter;
use wharf_domain::ctx::Environment;
use wharf_domain::grant::OdooGiven;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::money::Money;
use wharf_domain::schedule::Schedule;
use wharf_flows::order_release::Policy;
use wharf_flows::retention::Keep;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    #[serde(default)]
    pub(crate) retention: Retention,
    /// Absent: SQLite in `data_dir`, for one host.
    pub(crate) database: Option<Database>,
    #[serde(default)]
    pub(crate) effects: Effects,
    /// Absent: secrets come from this file's references alone.
    pub(crate) vault: Option<Vault>,
    #[serde(default, rename = "tenant")]
    pub(crate) tenants: Vec<Tenant>,
    /// The folder of the file: relative paths start here.
    #[serde(skip)]
    base: PathBuf,
}

/// The host itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Address of the API; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub(crate) listen: SocketAddr,
    /// Origins the world reaches the API under, e.g. `https://wharf.example.com`; no adapter may call them. The same at
    /// every host of one database.
    #[serde(default)]
    pub(crate) advertised: Vec<String>,
    /// What the host is called in leases and in the audit; unique among the hosts of one database. Absent: `host-1` with
    /// SQLite, a name for each start with PostgreSQL.
    pub(crate) name: Option<String>,
    /// SQLite's file, compiled adapters and the lock file live here. One host's own.
    pub(crate) data_dir: PathBuf,
    /// Where `<adapter>.wasm` files are.
    pub(crate) adapters_dir: PathBuf,
    /// Bearer token of the admin API.
    pub(crate) admin_token: SecretRef,
    /// Jobs worked on at once.
    #[serde(default = "default_workers")]
    pub(crate) workers: usize,
    /// How long a job is leased before another worker may take it over, in seconds.
    #[serde(default = "default_lease")]
    pub(crate) lease_seconds: u32,
    /// First retry after about this many milliseconds; doubles up to fifteen minutes.
    #[serde(default = "default_backoff")]
    pub(crate) retry_base_ms: u64,
    /// Two lookups that find nothing must lie at least this far apart, in seconds, before a label is bought again.
    #[serde(default = "default_settle")]
    pub(crate) settle_seconds: u32,
    /// Lets a debugger attach to the host, and lets it leave a core file when it dies. Both show every secret it has in
    /// memory.
    #[serde(default)]
    pub(crate) debuggable: bool,
}

/// A PostgreSQL database, which several hosts may share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    /// `postgres://user:password@host:port/name`; a secret, since the password is in it.
    pub(crate) url: SecretRef,
    /// Connections of this host at once, beside three for hints and its name.
    #[serde(default = "default_connections")]
    pub(crate) connections: u32,
}

fn default_connections() -> u32 {
    16
}
fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}
fn default_workers() -> usize {
    32
}
fn default_lease() -> u32 {
    90
}
fn default_backoff() -> u64 {
    1_000
}
fn default_settle() -> u32 {
    10
}

/// For how many days what is over is kept, and when the rest is removed. Nothing an open order or an unsettled effect
/// refers to is ever removed, and effects and the audit never are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// Finished jobs of an order, with their attempts.
    pub(crate) jobs_days: u32,
    /// Finished jobs of no order, such as the pulls that found nothing.
    pub(crate) done_quick_days: u32,
    /// Recorded exchanges with partners.
    pub(crate) tapes_days: u32,
    /// Facts that arrived; one told again after this counts as new.
    pub(crate) events_days: u32,
    /// Ticks of schedules; a clock set back further may fire them again.
    pub(crate) ticks_days: u32,
    /// When it works. It stops when a window closes.
    pub(crate) schedule: Schedule,
}

impl Default for Retention {
    fn default() -> Self {
        let keep = Keep::default();
        Self {
            jobs_days: keep.jobs_days,
            done_quick_days: keep.done_quick_days,
            tapes_days: keep.tapes_days,
            events_days: keep.events_days,
            ticks_days: keep.ticks_days,
            schedule: Schedule::hourly(),
        }
    }
}

impl Retention {
    pub(crate) fn keep(&self) -> Keep {
        Keep {
            jobs_days: self.jobs_days,
            done_quick_days: self.done_quick_days,
            tapes_days: self.tapes_days,
            events_days: self.events_days,
            ticks_days: self.ticks_days,
        }
    }
}

/// What people may decide about outside changes nobody knows the outcome of.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Effects {
    /// Something worth more than this, e.g. `500.00 EUR`, in another currency or of unknown worth, is sent a second time
    /// only when two people say so. Absent: one is enough.
    pub(crate) four_eyes_above: Option<String>,
}

impl Effects {
    pub(crate) fn limit(&self) -> Result<Option<Money>> {
        let Some(text) = &self.four_eyes_above else {
            return Ok(None);
        };
        let (amount, currency) = text.split_once(' ').unwrap_or((text, ""));
        let limit = Money::parse(amount, currency.trim());
        limit.map(Some).with_context(|| format!("`effects.four_eyes_above` is `{text}`; write it like `500.00 EUR`"))
    }
}

/// Where people hand secrets in: sealed in the database, changed without a restart.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vault {
    /// 32 random bytes in hexadecimal or base64, the same on every host of a database. Without it nothing sealed opens.
    pub(crate) key: SecretRef,
    /// The key before it, until `wharf secret rekey` is through. Every host gets both before that is run.
    pub(crate) old_key: Option<SecretRef>,
    /// How long a version stays usable after the one that follows it, in hours; 0 to 720.
    #[serde(default = "default_overlap")]
    pub(crate) overlap_hours: u32,
}

fn default_overlap() -> u32 {
    24
}

/// A client of the 3PL, or a company.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) name: String,
    pub(crate) odoo: Option<Odoo>,
    #[serde(default, rename = "connection")]
    pub(crate) connections: Vec<Connection>,
    /// Absent: order release is switched off for this tenant.
    pub(crate) order_release: Option<Policy>,
    /// How much of the workers it gets when all tenants want some.
    #[serde(default)]
    pub(crate) share: Share,
}

/// A tenant's part of the workers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// Twice the weight, twice the jobs per turn; 1 to 100.
    #[serde(default = "default_weight")]
    pub(crate) weight: u32,
    /// No more of its jobs run at once, over all hosts. Absent: no limit of its own.
    pub(crate) max_running: Option<u32>,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: default_weight(), max_running: None }
    }
}

fn default_weight() -> u32 {
    1
}

/// The tenant's Odoo.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Odoo {
    /// `https://host[:port]`.
    pub(crate) url: String,
    pub(crate) database: String,
    /// Key of the bot user `wharf odoo setup` makes.
    pub(crate) api_key: SecretRef,
    /// Last part of the wake-up URL Odoo posts to.
    pub(crate) webhook_token: SecretRef,
    #[serde(default)]
    pub(crate) events: Events,
    #[serde(default = "default_poll")]
    pub(crate) poll_seconds: u32,
    /// Record id of the company this tenant is; absent means every company of the bot user. Two tenants in one database
    /// need different ones.
    pub(crate) company: Option<i64>,
    /// Odoo on a loopback or private address, or without TLS.
    #[serde(default)]
    pub(crate) allow_private_address: bool,
}

fn default_poll() -> u32 {
    15
}

/// How changes in Odoo are noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Events {
    /// Rows written in Odoo's own transaction by the rules `wharf odoo setup` makes.
    #[default]
    Outbox,
    /// Reading what changed lately.
    Poll,
}

/// An adapter bound to the tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// File name without `.wasm` in `adapters_dir`.
    pub(crate) adapter: String,
    pub(crate) environment: Environment,
    /// Another origin than the manifest's, for tests; refused in `live`.
    pub(crate) endpoint: Option<String>,
    #[serde(default)]
    pub(crate) allow_private_address: bool,
    /// Authorities in PEM: the partner's certificate must come from one of them, and those of the web do not count.
    pub(crate) ca_file: Option<PathBuf>,
    /// What the adapter may do with the tenant's Odoo, a model at a time. Absent: nothing.
    pub(crate) odoo: Option<OdooGiven>,
    /// What this account may do less than the adapter says; never more.
    #[serde(default)]
    pub(crate) limits: Tighter,
    /// Settings by the adapter's schema: texts, numbers and flags.
    #[serde(default, deserialize_with = "read_texts")]
    pub(crate) config: BTreeMap<String, String>,
    /// Drop folder of the manifest → where it is. On this machine; no other connection's.
    #[serde(default)]
    pub(crate) folders: BTreeMap<String, PathBuf>,
    /// Slot of the manifest → field → where the value is.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, SecretRef>>,
}

/// Where a secret is. Never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum SecretRef {
    /// Path of a file with one line; the line's end is not part of the value.
    File(PathBuf),
    /// Name of an environment variable.
    Env(String),
}

impl Config {
    /// Reads and checks the file. Secrets are not read yet.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut config: Self =
            parse(&text).with_context(|| format!("`{}` is not a valid configuration", path.display()))?;
        config.base = path.parent().map(Path::to_owned).unwrap_or_default();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let server = &self.server;
        for (name, value, least) in [
            ("settle_seconds", u64::from(server.settle_seconds), 1),
            ("lease_seconds", u64::from(server.lease_seconds), 10),
            ("workers", server.workers as u64, 1),
            ("retry_base_ms", server.retry_base_ms, 1),
        ] {
            if value < least {
                bail!("`server.{name}` is {value}; use at least {least}");
            }
        }
        if let Err(wrong) = self.retention.keep().check() {
            bail!("`retention`: {wrong}");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if let Some(name) = &server.name
            && !((1..=60).contains(&name.len()) && name.chars().all(plain))
        {
            bail!("`server.name` is `{name}`; use 1 to 60 letters, digits, `-`, `.` or `_`");
        }
        for own in &server.advertised {
            origin(own).with_context(|| format!("`server.advertised` names `{own}`"))?;
        }
        if let Some(database) = &self.database
            && !(2..=1_000).contains(&database.connections)
        {
            bail!("`database.connections` is {}; use 2 to 1000", database.connections);
        }
        self.effects.limit()?;
        if let Some(vault) = &self.vault
            && vault.overlap_hours > 720
        {
            bail!("`vault.overlap_hours` is {}; use 0 to 720", vault.overlap_hours);
        }
        let mut tenants = std::collections::BTreeSet::new();
        for tenant in &self.tenants {
            if tenant.id == TenantId::host() {
                bail!("tenant `{}` has the name of the host's own work; call it otherwise", tenant.id);
            }
            if !(1..=100).contains(&tenant.share.weight) {
                bail!("`tenant.share.weight` of `{}` is {}; use 1 to 100", tenant.id, tenant.share.weight);
            }
            if tenant.share.max_running == Some(0) {
                bail!("`tenant.share.max_running` of `{}` is 0; leave it out for no limit", tenant.id);
            }
            if !tenants.insert(&tenant.id) {
                bail!("tenant `{}` is there twice", tenant.id);
            }
            if let Some(odoo) = &tenant.odoo {
                origin(&odoo.url).with_context(|| format!("`odoo.url` of tenant `{}`", tenant.id))?;
                if !(1..=86_400).contains(&odoo.poll_seconds) {
                    let (id, seconds) = (&tenant.id, odoo.poll_seconds);
                    bail!("`odoo.poll_seconds` of tenant `{id}` is {seconds}; use 1 to 86400");
                }
            }
            let mut connections = std::collections::BTreeSet::new();
            for c in &tenant.connections {
                if !connections.insert(&c.id) {
                    bail!("connection `{}` of tenant `{}` is there twice", c.id, tenant.id);
                }
                if let Some(endpoint) = &c.endpoint {
                    origin(endpoint).with_context(|| format!("`endpoint` of connection `{}`", c.id))?;
                }
                if c.environment == Environment::Live && (c.endpoint.is_some() || c.allow_private_address) {
                    bail!(
                        "connection `{}` of tenant `{}` is `live`: `endpoint` and `allow_private_address` are for `test` only",
                        c.id,
                        tenant.id
                    );
                }
            }
            if let Some(policy) = &tenant.order_release {
                policy.check().with_context(|| format!("`order_release` of tenant `{}`", tenant.id))?;
                for id in &policy.carriers {
                    if !connections.contains(id) {
                        bail!(
                            "`order_release.carriers` of tenant `{}` names `{id}`, which is no connection of it",
                            tenant.id
                        );
                    }
                }
                if tenant.odoo.is_none() {
                    bail!("tenant `{}` has `order_release` but no `odoo`", tenant.id);
                }
            }
        }
        Ok(())
    }

    /// A path of the file, relative to the file's folder.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// The secret's value. The error names the place, never the value.
    pub(crate) fn secret(&self, reference: &SecretRef) -> Result<SecretString> {
        match reference {
            SecretRef::File(path) => {
                let path = self.path(path);
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read the secret file `{}`", path.display()))?;
                let value = text.trim_end_matches(['\r', '\n']);
                if value.trim().is_empty() || value.contains(char::is_control) || value.trim() != value {
                    bail!("the secret file `{}` must hold one line of text without blanks around it", path.display());
                }
                Ok(SecretString::from(value.to_owned()))
            }
            SecretRef::Env(name) => {
                let value = environment(name)
                    .with_context(|| format!("the environment variable `{name}` that holds a secret is not set"))?;
                Ok(SecretString::from(value))
            }
        }
    }
}

/// `http://` or `https://`, a host, perhaps a port, nothing else.
pub(crate) fn origin(text: &str) -> Result<()> {
    let url = url::Url::parse(text).ok();
    let fits = url.is_some_and(|u| {
        matches!(u.scheme(), "http" | "https")
            && u.has_host()
            && u.path() == "/"
            && u.query().is_none()
            && u.fragment().is_none()
    });
    if !fits {
        bail!("`{text}` is not an address of the form `https://host[:port]`");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// TOML with the path of what is wrong, e.g. `tenant[0].odoo`.
fn read_texts<'de, D: serde::Deserializer<'de>>(table: D) -> Result<BTreeMap<String, String>, D::Error> {
    texts(toml::Table::deserialize(table)?).map_err(serde::de::Error::custom)
}

/// Settings as an adapter gets them: as text. What is no single value is refused by its name.
pub(crate) fn texts(table: toml::Table) -> Result<BTreeMap<String, String>, String> {
    let text = |(name, value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Integer(number) => Ok((name, number.to_string())),
        toml::Value::Float(number) => Ok((name, number.to_string())),
        toml::Value::Boolean(flag) => Ok((name, flag.to_string())),
        _ => Err(format!("`{name}` must be a text, a number or a boolean")),
    };
    table.into_iter().map(text).collect()
}

fn parse(text: &str) -> Result<Config> {
    Ok(toml::from_str(text)?)
}

#[cfg(test)]
mod tests;
