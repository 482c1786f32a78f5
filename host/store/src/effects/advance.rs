//! Moving an effect from one state to the next, and the rules about who may.

use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::Fault;
use wharf_domain::ids::{Digest, EffectId, JobId};
use wharf_domain::time::Timestamp;

use super::{EffectRow, object, read};
use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::opt_json;
use crate::sql::{Text, query};

/// No byte leaves later than this before the lease ends, in milliseconds: the clocks of hosts and database differ a
/// little, and another worker may act when the lease is over.
pub const SEND_MARGIN_MS: i64 = 1_000;

/// What changes with the state. A field that is `None` keeps its value; going to `Sending` first forgets `response`,
/// `late_response`, `outcome`, `fault` and `absent_since`, because they told of an earlier send.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Change {
    /// The fence under which the acting job runs.
    pub fence: Option<i64>,
    pub attempt: Option<u32>,
    pub send_deadline: Option<Timestamp>,
    pub response: Option<Value>,
    pub outcome: Option<Value>,
    pub fault: Option<Fault>,
    pub absent_since: Option<Timestamp>,
    /// The acting job. Another one than the row's takes the effect over.
    pub job: Option<JobId>,
    pub request_digest: Option<Digest>,
    pub adapter_digest: Option<Digest>,
    pub account_ref: Option<Digest>,
    /// Another key than the row's begins a new retention.
    pub remote_key: Option<String>,
    pub key_until: Option<Timestamp>,
    pub reference: Option<String>,
    pub resend_by: Option<String>,
    /// One sentence for the history.
    pub note: Option<String>,
}

impl Change {
    /// A change made by a job that runs under `fence`.
    pub fn by(job: JobId, fence: i64) -> Self {
        Self { job: Some(job), fence: Some(fence), ..Self::default() }
    }
}

/// Moves an effect on. Checked, in this order: the step is allowed at all ([`StoreError::Forbidden`]); the row still is
/// in `from` ([`StoreError::Moved`]); and the actor may take it ([`StoreError::LostLease`]):
/// - into `Sending` only the job in `change` (`job`, `fence` and `send_deadline` are required), while it is running under
///   that fence, with a send deadline [`SEND_MARGIN_MS`] before the end of its lease;
/// - out of `Sending` with a result (`Succeeded`, `Rejected`, or back to `Intent`) only the job and fence that sent;
/// - out of `Sending` into `Uncertain` anybody but an older attempt of the same job.
///
/// An effect that a restore has put in question is not sent ([`StoreError::Refused`]) before that is settled.
///
/// Every step appends to the history; `Succeeded`, `Parked` and what a person decides also leave an audit row.
pub async fn advance(
    tx: &mut Tx,
    actor: &Actor,
    id: &EffectId,
    from: EffectState,
    to: EffectState,
    change: &Change,
) -> Result<EffectRow, StoreError> {
    if !from.may_become(to) {
        return Err(StoreError::Forbidden { from, to });
    }
    let Some(row) = read::load(tx, id).await? else {
        return Err(StoreError::NotFound { what: "effect", id: id.to_string() });
    };
    if row.state != from {
        return Err(StoreError::Moved { effect: *id, now: row.state });
    }
    if row.reconcile_first
        && matches!((from, to), (_, EffectState::Sending) | (EffectState::Rejected, EffectState::Intent))
    {
        return Err(refused(&row, "a restored backup may be older than its send; settle it first, or lift the hold"));
    }
    if !may_act(tx, &row, to, change).await? {
        return Err(StoreError::LostLease { job: change.job.unwrap_or(row.job) });
    }
    let next = applied(row, to, change, tx.now());
    store(tx, &next, from).await?;
    record(tx, actor, &next, Some(from), change.note.as_deref()).await?;
    if to == EffectState::Succeeded || to == EffectState::Parked || from == EffectState::Parked {
        let detail = value!({
            "from": from, "job": next.job, "attempt": next.attempt, "fault": next.fault, "reference": next.reference,
            "note": change.note,
        });
        let action = format!("effect.{}", to.as_str());
        audit::append(tx, actor, &next.tenant, &action, &object(id), &detail).await?;
    }
    Ok(next)
}

