//! Jobs, as the operator sees and moves them: what waits, what was given up, and another go at it.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wharf_domain::ids::{FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;
use wharf_store::effects::{self, EffectRow};
use wharf_store::jobs::{self, AttemptRow, Counts, DeadLetters, Filter, JobRow, JobState, Overview, Page, Planned};
use wharf_store::{StoreError, Tx};

use super::shorten;
use crate::body;
use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/jobs/counts", Perm::JobsRead, counts),
        route(Verb::Get, "/api/v1/queue", Perm::JobsRead, overview),
        route(Verb::Get, "/api/v1/dead-letters", Perm::JobsRead, dead_letters),
        route(Verb::Get, "/api/v1/tenants/{tenant}/dead-letters", Perm::JobsRead, dead_letters_of_one),
        route(Verb::Get, "/api/v1/tenants/{tenant}/jobs", Perm::JobsRead, list),
        route(Verb::Post, "/api/v1/tenants/{tenant}/jobs/replay", Perm::JobsReplay, replay_many),
        route(Verb::Get, "/api/v1/tenants/{tenant}/jobs/{id}", Perm::JobsRead, show),
        route(Verb::Post, "/api/v1/tenants/{tenant}/jobs/{id}/replay", Perm::JobsReplay, replay),
        route(Verb::Post, "/api/v1/tenants/{tenant}/jobs/{id}/cancel", Perm::JobsCancel, cancel),
    ]
}

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 500;
/// So many tenants the overview names.
const BUSIEST: u32 = 10;

/// Jobs per state over all tenants.
async fn counts(State(state): State<ApiState>) -> Result<Json<Counts>, Problem> {
    Ok(Json(jobs::counts(state.db()).await?))
}

/// How much waits, for whom, and for how long.
async fn overview(State(state): State<ApiState>) -> Result<Json<Overview>, Problem> {
    Ok(Json(jobs::overview(state.db(), BUSIEST).await?))
}

#[derive(Serialize)]
struct Letters {
    dead_letters: Vec<DeadLetters>,
}

/// Parked jobs of every tenant by kind, with the age of the oldest.
async fn dead_letters(State(state): State<ApiState>) -> Result<Json<Letters>, Problem> {
    Ok(Json(Letters { dead_letters: jobs::dead_letters(state.db(), None).await? }))
}

async fn dead_letters_of_one(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
) -> Result<Json<Letters>, Problem> {
    let tenant = state.tenant_or_host(&tenant)?;
    Ok(Json(Letters { dead_letters: jobs::dead_letters(state.db(), Some(&tenant)).await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: Option<JobState>,
    kind: Option<String>,
    /// 1 to 500; default 100.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<JobId>,
}

#[derive(Serialize)]
struct Jobs {
    jobs: Vec<JobRow>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<JobId>,
}

/// A tenant's jobs, newest first.
async fn list(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Jobs>, Problem> {
    let tenant = state.tenant_or_host(&tenant)?;
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request("bad-query", error.body_text()))?;
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request("bad-query", format!("`limit` is {limit}; use 1 to {MOST}")));
    }
    let page = Page { state: wanted.state, kind: wanted.kind, after: wanted.after, limit: limit + 1 };
    let mut jobs = jobs::list(state.db(), &tenant, &page).await?;
    let more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    jobs.iter_mut().for_each(|job| shorten(&mut job.payload));
    Ok(Json(Jobs { next: jobs.last().filter(|_| more).map(|job| job.id), jobs }))
}

/// A job, whole.
#[derive(Serialize)]
struct Story {
    job: JobRow,
    /// Oldest first.
    attempts: Vec<AttemptRow>,
    /// What it changed outside, or began to; oldest first.
    effects: Vec<EffectRow>,
}

async fn show(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
) -> Result<Json<Story>, Problem> {
    let (_, job) = find(&state, &tenant, &id).await?;
    let attempts = jobs::attempts(state.db(), &job.id).await?;
    let mut effects = effects::for_job(state.db(), &job.id).await?;
    for effect in &mut effects {
        effect.response.iter_mut().chain(effect.outcome.iter_mut()).for_each(shorten);
    }
    Ok(Json(Story { job, attempts, effects }))
}

/// The tenant's own job. One of another tenant does not exist.
async fn find(state: &ApiState, tenant: &str, id: &str) -> Result<(TenantId, JobRow), Problem> {
    let tenant = state.tenant_or_host(tenant)?;
    let unknown = || Problem::not_found("unknown-job", format!("there is no job `{id}`"));
    let id = JobId::parse(id).map_err(|_| unknown())?;
    let job = jobs::get(state.db(), &id).await?.filter(|job| job.tenant == tenant).ok_or_else(unknown)?;
    Ok((tenant, job))
}

/// How one job is replayed; `{}` as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    /// What it is to work on instead.
    #[serde(default, deserialize_with = "given")]
    payload: Option<Value>,
}

