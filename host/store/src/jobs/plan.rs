//! What a replay would do, told before anybody does it.

use serde::Serialize;
use wharf_domain::effect::{EffectClass, EffectState, WayOut, way_out};
use wharf_domain::ids::{ConnectionId, EffectId, JobId};
use wharf_domain::time::Timestamp;

use super::{Filter, JobRow, find};
use crate::db::Db;
use crate::effects::{self, EffectRow};
use crate::error::StoreError;

/// A parked job and the outside changes its earlier attempts have made or begun.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    pub job: JobId,
    pub kind: String,
    pub flow: Option<wharf_domain::ids::FlowKey>,
    /// Of the fault it was parked with.
    pub code: Option<String>,
    pub holds_lane: bool,
    /// Empty: nothing was begun; whatever it does outside, it does for the first time.
    pub effects: Vec<PlannedEffect>,
}

/// An outside change of an earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedEffect {
    pub effect: EffectId,
    pub connection: ConnectionId,
    pub route: String,
    pub business_key: Option<String>,
    pub class: EffectClass,
    pub state: EffectState,
    pub would: Foreseen,
}

/// What becomes of it when its job runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreseen {
    /// It happened: the step is answered from the journal, without the wire.
    AnsweredFromJournal,
    /// Nobody knows whether it happened: it is looked up before anything is sent.
    LookedUp,
    /// It did not happen, or repeating it is harmless.
    Sent,
    /// A person must decide about the effect first; nothing is sent.
    LeftParked,
}

/// What a replay of the jobs that fit would do, in the order they were enqueued. Changes nothing. A step no attempt has
/// come to yet is not foreseen.
pub async fn plan(db: &Db, tenant: &wharf_domain::ids::TenantId, filter: &Filter) -> Result<Vec<Planned>, StoreError> {
    let mut planned = Vec::new();
    for job in find::find_parked(db, tenant, filter).await? {
        let effects = effects::for_job(db, &job.id).await?;
        planned.push(of(job, &effects, db.now()));
    }
    Ok(planned)
}

fn of(job: JobRow, effects: &[EffectRow], now: Timestamp) -> Planned {
    let effects = effects.iter().map(|row| PlannedEffect {
        effect: row.id,
        connection: row.connection.clone(),
        route: row.route.clone(),
        business_key: row.business_key.clone(),
        class: row.class,
        state: row.state,
        would: foresee(row, now),
    });
    Planned {
        job: job.id,
        kind: job.kind,
        flow: job.flow,
        code: job.fault.map(|fault| fault.code),
        holds_lane: job.holds_lane,
        effects: effects.collect(),
    }
}

/// As far as the ledger alone can tell: the account and the adapter are taken to be those of the send.
fn foresee(row: &EffectRow, now: Timestamp) -> Foreseen {
    let way = || match way_out(&row.doubt(row.account_ref.as_ref(), row.adapter_digest.as_ref(), now)) {
        WayOut::Repeat => Foreseen::Sent,
        WayOut::LookUp => Foreseen::LookedUp,
        WayOut::Person(_) => Foreseen::LeftParked,
    };
    match row.state {
        EffectState::Succeeded if row.response.is_some() || row.outcome.is_some() => Foreseen::AnsweredFromJournal,
        EffectState::ResolvedHappened => Foreseen::AnsweredFromJournal,
        // A restored backup may be older than its send.
        EffectState::Intent | EffectState::Rejected | EffectState::Resend if row.reconcile_first => way(),
        EffectState::Intent | EffectState::Rejected | EffectState::Resend => Foreseen::Sent,
        _ if row.late_response.is_some() => Foreseen::AnsweredFromJournal,
        EffectState::Sending | EffectState::Uncertain | EffectState::Reconciling => way(),
        // It happened and nobody noted what it was, it waits for a person already, or it is over.
        EffectState::Succeeded | EffectState::Parked | EffectState::Abandoned | EffectState::Compensated => {
            Foreseen::LeftParked
        }
    }
}
