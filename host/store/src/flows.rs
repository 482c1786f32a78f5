//! The state of long-running business processes. A flow is changed only from the version that was read.

use serde::Serialize;
use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{FlowKey, TenantId};
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Row, query};

/// One flow. `state` is the flow's own data; `status` its short name for lists, e.g. `labelled`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowRow {
    pub tenant: TenantId,
    /// e.g. `order-release`.
    pub kind: String,
    pub key: FlowKey,
    /// 0 for a flow that is not stored yet; grows by one with every save.
    pub version: i64,
    pub status: String,
    pub state: Value,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl FlowRow {
    /// A flow that does not exist yet.
    pub fn fresh(tenant: TenantId, kind: &str, key: FlowKey, now: Timestamp) -> Self {
        Self {
            tenant,
            kind: kind.to_owned(),
            key,
            version: 0,
            status: String::new(),
            state: Value::Null,
            created_at: now,
            updated_at: now,
        }
    }
}

const BY_KEY: &str = "SELECT tenant, kind, flow_key, version, status, state, created_at, updated_at FROM flow \
     WHERE tenant = $1 AND kind = $2 AND flow_key = $3";

/// The flow as this transaction sees it; `None` when it was never saved.
pub async fn load(tx: &mut Tx, tenant: &TenantId, kind: &str, key: &FlowKey) -> Result<Option<FlowRow>, StoreError> {
    let row = query(BY_KEY).bind(tenant.as_str()).bind(kind).bind(key.as_str()).fetch_optional(tx.conn()).await?;
    row.as_ref().map(read).transpose()
}

/// The flow as last committed.
pub async fn get(db: &Db, tenant: &TenantId, kind: &str, key: &FlowKey) -> Result<Option<FlowRow>, StoreError> {
    let row = query(BY_KEY).bind(tenant.as_str()).bind(kind).bind(key.as_str()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

/// The flows changed last, newest first.
pub async fn list(db: &Db, tenant: &TenantId, limit: u32) -> Result<Vec<FlowRow>, StoreError> {
    let rows = query(
        "SELECT tenant, kind, flow_key, version, status, state, created_at, updated_at FROM flow \
         WHERE tenant = $1 ORDER BY updated_at DESC, kind, flow_key LIMIT $2",
    )
    .bind(tenant.as_str())
    .bind(i64::from(limit))
    .fetch_all(db.reader())
    .await?;
    rows.iter().map(read).collect()
}

/// Stores `status` and `state`; `flow.version` is the version that was read (0: must not exist yet). Returns the new
/// version. Fails with [`StoreError::Stale`] when someone else was faster. Leaves an audit row `flow.saved` on the
/// object named by the key.
pub async fn save(tx: &mut Tx, actor: &Actor, flow: &FlowRow) -> Result<i64, StoreError> {
    let before = load(tx, &flow.tenant, &flow.kind, &flow.key).await?;
    let now = tx.now().millis();
    let stored = if flow.version == 0 {
        query(
            "INSERT INTO flow (tenant, kind, flow_key, version, status, state, actor, created_at, updated_at) \
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $7) ON CONFLICT (tenant, kind, flow_key) DO NOTHING",
        )
    } else {
        query(
            "UPDATE flow SET version = version + 1, status = $4, state = $5, actor = $6, updated_at = $7 \
             WHERE tenant = $1 AND kind = $2 AND flow_key = $3 AND version = $8",
        )
    };
    let mut stored = stored
        .bind(flow.tenant.as_str())
        .bind(&flow.kind)
        .bind(flow.key.as_str())
        .bind(&flow.status)
        .bind(json(&flow.state)?)
        .bind(actor.to_string())
        .bind(now);
    if flow.version != 0 {
        stored = stored.bind(flow.version);
    }
    if stored.execute(tx.conn()).await? != 1 {
        return Err(StoreError::Stale { key: flow.key.clone(), expected: flow.version });
    }
    let version = flow.version + 1;
    let detail = value!({
        "kind": flow.kind,
        "version": version,
        "before": before.map(|row| row.status),
        "after": flow.status,
    });
    audit::append(tx, actor, &flow.tenant, "flow.saved", flow.key.as_str(), &detail).await?;
    Ok(version)
}

fn read(row: &Row) -> Result<FlowRow, StoreError> {
    let cols = Cols(row);
    Ok(FlowRow {
        tenant: cols.tenant()?,
        kind: cols.text("kind")?,
        key: FlowKey::from_text(cols.text("flow_key")?),
        version: cols.int("version")?,
        status: cols.text("status")?,
        state: cols.json("state")?,
        created_at: cols.time("created_at")?,
        updated_at: cols.time("updated_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, actor, both, tenant};

    fn fresh() -> FlowRow {
        let now = Timestamp::from_millis(0);
        let mut flow = FlowRow::fresh(tenant("t"), "order-release", FlowKey::new("order", "1"), now);
        flow.status = "received".to_owned();
        flow.state = value!({ "lines": 2 });
        flow
    }

    both! {
        async fn a_flow_is_saved_only_from_the_version_that_was_read(house) {
            let mut tx = house.db.begin().await.expect("begin");
            assert_eq!(save(&mut tx, &actor(), &fresh()).await.expect("insert"), 1);
            let again = save(&mut tx, &actor(), &fresh()).await.expect_err("exists");
            assert!(matches!(again, StoreError::Stale { expected: 0, .. }), "{again}");
            let loaded = load(&mut tx, &tenant("t"), "order-release", &fresh().key).await.expect("load").expect("some");
            assert_eq!((loaded.version, &loaded.state), (1, &value!({ "lines": 2 })));
            let next = FlowRow { status: "validated".to_owned(), ..loaded };
            assert_eq!(save(&mut tx, &actor(), &next).await.expect("update"), 2);
            let late = save(&mut tx, &actor(), &next).await.expect_err("stale");
            assert!(matches!(late, StoreError::Stale { expected: 1, .. }), "{late}");
            tx.commit().await.expect("commit");

            let stored = get(&house.db, &tenant("t"), "order-release", &fresh().key).await.expect("get").expect("some");
            assert_eq!((stored.version, stored.status.as_str()), (2, "validated"));
            assert!(get(&house.db, &tenant("u"), "order-release", &fresh().key).await.expect("get").is_none());
            let audit = audit::for_object(&house.db, &tenant("t"), "order/1").await.expect("audit");
            let steps: Vec<_> = audit.iter().map(|row| (&row.detail["before"], &row.detail["after"])).collect();
            assert_eq!(steps, [(&Value::Null, &value!("received")), (&value!("received"), &value!("validated"))]);
        }
    }

    both! {
        async fn the_list_shows_the_newest_first(house) {
            for object in ["1", "2", "3"] {
                let mut tx = house.db.begin().await.expect("begin");
                let flow = FlowRow { key: FlowKey::new("order", object), ..fresh() };
                save(&mut tx, &actor(), &flow).await.expect("save");
                tx.commit().await.expect("commit");
                house.clock.advance(10);
            }
            let listed = list(&house.db, &tenant("t"), 2).await.expect("list");
            let keys: Vec<_> = listed.iter().map(|row| row.key.as_str()).collect();
            assert_eq!(keys, ["order/3", "order/2"]);
        }
    }
}
