//! Bringing a row to what is known about it by now, before anybody acts on it: it was left behind by somebody who is
//! gone, its answer came late, or a restored backup may be older than its send.

use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::{EffectClass, EffectState};
use wharf_domain::fault::Fault;
use wharf_domain::time::Timestamp;
use wharf_store::Tx;
use wharf_store::effects::{self, Change, EffectRow};

use super::unsent::Unsent;
use super::{load, step_in};
use crate::fault;
use crate::tape::actor;

/// Would [`settle`] change this row?
pub(super) fn unsettled(row: &EffectRow, ctx: &CallCtx, now: Timestamp) -> bool {
    left_behind(row, ctx, now) || answered_late(row) || out_of_date(row)
}

/// Brings a row to what is known about it; one that moved meanwhile is given back as it is.
pub(super) async fn settle(tx: &mut Tx, ctx: &CallCtx, row: EffectRow, unsent: &Unsent) -> Result<EffectRow, Fault> {
    if !unsettled(&row, ctx, tx.now()) {
        return Ok(row);
    }
    let mut row = load(tx, &row.id).await?;
    if row.state == EffectState::Sending && left_behind(&row, ctx, tx.now()) && unsent.knows(&row.id, row.fence) {
        let note = format!("left in `sending` by fence {}; this host saw that no byte left", row.fence);
        // In the name of the attempt that was to send.
        let change = Change { note: Some(note), ..Change::by(row.job, row.fence) };
        return step_in(tx, &row.id, EffectState::Sending, EffectState::Intent, &change).await;
    }
    let doubt = if left_behind(&row, ctx, tx.now()) {
        // The row keeps the fence that left it; whoever reads the history tells this step by its words (`tests/feeder`).
        let note = format!("left in `{}` by fence {}; nobody knows whether a byte left", row.state.as_str(), row.fence);
        Some(note)
    } else {
        out_of_date(&row).then(|| "the restored backup may be older than its send".to_owned())
    };
    if let Some(note) = doubt {
        let change = Change { note: Some(note), ..Change::default() };
        row = step_in(tx, &row.id, row.state, EffectState::Uncertain, &change).await?;
    }
    effects::settle_late(tx, &actor(), row).await.map_err(|err| fault::store(&err))
}

/// Is the row held by somebody who cannot be at work any more: an older attempt of the same job, or anybody past the
/// moment until which a byte could leave? A lookup of the same job is its own and can simply be done again.
fn left_behind(row: &EffectRow, ctx: &CallCtx, now: Timestamp) -> bool {
    let same_job = ctx.job == Some(row.job);
    let overdue = row.send_deadline.is_none_or(|deadline| now > deadline);
    match row.state {
        EffectState::Sending => overdue || (same_job && row.fence < ctx.fence),
        EffectState::Reconciling => overdue || (same_job && row.fence <= ctx.fence),
        _ => false,
    }
}

fn answered_late(row: &EffectRow) -> bool {
    row.late_response.is_some() && matches!(row.state, EffectState::Uncertain | EffectState::Parked)
}

/// Never sent, or refused, as far as the restored ledger knows; and there is a way to find out more.
fn out_of_date(row: &EffectRow) -> bool {
    let unsent = matches!(row.state, EffectState::Intent | EffectState::Rejected);
    row.reconcile_first && unsent && (row.lookup || row.class == EffectClass::Natural)
}
