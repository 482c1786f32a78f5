//! Who did what to which object, append-only. Written in the transaction of the change it tells of.

use serde::Serialize;
use serde_json::Value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Row, query};

/// One line of the audit. `actor` is `flow:…`, `host:…` or `user:…`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    /// `<thing>.<what happened>`, e.g. `effect.succeeded`.
    pub action: String,
    /// `<kind>/<id>`, e.g. `order/42`, `effect/0190…`.
    pub object: String,
    pub detail: Value,
}

/// Adds a line. `detail` holds before and after where there is one, and no secret.
pub async fn append(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    action: &str,
    object: &str,
    detail: &Value,
) -> Result<(), StoreError> {
    let now = tx.now().millis();
    query("INSERT INTO audit (tenant, at, actor, action, object, detail) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(tenant.as_str())
        .bind(now)
        .bind(actor.to_string())
        .bind(action)
        .bind(object)
        .bind(json(detail)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Everything that happened to one object, oldest first.
pub async fn for_object(db: &Db, tenant: &TenantId, object: &str) -> Result<Vec<AuditRow>, StoreError> {
    let rows = query(
        "SELECT seq, at, actor, action, object, detail FROM audit WHERE tenant = $1 AND object = $2 ORDER BY seq",
    )
    .bind(tenant.as_str())
    .bind(object)
    .fetch_all(db.reader())
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<AuditRow, StoreError> {
    let cols = Cols(row);
    Ok(AuditRow {
        seq: cols.int("seq")?,
        at: cols.time("at")?,
        actor: cols.text("actor")?,
        action: cols.text("action")?,
        object: cols.text("object")?,
        detail: cols.json("detail")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{House, START, both, tenant};

    both! {
        async fn a_line_tells_who_what_and_when_and_cannot_be_changed(house) {
            let mut tx = house.db.begin().await.expect("begin");
            let actor = Actor::User("ana".to_owned());
            append(&mut tx, &actor, &tenant("t"), "order.held", "order/1", &json!({ "why": "short" }))
                .await
                .expect("append");
            append(&mut tx, &actor, &tenant("other"), "order.held", "order/1", &json!({})).await.expect("append");
            tx.commit().await.expect("commit");
            let rows = for_object(&house.db, &tenant("t"), "order/1").await.expect("rows");
            assert_eq!(
                serde_json::to_value(&rows).expect("json"),
                json!([{ "seq": 1, "at": START, "actor": "user:ana", "action": "order.held", "object": "order/1",
                    "detail": { "why": "short" } }])
            );
            let mut tx = house.db.begin().await.expect("begin");
            let refused = query("UPDATE audit SET actor = 'user:bob'").execute(tx.conn()).await.expect_err("refused");
            assert!(refused.to_string().contains("never changed"), "{refused}");
        }
    }
}
