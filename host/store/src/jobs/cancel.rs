//! Taking back what nobody has begun.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{JobId, TenantId};

use super::lane;
use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Text, query};

static MOVE_OUT: Text = Text::new(
    "INSERT INTO job_done (id, seq, tenant, lane, kind, payload, flow, state, priority, run_at, attempt, max_attempts, \
     fence, deadline, depth, fault, reason, actor, created_at, finished_at) \
     SELECT id, seq, tenant, lane, kind, payload, flow, 'cancelled', priority, run_at, attempt, max_attempts, fence, \
     deadline, depth, fault, 'taken back before anybody began', actor, created_at, $4 FROM job \
     WHERE tenant = $1 AND lane = $2 AND fence = 0 AND state IN ('waiting', 'queued', 'ready') \
     AND ($3 IS NULL OR kind = $3) {for_update} RETURNING id, seq",
);

/// Cancels the jobs of a lane (of one kind, when given) that no worker has ever claimed. Returns them, oldest first.
pub async fn cancel_unstarted(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    lane: &str,
    kind: Option<&str>,
) -> Result<Vec<JobId>, StoreError> {
    let now = tx.now().millis();
    if !lane::lock(tx, tenant, Some(lane)).await? {
        return Ok(Vec::new());
    }
    let rows = query(&MOVE_OUT).bind(tenant.as_str()).bind(lane).bind(kind).bind(now).fetch_all(tx.conn()).await?;
    let mut cancelled = Vec::with_capacity(rows.len());
    for row in &rows {
        cancelled.push((Cols(row).int("seq")?, Cols(row).job("id")?));
    }
    cancelled.sort_unstable();
    for (seq, id) in &cancelled {
        query("DELETE FROM job WHERE seq = $1").bind(*seq).execute(tx.conn()).await?;
        let detail = value!({ "lane": lane });
        audit::append(tx, actor, tenant, "job.cancelled", &format!("job/{id}"), &detail).await?;
    }
    lane::move_up_if_free(tx, tenant, lane).await?;
    Ok(cancelled.into_iter().map(|(_, id)| id).collect())
}
