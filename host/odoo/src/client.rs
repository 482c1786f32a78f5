//! One Odoo behind the door: the grant, and a call of a model's method.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;
use wharf_domain::account;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::manifest::{Route, SecretSlot};
use wharf_domain::port::records::{Asker, Used};
use wharf_egress::{BoundSecret, Egress, Grant, Limits, Origin, Request, Response, Steps, Terms};

use crate::fault::repeatable;
use crate::{OdooConfig, json2, routes};

/// Odoo takes 128 MiB; a label is far smaller.
const MAX_REQUEST: usize = 48 << 20;
const MAX_RESPONSE: usize = 48 << 20;
/// Twice what a call of an adapter may be given: names of records, which are not handed on, are in it.
const MAX_ADAPTER_RESPONSE: usize = 2 * crate::gate::page::MAX_BYTES;
/// A grant counts requests per operation.
const MAX_REQUESTS: u32 = 200;

/// A key or a session, bound to one database and one table of routes.
pub(crate) struct Client {
    egress: Egress,
    grant: Grant,
    origin: String,
    database: String,
    company: Option<i64>,
}

/// The calls of one operation: they share the step count, so a repeated operation finds its settled steps.
pub(crate) struct Operation<'a> {
    client: &'a Client,
    ctx: &'a CallCtx,
    steps: Steps,
}

impl Client {
    pub(crate) fn new(egress: Egress, config: &OdooConfig, routes: Vec<Route>) -> Self {
        Self::with(egress, config, routes, BTreeMap::from([crate::key_slot(config)]))
    }

    /// A client for the web session routes; without a cookie it can only authenticate.
    pub(crate) fn session(egress: Egress, config: &OdooConfig, cookie: Option<SecretString>) -> Self {
        let slot = SecretSlot::Header { header: "cookie".to_owned(), format: "session_id={value}".to_owned() };
        let name = cookie.is_some().then_some(routes::COOKIE_SLOT);
        let secrets = cookie
            .map(|value| {
                let values = BTreeMap::from([("value".to_owned(), value)]);
                (routes::COOKIE_SLOT.to_owned(), BoundSecret { slot, values })
            })
            .into_iter()
            .collect();
        Self::with(egress, config, routes::session(name), secrets)
    }

    fn with(egress: Egress, config: &OdooConfig, routes: Vec<Route>, secrets: BTreeMap<String, BoundSecret>) -> Self {
        let origin = config.url.trim_end_matches('/').to_owned();
        let grant = Grant {
            tenant: config.tenant.clone(),
            connection: crate::CONNECTION.to_owned(),
            adapter_digest: None,
            origins: vec![Origin { url: origin.clone(), allow_private: config.allow_private_address, authority: None }],
            routes,
            secrets,
            config: BTreeMap::new(),
            terms: Some(terms(&origin)),
            limits: Limits {
                max_requests: MAX_REQUESTS,
                max_request_bytes: MAX_REQUEST,
                max_response_bytes: MAX_RESPONSE,
            },
        };
        Self { egress, grant, origin, database: config.database.clone(), company: config.company }
    }

    /// For an adapter: its own name in the ledger, and no route but those of its grant. The gate writes the company into
    /// the context.
    pub(crate) fn adapter(egress: Egress, config: &OdooConfig, asker: &Asker) -> Self {
        let mut client = Self::new(egress, config, routes::adapter(&asker.access));
        client.grant.connection = asker.connection.to_string();
        client.grant.adapter_digest.clone_from(&asker.adapter);
        client.grant.limits.max_response_bytes = MAX_ADAPTER_RESPONSE;
        client.company = None;
        client
    }

    /// Goes on where the call of an adapter has come to.
    pub(crate) fn resumed<'a>(&'a self, ctx: &'a CallCtx, used: &Used) -> Operation<'a> {
        Operation { client: self, ctx, steps: Steps::after(used.requests, used.mutating) }
    }

    pub(crate) fn operation<'a>(&'a self, ctx: &'a CallCtx) -> Operation<'a> {
        Operation { client: self, ctx, steps: Steps::default() }
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

/// Odoo names no rate and none was met, so nothing is limited but what is under way at once: it has few workers, and
/// calls beyond them only wait there. The breaker is what the account is for. An Odoo that works answers 500 to a busy
/// record and to a misspelt field: those say nothing about its health.
fn terms(origin: &str) -> Terms {
    Terms { account: origin.to_owned(), limits: account::Limits::default(), healthy: vec![500] }
}

impl Operation<'_> {
    /// Calls `model.method` with named arguments, in the tenant's company. Gives the bare return value.
    pub(crate) async fn call(&mut self, model: &str, method: &str, args: Value) -> Result<Value, Fault> {
        let client = self.client;
        let args = json2::in_company(args, client.company);
        let request = json2::request(&client.origin, &client.database, model, method, &args);
        let response = self.send(request).await?;
        let answer = json2::answer(&format!("{model}.{method}"), &client.database, &response);
        if let Err(fault) = &answer {
            client.egress.heard(&client.grant, fault).await;
        }
        answer
    }

    /// What the operation has used is written where the next one begins.
    pub(crate) fn settle(&self, used: &mut Used) {
        (used.requests, used.mutating) = self.steps.counts();
        used.risked |= self.steps.risked() > 0;
        if let Some(wait) = self.steps.wait() {
            used.wait = Some(wait.clone());
        }
    }

    /// Requests of this operation that really left; answers out of the journal are not counted.
    pub(crate) fn sent(&self) -> usize {
        self.steps.requests.len()
    }

    /// Sends a request of another shape.
    pub(crate) async fn send(&mut self, request: Request) -> Result<Response, Fault> {
        let client = self.client;
        client.egress.send(&client.grant, self.ctx, &mut self.steps, request).await.map_err(repeatable)
    }
}
