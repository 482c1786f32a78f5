//! A person's choice about an exception, or about the outside change an exception asks about. Both ways lead to the same
//! event: an effect that was decided is told to the flow as an action of its exception, and an action that settles an
//! effect is written to the ledger.

use thiserror::Error;
use wharf_domain::ctx::Actor;
use wharf_domain::effect::EffectState;
use wharf_domain::exception as codes;
use wharf_domain::ids::{IdError, JobId};
use wharf_store::effects::{self, EffectRow};
use wharf_store::exceptions::{self, ExceptionRow};
use wharf_store::{Db, StoreError, Tx, jobs};

use super::{advance, tell};
use crate::order_release::{Event, LOOK_AGAIN, NOT_BOUGHT};

/// Why a choice was not taken.
#[derive(Debug, Error)]
pub enum ChoiceError {
    #[error("exception `{0}` is closed already")]
    Closed(String),
    #[error("`{action}` is not an action of this exception; use one of: {allowed}")]
    UnknownAction { action: String, allowed: String },
    #[error("exception `{0}` belongs to no flow; it closes by itself when its cause is gone")]
    NoFlow(String),
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes one of the exception's own actions. The flow hears of it after the commit and closes the exception when its
/// cause is gone; an event that could not be applied is applied once more, and a
/// job that holds its lane is replayed or cancelled.
pub async fn choose(tx: &mut Tx, actor: &Actor, exception: &ExceptionRow, action: &str) -> Result<(), ChoiceError> {
    if exception.resolution.is_some() {
        return Err(ChoiceError::Closed(exception.id.to_string()));
    }
    if !exception.actions.iter().any(|allowed| allowed == action) {
        let allowed = exception.actions.join(", ");
        return Err(ChoiceError::UnknownAction { action: action.to_owned(), allowed });
    }
    if action == advance::REPLAY {
        exceptions::resolve(tx, actor, &exception.id, action, "").await?;
        jobs::replay(tx, actor, &job_of(exception)?).await?;
        return Ok(());
    }
    if matches!(exception.code.as_str(), codes::LANE_HELD | codes::PAYLOAD_UNREADABLE) {
        exceptions::resolve(tx, actor, &exception.id, action, "").await?;
        jobs::call_off(tx, actor, &job_of(exception)?).await?;
        return Ok(());
    }
    let Some(key) = &exception.flow else {
        return Err(ChoiceError::NoFlow(exception.id.to_string()));
    };
    let event = Event::Resolved {
        code: exception.code.clone(),
        object: exception.object.clone(),
        action: action.to_owned(),
        by: actor.to_string(),
    };
    if exception.code == codes::LABEL_UNKNOWN && action == NOT_BOUGHT {
        for effect in effects::in_doubt_of_flow(tx, &exception.tenant, key).await? {
            if asks_about(exception, &effect) {
                effects::abandon(tx, actor, &effect.id, "a person made sure that it was not bought").await?;
            }
        }
    }
    tell(tx, actor, &exception.tenant, key, event).await?;
    Ok(())
}

/// The job at the end of the exception's object.
fn job_of(exception: &ExceptionRow) -> Result<JobId, IdError> {
    JobId::parse(exception.object.rsplit('/').next().unwrap_or_default())
}

/// Tells the flow that waits for an effect what a person decided about it: what happened, or may be sent again, is
/// looked at again; what was given up or undone was not bought. False when no flow waits for it.
pub async fn decided(db: &Db, tx: &mut Tx, actor: &Actor, effect: &EffectRow) -> Result<bool, ChoiceError> {
    let action = match effect.state {
        EffectState::ResolvedHappened | EffectState::Resend => LOOK_AGAIN,
        EffectState::Abandoned | EffectState::Compensated => NOT_BOUGHT,
        _ => return Ok(false),
    };
    let Some(flow) = &effect.flow else {
        return Ok(false);
    };
    let known = exceptions::for_flow(db, &effect.tenant, flow).await?;
    let Some(waiting) = known.iter().find(|row| row.resolution.is_none() && asks_about(row, effect)) else {
        return Ok(false);
    };
    choose(tx, actor, waiting, action).await?;
    Ok(true)
}

/// Is this the exception a flow raised because it does not know what became of the effect? The business key of a label
/// is the exception's object and the label's number.
fn asks_about(exception: &ExceptionRow, effect: &EffectRow) -> bool {
    let object = effect.business_key.as_deref().and_then(|key| key.strip_prefix("label:")?.rsplit_once('/'));
    exception.code == codes::LABEL_UNKNOWN && object.is_some_and(|(object, _)| object == exception.object)
}
