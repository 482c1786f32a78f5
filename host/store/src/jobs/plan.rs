//! What a replay would do, told before anybody does it.

use serde::Serialize;
use wharf_domain::effect::{EffectClass, EffectState};
use wharf_domain::ids::{ConnectionId, EffectId, JobId};

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
        planned.push(of(job, &effects));
    }
    Ok(planned)
}

fn of(job: JobRow, effects: &[EffectRow]) -> Planned {
    let effects = effects.iter().map(|row| PlannedEffect {
        effect: row.id,
        connection: row.connection.clone(),
        route: row.route.clone(),
        business_key: row.business_key.clone(),
        class: row.class,
        state: row.state,
        would: foresee(row),
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

fn foresee(row: &EffectRow) -> Foreseen {
    match row.state {
        EffectState::Succeeded if row.response.is_some() || row.outcome.is_some() => Foreseen::AnsweredFromJournal,
        EffectState::Intent | EffectState::Rejected => Foreseen::Sent,
        EffectState::Sending | EffectState::Uncertain | EffectState::Reconciling => match row.class {
            EffectClass::Read | EffectClass::Natural => Foreseen::Sent,
            EffectClass::Lookup => Foreseen::LookedUp,
            EffectClass::Once => Foreseen::LeftParked,
        },
        // It happened and nobody noted what it was, or it waits for a person already.
        EffectState::Succeeded | EffectState::Parked | EffectState::Abandoned => Foreseen::LeftParked,
    }
}
