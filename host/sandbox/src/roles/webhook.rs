//! `wharf:webhook/parser`: what a partner posted, as canonical events. Pure for the guest: it runs without any request
//! having been granted.

use serde::Deserialize;
use serde_json::Value;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::tracking::WebhookEvent;

use super::carrier::v0_1::convert;
use super::{Connection, input, output};
use crate::bindings::exports::wharf::webhook::parser;
use crate::call::Trail;

/// A verified request: the body as text, and what the host proved before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParseInput {
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: String,
    verifier: String,
    #[serde(default)]
    received_ms: u64,
}

pub(crate) async fn parse_json(connection: &Connection, ctx: &CallCtx, value: Value) -> (Result<Value, Fault>, Trail) {
    let given: ParseInput = match input(value) {
        Ok(given) => given,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let indices = match connection.role(|roles| &roles.parser, "wharf:webhook/parser") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let request = parser::RawRequest { headers: given.headers, body: given.body.into_bytes() };
    let facts = parser::VerifiedFacts { verifier: given.verifier, received_ms: given.received_ms };
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let guest = indices.load(&mut *store, instance)?;
                guest.call_parse(&mut *store, &request, &facts).await
            })
        })
        .await;
    let events = result.and_then(|r| r.map_err(convert::fault)).and_then(|events| {
        let events: Vec<WebhookEvent> = events.into_iter().map(event).collect();
        output(&events)
    });
    (events, trail)
}

fn event(e: parser::Event) -> WebhookEvent {
    WebhookEvent {
        id: e.id,
        kind: e.kind,
        trackers: e.trackers.into_iter().map(convert::tracker).collect(),
        extensions: e.extensions,
    }
}
