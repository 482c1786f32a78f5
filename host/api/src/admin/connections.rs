//! How a tenant's connections stand with their partners, and what they did.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use wharf_domain::ids::ConnectionId;
use wharf_domain::manifest::Manifest;
use wharf_domain::peak::Peak;
use wharf_store::accounts::{self, AccountRow};
use wharf_store::grants::{self, GrantAt, GrantRow, GrantState};
use wharf_store::usage::{self, Usage};

use crate::caller::Perm;
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/connections", Perm::ConnectionsRead, list),
        route(Verb::Get, "/api/v1/tenants/{tenant}/connections/{connection}/usage", Perm::ConnectionsRead, used),
    ]
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

const DEFAULT_DAYS: u32 = 30;
const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    /// 1 to 365; default 30.
    days: Option<u32>,
}

/// What a connection may do, and what it did.
#[derive(Serialize)]
struct Used {
    grant: GrantRow,
    days: u32,
    usage: Usage,
    /// Of the host that answers; `null` when it has no such connection or holds it back.
    peak: Option<Peak>,
    /// Publishers somebody has accepted an adapter of, on any connection.
    publishers: Vec<String>,
}

/// What is in force, beside what it did of it in the last days.
async fn used(
    State(state): State<ApiState>,
    Segments((tenant, connection)): Segments<(String, String)>,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Json<Used>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let Query(span) = span.map_err(|error| Problem::bad_request("bad-query", error.body_text()))?;
    let days = span.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=365).contains(&days) {
        return Err(Problem::bad_request("bad-query", format!("`days` is {days}; use 1 to 365")));
    }
    let unknown = || {
        let detail = format!("no host has wired a connection `{connection}` of tenant `{tenant}`");
        Problem::not_found("unknown-connection", detail)
    };
    let id = ConnectionId::parse(connection.clone()).map_err(|_| unknown())?;
    let at = GrantAt { tenant: tenant.clone(), connection: id };
    let rows = grants::history(state.db(), &at).await?;
    let grant = rows.into_iter().rev().find(|row| row.state == GrantState::Accepted).ok_or_else(unknown)?;
    let origins = serde_json::from_value::<Manifest>(grant.surface["manifest"].clone())
        .map(|manifest| manifest.endpoints.into_iter().map(|endpoint| endpoint.origin).collect())
        .unwrap_or_else(|_| Vec::new());
    let since = state.db().now().plus(-(i64::from(days) * DAY_MS));
    let usage = usage::of(state.db(), &at, &origins, since).await?;
    let publishers = grants::publishers(state.db()).await?;
    let peak = state.peak(&at.tenant, &at.connection);
    Ok(Json(Used { grant, days, usage, peak, publishers }))
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

    #[tokio::test]
    async fn what_a_connection_did_is_told_beside_what_it_may_do() {
        let house = House::new().await;
        let path = "/api/v1/tenants/nordic/connections/acme/usage";
        let answer = house.get(path).await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-connection"));
        house.granted().await;
        let answer = house.get(&format!("{path}?days=7")).await;
        assert_eq!((answer.status, &answer.body["days"]), (200, &json!(7)));
        assert_eq!(answer.body["usage"]["since"], json!(START - 7 * 24 * 3_600_000));
        assert_eq!(answer.body.pointer("/grant/version"), Some(&json!(1)));
        let seen = json!({ "since": START, "calls": 2, "cpu_ms": 3, "memory_bytes": 1 << 20, "http_requests": 1 });
        assert_eq!(answer.body["peak"], seen);
        for wrong in ["days=0", "days=366", "days=x", "weeks=1"] {
            let answer = house.get(&format!("{path}?{wrong}")).await;
            assert_eq!((answer.status, answer.code()), (400, "bad-query"), "{wrong}");
        }
        let answer = house.get("/api/v1/tenants/silent/connections/acme/usage").await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-connection"), "tenants do not see each other");
    }
}
