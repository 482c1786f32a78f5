//! What a store holds during one call, and what a guest has used up so far.

use std::sync::Arc;

use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind};
use wharf_domain::grant::Capabilities;
use wharf_domain::port::records::{Answer, Ask, Used};
use wharf_egress::{Grant, Request, Response, Steps};

use crate::call::CallEnv;
use crate::highs::Took;
use crate::limits::{Limiter, Limits};
use crate::notes::{Note, What};
use crate::place::Place;
use crate::services::{HostServices, HttpAsk, KvScope, RecordsAsk};

/// Which budget ended the call. Recorded by us: the error text that comes back through wasm proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Cpu,
    HostCalls,
}

/// One call's state. Never reused: it dies with its store.
pub(crate) struct CallState {
    pub(crate) services: Arc<dyn HostServices>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) capabilities: Arc<Capabilities>,
    pub(crate) ctx: CallCtx,
    pub(crate) steps: Steps,
    /// What of Odoo was used so far.
    pub(crate) records: Used,
    pub(crate) limiter: Limiter,
    pub(crate) exceeded: Option<Exceeded>,
    pub(crate) cpu_ticks: u64,
    pub(crate) log: GuestLog,
    /// Given up while the host works for the guest.
    pub(crate) place: Place,
    kv_bytes: u64,
    /// A request is on the wire: if the guest ends now, nobody has seen the answer.
    in_flight: bool,
    limits: Arc<Limits>,
    host_calls: u32,
    http_requests: u32,
    bytes_in: u64,
}

impl CallState {
    pub(crate) fn new(env: CallEnv<'_>, kv_bytes: u64, limits: Arc<Limits>, place: Place) -> Self {
        Self {
            services: Arc::clone(env.services),
            grant: Arc::clone(env.grant),
            capabilities: Arc::clone(env.capabilities),
            ctx: env.ctx.clone(),
            kv_bytes,
            place,
            in_flight: false,
            steps: Steps::default(),
            records: Used::default(),
            limiter: Limiter::new(&limits),
            exceeded: None,
            cpu_ticks: 0,
            log: GuestLog { left: limits.log_bytes, lines_left: limits.log_lines, ..GuestLog::default() },
            limits,
            host_calls: 0,
            http_requests: 0,
            bytes_in: 0,
        }
    }

    /// Counts a host call. An error ends the guest.
    pub(crate) fn enter_host(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls {
            self.exceeded = Some(Exceeded::HostCalls);
            return Err(wasmtime::Error::msg("host call budget used up"));
        }
        Ok(())
    }

    /// Counts what a guest hands over. A refusal is an answer the guest sees.
    pub(crate) async fn take_in(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes_in = self.bytes_in.saturating_add(bytes as u64);
        let most = self.limits.bytes_in;
        if self.bytes_in <= most {
            return Ok(());
        }
        let message = format!("this call has handed over more than its {} MiB; do less per call", most >> 20);
        Err(self.limit("bytes-in", message).await)
    }

    /// A limit was reached: noted, and the fault the guest sees.
    async fn limit(&self, name: &str, message: String) -> Fault {
        self.note(What::Limit { name: name.to_owned() }).await;
        Fault::new(FaultKind::Forbidden, format!("limit.{name}"), message, Blame::Guest)
    }

    pub(crate) async fn note(&self, what: What) {
        let note = Note {
            tenant: self.ctx.tenant.clone(),
            connection: self.grant.connection.clone(),
            adapter: self.grant.adapter_digest.as_ref().map(ToString::to_string).unwrap_or_default(),
            what,
        };
        self.place.outside(self.services.note(note)).await;
    }

