//! How a tenant's connections stand with their partners.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use wharf_store::accounts::{self, AccountRow};

use crate::caller::Perm;
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Verb::Get, "/api/v1/tenants/{tenant}/connections", Perm::ConnectionsRead, list)]
}

#[derive(Serialize)]
struct Connections {
    /// One per account. A connection that was never used is not here, nor one whose partner names no limit and has
    /// never failed.
    connections: Vec<AccountRow>,
}

/// Limits and how far they are used, the partner's pause, breaker, and how many wait.
async fn list(State(state): State<ApiState>, Segments(tenant): Segments<String>) -> Result<Json<Connections>, Problem> {
    let tenant = state.tenant(&tenant)?;
    Ok(Json(Connections { connections: accounts::list(state.db(), &tenant).await? }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{House, START};

    #[tokio::test]
    async fn a_connection_shows_limits_level_pause_and_breaker() {
        let house = House::new().await;
        let answer = house.get("/api/v1/tenants/nordic/connections").await;
        assert_eq!(answer.body, json!({ "connections": [] }));
        house.paused_account().await;
        let answer = house.get("/api/v1/tenants/nordic/connections").await;
        assert_eq!(
            answer.body["connections"],
            json!([{
                "connection": "acme",
                "name": "https://acme.test",
                "limits": { "buckets": [{ "requests": 10, "per_seconds": 1 }], "max_in_flight": 16 },
                "view": {
                    "buckets": [{ "requests": 10, "span_ms": 1_000, "used": 1 }],
                    "under_way": 0,
                    "max_in_flight": 16,
                    "blocked_until": START + 5_000,
                    "breaker": { "state": "closed" },
                    "waiting": 0,
                },
                "updated_at": START,
            }])
        );
        let answer = house.get("/api/v1/tenants/silent/connections").await;
        assert_eq!(answer.body, json!({ "connections": [] }), "tenants do not see each other");
    }
}