/// Frees the business key, because the change was undone: the same key may be used by a new effect. Only a settled
/// effect can be released; releasing twice is harmless. Leaves `effect.released` in the audit.
pub async fn release(tx: &mut Tx, actor: &Actor, id: &EffectId) -> Result<EffectRow, StoreError> {
    let Some(row) = read::load(tx, id).await? else {
        return Err(StoreError::NotFound { what: "effect", id: id.to_string() });
    };
    if row.released_at.is_some() {
        return Ok(row);
    }
    if !row.state.settled() {
        return Err(refused(&row, "a key is released only when it is known what became of the effect"));
    }
    let now = tx.now();
    query("UPDATE effect SET released_at = $2, updated_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(now.millis())
        .execute(tx.conn())
        .await?;
    let row = EffectRow { released_at: Some(now), updated_at: now, ..row };
    record(tx, actor, &row, Some(row.state), Some("released")).await?;
    let detail = value!({ "business_key": row.business_key, "job": row.job });
    audit::append(tx, actor, &row.tenant, "effect.released", &object(id), &detail).await?;
    Ok(row)
}

/// Stores what the answer of a confirmed effect means to the business, so that whoever asks again under the same key
/// gets it. Replaces an earlier one.
pub async fn set_outcome(tx: &mut Tx, actor: &Actor, id: &EffectId, outcome: &Value) -> Result<EffectRow, StoreError> {
    let Some(row) = read::load(tx, id).await? else {
        return Err(StoreError::NotFound { what: "effect", id: id.to_string() });
    };
    if row.state != EffectState::Succeeded {
        return Err(StoreError::Moved { effect: *id, now: row.state });
    }
    let next = EffectRow { outcome: Some(outcome.clone()), updated_at: tx.now(), ..row };
    store(tx, &next, EffectState::Succeeded).await?;
    record(tx, actor, &next, Some(EffectState::Succeeded), Some("outcome stored")).await?;
    Ok(next)
}

/// Keeps what was learnt too late to change the state, e.g. the answer to a worker that had lost its lease. `text`
/// holds no secret.
pub async fn evidence(tx: &mut Tx, actor: &Actor, id: &EffectId, text: &str) -> Result<(), StoreError> {
    let Some(row) = read::load(tx, id).await? else {
        return Err(StoreError::NotFound { what: "effect", id: id.to_string() });
    };
    record(tx, actor, &row, Some(row.state), Some(text)).await
}

pub(super) fn refused(row: &EffectRow, rule: &'static str) -> StoreError {
    StoreError::Refused { what: "effect", id: row.id.to_string(), state: row.state.as_str().to_owned(), rule }
}

async fn may_act(tx: &mut Tx, row: &EffectRow, to: EffectState, change: &Change) -> Result<bool, StoreError> {
    use EffectState::{Sending, Uncertain};
    Ok(match (row.state, to) {
        (_, Sending) => match (change.job, change.fence, change.send_deadline) {
            (Some(job), Some(fence), Some(deadline)) => holds_lease(tx, &job, fence, deadline).await?,
            _ => false,
        },
        (Sending, Uncertain) => {
            change.job.is_none_or(|job| job != row.job) || change.fence.is_none_or(|fence| fence >= row.fence)
        }
        (Sending, _) => change.job == Some(row.job) && change.fence == Some(row.fence),
        _ => true,
    })
}

/// Locked, so that the lease cannot be given to another worker before this transaction has ended.
static HELD: Text = Text::new(
    "SELECT seq FROM job WHERE id = $1 AND fence = $2 AND state = 'running' AND lease_until > COALESCE($3, {clock}) \
     AND lease_until >= $4 {for_share}",
);

async fn holds_lease(tx: &mut Tx, job: &JobId, fence: i64, deadline: Timestamp) -> Result<bool, StoreError> {
    let clock = tx.own_clock().map(Timestamp::millis);
    let end = deadline.plus(SEND_MARGIN_MS).millis();
    let held = query(&HELD).bind(job.to_string()).bind(fence).bind(clock).bind(end).fetch_optional(tx.conn()).await?;
    Ok(held.is_some())
}

/// The row after the step.
fn applied(mut row: EffectRow, to: EffectState, change: &Change, now: Timestamp) -> EffectRow {
    if to == EffectState::Sending {
        row.response = None;
        row.late_response = None;
        row.outcome = None;
        row.fault = None;
        row.absent_since = None;
    }
    let open = matches!(to, EffectState::Uncertain | EffectState::Reconciling | EffectState::Parked);
    row.reconcile_first &= open;
    row.resend_by = change.resend_by.clone().or(row.resend_by).filter(|_| to == EffectState::Parked);
    if change.remote_key.is_some() && change.remote_key != row.remote_key {
        row.remote_key.clone_from(&change.remote_key);
        row.key_until = None;
    }
    row.state = to;
    row.updated_at = now;
    let Change { fence, attempt, send_deadline, response, outcome, fault, absent_since, job, .. } = change.clone();
    row.fence = fence.unwrap_or(row.fence);
    row.attempt = attempt.unwrap_or(row.attempt);
    row.send_deadline = send_deadline.or(row.send_deadline);
    row.response = response.or(row.response);
    row.outcome = outcome.or(row.outcome);
    row.fault = fault.or(row.fault);
    row.absent_since = absent_since.or(row.absent_since);
    row.job = job.unwrap_or(row.job);
    let Change { request_digest, adapter_digest, account_ref, key_until, reference, .. } = change.clone();
    row.request_digest = request_digest.unwrap_or(row.request_digest);
    row.adapter_digest = adapter_digest.or(row.adapter_digest);
    row.account_ref = account_ref.or(row.account_ref);
    row.key_until = key_until.or(row.key_until);
    row.reference = reference.or(row.reference);
    row
}

/// Writes every column that may change.
pub(super) async fn store(tx: &mut Tx, row: &EffectRow, from: EffectState) -> Result<(), StoreError> {
    let stored = query(
        "UPDATE effect SET state = $3, fence = $4, attempt = $5, send_deadline = $6, response = $7, outcome = $8, \
         fault = $9, absent_since = $10, job = $11, request_digest = $12, updated_at = $13, adapter_digest = $14, \
         account_ref = $15, remote_key = $16, key_until = $17, late_response = $18, worth = $19, reference = $20, \
         resend_by = $21, reconcile_first = $22 WHERE id = $1 AND state = $2",
    )
    .bind(row.id.to_string())
    .bind(from.as_str())
    .bind(row.state.as_str())
    .bind(row.fence)
    .bind(i64::from(row.attempt))
    .bind(row.send_deadline.map(Timestamp::millis))
    .bind(opt_json(row.response.as_ref())?)
    .bind(opt_json(row.outcome.as_ref())?)
    .bind(opt_json(row.fault.as_ref())?)
    .bind(row.absent_since.map(Timestamp::millis))
    .bind(row.job.to_string())
    .bind(row.request_digest.as_str())
    .bind(row.updated_at.millis())
    .bind(row.adapter_digest.as_ref().map(Digest::as_str))
    .bind(row.account_ref.as_ref().map(Digest::as_str))
    .bind(&row.remote_key)
    .bind(row.key_until.map(Timestamp::millis))
    .bind(opt_json(row.late_response.as_ref())?)
    .bind(opt_json(row.worth.as_ref())?)
    .bind(&row.reference)
    .bind(&row.resend_by)
    .bind(i64::from(row.reconcile_first))
    .execute(tx.conn())
    .await?;
    if stored == 1 { Ok(()) } else { Err(StoreError::Moved { effect: row.id, now: row.state }) }
}

/// Appends to the history.
pub(super) async fn record(
    tx: &mut Tx,
    actor: &Actor,
    row: &EffectRow,
    from: Option<EffectState>,
    note: Option<&str>,
) -> Result<(), StoreError> {
    let now = tx.now().millis();
    query(
        "INSERT INTO effect_history (tenant, effect, at, from_state, to_state, actor, fence, note) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(row.tenant.as_str())
    .bind(row.id.to_string())
    .bind(now)
    .bind(from.map(EffectState::as_str))
    .bind(row.state.as_str())
    .bind(actor.to_string())
    .bind(row.fence)
    .bind(note)
    .execute(tx.conn())
    .await?;
    Ok(())
}
