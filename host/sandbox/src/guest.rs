//! What a store holds during one call, and what a guest has used up so far.

use std::sync::Arc;

use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind};
use wharf_egress::{Grant, Request, Response, Steps};

use crate::call::CallEnv;
use crate::limits::{Limiter, Limits};
use crate::services::{HostServices, HttpAsk, KvScope};

/// Which budget ended the call. Recorded by us: the error text that comes back through wasm proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Cpu,
    HostCalls,
    HttpRequests,
}

/// One call's state. Never reused: it dies with its store.
pub(crate) struct CallState {
    pub(crate) services: Arc<dyn HostServices>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) ctx: CallCtx,
    pub(crate) steps: Steps,
    pub(crate) limiter: Limiter,
    pub(crate) exceeded: Option<Exceeded>,
    pub(crate) cpu_ticks: u64,
    pub(crate) log: GuestLog,
    kv_bytes: u64,
    /// A request is on the wire: if the guest ends now, nobody has seen the answer.
    in_flight: bool,
    limits: Arc<Limits>,
    host_calls: u32,
    http_requests: u32,
}

impl CallState {
    pub(crate) fn new(env: CallEnv, kv_bytes: u64, limits: Arc<Limits>) -> Self {
        Self {
            services: env.services,
            grant: env.grant,
            ctx: env.ctx,
            kv_bytes,
            in_flight: false,
            steps: Steps::default(),
            limiter: Limiter::new(&limits),
            exceeded: None,
            cpu_ticks: 0,
            log: GuestLog { left: limits.log_bytes, ..GuestLog::default() },
            limits,
            host_calls: 0,
            http_requests: 0,
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

    /// Counts an HTTP request.
    pub(crate) fn enter_http(&mut self) -> wasmtime::Result<()> {
        self.http_requests += 1;
        if self.http_requests > self.limits.http_requests {
            self.exceeded = Some(Exceeded::HttpRequests);
            return Err(wasmtime::Error::msg("http request budget used up"));
        }
        Ok(())
    }

    /// Sends through the host. The steps travel with the request and come back with the answer.
    pub(crate) async fn http(&mut self, request: Request) -> Result<Response, Fault> {
        let ask = HttpAsk {
            grant: Arc::clone(&self.grant),
            ctx: self.ctx.clone(),
            steps: std::mem::take(&mut self.steps),
            request,
        };
        let services = Arc::clone(&self.services);
        self.in_flight = true;
        let (answer, steps) = services.http(ask).await;
        self.in_flight = false;
        self.steps = steps;
        answer
    }

    /// What this call may have changed outside so far.
    pub(crate) fn effect_so_far(&self) -> EffectCertainty {
        if self.in_flight || self.steps.risked() > 0 { EffectCertainty::Maybe } else { EffectCertainty::None }
    }

    pub(crate) fn kv_scope(&self) -> KvScope {
        KvScope { tenant: self.ctx.tenant.clone(), connection: self.grant.connection.clone(), quota: self.kv_bytes }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Lines a guest wrote, bounded.
#[derive(Debug, Default)]
pub(crate) struct GuestLog {
    pub(crate) lines: Vec<String>,
    pub(crate) dropped: u32,
    left: usize,
}

impl GuestLog {
    /// Keeps the line without control characters, or counts it when the budget is used up.
    pub(crate) fn push(&mut self, level: &str, message: &str) -> Option<&str> {
        let clean: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if clean.len() > self.left {
            self.dropped += 1;
            return None;
        }
        self.left -= clean.len();
        self.lines.push(format!("{level}: {clean}"));
        self.lines.last().map(String::as_str)
    }
}

/// The fault for a call that has no permission to run at all.
pub(crate) fn missing_ability(adapter: &str, interface: &str) -> Fault {
    Fault::new(
        FaultKind::Unsupported,
        "sandbox.missing-export",
        format!("adapter `{adapter}` does not export `{interface}`"),
        Blame::Guest,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_forge_log_lines_or_flood_them() {
        let mut log = GuestLog { left: 12, ..GuestLog::default() };
        assert_eq!(log.push("info", "a\n\x1b[31mb"), Some("info: a  [31mb"));
        assert_eq!(log.push("info", "0123456789"), None);
        assert_eq!(log.dropped, 1);
    }
}
