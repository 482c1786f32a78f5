//! Taking back what nobody has begun, and calling off what a person wants no more.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{JobId, TenantId};

use super::{lane, replay};
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

static UNFINISHED: Text = Text::new("SELECT seq, tenant, lane, head, state FROM job WHERE id = $1 {for_update}");

/// A person gives up on a job that waits or is parked: it is not run any more. A worker ends it at once, or when its
/// turn in its lane comes, as it ends every job: its flow hears that it was cancelled. Calling it off twice changes
/// nothing. Fails with [`StoreError::Refused`] while it runs and when it is over.
pub async fn call_off(tx: &mut Tx, actor: &Actor, id: &JobId) -> Result<(), StoreError> {
    let Some(row) = query(&UNFINISHED).bind(id.to_string()).fetch_optional(tx.conn()).await? else {
        return Err(replay::not_in(tx, id, "it is over and cannot be cancelled any more").await?);
    };
    let cols = Cols(&row);
    let (seq, tenant, lane) = (cols.int("seq")?, cols.tenant()?, cols.opt_text("lane")?);
    let (state, holds) = (cols.text("state")?, cols.int("head")? == 1);
    let first = match (state.as_str(), &lane) {
        ("running", _) => {
            let rule = "wait until its attempt has ended, then cancel it";
            return Err(StoreError::Refused { what: "job", id: id.to_string(), state, rule });
        }
        ("parked", Some(lane)) if !holds => lane::make_way(tx, &tenant, lane, seq).await?,
        ("queued", _) => false,
        _ => true,
    };
    let now = tx.now().millis();
    // Without its coalesce key: a new wish must not be lost with the old one.
    query(
        "UPDATE job SET state = $2, head = $3, urgent = 1, cancelled_by = $4, coalesce_key = NULL, run_at = $5, \
         updated_at = $5 WHERE seq = $1",
    )
    .bind(seq)
    .bind(if first { "ready" } else { "queued" })
    .bind(i64::from(first))
    .bind(actor.to_string())
    .bind(now)
    .execute(tx.conn())
    .await?;
    lane::tell_it_is_let_go(tx, actor, &tenant, id, "cancel").await?;
    audit::append(tx, actor, &tenant, "job.called-off", &lane::object(id), &value!({ "was": state })).await?;
    tx.mark_enqueued();
    Ok(())
}