/// Tells a payload of `null` from none.
fn given<'de, D: serde::Deserializer<'de>>(text: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(text).map(Some)
}

/// Gives a parked job a fresh set of attempts. 202 once that is on disk.
async fn replay(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (_, job) = find(&state, &tenant, &id).await?;
    let again: Again = body::json(request).await?;
    let mut tx = state.db().begin().await?;
    replay_in(&mut tx, &job.id, again.payload.as_ref()).await.map_err(refused)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))))
}

async fn replay_in(tx: &mut Tx, job: &JobId, payload: Option<&Value>) -> Result<(), StoreError> {
    if let Some(payload) = payload {
        jobs::mend(tx, &administrator(), job, payload).await?;
    }
    jobs::replay(tx, &administrator(), job).await
}

/// Gives up on a job that waits or is parked. 202 once that is on disk; a worker ends it, so that its flow hears of it.
async fn cancel(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (_, job) = find(&state, &tenant, &id).await?;
    let mut tx = state.db().begin().await?;
    jobs::call_off(&mut tx, &administrator(), &job.id).await.map_err(refused)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))))
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Refused { .. } => Problem::conflict("not-possible", error.to_string()),
        StoreError::NotFound { .. } => Problem::not_found("unknown-job", error.to_string()),
        error => error.into(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    /// `{}` is every parked job of the tenant, up to the limit.
    filter: Narrowing,
    /// Required, so that nobody replays by leaving something out.
    dry_run: bool,
}

/// Which parked jobs. Absent fields do not narrow; times are milliseconds since 1970.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrowing {
    kind: Option<String>,
    /// Of the fault it was parked with, e.g. `queue.bad-payload`.
    code: Option<String>,
    flow: Option<FlowKey>,
    parked_from: Option<Timestamp>,
    parked_until: Option<Timestamp>,
    /// 1 to 10,000; default 100.
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    /// In the order they run: what was, or would be, replayed. An effect says what would become of it.
    jobs: Vec<Planned>,
}

/// Replays the parked jobs that fit, or says what that would do. The effects told are those of earlier attempts: the
/// same list twice touches each of them once.
async fn replay_many(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
    request: Request,
) -> Result<(StatusCode, Json<Plan>), Problem> {
    let tenant = state.tenant_or_host(&tenant)?;
    let Many { filter, dry_run } = body::json(request).await?;
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=jobs::MOST_FOUND).contains(&limit) {
        let detail = format!("`filter.limit` is {limit}; use 1 to {}", jobs::MOST_FOUND);
        return Err(Problem::bad_request("bad-body", detail));
    }
    let filter = Filter {
        kind: filter.kind,
        code: filter.code,
        flow: filter.flow,
        parked_from: filter.parked_from,
        parked_until: filter.parked_until,
        limit,
    };
    let mut planned = jobs::plan(state.db(), &tenant, &filter).await?;
    if dry_run {
        return Ok((StatusCode::OK, Json(Plan { dry_run, jobs: planned })));
    }
    let ids: Vec<JobId> = planned.iter().map(|job| job.job).collect();
    let replayed = jobs::replay_many(state.db(), &administrator(), &ids).await?;
    planned.retain(|job| replayed.contains(&job.job));
    Ok((StatusCode::ACCEPTED, Json(Plan { dry_run, jobs: planned })))
}

#[cfg(test)]
mod tests;
