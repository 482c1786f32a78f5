//! Bringing parked jobs back.

use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{Digest, JobId};

use super::lane;
use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Text, query};

/// So many jobs are brought back with one commit.
const BATCH: usize = 200;
/// How often a batch that gave way to another transaction is begun again.
const MOST_TRIES: u32 = 5;

static PARKED: Text =
    Text::new("SELECT seq, tenant, lane, head, payload FROM job WHERE id = $1 AND state = 'parked' {for_update}");

/// Gives a parked job a fresh set of attempts, now. It goes back to its old place in its lane; a deadline that made it
/// park is lifted, because a person decided. Its earlier attempts stay on record.
pub async fn replay(tx: &mut Tx, actor: &Actor, id: &JobId) -> Result<(), StoreError> {
    let Some(row) = query(&PARKED).bind(id.to_string()).fetch_optional(tx.conn()).await? else {
        return Err(not_in(tx, id, NOT_PARKED).await?);
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
        "UPDATE job SET state = $2, head = $3, attempt = 0, run_at = $4, deadline = NULL, cancelled_by = NULL, \
         updated_at = $4 WHERE seq = $1",
    )
    .bind(seq)
    .bind(if first { "ready" } else { "queued" })
    .bind(i64::from(first))
    .bind(now)
    .execute(tx.conn())
    .await?;
    lane::tell_it_is_let_go(tx, actor, &tenant, id, "replay").await?;
    audit::append(tx, actor, &tenant, "job.replayed", &lane::object(id), &Value::Null).await?;
    tx.mark_enqueued();
    Ok(())
}

/// Gives a parked job another payload, for a replay in the same transaction. The audit keeps the digest of both.
pub async fn mend(tx: &mut Tx, actor: &Actor, id: &JobId, payload: &Value) -> Result<(), StoreError> {
    let Some(row) = query(&PARKED).bind(id.to_string()).fetch_optional(tx.conn()).await? else {
        return Err(not_in(tx, id, NOT_PARKED).await?);
    };
    let cols = Cols(&row);
    let (seq, tenant, before) = (cols.int("seq")?, cols.tenant()?, cols.text("payload")?);
    let after = json(payload)?;
    query("UPDATE job SET payload = $2 WHERE seq = $1").bind(seq).bind(&after).execute(tx.conn()).await?;
    let detail = value!({ "before": Digest::of(before.as_bytes()), "after": Digest::of(after.as_bytes()) });
    audit::append(tx, actor, &tenant, "job.mended", &lane::object(id), &detail).await
}

/// Replays many jobs, some with each commit, and returns those that were. One that is not parked any more is left
/// alone, so the same list twice brings nothing back twice; after a failure the same list goes on where it ended.
pub async fn replay_many(db: &Db, actor: &Actor, ids: &[JobId]) -> Result<Vec<JobId>, StoreError> {
    let mut replayed = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let mut tries = 1;
        let done = loop {
            match replay_batch(db, actor, batch).await {
                Err(StoreError::Conflict | StoreError::RolledBack) if tries < MOST_TRIES => tries += 1,
                result => break result?,
            }
        };
        replayed.extend(done);
    }
    Ok(replayed)
}

async fn replay_batch(db: &Db, actor: &Actor, ids: &[JobId]) -> Result<Vec<JobId>, StoreError> {
    let mut tx = db.begin().await?;
    let mut replayed = Vec::new();
    for id in ids {
        match replay(&mut tx, actor, id).await {
            Ok(()) => replayed.push(*id),
            Err(StoreError::Refused { .. } | StoreError::NotFound { .. }) => {}
            Err(err) => return Err(err),
        }
    }
    tx.commit().await?;
    Ok(replayed)
}

const NOT_PARKED: &str = "only a parked job can be replayed";

/// Why a job was not where it was looked for.
pub(super) async fn not_in(tx: &mut Tx, id: &JobId, rule: &'static str) -> Result<StoreError, StoreError> {
    let row = query("SELECT state FROM job WHERE id = $1 UNION ALL SELECT state FROM job_done WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(match row {
        None => StoreError::NotFound { what: "job", id: id.to_string() },
        Some(row) => StoreError::Refused { what: "job", id: id.to_string(), state: Cols(&row).text("state")?, rule },
    })
}
