//! The ERP port over one Odoo.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::TenantId;
use wharf_domain::order::Order;
use wharf_domain::port::erp::{Attachment, Erp, ErpEvent, Note, ShippingUpdate};
use wharf_domain::time::Clock;
use wharf_egress::Egress;

use crate::client::{Client, Operation};
use crate::events::{outbox, poll};
use crate::fault::unexpected;
use crate::models::{attachment, message, sale_order, stock_picking};
use crate::{EventSource, OdooConfig, load, routes};

/// How often one operation repeats a `load` that met a busy row; the queue repeats the operation after that.
const BUSY_TRIES: usize = 3;

/// One tenant's Odoo.
pub struct OdooErp {
    client: Client,
    tenant: TenantId,
    events: Events,
}

enum Events {
    Outbox,
    Poll(Mutex<poll::Cursors>),
}

impl OdooErp {
    /// Sends nothing. The clock gives the start of the first look-back when polling.
    pub fn new(egress: Egress, clock: Arc<dyn Clock>, config: &OdooConfig) -> Self {
        let events = match config.events {
            EventSource::Outbox => Events::Outbox,
            EventSource::Poll { overlap_s, look_back_s } => {
                Events::Poll(Mutex::new(poll::Cursors::new(clock.now(), overlap_s, look_back_s)))
            }
        };
        Self { client: Client::new(egress, config, routes::daily()), tenant: config.tenant.clone(), events }
    }
}

#[async_trait]
impl Erp for OdooErp {
    async fn order(&self, ctx: &CallCtx, erp_id: &str) -> Result<Option<Order>, Fault> {
        let id = record_id("order", erp_id)?;
        let mut calls = self.client.operation(ctx);
        sale_order::parse(calls.call(sale_order::MODEL, "web_search_read", sale_order::arguments(id)).await?)
    }

    async fn set_shipping(&self, ctx: &CallCtx, update: &ShippingUpdate) -> Result<(), Fault> {
        let id = record_id("delivery", &update.delivery)?;
        let mut calls = self.client.operation(ctx);
        let standing = standing(&mut calls, id).await?;
        let carrier = carrier(&mut calls, &update.carrier).await?;
        let values = stock_picking::shipping_values(update, &standing, carrier);
        calls.call(stock_picking::MODEL, "write", json!({"ids": [id], "vals": values})).await?;
        Ok(())
    }

    async fn attach(&self, ctx: &CallCtx, file: &Attachment) -> Result<String, Fault> {
        let delivery = record_id("delivery", &file.delivery)?;
        let wanted = attachment::sha256(&file.content_base64).ok_or_else(|| {
            let text = "`content_base64` is not base64";
            Fault::new(FaultKind::InvalidInput, "odoo.bad-content", text, Blame::Host)
        })?;
        let mut calls = self.client.operation(ctx);
        let arguments = attachment::arguments(&self.tenant, delivery, file)?;
        let id = create_once(&mut calls, attachment::MODEL, arguments).await?;
        let stored = calls.call(attachment::MODEL, "read", json!({"ids": [id], "fields": ["datas"]})).await?;
        attachment::verify(&stored, id, wanted)?;
        Ok(id.to_string())
    }

    async fn note(&self, ctx: &CallCtx, note: &Note) -> Result<(), Fault> {
        let delivery = record_id("delivery", &note.delivery)?;
        let mut calls = self.client.operation(ctx);
        create_once(&mut calls, message::MODEL, message::arguments(&self.tenant, delivery, note)?).await.map(drop)
    }

    async fn pending_events(&self, ctx: &CallCtx, limit: u32) -> Result<Vec<ErpEvent>, Fault> {
        let mut calls = self.client.operation(ctx);
        match &self.events {
            Events::Outbox => outbox::pending(&mut calls, limit).await,
            Events::Poll(cursors) => poll::pending(&mut calls, cursors, limit).await,
        }
    }

    async fn acknowledge(&self, ctx: &CallCtx, events: &[ErpEvent]) -> Result<(), Fault> {
        match &self.events {
            Events::Outbox => {
                // One pull acknowledges several pages, and a repeated pull other ones: as steps of the job they would
                // be taken for each other. Deleting a row twice is harmless, so no books are kept on it.
                let ctx = CallCtx { job: None, ..ctx.clone() };
                outbox::acknowledge(&mut self.client.operation(&ctx), events).await
            }
            Events::Poll(cursors) => {
                poll::lock(cursors).acknowledge(events);
                Ok(())
            }
        }
    }
}

async fn standing(calls: &mut Operation<'_>, id: i64) -> Result<stock_picking::Standing, Fault> {
    let read = json!({"ids": [id], "fields": ["weight_uom_name"]});
    let answer = calls.call(stock_picking::MODEL, "read", read).await?;
    let Some(row) = answer.get(0) else { return Err(missing("delivery", id)) };
    let weight_unit = row["weight_uom_name"].as_str().map(str::to_owned);
    let packed = calls.call("stock.move.line", "search_count", stock_picking::packed_lines(id)).await?;
    let packed = packed.as_u64().ok_or_else(|| unexpected("stock.move.line.search_count", "it is not a number"))? > 0;
    Ok(stock_picking::Standing { packed, weight_unit })
}

/// The carrier of that name; the oldest when Odoo has several.
async fn carrier(calls: &mut Operation<'_>, name: &str) -> Result<Option<i64>, Fault> {
    if name.is_empty() {
        return Ok(None);
    }
    let search = json!({"domain": [["name", "=", name]], "fields": ["id"], "order": "id", "limit": 1});
    let found = calls.call("delivery.carrier", "search_read", search).await?;
    Ok(found.get(0).and_then(|row| row["id"].as_i64()))
}

/// A `load` of one record. A busy row is answered with status 200, which the journal keeps as a success, so each try
/// is a step of its own: a repeated operation finds the failed ones answered and goes on after them.
pub(crate) async fn create_once(calls: &mut Operation<'_>, model: &str, arguments: Value) -> Result<i64, Fault> {
    let what = format!("{model}.load");
    let before = calls.sent();
    loop {
        let answer = calls.call(model, "load", arguments.clone()).await?;
        match load::one_id(&what, answer) {
            Err(fault) if fault.retryable() && calls.sent() - before < BUSY_TRIES => {}
            settled => return settled,
        }
    }
}

fn record_id(what: &'static str, text: &str) -> Result<i64, Fault> {
    text.parse::<i64>().ok().filter(|id| *id > 0).ok_or_else(|| {
        let message = format!("`{text}` is not a record id of Odoo");
        Fault::new(FaultKind::InvalidInput, "odoo.bad-id", message.clone(), Blame::Host)
            .with_field(what, "format", message)
    })
}

fn missing(what: &str, id: i64) -> Fault {
    Fault::new(FaultKind::NotFound, "odoo.missing", format!("Odoo has no {what} {id} any more"), Blame::Odoo)
}

#[cfg(test)]
mod tests;
