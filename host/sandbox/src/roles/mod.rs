//! The roles an adapter can play. One folder per role, one module per version of it, all implementing the same port.
//!
//! `Connection` is an adapter bound to a tenant: what the rest of the host holds.

pub mod carrier;
mod describe;
mod webhook;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};
use wharf_domain::ctx::{CallCtx, Environment};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::grant::Capabilities;
use wharf_domain::peak::Peak;
use wharf_egress::Grant;

use crate::bindings::exports::wharf::adapter::info;
use crate::bindings::exports::wharf::carrier::{labels, rates, tracking};
use crate::bindings::exports::wharf::webhook::parser;
use crate::bindings::wharf::types::types as wit;
use crate::call::{CallEnv, Entry, Sandbox, Trail};
use crate::guest::CallState;
use crate::highs::Highs;
use crate::install::Adapter;
use crate::services::HostServices;

/// What a connection tells the guest beside the call's own arguments.
#[derive(Debug, Clone)]
pub struct Settings {
    pub environment: Environment,
    /// The partner's origin, without a trailing slash.
    pub endpoint: String,
    /// Values by the manifest's config keys, defaults filled in.
    pub config: Vec<(String, String)>,
    /// What was granted beyond routes. The guest is not told.
    pub capabilities: Arc<Capabilities>,
}

/// An adapter version bound to a tenant and an environment.
#[derive(Clone)]
pub struct Connection {
    sandbox: Arc<Sandbox>,
    adapter: Arc<Adapter>,
    services: Arc<dyn HostServices>,
    grant: Arc<Grant>,
    settings: Settings,
    highs: Arc<Highs>,
}

/// The end of one operation called by name.
#[derive(Debug, Serialize)]
pub struct Invoked {
    pub result: Result<Value, Fault>,
    /// Requests as sent, secrets replaced by their names.
    pub requests: Vec<Value>,
    pub log: Vec<String>,
}

/// Names of the operations `invoke` knows, in the order of the interface files.
pub const OPERATIONS: [&str; 7] = [
    "info.describe",
    "rates.rate",
    "labels.create-shipment",
    "labels.find-by-reference",
    "labels.void",
    "tracking.track",
    "parser.parse",
];

/// Where an adapter's code has what it exports: looked up once, used by every call.
pub(crate) struct Roles {
    info: Option<info::GuestIndices>,
    rates: Option<rates::GuestIndices>,
    labels: Option<labels::GuestIndices>,
    tracking: Option<tracking::GuestIndices>,
    parser: Option<parser::GuestIndices>,
}

impl Roles {
    pub(crate) fn of(pre: &InstancePre<CallState>) -> Self {
        Self {
            info: info::GuestIndices::new(pre).ok(),
            rates: rates::GuestIndices::new(pre).ok(),
            labels: labels::GuestIndices::new(pre).ok(),
            tracking: tracking::GuestIndices::new(pre).ok(),
            parser: parser::GuestIndices::new(pre).ok(),
        }
    }
}

impl Connection {
    pub fn new(
        sandbox: Arc<Sandbox>,
        adapter: Arc<Adapter>,
        services: Arc<dyn HostServices>,
        grant: Arc<Grant>,
        settings: Settings,
    ) -> Self {
        let highs = Arc::new(Highs::new(services.now()));
        Self { sandbox, adapter, services, grant, settings, highs }
    }

    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// The most its calls used since it was made.
    pub fn peak(&self) -> Peak {
        self.highs.peak()
    }

