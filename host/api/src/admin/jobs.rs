//! The queue at a glance.

use axum::Json;
use axum::extract::State;
use wharf_store::jobs::{self, Counts};

use crate::caller::Perm;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Verb::Get, "/api/v1/jobs/counts", Perm::JobsRead, counts)]
}

/// Jobs per state over all tenants.
async fn counts(State(state): State<ApiState>) -> Result<Json<Counts>, Problem> {
    Ok(Json(jobs::counts(state.db()).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::House;

    #[tokio::test]
    async fn jobs_are_counted_by_state() {
        let house = House::new().await;
        house.pull().await;
        let answer = house.get("/api/v1/jobs/counts").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, json!({ "ready": 1, "running": 0, "done": 0, "parked": 0, "cancelled": 0 }));
    }
}
