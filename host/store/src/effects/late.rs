//! Answers that came when their send had been given up: never lost, never the outcome of another send.

use serde_json::Value;
use wharf_domain::ctx::Actor;
use wharf_domain::effect::EffectState;
use wharf_domain::ids::EffectId;

use super::advance::{Change, advance, evidence, record, store};
use super::{EffectRow, read};
use crate::db::Tx;
use crate::error::StoreError;

/// Keeps the success a worker got after it had lost its lease. `attempt` is the send it answers, `text` says so in the
/// history and holds no secret. While that send is still the last one and nobody has settled the effect, the answer is
/// kept with the row, and whoever reconciles it is given it first: see [`settle_late`]. Otherwise it is evidence only.
pub async fn late_answer(
    tx: &mut Tx,
    actor: &Actor,
    id: &EffectId,
    (attempt, response): (u32, &Value),
    text: &str,
) -> Result<EffectRow, StoreError> {
    let Some(row) = read::load(tx, id).await? else {
        return Err(StoreError::NotFound { what: "effect", id: id.to_string() });
    };
    evidence(tx, actor, id, text).await?;
    if row.attempt != attempt || row.state.settled() {
        return Ok(row);
    }
    // A lookup had found nothing: it is in doubt again, and not sent.
    let row = match row.state {
        EffectState::Intent => {
            let note = Some("an answer came late: it happened after all".to_owned());
            let change = Change { note, ..Change::default() };
            advance(tx, actor, id, EffectState::Intent, EffectState::Uncertain, &change).await?
        }
        _ => row,
    };
    let next = EffectRow { late_response: Some(response.clone()), ..row };
    store(tx, &next, next.state).await?;
    Ok(next)
}

/// Settles a row in doubt by the answer that came late; a row without one, or one that is not in doubt, is given back as
/// it is.
pub async fn settle_late(tx: &mut Tx, actor: &Actor, row: EffectRow) -> Result<EffectRow, StoreError> {
    let Some(response) = row.late_response.clone() else {
        return Ok(row);
    };
    let change = Change {
        response: Some(response),
        note: Some("settled by the answer that came late".to_owned()),
        ..Change::default()
    };
    let row = match row.state {
        EffectState::Uncertain => {
            let change = Change { note: change.note.clone(), ..Change::default() };
            advance(tx, actor, &row.id, EffectState::Uncertain, EffectState::Reconciling, &change).await?
        }
        EffectState::Reconciling | EffectState::Parked => row,
        _ => return Ok(row),
    };
    let row = advance(tx, actor, &row.id, row.state, EffectState::Succeeded, &change).await?;
    // It is the answer now. Should it be doubted, it does not settle the row a second time.
    let next = EffectRow { late_response: None, ..row };
    store(tx, &next, EffectState::Succeeded).await?;
    record(tx, actor, &next, Some(next.state), Some("the late answer is the journaled one")).await?;
    Ok(next)
}
