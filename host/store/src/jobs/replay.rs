//! Bringing a parked job back.

use serde_json::Value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::JobId;

use super::lane;
use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Text, query};

static PARKED: Text =
    Text::new("SELECT seq, tenant, lane, head FROM job WHERE id = $1 AND state = 'parked' {for_update}");

/// Gives a parked job a fresh set of attempts, now. It goes back to its old place in its lane; a deadline that made it
/// park is lifted, because a person decided. Its earlier attempts stay on record.
pub async fn replay(tx: &mut Tx, actor: &Actor, id: &JobId) -> Result<(), StoreError> {
    let Some(row) = query(&PARKED).bind(id.to_string()).fetch_optional(tx.conn()).await? else {
        return Err(not_parked(tx, id).await?);
    };
    let cols = Cols(&row);
    let (seq, tenant, lane) = (cols.int("seq")?, cols.tenant()?, cols.opt_text("lane")?);
    let holds = cols.int("head")? == 1;
    let first = match &lane {
        Some(lane) if !holds => lane::make_way(tx, &tenant, lane, seq).await?,
        _ => true,
    };
    let now = tx.now().millis();
    query(
        "UPDATE job SET state = $2, head = $3, attempt = 0, run_at = $4, deadline = NULL, updated_at = $4 \
         WHERE seq = $1",
    )
    .bind(seq)
    .bind(if first { "ready" } else { "queued" })
    .bind(i64::from(first))
    .bind(now)
    .execute(tx.conn())
    .await?;
    audit::append(tx, actor, &tenant, "job.replayed", &format!("job/{id}"), &Value::Null).await?;
    tx.mark_enqueued();
    Ok(())
}

async fn not_parked(tx: &mut Tx, id: &JobId) -> Result<StoreError, StoreError> {
    let row = query("SELECT state FROM job WHERE id = $1 UNION ALL SELECT state FROM job_done WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(match row {
        None => StoreError::NotFound { what: "job", id: id.to_string() },
        Some(row) => StoreError::Refused {
            what: "job",
            id: id.to_string(),
            state: Cols(&row).text("state")?,
            rule: "only a parked job can be replayed",
        },
    })
}
