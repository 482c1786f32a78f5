//! The wire: one request out, one complete answer back, and the proof whether a byte of it may have left.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use thiserror::Error;
use tokio::time::Instant;
use url::Host;

use crate::address::{AddressError, AddressRule};
use crate::authority::Authority;
use crate::identity::Identity;

/// Something that can carry a request. It repeats nothing, follows nothing and must set `sent` before the first byte
/// of the request can reach the network, so that an unset mark proves that nothing was sent.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Dropping the future closes the connection. The whole exchange is timed by the caller.
    async fn exchange(&self, target: &Target, request: WireRequest, sent: &SentMark)
    -> Result<WireResponse, WireError>;

    /// True when no partner is behind it: then secrets go by name only and no token is fetched.
    fn offline(&self) -> bool {
        false
    }
}

/// Where to, and under which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub host: Host<String>,
    pub port: u16,
    pub tls: bool,
    pub address: AddressRule,
    pub caps: Caps,
    /// Shown when the partner asks for a certificate.
    pub identity: Option<Identity>,
    /// Who has to vouch for the partner; absent: who vouches for the web.
    pub authority: Option<Authority>,
}

/// Limits of an answer, enforced while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub body_bytes: usize,
    pub headers: usize,
    pub head_bytes: usize,
}

/// A request ready to leave: headers complete, framing included.
#[derive(Debug, Clone)]
pub struct WireRequest {
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// With `host` and `content-length`. Values of credentials are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// A complete answer within the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// True from the moment a byte of the request may reach the kernel.
#[derive(Debug, Clone, Default)]
pub struct SentMark {
    sent: Arc<AtomicBool>,
    until: Option<Instant>,
}

impl SentMark {
    /// No byte may leave from this moment on: others may act by then. A timer alone does not see to that, because a
    /// process that stood still may come to its socket before it comes to its timers.
    pub fn until(moment: Instant) -> Self {
        Self { until: Some(moment), ..Self::default() }
    }
    pub fn set(&self) {
        self.sent.store(true, Ordering::SeqCst);
    }
    pub fn is_set(&self) -> bool {
        self.sent.load(Ordering::SeqCst)
    }
    pub(crate) fn is_too_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// The steps of an exchange that have a time of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Dns,
    Connect,
    Tls,
    /// Until status line and headers of the answer are there.
    FirstByte,
    /// The body came slower than the least rate.
    Rate,
}

impl Phase {
    /// The last part of the fault's code.
    fn rule(self) -> &'static str {
        match self {
            Self::Dns => "timeout-dns",
            Self::Connect => "timeout-connect",
            Self::Tls => "timeout-tls",
            Self::FirstByte => "timeout-first-byte",
            Self::Rate => "timeout-rate",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "name resolution",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::FirstByte => "waiting for the head of the answer",
            Self::Rate => "the next part of the answer, at the least rate,",
        })
    }
}

/// Why there is no complete answer.
#[derive(Debug, Error)]
pub enum WireError {
    #[error("cannot resolve `{host}`: {detail}")]
    Dns { host: String, detail: String },
    #[error("`{host}` may not be dialled: {source}")]
    Address { host: String, source: AddressError },
    #[error("cannot connect to `{host}`: {detail}")]
    Connect { host: String, detail: String },
    #[error("the connection to `{host}` does not end at the checked address")]
    Peer { host: String },
    #[error("no trusted connection to `{host}`: {detail}")]
    Tls { host: String, detail: String },
    #[error("the connection broke: {detail}")]
    Broken { detail: String },
    #[error("the answer is not HTTP: {detail}")]
    Protocol { detail: String },
    #[error("the answer's {part} is over {limit}")]
    TooLarge { part: &'static str, limit: usize },
    #[error("the answer comes in an encoding that was not asked for: {detail}")]
    Encoding { detail: String },
    #[error("no complete answer within {millis} ms")]
    Timeout { millis: u64 },
    /// One step took too long, before the time of the whole was over.
    #[error("{phase} took longer than {millis} ms")]
    Slow { phase: Phase, millis: u64 },
    #[error("no recorded exchange for `{request}`; left are {left}")]
    NoRecording { request: String, left: String },
}

impl WireError {
    /// The last part of the fault's code.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Dns { .. } => "dns",
            Self::Address { source, .. } => source.rule(),
            Self::Connect { .. } => "connect",
            Self::Peer { .. } => "peer",
            Self::Tls { .. } => "tls",
            Self::Broken { .. } => "reset",
            Self::Protocol { .. } => "protocol",
            Self::TooLarge { part: "head", .. } => "response-headers",
            Self::TooLarge { .. } => "response-too-large",
            Self::Encoding { .. } => "response-encoding",
            Self::Timeout { .. } => "timeout",
            Self::Slow { phase, .. } => phase.rule(),
            Self::NoRecording { .. } => "no-recording",
        }
    }
}
