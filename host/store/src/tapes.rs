//! Recorded exchanges of a job, already redacted by whoever made them. Kept so that a failure can be replayed offline.

use serde::Serialize;
use serde_json::Value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{JobId, TenantId};
use wharf_domain::time::Timestamp;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::query;

/// One exchange with a partner. `seq` grows with every exchange of the host, so a job's own are in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TapeRow {
    pub seq: i64,
    pub job: JobId,
    pub at: Timestamp,
    pub exchange: Value,
}

/// Adds an exchange; returns its `seq`.
pub async fn append(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    job: &JobId,
    exchange: &Value,
) -> Result<i64, StoreError> {
    let now = tx.now().millis();
    let row = query("INSERT INTO tape (tenant, job, at, actor, exchange) VALUES ($1, $2, $3, $4, $5) RETURNING seq")
        .bind(tenant.as_str())
        .bind(job.to_string())
        .bind(now)
        .bind(actor.to_string())
        .bind(json(exchange)?)
        .fetch_one(tx.conn())
        .await?;
    Cols(&row).int("seq")
}

/// Every exchange of a job, oldest first.
pub async fn for_job(db: &Db, tenant: &TenantId, job: &JobId) -> Result<Vec<TapeRow>, StoreError> {
    let rows = query("SELECT seq, job, at, exchange FROM tape WHERE tenant = $1 AND job = $2 ORDER BY seq")
        .bind(tenant.as_str())
        .bind(job.to_string())
        .fetch_all(db.reader())
        .await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(TapeRow {
                seq: cols.int("seq")?,
                job: cols.job("job")?,
                at: cols.time("at")?,
                exchange: cols.json("exchange")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{House, actor, both, tenant};

    both! {
        async fn exchanges_of_a_job_come_back_in_order(house) {
            let mut tx = house.db.begin().await.expect("begin");
            let (now, mine) = (tx.now(), JobId::mint(tx.ids(), tx.now()));
            let other = JobId::mint(tx.ids(), now);
            for (job, path) in [(mine, "/a"), (other, "/x"), (mine, "/b")] {
                append(&mut tx, &actor(), &tenant("t"), &job, &json!({ "path": path })).await.expect("append");
            }
            tx.commit().await.expect("commit");
            let rows = for_job(&house.db, &tenant("t"), &mine).await.expect("rows");
            let paths: Vec<_> = rows.iter().map(|row| row.exchange["path"].as_str().expect("path")).collect();
            assert_eq!(paths, ["/a", "/b"]);
            assert!(for_job(&house.db, &tenant("u"), &mine).await.expect("rows").is_empty());
        }
    }
}
