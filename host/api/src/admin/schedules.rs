//! What happens by the clock, and stopping it for a while.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use wharf_store::StoreError;
use wharf_store::schedules::{self, ScheduleRow};

use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/schedules", Perm::SchedulesRead, list),
        route(Verb::Post, "/api/v1/tenants/{tenant}/schedules/{name}/pause", Perm::SchedulesPause, pause),
        route(Verb::Post, "/api/v1/tenants/{tenant}/schedules/{name}/resume", Perm::SchedulesPause, resume),
    ]
}

#[derive(Serialize)]
struct Schedules {
    schedules: Vec<ScheduleRow>,
}

/// Every schedule that has come into being. Those of the host itself belong to tenant `wharf`.
async fn list(State(state): State<ApiState>, Segments(tenant): Segments<String>) -> Result<Json<Schedules>, Problem> {
    let tenant = state.tenant_or_host(&tenant)?;
    Ok(Json(Schedules { schedules: schedules::list(state.db(), &tenant).await? }))
}

/// From now on nothing is fired.
async fn pause(
    State(state): State<ApiState>,
    Segments((tenant, name)): Segments<(String, String)>,
) -> Result<Json<ScheduleRow>, Problem> {
    set(&state, &tenant, &name, true).await
}

/// What was missed meanwhile is made up for by the schedule's own rule.
async fn resume(
    State(state): State<ApiState>,
    Segments((tenant, name)): Segments<(String, String)>,
) -> Result<Json<ScheduleRow>, Problem> {
    set(&state, &tenant, &name, false).await
}

async fn set(state: &ApiState, tenant: &str, name: &str, paused: bool) -> Result<Json<ScheduleRow>, Problem> {
    let tenant = state.tenant_or_host(tenant)?;
    let mut tx = state.db().begin().await?;
    let row =
        schedules::set_paused(&mut tx, &administrator(), &tenant, name, paused).await.map_err(|error| match error {
            StoreError::NotFound { .. } => Problem::not_found("unknown-schedule", error.to_string()),
            error => error.into(),
        })?;
    tx.commit().await?;
    Ok(Json(row))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_domain::ids::TenantId;
    use wharf_store::schedules;

    use crate::testing::House;

    #[tokio::test]
    async fn a_schedule_is_paused_and_resumed_by_a_person() {
        let house = House::new().await;
        let mut tx = house.db.begin().await.expect("begin");
        let tenant = TenantId::parse("nordic").expect("tenant");
        schedules::take(&mut tx, &tenant, "erp.pull", None).await.expect("take");
        tx.commit().await.expect("commit");
        for (act, paused) in [("pause", true), ("resume", false)] {
            let answer = house.post(&format!("/api/v1/tenants/nordic/schedules/erp.pull/{act}"), "{}").await;
            assert_eq!((answer.status, &answer.body["paused"]), (200, &json!(paused)));
            let answer = house.get("/api/v1/tenants/nordic/schedules").await;
            assert_eq!(answer.body["schedules"][0]["paused"], paused);
        }
        for path in ["silent/schedules/erp.pull", "nordic/schedules/erp.push"] {
            let answer = house.post(&format!("/api/v1/tenants/{path}/pause"), "{}").await;
            assert_eq!((answer.status, answer.code()), (404, "unknown-schedule"), "{path}");
        }
        assert_eq!(house.get("/api/v1/tenants/wharf/schedules").await.status, 200, "the host's own");
    }
}
