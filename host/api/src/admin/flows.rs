//! Flows, and the whole story of one of them.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use wharf_domain::ids::{FlowKey, TenantId};
use wharf_domain::time::Timestamp;
use wharf_flows::{order_release, runner};
use wharf_store::audit::{self, AuditRow};
use wharf_store::effects::{self, EffectRow, HistoryRow};
use wharf_store::exceptions::{self, ExceptionRow};
use wharf_store::flows::{self, FlowRow};
use wharf_store::inbox::{self, EventRow};
use wharf_store::jobs::{self, AttemptRow, JobRow};
use wharf_store::{Db, StoreError};

use super::shorten;
use crate::caller::Perm;
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/flows", Perm::FlowsRead, list),
        route(Verb::Get, "/api/v1/tenants/{tenant}/flows/order/{id}", Perm::FlowsRead, timeline),
    ]
}

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// 1 to 500; default 100.
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Flows {
    flows: Vec<Summary>,
}

/// A flow in a list.
#[derive(Serialize)]
struct Summary {
    kind: String,
    key: FlowKey,
    status: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Everything known about one flow, each list oldest first.
#[derive(Serialize)]
struct Timeline {
    flow: FlowRow,
    /// Facts that arrived.
    events: Vec<EventRow>,
    jobs: Vec<JobStory>,
    effects: Vec<EffectStory>,
    /// Open and closed ones.
    exceptions: Vec<ExceptionRow>,
    /// Of the flow, its jobs, effects and exceptions.
    audit: Vec<AuditRow>,
}

#[derive(Serialize)]
struct JobStory {
    job: JobRow,
    attempts: Vec<AttemptRow>,
}

#[derive(Serialize)]
struct EffectStory {
    effect: EffectRow,
    history: Vec<HistoryRow>,
}

/// The flows changed last, newest first.
async fn list(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Flows>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let Query(page) = page.map_err(|error| Problem::bad_request("bad-query", error.body_text()))?;
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request("bad-query", format!("`limit` is {limit}; use 1 to {MOST}")));
    }
    let summary = |row: FlowRow| Summary {
        kind: row.kind,
        key: row.key,
        status: row.status,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    let rows = flows::list(state.db(), &tenant, limit).await?;
    Ok(Json(Flows { flows: rows.into_iter().map(summary).collect() }))
}

/// The story of one order's flow, by the ERP's record id of the order.
async fn timeline(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
) -> Result<Json<Timeline>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let key = runner::order_key(&id);
    let flow = flows::get(state.db(), &tenant, order_release::KIND, &key).await?;
    let flow = flow.ok_or_else(|| {
        Problem::not_found("unknown-flow", format!("there is no flow `{key}`"))
            .hint("a flow starts when the ERP tells of its order; look at `exceptions` when it should have")
    })?;
    Ok(Json(compose(state.db(), &tenant, &key, flow).await?))
}

async fn compose(db: &Db, tenant: &TenantId, key: &FlowKey, flow: FlowRow) -> Result<Timeline, StoreError> {
    let mut jobs = Vec::new();
    for mut job in jobs::for_flow(db, tenant, key).await? {
        shorten(&mut job.payload);
        jobs.push(JobStory { attempts: jobs::attempts(db, &job.id).await?, job });
    }
    let mut effects = Vec::new();
    for mut effect in effects::for_flow(db, tenant, key).await? {
        effect.response.iter_mut().chain(effect.outcome.iter_mut()).for_each(shorten);
        effects.push(EffectStory { history: effects::history(db, &effect.id).await?, effect });
    }
    let exceptions = exceptions::for_flow(db, tenant, key).await?;
    let mut objects: BTreeSet<String> = exceptions.iter().map(|row| row.object.clone()).collect();
    objects.insert(key.to_string());
    objects.extend(jobs.iter().map(|story| format!("job/{}", story.job.id)));
    objects.extend(effects.iter().map(|story| format!("effect/{}", story.effect.id)));
    let mut audit = Vec::new();
    for object in objects {
        audit.extend(audit::for_object(db, tenant, &object).await?);
    }
    audit.sort_by_key(|row| row.seq);
    Ok(Timeline { flow, events: inbox::for_flow(db, tenant, key).await?, jobs, effects, exceptions, audit })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::House;

    #[tokio::test]
    async fn flows_are_listed_newest_first_without_their_state() {
        let house = House::new().await;
        house.flow("41").await;
        house.clock.advance(1);
        house.flow("42").await;
        let answer = house.get("/api/v1/tenants/nordic/flows").await;
        let keys: Vec<_> = answer.body["flows"].as_array().expect("flows").iter().map(|flow| &flow["key"]).collect();
        assert_eq!(keys, [&json!("order/42"), &json!("order/41")]);
        assert_eq!(answer.body["flows"][0].get("state"), None);
        let answer = house.get("/api/v1/tenants/nordic/flows?limit=1").await;
        assert_eq!(answer.body["flows"].as_array().expect("flows").len(), 1);
        for query in ["limit=0", "limit=501", "limit=many", "size=1"] {
            let answer = house.get(&format!("/api/v1/tenants/nordic/flows?{query}")).await;
            assert_eq!((answer.status, answer.code()), (400, "bad-query"), "{query}");
        }
        let answer = house.get("/api/v1/tenants/silent/flows").await;
        assert_eq!(answer.body, json!({ "flows": [] }), "tenants do not see each other");
    }

    #[tokio::test]
    async fn the_timeline_tells_the_whole_story() {
        let house = House::new().await;
        house.flow("42").await;
        house.told("42", &"x".repeat(5_000)).await;
        house.effect("42").await;
        house.exception().await;
        let answer = house.get("/api/v1/tenants/nordic/flows/order/42").await;
        assert_eq!(answer.status, 200);
        let body = &answer.body;
        assert_eq!((&body["flow"]["status"], &body["flow"]["state"]["a"]), (&json!("packed"), &json!(1)));
        assert_eq!(body["events"][0]["key"], "e1");
        assert_eq!(body["jobs"][0]["job"]["kind"], "flow.advance");
        assert_eq!(body["jobs"][0]["job"]["payload"]["text"], "… 5000 bytes");
        assert_eq!(body["jobs"][0]["attempts"][0]["outcome"], "retry");
        assert_eq!(body["jobs"][0]["attempts"][0]["fault"]["code"], "fake");
        assert_eq!(body["effects"][0]["effect"]["business_key"], "label:order/42/WH/OUT/00007/1");
        assert_eq!(body["effects"][0]["history"][0]["to"], "intent");
        assert_eq!(body["exceptions"][0]["code"], "label-unknown");
        let actions: Vec<_> = body["audit"].as_array().expect("audit").iter().map(|row| &row["action"]).collect();
        for action in ["flow.saved", "effect.opened", "exception.raised"] {
            assert!(actions.contains(&&json!(action)), "{action} in {actions:?}");
        }
        let seqs: Vec<_> = body["audit"].as_array().expect("audit").iter().map(|row| row["seq"].as_i64()).collect();
        assert!(seqs.is_sorted(), "{seqs:?}");
    }

    #[tokio::test]
    async fn a_flow_of_another_tenant_does_not_exist() {
        let house = House::new().await;
        house.flow("42").await;
        for (path, code) in [
            ("/api/v1/tenants/silent/flows/order/42", "unknown-flow"),
            ("/api/v1/tenants/nordic/flows/order/43", "unknown-flow"),
            ("/api/v1/tenants/nobody/flows/order/42", "unknown-tenant"),
        ] {
            let answer = house.get(path).await;
            assert_eq!((answer.status, answer.code()), (404, code), "{path}");
        }
    }
}
