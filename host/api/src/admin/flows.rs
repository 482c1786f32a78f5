//! Flows: the list of a tenant, and one flow with everything that belongs to it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use serde::Serialize;
use wharf_domain::ids::FlowKey;
use wharf_domain::time::Timestamp;
use wharf_flows::order_release;
use wharf_store::audit::{self, AuditRow};
use wharf_store::effects::{self, EffectRow, HistoryRow};
use wharf_store::exceptions::{self, ExceptionRow};
use wharf_store::flows::{self, FlowRow};
use wharf_store::inbox::{self, EventRow};
use wharf_store::jobs::{self, AttemptRow, JobRow};

use crate::problem::Problem;
use crate::route::{Perm, Row, route};
use crate::state::ApiState;

const LIST_LIMIT: u32 = 200;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Method::GET, "/api/v1/tenants/{tenant}/flows", Perm::Admin, list),
        route(Method::GET, "/api/v1/tenants/{tenant}/flows/order/{order}", Perm::Admin, timeline),
    ]
}

/// A flow without its state.
#[derive(Serialize)]
struct Summary {
    kind: String,
    key: FlowKey,
    status: String,
    version: i64,
    updated_at: Timestamp,
}

/// One flow with all that happened to it, each list oldest first.
#[derive(Serialize)]
struct Timeline {
    flow: FlowRow,
    events: Vec<EventRow>,
    jobs: Vec<JobWithAttempts>,
    effects: Vec<EffectWithHistory>,
    exceptions: Vec<ExceptionRow>,
    audit: Vec<AuditRow>,
}

#[derive(Serialize)]
struct JobWithAttempts {
    #[serde(flatten)]
    job: JobRow,
    attempts: Vec<AttemptRow>,
}

#[derive(Serialize)]
struct EffectWithHistory {
    #[serde(flatten)]
    effect: EffectRow,
    history: Vec<HistoryRow>,
}

/// The flows changed last, at most 200, newest first.
async fn list(State(state): State<ApiState>, Path(tenant): Path<String>) -> Result<Json<Vec<Summary>>, Problem> {
    let tenant = state.tenant(&tenant).ok_or_else(|| Problem::not_found("tenant"))?;
    let rows = flows::list(state.db(), &tenant, LIST_LIMIT).await?;
    let summary = |f: FlowRow| Summary {
        kind: f.kind,
        key: f.key,
        status: f.status,
        version: f.version,
        updated_at: f.updated_at,
    };
    Ok(Json(rows.into_iter().map(summary).collect()))
}

/// The order-release flow of one sales order, by the ERP's record id.
async fn timeline(
    State(state): State<ApiState>,
    Path((tenant, order)): Path<(String, String)>,
) -> Result<Json<Timeline>, Problem> {
    let tenant = state.tenant(&tenant).ok_or_else(|| Problem::not_found("tenant"))?;
    let key = FlowKey::new("order", &order);
    let db = state.db();
    let flow = flows::get(db, &tenant, order_release::KIND, &key).await?;
    let flow = flow.ok_or_else(|| Problem::not_found("flow"))?;
    let mut jobs = Vec::new();
    for job in jobs::for_flow(db, &tenant, &key).await? {
        let attempts = jobs::attempts(db, &job.id).await?;
        // A label's bytes are in the payload of the job that attaches it; the timeline tells of them, not them.
        jobs.push(JobWithAttempts { job: without_payload(job), attempts });
    }
    let mut effects = Vec::new();
    for effect in effects::for_flow(db, &tenant, &key).await? {
        let history = effects::history(db, &effect.id).await?;
        effects.push(EffectWithHistory { effect: without_answer(effect), history });
    }
    Ok(Json(Timeline {
        events: inbox::for_flow(db, &tenant, &key).await?,
        exceptions: exceptions::for_flow(db, &tenant, &key).await?,
        audit: audit::for_object(db, &tenant, key.as_str()).await?,
        flow,
        jobs,
        effects,
    }))
}

fn without_payload(mut job: JobRow) -> JobRow {
    job.payload = serde_json::Value::Null;
    job
}

/// The journaled answer holds labels and addresses.
fn without_answer(mut effect: EffectRow) -> EffectRow {
    effect.response = None;
    effect.outcome = None;
    effect
}
