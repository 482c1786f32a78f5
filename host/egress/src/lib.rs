//! The only door out. Every byte that leaves the host for a partner or an ERP goes through [`Egress::send`].
//!
//! A caller hands in what it was granted, for whom it asks, and a request; it gets the complete answer of any status
//! or a fault that says whether the outside may have changed. The door checks the route, adds the credential, checks
//! and pins the address, writes the effect down before the first byte and settles it after the last one. It follows no
//! redirect, repeats nothing by itself (but once after an expired token), reads no proxy variable and keeps no
//! connection. It asks the connection's account at the partner first, and says when to come back where that is not
//! now. Deliberately absent: retries, which belong to the queue.

mod account;
mod account_ref;
mod address;
mod authority;
mod crash_point;
mod decode;
mod echo;
mod exchange;
mod fault;
#[cfg(test)]
mod fuzz;
mod gzip;
mod identity;
mod inject;
mod jwt;
mod key;
pub mod ledger;
mod live;
mod oauth;
mod own;
mod policy;
mod proof;
mod redact;
mod replay;
mod resolve;
mod scan;
mod send;
mod sign;
mod tape;
mod vault;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::ids::{Digest, TenantId};
use wharf_domain::manifest::{Route, SecretSlot};
use wharf_domain::time::{Clock, Timestamp};
use wharf_store::Db;

pub use account::Terms;
pub use address::{AddressError, AddressRule, Class, classify};
pub use authority::Authority;
pub use identity::Identity;
pub use ledger::Ledger;
pub use live::Live;
pub use own::Own;
pub use replay::{Replay, ReplayError};
pub use resolve::{Resolve, SystemNames};
pub use vault::{Keys, Vault, VaultConfig, VaultError};
pub use wire::Wire;

/// The host's own limits for every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressConfig {
    /// Name resolution, in milliseconds.
    pub dns_timeout_ms: u64,
    /// Connecting and the TLS handshake, each, in milliseconds.
    pub connect_timeout_ms: u64,
    /// From the first byte of the request to the end of the answer's head, in milliseconds.
    pub first_byte_timeout_ms: u64,
    /// After this long a body must have come at `min_rate` on average, in milliseconds.
    pub rate_grace_ms: u64,
    /// The least rate of a body, in bytes per second; at least 1.
    pub min_rate: u64,
    /// From the first step of a request to the last byte of its answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// Of a body, decoded; as much may arrive encoded.
    pub max_response_bytes: usize,
    pub max_response_headers: usize,
    /// Status line and headers together.
    pub max_response_head_bytes: usize,
    /// How far apart two lookups that found nothing must be before the partner's silence counts as absence.
    pub settle_delay_ms: i64,
    /// A longer body is left out of the tape; its size is kept.
    pub max_tape_body_bytes: usize,
    /// Where this host itself answers: no request may go there.
    pub own: Own,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            dns_timeout_ms: 3_000,
            connect_timeout_ms: 5_000,
            first_byte_timeout_ms: 30_000,
            rate_grace_ms: 10_000,
            min_rate: 1_000,
            request_timeout_ms: 60_000,
            max_response_bytes: 8 << 20,
            max_response_headers: 100,
            max_response_head_bytes: 64 << 10,
            settle_delay_ms: 2_000,
            max_tape_body_bytes: 1 << 20,
            own: Own::default(),
        }
    }
}

/// What one connection may do outside. Made from the manifest and the operator's configuration.
pub struct Grant {
    pub tenant: TenantId,
    /// The connection's id, or `odoo`.
    pub connection: String,
    /// The adapter that asks; absent for the host's own speakers.
    pub adapter_digest: Option<Digest>,
    pub origins: Vec<Origin>,
    pub routes: Vec<Route>,
    /// By slot name. What the vault holds of a slot counts before the values here. A slot without either can only be used
    /// without a database or a network: there names stand in for values and no token is fetched.
    pub secrets: BTreeMap<String, BoundSecret>,
    pub config: BTreeMap<String, String>,
    pub limits: Limits,
    /// The account at the partner: rate limits, breaker, calls at once. Absent: nobody is asked. Counts only with a
    /// database and a network.
    pub terms: Option<Terms>,
}

/// Scheme, host and port a connection may talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `https://host` or `https://host:port`. Plain http is possible; a secret travels over it to private addresses
    /// only.
    pub url: String,
    /// Permits loopback, private and carrier-grade NAT addresses.
    pub allow_private: bool,
    /// Who vouches for it in place of the authorities browsers trust.
    pub authority: Option<Authority>,
}

/// A secret slot of the manifest with its values by field: `value` for a header, `username` and `password` for basic,
/// `client_id` and `client_secret` for OAuth 2. It has no `Debug`: values are never printed.
pub struct BoundSecret {
    pub slot: SecretSlot,
    pub values: BTreeMap<String, SecretString>,
}

/// Limits of one call of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests per [`Steps`].
    pub max_requests: u32,
    pub max_request_bytes: usize,
    /// The smaller of this and the host's own limit counts.
    pub max_response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_requests: 50, max_request_bytes: 8 << 20, max_response_bytes: 8 << 20 }
    }
}

/// A request as the caller wants it. The host adds framing, credentials and its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Absolute.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
    /// Shorter than the host's own limit; a longer one is cut to it.
    pub timeout_ms: Option<u64>,
}