    /// Runs one operation by its `interface.function` name, canonical JSON in and out.
    pub async fn invoke(&self, ctx: &CallCtx, operation: &str, input: Value) -> Invoked {
        let (result, trail) = match operation {
            "info.describe" => describe::describe_json(self, ctx).await,
            "rates.rate" => carrier::v0_1::rate_json(self, ctx, input).await,
            "labels.create-shipment" => carrier::v0_1::create_json(self, ctx, input).await,
            "labels.find-by-reference" => carrier::v0_1::find_json(self, ctx, input).await,
            "labels.void" => carrier::v0_1::void_json(self, ctx, input).await,
            "tracking.track" => carrier::v0_1::track_json(self, ctx, input).await,
            "parser.parse" => webhook::parse_json(self, ctx, input).await,
            other => {
                let message = format!("there is no operation `{other}`; known are {}", OPERATIONS.join(", "));
                (
                    Err(Fault::new(FaultKind::InvalidInput, "sandbox.operation", message, Blame::Operator)),
                    Trail::empty(),
                )
            }
        };
        Invoked {
            result,
            requests: trail.steps.requests.iter().filter_map(|r| serde_json::to_value(r).ok()).collect(),
            log: trail.log,
        }
    }

    /// One of the adapter's roles, or the fault for an adapter that does not have it.
    fn role<T: Clone>(&self, pick: impl FnOnce(&Roles) -> &Option<T>, interface: &str) -> Result<T, Fault> {
        pick(&self.adapter.code().roles).clone().ok_or_else(|| {
            let message = format!("adapter `{}` does not export `{interface}`", self.adapter.name);
            Fault::new(FaultKind::Unsupported, "sandbox.missing-export", message, Blame::Guest)
        })
    }

    async fn enter<R, F>(&self, ctx: &CallCtx, enter: F) -> (Result<R, Fault>, Trail)
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Instance) -> Entry<'a, R> + Send + 'static,
    {
        let (services, grant) = (&self.services, &self.grant);
        let env = CallEnv { services, grant, capabilities: &self.settings.capabilities, ctx };
        let (result, trail) = self.sandbox.call(&self.adapter, env, enter).await;
        if let Some(took) = trail.took {
            self.highs.saw(took);
        }
        (result, trail)
    }

    /// What a call came to. A guest that was sent away to wait cannot make anything else of it, and a rate limit it read
    /// out of an answer holds for the whole account.
    async fn settled<T>(&self, result: Result<T, Fault>, trail: Trail) -> (Result<T, Fault>, Trail) {
        let Err(fault) = result else {
            return (result, trail);
        };
        if let Some(wait) = trail.wait() {
            return (Err(wait.clone()), trail);
        }
        // An answer out of the journal is old news.
        if !trail.steps.requests.is_empty() {
            self.services.heard(&self.grant, &fault).await;
        }
        (Err(fault), trail)
    }

    /// The context record every operation gets.
    fn context(&self, ctx: &CallCtx) -> wit::CallContext {
        let idempotency_key = match (&ctx.business, &ctx.job) {
            (Some(business), _) => business.key.clone(),
            (None, Some(job)) => job.to_string(),
            (None, None) => "offline".to_owned(),
        };
        wit::CallContext {
            tenant: ctx.tenant.to_string(),
            connection: self.grant.connection.clone(),
            environment: match self.settings.environment {
                Environment::Test => "test".to_owned(),
                Environment::Live => "live".to_owned(),
            },
            endpoint: self.settings.endpoint.clone(),
            config: self.settings.config.clone(),
            idempotency_key,
            attempt: ctx.attempt,
            deadline_ms: u64::try_from(ctx.deadline.millis()).unwrap_or_default(),
        }
    }
}

/// Code of the fault for input that never reached the adapter.
pub const INPUT: &str = "sandbox.input";

/// Parses an operation's input; a failure names the field.
fn input<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let message = format!("the input does not fit at `{path}`: {}", e.inner());
        Fault::new(FaultKind::InvalidInput, INPUT, message, Blame::Operator).with_field(
            &path,
            "type",
            e.inner().to_string(),
        )
    })
}

/// A canonical result as JSON.
fn output<T: Serialize>(value: &T) -> Result<Value, Fault> {
    serde_json::to_value(value)
        .map_err(|e| Fault::new(FaultKind::DataOutOfContract, "sandbox.output", e.to_string(), Blame::Host))
}
