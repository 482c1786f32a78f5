//! An adapter file run without a server: bound to nobody, its partner a recording, a simulator or nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use wharf_domain::ctx::{CallCtx, Environment};
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::{ConfigSchema, Manifest};
use wharf_domain::time::Clock;
use wharf_egress::{Egress, EgressConfig, Grant, Live, Origin, Replay, Wire};
use wharf_sandbox::roles::{Connection, Invoked, Settings};
use wharf_sandbox::{Adapter, HostServices, Limits, Sandbox, SandboxConfig};

use super::{Failure, wrong_use};
use crate::bind::{self, Absent};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::wire;

/// An adapter file that is loaded and bound to nobody.
pub(super) struct Program {
    sandbox: Arc<Sandbox>,
    pub(super) adapter: Arc<Adapter>,
}

impl Program {
    pub(super) async fn load(file: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(file)
            .with_context(|| format!("cannot read the adapter `{}`", file.display()))
            .map_err(wrong_use)?;
        let sandbox = Sandbox::new(SandboxConfig {
            limits: Limits::default(),
            cache_dir: None,
            threads: 1,
            compiler: Some(wire::compiler()?),
        })?;
        let adapter = sandbox.load(bytes).await;
        let adapter = adapter.with_context(|| format!("`{}` cannot be used as an adapter", file.display()))?;
        Ok(Self { sandbox: Arc::new(sandbox), adapter: Arc::new(adapter) })
    }

    /// Runs one operation once.
    pub(super) async fn invoke(
        &self,
        bound: Bound,
        services: Arc<dyn HostServices>,
        operation: &str,
        input: Value,
    ) -> Invoked {
        let ctx = CallCtx {
            tenant: bound.grant.tenant.clone(),
            job: None,
            fence: 0,
            attempt: 1,
            flow: None,
            business: None,
            deadline: services.now().plus(60_000),
            urgent: false,
            promised: None,
        };
        let (sandbox, adapter) = (Arc::clone(&self.sandbox), Arc::clone(&self.adapter));
        let connection = Connection::new(sandbox, adapter, services, Arc::new(bound.grant), bound.settings);
        connection.invoke(&ctx, operation, input).await
    }
}

/// What stands in for a partner and an operator.
pub(super) struct Offline {
    pub(super) replay: Option<PathBuf>,
    pub(super) http: Option<String>,
    pub(super) config: Option<PathBuf>,
    /// A request also takes a recorded one of the same route.
    pub(super) alike: bool,
}

impl Offline {
    /// The door, to a fresh recording, to `http`, or to nowhere.
    pub(super) fn egress(&self, manifest: &Manifest) -> Result<(Egress, Arc<dyn Clock>), Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let limits = EgressConfig::default();
        let transport: Arc<dyn Wire> = match &self.replay {
            Some(path) => {
                let replay = Replay::from_file(path)
                    .with_context(|| format!("`{}` is no recording", path.display()))
                    .map_err(wrong_use)?;
                let routes = if self.alike { manifest.routes.as_slice() } else { &[] };
                Arc::new(replay.alike(routes))
            }
            None if self.http.is_some() => Arc::new(Live::new(&limits)?),
            None => Arc::new(Replay::empty()),
        };
        Ok((Egress::new(None, Arc::clone(&clock), limits, transport), clock))
    }

    /// A grant as far as there can be one without an operator.
    pub(super) fn bind(&self, manifest: &Manifest) -> Result<Bound> {
        if let Some(http) = &self.http {
            config::origin(http).context("`--http`")?;
        }
        let given = match &self.config {
            Some(path) => Given::read(path, manifest)?,
            None => Given::default(),
        };
        if let Some(bound) = given.connection {
            if self.http.is_some() && bound.settings.environment == Environment::Live {
                bail!("the connection is `live`: its credentials are not sent to `--http`; use a `test` connection");
            }
            return Ok(override_origin(bound, self.http.as_deref()));
        }
        let config = offline(&manifest.config, &given.keys)?;
        let endpoint = manifest
            .endpoints
            .iter()
            .find(|e| e.environment == Environment::Test)
            .or_else(|| manifest.endpoints.first())
            .map(|e| e.origin.clone())
            .unwrap_or_default();
        let tenant = TenantId::parse("offline")?;
        let grant = Grant {
            tenant,
            connection: "offline".to_owned(),
            adapter_digest: None,
            origins: vec![Origin { url: endpoint.clone(), allow_private: false, authority: None }],
            routes: manifest.routes.clone(),
            secrets: bind::unbound_secrets(manifest),
            config: config.clone(),
            limits: wharf_egress::Limits::default(),
            terms: None,
        };
        let settings = Settings {
            environment: Environment::Test,
            endpoint,
            config: config.into_iter().collect(),
            capabilities: Arc::default(),
        };
        Ok(override_origin(Bound { grant, settings }, self.http.as_deref()))
    }
}

/// A grant and settings for an offline call.
pub(super) struct Bound {
    pub(super) grant: Grant,
    pub(super) settings: Settings,
}

/// The settings without a connection. A missing account number is no reason to stop: a placeholder shows where it would
/// stand.
fn offline(schema: &ConfigSchema, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let nothing_required = ConfigSchema { required: BTreeSet::new(), ..schema.clone() };
    let mut config = nothing_required.settle(given).map_err(|rule| anyhow!("{rule}"))?;
    for name in schema.required.iter().filter(|name| !config.contains_key(*name)).cloned().collect::<Vec<_>>() {
        let placeholder = format!("{{{{config:{name}}}}}");
        config.insert(name, placeholder);
    }
    Ok(config)
}

fn override_origin(mut bound: Bound, http: Option<&str>) -> Bound {
    if let Some(origin) = http {
        let origin = origin.trim_end_matches('/').to_owned();
        bound.grant.origins = vec![Origin { url: origin.clone(), allow_private: true, authority: None }];
        bound.settings.endpoint = origin;
    }
    bound
}

/// What `--config` gave.
#[derive(Default)]
struct Given {
    keys: BTreeMap<String, String>,
    connection: Option<Bound>,
}

impl Given {
    fn read(path: &Path, manifest: &Manifest) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let table: toml::Table = match serde_json::from_str::<toml::Table>(&text) {
            Ok(table) => table,
            Err(_) => {
                toml::from_str(&text).with_context(|| format!("`{}` is neither JSON nor TOML", path.display()))?
            }
        };
        if table.contains_key("server") {
            return Self::from_host_config(path, manifest);
        }
        let keys =
            config::texts(table).map_err(|rule| anyhow!("{rule}")).with_context(|| path.display().to_string())?;
        Ok(Self { keys, connection: None })
    }

    fn from_host_config(path: &Path, manifest: &Manifest) -> Result<Self> {
        let config = Config::read(path)?;
        let bound = config
            .tenants
            .iter()
            .flat_map(|tenant| tenant.connections.iter().map(move |connection| (tenant, connection)))
            .find(|(_, connection)| connection.adapter == manifest.name);
        if let Some((tenant, connection)) = bound {
            let (grant, settings) = bind::connection(&config, tenant, connection, (manifest, None), Absent::Refuse)?;
            return Ok(Self { keys: BTreeMap::new(), connection: Some(Bound { grant, settings }) });
        }
        bail!("`{}` has no connection of the adapter `{}`", path.display(), manifest.name)
    }
}
