//! Looking at effects without touching them.

use wharf_domain::effect::{BusinessKey, EffectState};
use wharf_domain::ids::{ConnectionId, Digest, EffectId, FlowKey, JobId, TenantId};

use super::{EffectRow, HistoryRow};
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Row, Text, query};

/// One effect; `None` when there is none.
pub async fn get(db: &Db, id: &EffectId) -> Result<Option<EffectRow>, StoreError> {
    let row = query("SELECT * FROM effect WHERE id = $1").bind(id.to_string()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

static LOCKED: Text = Text::new("SELECT * FROM effect WHERE id = $1 {for_update}");

/// One effect, which nobody else changes until this transaction has ended.
pub async fn load(tx: &mut Tx, id: &EffectId) -> Result<Option<EffectRow>, StoreError> {
    let row = query(&LOCKED).bind(id.to_string()).fetch_optional(tx.conn()).await?;
    row.as_ref().map(read).transpose()
}

/// The effect that holds a business key; `None` when the key is free (never used, or released).
pub async fn by_business(
    db: &Db,
    tenant: &TenantId,
    connection: &ConnectionId,
    business: &BusinessKey,
) -> Result<Option<EffectRow>, StoreError> {
    let row = query(
        "SELECT * FROM effect WHERE tenant = $1 AND connection = $2 AND effect_type = $3 AND business_key = $4 \
         AND released_at IS NULL",
    )
    .bind(tenant.as_str())
    .bind(connection.as_str())
    .bind(&business.effect_type)
    .bind(&business.key)
    .fetch_optional(db.reader())
    .await?;
    row.as_ref().map(read).transpose()
}

const BY_STEP: &str = "SELECT * FROM effect WHERE job = $1 AND step_key = $2";

/// The effect of one step of a job; `None` when the step has not been taken.
pub async fn by_step(db: &Db, job: &JobId, step_key: &str) -> Result<Option<EffectRow>, StoreError> {
    let row = query(BY_STEP).bind(job.to_string()).bind(step_key).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn by_step_in(tx: &mut Tx, job: &JobId, step_key: &str) -> Result<Option<EffectRow>, StoreError> {
    let row = query(BY_STEP).bind(job.to_string()).bind(step_key).fetch_optional(tx.conn()).await?;
    row.as_ref().map(read).transpose()
}

/// Every effect of one flow, oldest first.
pub async fn for_flow(db: &Db, tenant: &TenantId, flow: &FlowKey) -> Result<Vec<EffectRow>, StoreError> {
    let rows = query("SELECT * FROM effect WHERE tenant = $1 AND flow = $2 ORDER BY created_at, id")
        .bind(tenant.as_str())
        .bind(flow.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// What nobody knows the outcome of in one flow, as this transaction sees it.
pub async fn in_doubt_of_flow(tx: &mut Tx, tenant: &TenantId, flow: &FlowKey) -> Result<Vec<EffectRow>, StoreError> {
    let rows = query(
        "SELECT * FROM effect WHERE tenant = $1 AND flow = $2 AND state IN ('uncertain', 'parked') \
         ORDER BY created_at, id",
    )
    .bind(tenant.as_str())
    .bind(flow.as_str())
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(read).collect()
}

/// Every effect one job works on, oldest first.
pub async fn for_job(db: &Db, job: &JobId) -> Result<Vec<EffectRow>, StoreError> {
    let rows = query("SELECT * FROM effect WHERE job = $1 ORDER BY created_at, id")
        .bind(job.to_string())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// What nobody knows the outcome of, of one tenant, the longest in doubt first: `uncertain`, `reconciling`, `parked`, and
/// `sending` past its send deadline. At most `limit`.
pub async fn in_doubt(db: &Db, tenant: &TenantId, limit: u32) -> Result<Vec<EffectRow>, StoreError> {
    let rows = query(
        "SELECT * FROM effect WHERE tenant = $1 AND (state IN ('uncertain', 'reconciling', 'parked') \
         OR (state = 'sending' AND send_deadline < $2)) ORDER BY updated_at, id LIMIT $3",
    )
    .bind(tenant.as_str())
    .bind(db.now().millis())
    .bind(i64::from(limit))
    .fetch_all(db.reader())
    .await?;
    rows.iter().map(read).collect()
}

/// The life of one effect, oldest first.
pub async fn history(db: &Db, id: &EffectId) -> Result<Vec<HistoryRow>, StoreError> {
    let rows = query("SELECT * FROM effect_history WHERE effect = $1 ORDER BY seq")
        .bind(id.to_string())
        .fetch_all(db.reader())
        .await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(HistoryRow {
                seq: cols.int("seq")?,
                at: cols.time("at")?,
                from: cols.opt_text("from_state")?.map(|text| state("from_state", &text)).transpose()?,
                to: state("to_state", &cols.text("to_state")?)?,
                actor: cols.text("actor")?,
                fence: cols.int("fence")?,
                note: cols.opt_text("note")?,
            })
        })
        .collect()
}

fn state(column: &'static str, text: &str) -> Result<EffectState, StoreError> {
    EffectState::parse(text).ok_or_else(|| StoreError::Decode { column, reason: format!("`{text}` is not a state") })
}

pub(super) fn read(row: &Row) -> Result<EffectRow, StoreError> {
    let cols = Cols(row);
    Ok(EffectRow {
        id: cols.parse("id", EffectId::parse)?,
        tenant: cols.tenant()?,
        connection: cols.parse("connection", |text| ConnectionId::parse(text))?,
        adapter_digest: cols.opt_text("adapter_digest")?.map(Digest::from_text),
        job: cols.job("job")?,
        flow: cols.flow()?,
        step_key: cols.text("step_key")?,
        effect_type: cols.opt_text("effect_type")?,
        business_key: cols.opt_text("business_key")?,
        route: cols.text("route")?,
        class: cols.name("class")?,
        lookup: cols.int("lookup")? == 1,
        account_ref: cols.opt_text("account_ref")?.map(Digest::from_text),
        remote_key: cols.opt_text("remote_key")?,
        key_until: cols.opt_time("key_until")?,
        state: state("state", &cols.text("state")?)?,
        request_digest: Digest::from_text(cols.text("request_digest")?),
        fence: cols.int("fence")?,
        attempt: cols.count("attempt")?,
        send_deadline: cols.opt_time("send_deadline")?,
        response: cols.opt_json("response")?,
        late_response: cols.opt_json("late_response")?,
        outcome: cols.opt_json("outcome")?,
        fault: cols.opt_json("fault")?,
        absent_since: cols.opt_time("absent_since")?,
        worth: cols.opt_json("worth")?,
        reference: cols.opt_text("reference")?,
        resend_by: cols.opt_text("resend_by")?,
        epoch: cols.int("epoch")?,
        reconcile_first: cols.int("reconcile_first")? == 1,
        held_epoch: cols.opt_int("held_epoch")?,
        released_at: cols.opt_time("released_at")?,
        created_at: cols.time("created_at")?,
        updated_at: cols.time("updated_at")?,
    })
}
