//! A person's choice about an exception.

use thiserror::Error;
use wharf_domain::ctx::Actor;
use wharf_domain::exception as codes;
use wharf_domain::ids::{IdError, JobId};
use wharf_store::exceptions::{self, ExceptionRow};
use wharf_store::{StoreError, Tx, jobs};

use super::{advance, tell};
use crate::order_release::Event;

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
    if exception.code == codes::LANE_HELD {
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
    tell(tx, actor, &exception.tenant, key, event).await?;
    Ok(())
}

/// The job at the end of the exception's object.
fn job_of(exception: &ExceptionRow) -> Result<JobId, IdError> {
    JobId::parse(exception.object.rsplit('/').next().unwrap_or_default())
}
