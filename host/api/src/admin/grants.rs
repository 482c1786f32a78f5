//! What connections may do: every version, what waits for a person, and the person's word.

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use wharf_domain::ids::ConnectionId;
use wharf_store::StoreError;
use wharf_store::audit::{self, AuditRow};
use wharf_store::grants::{self, GrantAt, GrantRow, Standing};

use super::effects::worded;
use crate::body;
use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/grants", Perm::GrantsRead, all),
        route(Verb::Get, "/api/v1/tenants/{tenant}/grants/{connection}", Perm::GrantsRead, history),
        route(Verb::Post, "/api/v1/tenants/{tenant}/grants/{connection}/{version}/accept", Perm::GrantsDecide, accept),
        route(Verb::Post, "/api/v1/tenants/{tenant}/grants/{connection}/{version}/refuse", Perm::GrantsDecide, refuse),
    ]
}

#[derive(Serialize)]
struct All {
    /// One per connection, of every tenant.
    grants: Vec<Standing>,
}

#[derive(Serialize)]
struct History {
    /// Oldest first.
    versions: Vec<GrantRow>,
    audit: Vec<AuditRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    why: String,
}

#[derive(Serialize)]
struct Decided {
    grant: GrantRow,
}

/// What is in force, and what waits.
async fn all(State(state): State<ApiState>) -> Result<Json<All>, Problem> {
    Ok(Json(All { grants: grants::all(state.db()).await? }))
}

async fn history(
    State(state): State<ApiState>,
    Segments((tenant, connection)): Segments<(String, String)>,
) -> Result<Json<History>, Problem> {
    let at = at(&state, &tenant, &connection)?;
    let versions = grants::history(state.db(), &at).await?;
    if versions.is_empty() {
        return Err(unknown(&at.to_string()));
    }
    let audit = audit::for_object(state.db(), &at.tenant, &format!("grant/{}", at.connection)).await?;
    Ok(Json(History { versions, audit }))
}

async fn accept(
    State(state): State<ApiState>,
    Segments(segments): Segments<(String, String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    decide(&state, segments, true, request).await
}

async fn refuse(
    State(state): State<ApiState>,
    Segments(segments): Segments<(String, String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    decide(&state, segments, false, request).await
}

/// Hosts hear of it by themselves, within a few seconds.
async fn decide(
    state: &ApiState,
    (tenant, connection, version): (String, String, String),
    accept: bool,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    let at = at(state, &tenant, &connection)?;
    let version: i64 = version.parse().map_err(|_| unknown(&format!("{at} version {version}")))?;
    let Why { why } = body::json(request).await?;
    let why = worded("why", &why)?;
    let mut tx = state.db().begin().await?;
    let decided = grants::decide(&mut tx, &administrator(), &at, (version, accept), why).await;
    let grant = decided.map_err(refused)?;
    tx.commit().await?;
    Ok(Json(Decided { grant }))
}

fn at(state: &ApiState, tenant: &str, connection: &str) -> Result<GrantAt, Problem> {
    let tenant = state.tenant(tenant)?;
    let connection = ConnectionId::parse(connection).map_err(|_| unknown(&format!("{tenant}/{connection}")))?;
    Ok(GrantAt { tenant, connection })
}

fn unknown(what: &str) -> Problem {
    Problem::not_found("unknown-grant", format!("there is no grant `{what}`"))
        .hint("`wharf grant list` names those there are; a connection gets one when a host first wires it")
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Refused { .. } => Problem::conflict("not-decidable", error.to_string()),
        StoreError::NotFound { .. } => Problem::not_found("unknown-grant", error.to_string()),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::House;

    #[tokio::test]
    async fn what_waits_is_listed_and_decided_with_a_reason() {
        let house = House::new().await;
        assert_eq!(house.get("/api/v1/grants").await.body, json!({ "grants": [] }));
        house.granted().await;
        house.grant(None).await;
        let listed = house.get("/api/v1/grants").await.body;
        assert_eq!(listed.pointer("/grants/0/accepted/version"), Some(&json!(1)), "{listed}");
        assert_eq!(listed.pointer("/grants/0/open/state"), Some(&json!("pending")), "{listed}");
        let path = "/api/v1/tenants/nordic/grants/acme";
        for body in ["{}", r#"{"why":" "}"#, r#"{"why":"x","who":"me"}"#] {
            let answer = house.post(&format!("{path}/2/accept"), body).await;
            assert_eq!((answer.status, answer.code()), (400, "bad-body"), "{body}");
        }
        let answer = house.post(&format!("{path}/2/accept"), r#"{"why":"needed for returns"}"#).await;
        assert_eq!((answer.status, answer.body.pointer("/grant/decided_by")), (200, Some(&json!("user:admin"))));
        let again = house.post(&format!("{path}/2/refuse"), r#"{"why":"no"}"#).await;
        assert_eq!((again.status, again.code()), (409, "not-decidable"));
        let story = house.get(path).await.body;
        assert_eq!(story["versions"].as_array().map(Vec::len), Some(2));
        assert_eq!(story.pointer("/audit/2/detail/why"), Some(&json!("needed for returns")), "{story}");
    }

    #[tokio::test]
    async fn a_grant_of_nobody_does_not_exist() {
        let house = House::new().await;
        house.grant(None).await;
        for path in [
            "/api/v1/tenants/silent/grants/acme",
            "/api/v1/tenants/nordic/grants/other",
            "/api/v1/tenants/nordic/grants/A%20b",
        ] {
            let answer = house.get(path).await;
            assert_eq!((answer.status, answer.code()), (404, "unknown-grant"), "{path}");
        }
        for version in ["2", "x", "-1", "99999999999999999999"] {
            let path = format!("/api/v1/tenants/nordic/grants/acme/{version}/accept");
            let answer = house.post(&path, r#"{"why":"x"}"#).await;
            assert_eq!((answer.status, answer.code()), (404, "unknown-grant"), "{version}");
        }
        assert_eq!(house.get("/api/v1/grants").await.body.pointer("/grants/0/accepted"), Some(&Value::Null));
    }
}
