//! After a backup was restored: what was re-learned, and letting a tenant go on.

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use wharf_store::effects::{self, Report};

use super::effects::worded;
use crate::body;
use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/restore-hold", Perm::EffectsRead, report),
        route(Verb::Post, "/api/v1/tenants/{tenant}/restore-hold/lift", Perm::RestoreLift, lift),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    note: String,
}

#[derive(Serialize)]
struct Lifted {
    /// Effects that are sent without looking first from now on.
    effects: u64,
}

/// Whether the tenant is held, and what the newest restore put in question.
async fn report(State(state): State<ApiState>, Segments(tenant): Segments<String>) -> Result<Json<Report>, Problem> {
    let tenant = state.tenant(&tenant)?;
    Ok(Json(effects::report(state.db(), &tenant).await?))
}

/// Somebody answers for it that nothing is bought twice.
async fn lift(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
    request: Request,
) -> Result<Json<Lifted>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let Note { note } = body::json(request).await?;
    let mut tx = state.db().begin().await?;
    let lifted = effects::lift(&mut tx, &administrator(), &tenant, worded("note", &note)?).await?;
    let Some(effects) = lifted else {
        return Err(Problem::conflict("not-held", format!("tenant `{tenant}` is not held after a restore")));
    };
    tx.commit().await?;
    Ok(Json(Lifted { effects }))
}

#[cfg(test)]
mod tests {
    use crate::testing::House;

    #[tokio::test]
    async fn a_held_tenant_is_seen_and_lifted_once_with_a_reason() {
        let house = House::new().await;
        let (path, lift) = ("/api/v1/tenants/nordic/restore-hold", "/api/v1/tenants/nordic/restore-hold/lift");
        assert_eq!(house.get(path).await.body, serde_json::json!({ "epoch": 0, "held": false, "effects": [] }));
        let early = house.post(lift, r#"{"note":"x"}"#).await;
        assert_eq!((early.status, early.code()), (409, "not-held"));
        house.told("42", "x").await;
        house.effect("42").await;
        house.restored().await;
        let answer = house.get(path).await;
        assert_eq!((&answer.body["held"], &answer.body["effects"][0]["became"]), (&true.into(), &"open".into()));
        let empty = house.post(lift, r#"{"note":" "}"#).await;
        assert_eq!((empty.status, empty.code()), (400, "bad-body"));
        let answer = house.post(lift, r#"{"note":"looked at the carrier"}"#).await;
        assert_eq!((answer.status, &answer.body["effects"]), (200, &1.into()));
        let answer = house.get(path).await;
        assert_eq!((&answer.body["held"], &answer.body["effects"][0]["became"]), (&false.into(), &"not-there".into()));
    }
}
