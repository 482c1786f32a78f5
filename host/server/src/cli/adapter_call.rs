//! `wharf adapter call`: one operation of one adapter file, without a server, a database or Odoo.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use wharf_domain::ctx::{CallCtx, Environment};
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::{ConfigSchema, Manifest};
use wharf_domain::time::Clock;
use wharf_egress::{Egress, EgressConfig, Grant, Live, Origin, Replay, Wire};
use wharf_sandbox::roles::{Connection, INPUT, Invoked, OPERATIONS, Settings};
use wharf_sandbox::{Adapter, Limits, LocalServices, Sandbox, SandboxConfig};

use super::{FAULT, Failure, Outcome, WRONG_USE, say, wrong_use};
use crate::bind::{self, Absent};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The adapter file
    file: PathBuf,
    /// The operation as `interface.function`, e.g. `tracking.track`
    operation: String,
    /// The operation's input as JSON; `-` is standard input; absent takes the adapter's own example
    #[arg(long)]
    input: Option<PathBuf>,
    /// Settings: a JSON or TOML file of the adapter's own keys, or a `wharf.toml` with a connection of this adapter
    #[arg(long)]
    config: Option<PathBuf>,
    /// Answers requests from a recording instead of the network
    #[arg(long, conflicts_with = "http")]
    replay: Option<PathBuf>,
    /// Sends requests to this origin, e.g. a simulator on loopback
    #[arg(long)]
    http: Option<String>,
    /// One line of JSON instead of indented JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
A recording is {\"exchanges\":[{\"request\":{\"method\",\"uri\",\"headers\",\"body\"},\"response\":{\"status\",\"headers\",\"body\"}}]};
requests are matched by method and path, in order; without --input a request also takes a recorded one of the same
route of the manifest, and of several examples the first one the recording answers is taken. A JSON file without `exchanges` is taken as the body of one 200 answer.
Without --replay and --http every request is refused.

Exit codes: 0 the operation succeeded, 3 it answered with a fault, 2 wrong use, 1 anything else.";

pub(crate) async fn run(args: Args) -> Outcome {
    let bytes = std::fs::read(&args.file)
        .with_context(|| format!("cannot read the adapter `{}`", args.file.display()))
        .map_err(wrong_use)?;
    if !OPERATIONS.contains(&args.operation.as_str()) {
        let known = OPERATIONS.join(", ");
        return Err(wrong_use(anyhow::anyhow!("there is no operation `{}`; known are {known}", args.operation)));
    }
    let sandbox = Sandbox::new(SandboxConfig {
        limits: Limits::default(),
        cache_dir: None,
        threads: 1,
        compiler: Some(wire::compiler()?),
    })?;
    let adapter =
        sandbox.load(bytes).await.with_context(|| format!("`{}` cannot be used as an adapter", args.file.display()))?;
    let inputs = inputs(&args, &adapter.manifest).map_err(wrong_use)?;
    let (sandbox, adapter) = (Arc::new(sandbox), Arc::new(adapter));
    let mut invoked = None;
    for input in inputs {
        let done = attempt(&args, &sandbox, &adapter, input).await?;
        let missed = matches!(&done.result, Err(fault) if fault.code == "egress.no-recording");
        // The first example the recording answers; when it answers none, the first one says what is missing.
        if !missed || invoked.is_none() {
            invoked = Some(done);
        }
        if !missed {
            break;
        }
    }
    let invoked = invoked.ok_or_else(|| wrong_use(anyhow::anyhow!("`{}` needs --input", args.operation)))?;
    let (mut answer, code) = match invoked.result {
        Ok(value) => (json!({ "ok": value }), 0),
        Err(fault) => {
            let retryable = fault.retryable();
            let mut fault = serde_json::to_value(&fault)?;
            fault["retryable"] = Value::Bool(retryable);
            // What does not fit never reached the adapter: that is the caller's mistake.
            let code = if fault["code"] == INPUT { WRONG_USE } else { FAULT };
            (json!({ "fault": fault }), code)
        }
    };
    answer["requests"] = Value::Array(invoked.requests);
    if !invoked.log.is_empty() {
        answer["log"] = json!(invoked.log);
    }
    say(if args.json { answer.to_string() } else { serde_json::to_string_pretty(&answer)? })?;
    Ok(code)
}

/// Runs the operation once, from a fresh recording.
async fn attempt(
    args: &Args,
    sandbox: &Arc<Sandbox>,
    adapter: &Arc<Adapter>,
    input: Value,
) -> Result<Invoked, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bound = bind(args, &adapter.manifest).map_err(wrong_use)?;
    let limits = EgressConfig::default();
    let transport: Arc<dyn Wire> = match &args.replay {
        Some(path) => {
            let replay = Replay::from_file(path)
                .with_context(|| format!("`{}` is no recording", path.display()))
                .map_err(wrong_use)?;
            // The adapter's own example cannot know the recorded numbers.
            let routes = if args.input.is_none() { adapter.manifest.routes.as_slice() } else { &[] };
            Arc::new(replay.alike(routes))
        }
        None if args.http.is_some() => Arc::new(Live::new(&limits)?),
        None => Arc::new(Replay::empty()),
    };
    let egress = Egress::new(None, Arc::clone(&clock), limits, transport);
    let services = Arc::new(LocalServices::offline(egress, Arc::clone(&clock)));
    let ctx = CallCtx {
        tenant: bound.grant.tenant.clone(),
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline: clock.now().plus(60_000),
        urgent: false,
        promised: None,
    };
    let (sandbox, adapter) = (Arc::clone(sandbox), Arc::clone(adapter));
    let connection = Connection::new(sandbox, adapter, services, Arc::new(bound.grant), bound.settings);
    Ok(connection.invoke(&ctx, &args.operation, input).await)
}

/// The given input; without one every example of the operation, `name` before `name/variant`.
fn inputs(args: &Args, manifest: &Manifest) -> Result<Vec<Value>> {
    let text = match &args.input {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read the input `{}`", path.display()))?
        }
        None => return examples(args, manifest),
    };
    let place = args.input.as_ref().map_or_else(String::new, |p| p.display().to_string());
    let value = serde_json::from_str(&text).with_context(|| format!("the input `{place}` is not JSON"))?;
    Ok(vec![value])
}

fn examples(args: &Args, manifest: &Manifest) -> Result<Vec<Value>> {
    let of_it = |name: &String| name.split('/').next() == Some(args.operation.as_str());
    let texts: Vec<&str> = manifest.examples.iter().filter(|(name, _)| of_it(name)).map(|(_, t)| t.as_str()).collect();
    if texts.is_empty() && args.operation == "info.describe" {
        return Ok(vec![json!({})]);
    }
    if texts.is_empty() {
        bail!("`{}` needs --input: the adapter carries no example for it", args.operation);
    }
    texts.into_iter().map(|text| serde_json::from_str(text).context("the adapter's example is not JSON")).collect()
}

/// A grant and settings for an offline call.
struct Bound {
    grant: Grant,
    settings: Settings,
}

fn bind(args: &Args, manifest: &Manifest) -> Result<Bound> {
    if let Some(http) = &args.http {
        config::origin(http).context("`--http`")?;
    }
    let given = match &args.config {
        Some(path) => Given::read(path, manifest)?,
        None => Given::default(),
    };
    if let Some(bound) = given.connection {
        if args.http.is_some() && bound.settings.environment == Environment::Live {
            bail!("the connection is `live`: its credentials are not sent to `--http`; use a `test` connection");
        }
        return Ok(override_origin(bound, args.http.as_deref()));
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
    Ok(override_origin(Bound { grant, settings }, args.http.as_deref()))
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
