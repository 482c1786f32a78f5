//! `wharf:http`: one request, one response, through the one door out. Granted route by route; the host adds the
//! credentials, keeps the effect ledger and decides what leaves. This file only translates and counts.

use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_egress::Request;

use crate::bindings::wharf::http::outgoing;
use crate::bindings::wharf::types::types as wit;
use crate::caps::fault_to_wit;
use crate::guest::CallState;

impl outgoing::Host for CallState {
    async fn send(&mut self, request: outgoing::Request) -> wasmtime::Result<Result<outgoing::Response, wit::Fault>> {
        self.enter_host()?;
        let request = match translate(request) {
            Ok(request) => request,
            Err(fault) => return Ok(Err(fault_to_wit(fault))),
        };
        let answer = self.http(request).await;
        Ok(answer
            .map(|r| outgoing::Response { status: r.status, headers: r.headers, body: r.body.to_vec() })
            .map_err(fault_to_wit))
    }
}

fn translate(request: outgoing::Request) -> Result<Request, Fault> {
    let mut timeout_ms = None;
    for (name, value) in &request.options {
        match (name.as_str(), value.parse::<u64>()) {
            ("timeout-ms", Ok(ms)) => timeout_ms = Some(ms),
            _ => {
                let message = format!("option `{name}` = `{value}` is not known; there is `timeout-ms` with a number");
                return Err(Fault::new(FaultKind::InvalidInput, "http.option", message, Blame::Guest));
            }
        }
    }
    Ok(Request {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.map(Into::into),
        timeout_ms,
    })
}
