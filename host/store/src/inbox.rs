//! What arrived from outside, each fact once. Accepted in the transaction that also enqueues the work, so that a
//! sender who got an answer can forget the fact.

use serde::Serialize;
use serde_json::Value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{EventId, FlowKey, TenantId};
use wharf_domain::time::Timestamp;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::query;

/// A fact as it is offered.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub tenant: TenantId,
    /// Who told it, e.g. `odoo` or a connection's id.
    pub source: String,
    /// Unique per tenant and source: the same fact has the same key however often it is told.
    pub key: String,
    /// e.g. `order-confirmed`.
    pub kind: String,
    pub flow: Option<FlowKey>,
    pub body: Value,
}

/// Was it new?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Stored now: start the work.
    Fresh(EventId),
    /// Known already under this id: nothing is to be done.
    Duplicate(EventId),
}

/// A stored fact.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventRow {
    pub id: EventId,
    pub source: String,
    pub key: String,
    pub kind: String,
    pub flow: Option<FlowKey>,
    pub body: Value,
    pub received_at: Timestamp,
}

/// Stores a fact unless it is known. The first body stays; a repeat with another body changes nothing.
pub async fn accept(tx: &mut Tx, actor: &Actor, event: &NewEvent) -> Result<Accepted, StoreError> {
    let now = tx.now();
    let id = EventId::mint(tx.ids(), now);
    let inserted = query(
        "INSERT INTO event (id, tenant, source, event_key, kind, flow, body, actor, received_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, source, event_key) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(event.tenant.as_str())
    .bind(&event.source)
    .bind(&event.key)
    .bind(&event.kind)
    .bind(event.flow.as_ref().map(FlowKey::as_str))
    .bind(json(&event.body)?)
    .bind(actor.to_string())
    .bind(now.millis())
    .execute(tx.conn())
    .await?;
    if inserted == 1 {
        return Ok(Accepted::Fresh(id));
    }
    let known = query("SELECT id FROM event WHERE tenant = $1 AND source = $2 AND event_key = $3")
        .bind(event.tenant.as_str())
        .bind(&event.source)
        .bind(&event.key)
        .fetch_one(tx.conn())
        .await?;
    Ok(Accepted::Duplicate(Cols(&known).parse("id", EventId::parse)?))
}

/// Every fact of one flow, oldest first.
pub async fn for_flow(db: &Db, tenant: &TenantId, flow: &FlowKey) -> Result<Vec<EventRow>, StoreError> {
    let rows = query(
        "SELECT id, source, event_key, kind, flow, body, received_at FROM event \
         WHERE tenant = $1 AND flow = $2 ORDER BY received_at, id",
    )
    .bind(tenant.as_str())
    .bind(flow.as_str())
    .fetch_all(db.reader())
    .await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(EventRow {
                id: cols.parse("id", EventId::parse)?,
                source: cols.text("source")?,
                key: cols.text("event_key")?,
                kind: cols.text("kind")?,
                flow: cols.flow()?,
                body: cols.json("body")?,
                received_at: cols.time("received_at")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{House, actor, both, tenant};

    fn event(tenant_name: &str, source: &str, key: &str) -> NewEvent {
        NewEvent {
            tenant: tenant(tenant_name),
            source: source.to_owned(),
            key: key.to_owned(),
            kind: "order-confirmed".to_owned(),
            flow: Some(FlowKey::new("order", "42")),
            body: json!({ "order": "42" }),
        }
    }

    both! {
        async fn the_same_fact_is_accepted_once_per_tenant_and_source(house) {
            let mut tx = house.db.begin().await.expect("begin");
            let first = accept(&mut tx, &actor(), &event("t", "odoo", "k1")).await.expect("accept");
            let Accepted::Fresh(id) = first else { panic!("{first:?}") };
            let changed = NewEvent { body: json!("another"), ..event("t", "odoo", "k1") };
            assert_eq!(accept(&mut tx, &actor(), &changed).await.expect("repeat"), Accepted::Duplicate(id));
            for other in [event("t", "acme", "k1"), event("u", "odoo", "k1"), event("t", "odoo", "k2")] {
                let accepted = accept(&mut tx, &actor(), &other).await.expect("accept");
                assert!(matches!(accepted, Accepted::Fresh(_)), "{other:?}");
            }
            tx.commit().await.expect("commit");
            let rows = for_flow(&house.db, &tenant("t"), &FlowKey::new("order", "42")).await.expect("rows");
            let keys: Vec<_> = rows.iter().map(|row| (row.source.as_str(), row.key.as_str())).collect();
            assert_eq!(keys, [("odoo", "k1"), ("acme", "k1"), ("odoo", "k2")]);
            assert_eq!(rows[0].body, json!({ "order": "42" }), "the first body stays");
        }
    }
}
