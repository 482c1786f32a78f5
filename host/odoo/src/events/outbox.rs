//! Events out of the outbox: read oldest first, delete when the host has stored them. No cursor, so no event can fall
//! behind one.

use serde_json::{Value, json};
use wharf_domain::fault::{Fault, FaultKind};
use wharf_domain::port::erp::ErpEvent;

use crate::OUTBOX_MODEL;
use crate::client::Operation;
use crate::fault::unexpected;
use crate::models::outbox::{arguments, collapse, parse, rows_of};

pub(crate) async fn pending(calls: &mut Operation<'_>, limit: u32) -> Result<Vec<ErpEvent>, Fault> {
    let answer = calls.call(OUTBOX_MODEL, "search_read", arguments(limit)).await?;
    Ok(collapse(&parse(answer)?))
}

/// One missing row makes Odoo refuse the whole deletion; then the rest is looked up and deleted.
pub(crate) async fn acknowledge(calls: &mut Operation<'_>, events: &[ErpEvent]) -> Result<(), Fault> {
    let ids = rows_of(events);
    if ids.is_empty() {
        return Ok(());
    }
    match calls.call(OUTBOX_MODEL, "unlink", json!({"ids": ids})).await {
        Err(fault) if fault.kind == FaultKind::NotFound => {}
        other => return other.map(drop),
    }
    let answer = calls.call(OUTBOX_MODEL, "search", json!({"domain": [["id", "in", ids]]})).await?;
    let Value::Array(left) = answer else { return Err(unexpected("x_wharf_outbox.search", "it is not a list")) };
    if !left.is_empty() {
        calls.call(OUTBOX_MODEL, "unlink", json!({"ids": left})).await?;
    }
    Ok(())
}