/// A complete answer of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Lower-case names. A value that is not UTF-8 has its wrong bytes replaced.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// The requests of one adapter call or one ERP operation, counted. Make a fresh one for each call: the count names the
/// steps, so a repeated call finds the answers of the first one.
#[derive(Debug, Default)]
pub struct Steps {
    total: u32,
    mutating: u32,
    /// Requests on routes that change something, sent or answered from the journal.
    risked: u32,
    /// Milliseconds requests have waited for their turn, and the fault of the last one that was sent away instead.
    stood_ms: i64,
    wait: Option<Fault>,
    /// What was put on the wire, in order, credentials by name. Answers from the journal and token exchanges are not
    /// in it.
    pub requests: Vec<SentRequest>,
}

impl Steps {
    /// Steps that go on after others of the same call, which had so many requests, and so many that change something.
    pub fn after(requests: u32, mutating: u32) -> Self {
        Self { total: requests, mutating, ..Self::default() }
    }

    /// Requests so far, and those on routes that change something: what [`Steps::after`] takes.
    pub fn counts(&self) -> (u32, u32) {
        (self.total, self.mutating)
    }

    /// Requests so far that may have changed something outside.
    pub fn risked(&self) -> u32 {
        self.risked
    }

    /// Set when a request was not sent because it has to wait: why, and until when.
    pub fn wait(&self) -> Option<&Fault> {
        self.wait.as_ref()
    }
}

/// One request as it was sent, with names in place of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// The body when it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// The door. Clones share token cache and wire.
#[derive(Clone)]
pub struct Egress {
    room: Arc<Room>,
}

/// What every request needs, shared.
struct Room {
    db: Option<Db>,
    ledger: Option<Ledger>,
    clock: Arc<dyn Clock>,
    config: EgressConfig,
    wire: Arc<dyn Wire>,
    tokens: oauth::Tokens,
    calm: account::Calm,
    vault: Option<Vault>,
    echoes: echo::Echoes,
    scans: scan::Scans,
}

impl Room {
    /// The time deadlines go by: with a database the one all of its hosts agree on, since others judge by it whether a
    /// request may still be under way.
    fn now(&self) -> Timestamp {
        self.db.as_ref().map_or_else(|| self.clock.now(), Db::now)
    }
}

impl Egress {
    /// A door over `wire`. Without a database nothing is journaled or taped, so nothing protects from sending twice:
    /// that is for offline calls.
    pub fn new(db: Option<Db>, clock: Arc<dyn Clock>, config: EgressConfig, wire: Arc<dyn Wire>) -> Self {
        Self::with_vault(db, clock, config, wire, None)
    }

    /// Like [`Egress::new`]. What the vault holds is sent instead of what a grant holds.
    pub fn with_vault(
        db: Option<Db>,
        clock: Arc<dyn Clock>,
        config: EgressConfig,
        wire: Arc<dyn Wire>,
        vault: Option<Vault>,
    ) -> Self {
        let ledger = db.clone().map(|db| Ledger::new(db, config.settle_delay_ms).knowing(vault.clone()));
        let (tokens, calm) = (oauth::Tokens::default(), account::Calm::default());
        let (echoes, scans) = (echo::Echoes::default(), scan::Scans::default());
        Self { room: Arc::new(Room { db, ledger, clock, config, wire, tokens, calm, vault, echoes, scans }) }
    }

    /// Sends one request and waits for the whole answer.
    ///
    /// Every status is a response; a fault means that there is none, and its `effect` tells whether a byte may have
    /// left. A mutating step that was settled before is answered from the journal and nothing is sent. One that has to
    /// wait for its account stays an intent.
    ///
    /// # Errors
    /// Codes start with `egress.`. Before the first byte: effect `none`, and `Later` where waiting helps; `Wait` when
    /// the account at the partner is to be asked again. After it: on
    /// a mutating route `outcome-unknown` with effect `maybe`; its retry is `Later` on a `natural` route, whose repeat
    /// is harmless, and `Reconcile` otherwise. On a `read` route `transient` with effect `none`.
    pub async fn send(
        &self,
        grant: &Grant,
        ctx: &CallCtx,
        steps: &mut Steps,
        request: Request,
    ) -> Result<Response, Fault> {
        // Boxed: the future holds a whole TLS handshake, and callers hold it in theirs.
        Box::pin(send::send(&self.room, grant, ctx, steps, request)).await
    }

    /// Tells the account at the partner of a fault that the caller has read out of an answer that looked well, e.g. a
    /// rate limit inside a 200. A rate limit, and any time the partner named, holds for every caller.
    pub async fn heard(&self, grant: &Grant, fault: &Fault) {
        self.room.heard(grant, fault).await;
    }

    /// The effect ledger; `None` without a database.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.room.ledger.as_ref()
    }
}

impl Steps {
    /// Counts a request; refuses the one over the limit.
    fn count(&mut self, limit: u32) -> Result<(), Fault> {
        if self.total >= limit {
            return Err(fault::too_many_requests(limit));
        }
        self.total += 1;
        Ok(())
    }

    /// The key of the next mutating step, e.g. `1:POST /v1/shipments`.
    fn mutating_step(&mut self, name: &str) -> String {
        self.mutating += 1;
        format!("{}:{name}", self.mutating)
    }
}
