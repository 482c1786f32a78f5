//! Who holds a lane, and who is next.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::exception::{self as codes, NewException, Severity};
use wharf_domain::fault::Fault;
use wharf_domain::ids::{JobId, TenantId};

use super::Job;
use crate::db::Tx;
use crate::error::StoreError;
use crate::exceptions;
use crate::row::{Cols, json};
use crate::sql::{Text, query};

static HOLDER: Text =
    Text::new("SELECT seq FROM job WHERE tenant = $1 AND lane = $2 AND head = 1 AND lane IS NOT NULL {for_share}");

/// The next of each lane holds it. `lane = e.value ->> 1` names a lane whose holder has just left.
static MOVE_UP: Text = Text::new(
    "UPDATE job SET head = 1, updated_at = $2, state = CASE WHEN run_at > $2 THEN 'waiting' ELSE 'ready' END \
     WHERE state = 'queued' AND seq IN (SELECT (SELECT MIN(j.seq) FROM job j WHERE j.tenant = (e.value ->> 0) \
       AND j.lane = (e.value ->> 1) AND j.state = 'queued') FROM {each})",
);

/// Sees to it that nobody leaves the lane before this transaction has ended. False when nobody holds it.
pub(super) async fn lock(tx: &mut Tx, tenant: &TenantId, lane: Option<&str>) -> Result<bool, StoreError> {
    let holder = query(&HOLDER).bind(tenant.as_str()).bind(lane).fetch_optional(tx.conn()).await?;
    Ok(holder.is_some())
}

/// The lanes were given up in this transaction: whoever is next in each may run.
pub(super) async fn move_up(tx: &mut Tx, lanes: &[(String, String)]) -> Result<(), StoreError> {
    if lanes.is_empty() {
        return Ok(());
    }
    let lanes: Vec<_> = lanes.iter().map(|(tenant, lane)| value!([tenant, lane])).collect();
    let now = tx.now().millis();
    query(&MOVE_UP).bind(json(&lanes)?).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Lets the next one run when nobody holds the lane any more.
pub(super) async fn move_up_if_free(tx: &mut Tx, tenant: &TenantId, lane: &str) -> Result<(), StoreError> {
    if lock(tx, tenant, Some(lane)).await? {
        return Ok(());
    }
    move_up(tx, &[(tenant.to_string(), lane.to_owned())]).await
}

static HOLDER_TO_MOVE: Text = Text::new(
    "SELECT seq, state FROM job WHERE tenant = $1 AND lane = $2 AND head = 1 AND lane IS NOT NULL {for_update}",
);

/// Prepares the lane for a job that comes back to its old place `seq`: may it hold the lane? An unstarted holder that
/// comes after it steps back; one that is running, or older, does not.
pub(super) async fn make_way(tx: &mut Tx, tenant: &TenantId, lane: &str, seq: i64) -> Result<bool, StoreError> {
    let holder = query(&HOLDER_TO_MOVE).bind(tenant.as_str()).bind(lane).fetch_optional(tx.conn()).await?;
    let Some(holder) = holder else {
        return Ok(true);
    };
    let cols = Cols(&holder);
    let (holder, state) = (cols.int("seq")?, cols.text("state")?);
    if holder < seq || !matches!(state.as_str(), "waiting" | "ready") {
        return Ok(false);
    }
    query("UPDATE job SET state = 'queued', head = 0 WHERE seq = $1").bind(holder).execute(tx.conn()).await?;
    Ok(true)
}

/// A strict job has parked. Nothing behind it runs, so a person must hear of it.
pub(super) async fn tell_it_is_held(tx: &mut Tx, actor: &Actor, job: &Job, fault: &Fault) -> Result<(), StoreError> {
    let lane = job.lane.as_deref().unwrap_or("none");
    let exception = NewException {
        code: codes::LANE_HELD.to_owned(),
        severity: Severity::Critical,
        object: object(&job.id),
        owner_role: "integration".to_owned(),
        cause: format!(
            "job `{}` ({}) is parked and holds lane `{lane}`: nothing behind it runs until it is replayed or cancelled; \
             it failed with: {fault}",
            job.id, job.kind
        ),
        actions: vec!["replay".to_owned(), "cancel".to_owned()],
    };
    exceptions::raise(tx, actor, &job.tenant, job.flow.as_ref(), &exception).await.map(|_| ())
}

/// A job has parked because its payload cannot be read: what it was to do is not done, and only a person can say what it
/// was.
pub(super) async fn tell_it_is_unreadable(
    tx: &mut Tx,
    actor: &Actor,
    job: &Job,
    fault: &Fault,
) -> Result<(), StoreError> {
    let exception = NewException {
        code: codes::PAYLOAD_UNREADABLE.to_owned(),
        severity: Severity::Critical,
        object: object(&job.id),
        owner_role: "integration".to_owned(),
        cause: format!(
            "job `{}` ({}) is parked and not done: {fault}; replay it with `--payload` and a good one, or cancel it",
            job.id, job.kind
        ),
        actions: vec!["replay".to_owned(), "cancel".to_owned()],
    };
    exceptions::raise(tx, actor, &job.tenant, job.flow.as_ref(), &exception).await.map(|_| ())
}

/// A person has decided about a job that held its lane or could not be read.
pub(super) async fn tell_it_is_let_go(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    job: &JobId,
    action: &str,
) -> Result<(), StoreError> {
    for code in [codes::LANE_HELD, codes::PAYLOAD_UNREADABLE] {
        exceptions::settle(tx, actor, tenant, (code, &object(job)), action).await?;
    }
    Ok(())
}

/// The name of a job in audit and exceptions.
pub(super) fn object(job: &JobId) -> String {
    format!("job/{job}")
}
