//! The end of an attempt, in the transaction that stores what came of it.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::Fault;
use wharf_domain::ids::JobId;
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, opt_json};

/// What becomes of a job after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    Done,
    /// Another attempt, not before `at`.
    Retry {
        at: Timestamp,
        fault: Fault,
    },
    /// Later, and this attempt does not count.
    Snooze {
        until: Timestamp,
        reason: String,
    },
    /// A person decides. Leaves an audit row `job.parked`.
    Park {
        fault: Fault,
    },
    Cancelled {
        reason: String,
    },
}

impl Finish {
    fn state(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } | Self::Snooze { .. } => "ready",
            Self::Park { .. } => "parked",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Park { .. } => "park",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// When it is ready again; `None` when it is over.
    fn ready_at(&self) -> Option<Timestamp> {
        match self {
            Self::Retry { at, .. } => Some(*at),
            Self::Snooze { until, .. } => Some(*until),
            Self::Done | Self::Park { .. } | Self::Cancelled { .. } => None,
        }
    }

    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Retry { fault, .. } | Self::Park { fault } => Some(fault),
            Self::Done | Self::Snooze { .. } | Self::Cancelled { .. } => None,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Snooze { reason, .. } | Self::Cancelled { reason } => Some(reason),
            Self::Done | Self::Retry { .. } | Self::Park { .. } => None,
        }
    }
}

/// Ends the attempt that holds `fence`. Fails with [`StoreError::LostLease`] when another worker, a release or a
/// finish was there before: roll back, nothing of this attempt may be stored.
pub async fn finish(tx: &mut Tx, actor: &Actor, id: &JobId, fence: i64, finish: &Finish) -> Result<(), StoreError> {
    let now = tx.now();
    let fault = opt_json(finish.fault())?;
    let counted = i64::from(!matches!(finish, Finish::Snooze { .. }));
    let row = sqlx::query(
        "UPDATE job SET state = $3, run_at = COALESCE($4, run_at), attempt = attempt - 1 + $5, \
         fault = COALESCE($6, fault), worker = NULL, lease_until = NULL, updated_at = $7, finished_at = $8 \
         WHERE id = $1 AND fence = $2 AND state = 'running' RETURNING tenant, kind",
    )
    .bind(id.to_string())
    .bind(fence)
    .bind(finish.state())
    .bind(finish.ready_at().map(Timestamp::millis))
    .bind(counted)
    .bind(&fault)
    .bind(now.millis())
    .bind(finish.ready_at().is_none().then_some(now.millis()))
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        return Err(StoreError::LostLease { job: *id });
    };
    sqlx::query(
        "UPDATE job_attempt SET finished_at = $3, outcome = $4, reason = $5, fault = $6 WHERE job = $1 AND fence = $2",
    )
    .bind(id.to_string())
    .bind(fence)
    .bind(now.millis())
    .bind(finish.outcome())
    .bind(finish.reason())
    .bind(&fault)
    .execute(tx.conn())
    .await?;
    if let Finish::Park { fault } = finish {
        let detail = value!({ "kind": Cols(&row).text("kind")?, "code": fault.code, "message": fault.message });
        let tenant = Cols(&row).tenant()?;
        audit::append(tx, actor, &tenant, "job.parked", &format!("job/{id}"), &detail).await?;
    }
    // The lane is free: its next job may be waiting already.
    tx.mark_enqueued();
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{JobState, NewJob, attempts, claim, enqueue, get};
    use super::*;
    use crate::testing::{House, START, actor, tenant};

    #[tokio::test]
    async fn a_snooze_gives_the_attempt_back() {
        let house = House::new().await;
        let mut tx = house.db.begin().await.expect("begin");
        enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), "a", "k", json!({}))).await.expect("enqueue");
        tx.commit().await.expect("commit");
        for round in 1..=3 {
            let job = claim(&house.db, "w", 1_000, 1).await.expect("claim").remove(0);
            assert_eq!((job.attempt, job.fence), (1, round));
            let until = house.db.now().plus(10);
            let mut tx = house.db.begin().await.expect("begin");
            let snooze = Finish::Snooze { until, reason: "closed".to_owned() };
            finish(&mut tx, &actor(), &job.id, job.fence, &snooze).await.expect("finish");
            tx.commit().await.expect("commit");
            let row = get(&house.db, &job.id).await.expect("get").expect("some");
            assert_eq!((row.state, row.attempt, row.run_at), (JobState::Ready, 0, until));
            let last = attempts(&house.db, &job.id).await.expect("attempts").pop().expect("one");
            assert_eq!((last.outcome.as_deref(), last.reason.as_deref()), (Some("snooze"), Some("closed")));
            house.clock.advance(10);
        }
    }

    #[tokio::test]
    async fn a_finish_that_is_rolled_back_did_not_happen() {
        let house = House::new().await;
        let mut tx = house.db.begin().await.expect("begin");
        enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), "a", "k", json!({}))).await.expect("enqueue");
        tx.commit().await.expect("commit");
        let job = claim(&house.db, "w", 1_000, 1).await.expect("claim").remove(0);
        let mut tx = house.db.begin().await.expect("begin");
        finish(&mut tx, &actor(), &job.id, job.fence, &Finish::Done).await.expect("finish");
        drop(tx);
        let row = get(&house.db, &job.id).await.expect("get").expect("some");
        assert_eq!((row.state, row.lease_until.map(Timestamp::millis)), (JobState::Running, Some(START + 1_000)));
        let mut tx = house.db.begin().await.expect("begin");
        let gone = Finish::Cancelled { reason: "no order".to_owned() };
        finish(&mut tx, &actor(), &job.id, job.fence, &gone).await.expect("finish");
        tx.commit().await.expect("commit");
        let row = get(&house.db, &job.id).await.expect("get").expect("some");
        assert_eq!((row.state, row.finished_at.map(Timestamp::millis)), (JobState::Cancelled, Some(START)));
    }
}