    /// Sends through the host. The steps travel with the request and come back with the answer.
    pub(crate) async fn http(&mut self, request: Request) -> Result<Response, Fault> {
        self.http_requests += 1;
        let most = self.limits.http_requests;
        if self.http_requests > most {
            let message = format!("this call has made its {most} requests; do less per call");
            return Err(self.limit("http-requests", message).await);
        }
        let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let body = request.body.as_ref().map_or(0, |body| body.len());
        self.take_in(request.url.len() + headers + body).await?;
        let target = host_of(&request.url);
        let ask = HttpAsk {
            grant: Arc::clone(&self.grant),
            ctx: self.ctx.clone(),
            steps: std::mem::take(&mut self.steps),
            request,
        };
        let services = Arc::clone(&self.services);
        self.in_flight = true;
        let (answer, steps) = self.place.outside(services.http(ask)).await;
        self.in_flight = false;
        self.steps = steps;
        if let Err(fault) = &answer
            && fault.kind == FaultKind::Forbidden
            && let Some(rule) = fault.code.strip_prefix("egress.")
        {
            self.note(What::Denied { capability: "http", rule: rule.to_owned(), target }).await;
        }
        answer
    }

    /// Asks the tenant's Odoo through the host. What was used travels as the steps do.
    pub(crate) async fn records(&mut self, ask: Ask) -> Result<Answer, Fault> {
        self.take_in(ask.bytes()).await?;
        self.in_flight = ask.mutates();
        let ask = RecordsAsk {
            grant: Arc::clone(&self.grant),
            capabilities: Arc::clone(&self.capabilities),
            ctx: self.ctx.clone(),
            used: std::mem::take(&mut self.records),
            ask,
        };
        let services = Arc::clone(&self.services);
        let (answer, used) = self.place.outside(services.records(ask)).await;
        self.in_flight = false;
        self.records = used;
        if let Err(fault) = &answer
            && let Some(rule) = fault.code.strip_prefix("odoo.denied-")
        {
            // The model's name may be the guest's own text.
            self.note(What::Denied { capability: "odoo", rule: rule.to_owned(), target: String::new() }).await;
        }
        answer
    }

    /// What this call may have changed outside so far.
    pub(crate) fn effect_so_far(&self) -> EffectCertainty {
        if self.in_flight || self.steps.risked() > 0 || self.records.risked {
            EffectCertainty::Maybe
        } else {
            EffectCertainty::None
        }
    }

    pub(crate) fn kv_scope(&self) -> KvScope {
        KvScope { tenant: self.ctx.tenant.clone(), connection: self.grant.connection.clone(), quota: self.kv_bytes }
    }

    pub(crate) fn took(&self) -> Took {
        Took {
            cpu_ms: self.cpu_ticks,
            memory_bytes: self.limiter.memory_used(&self.limits),
            http_requests: u64::from(self.http_requests),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// The host a URL names, for the audit: a whole URL may hold data.
fn host_of(url: &str) -> String {
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.map_or_else(|| "no host".to_owned(), |host| host.chars().take(253).collect())
}

/// Lines a guest wrote, bounded.
#[derive(Debug, Default)]
pub(crate) struct GuestLog {
    pub(crate) lines: Vec<String>,
    pub(crate) dropped: u32,
    left: usize,
    lines_left: usize,
}

/// A longer line is cut.
const LONGEST_LINE: usize = 1 << 10;

impl GuestLog {
    /// Keeps the line without control characters, or counts it when the budget is used up.
    pub(crate) fn push(&mut self, level: &str, message: &str) -> Option<&str> {
        let clean: String = message.chars().take(LONGEST_LINE).map(|c| if forges(c) { ' ' } else { c }).collect();
        if clean.len() > self.left || self.lines_left == 0 {
            self.dropped += 1;
            return None;
        }
        self.left -= clean.len();
        self.lines_left -= 1;
        self.lines.push(format!("{level}: {clean}"));
        self.lines.last().map(String::as_str)
    }
}

/// A character that could make a line look like another one: control characters, and those that turn the direction.
pub fn forges(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_forge_log_lines_or_flood_them() {
        let mut log = GuestLog { left: 12, lines_left: 3, ..GuestLog::default() };
        assert_eq!(log.push("info", "a\n\x1b[31mb"), Some("info: a  [31mb"));
        assert_eq!(log.push("info", "0123456789"), None);
        assert_eq!(log.dropped, 1);
        assert_eq!(log.push("info", "\u{202e}x"), Some("info:  x"), "nothing is written backwards");
        assert_eq!(log.push("info", "y"), Some("info: y"));
        assert_eq!(log.push("info", "z"), None, "no more lines");
    }
}
