//! Outside changes nobody knows the outcome of, and what a person decides about one. Every decision says why, and the
//! flow that waits hears of it.

use axum::Json;
use axum::extract::{Query, Request, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wharf_domain::ids::{EffectId, TenantId};
use wharf_flows::runner::{self, ChoiceError};
use wharf_store::audit::{self, AuditRow};
use wharf_store::effects::{self, EffectRow, HistoryRow};
use wharf_store::{StoreError, Tx};

use crate::body;
use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/effects", Perm::EffectsRead, in_doubt),
        route(Verb::Get, "/api/v1/tenants/{tenant}/effects/{id}", Perm::EffectsRead, show),
        route(
            Verb::Post,
            "/api/v1/tenants/{tenant}/effects/{id}/resolve-happened",
            Perm::EffectsResolve,
            resolve_happened,
        ),
        route(Verb::Post, "/api/v1/tenants/{tenant}/effects/{id}/resend", Perm::EffectsResolve, resend),
        route(Verb::Post, "/api/v1/tenants/{tenant}/effects/{id}/resend/approve", Perm::EffectsApprove, approve),
        route(Verb::Post, "/api/v1/tenants/{tenant}/effects/{id}/abandon", Perm::EffectsResolve, abandon),
        route(Verb::Post, "/api/v1/tenants/{tenant}/effects/{id}/compensate", Perm::EffectsResolve, compensate),
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
struct InDoubt {
    effects: Vec<Aged>,
}

#[derive(Serialize)]
struct Aged {
    effect: EffectRow,
    /// Milliseconds since anything was last learnt about it.
    age_ms: i64,
}

/// One effect with everything that was learnt about it, late answers included, oldest first.
#[derive(Serialize)]
struct Story {
    effect: EffectRow,
    history: Vec<HistoryRow>,
    audit: Vec<AuditRow>,
}

/// What a decision led to.
#[derive(Serialize)]
struct Decided {
    effect: EffectRow,
    /// A flow was waiting for it, and goes on.
    flow_told: bool,
}

/// Uncertain, reconciling and parked ones, the longest in doubt first.
async fn in_doubt(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<InDoubt>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let Query(page) = page.map_err(|error| Problem::bad_request("bad-query", error.body_text()))?;
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request("bad-query", format!("`limit` is {limit}; use 1 to {MOST}")));
    }
    let now = state.db().now();
    let aged = |effect: EffectRow| Aged { age_ms: now.since(effect.updated_at).max(0), effect };
    let effects = effects::in_doubt(state.db(), &tenant, limit).await?;
    Ok(Json(InDoubt { effects: effects.into_iter().map(aged).collect() }))
}

async fn show(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
) -> Result<Json<Story>, Problem> {
    let (tenant, effect) = known(&state, &tenant, &id).await?;
    let history = effects::history(state.db(), &effect.id).await?;
    let audit = audit::for_object(state.db(), &tenant, &format!("effect/{}", effect.id)).await?;
    Ok(Json(Story { effect, history, audit }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Happened {
    /// What the partner calls it, e.g. the tracking number.
    reference: String,
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Undone {
    /// The effect that undid it.
    void: EffectId,
    note: String,
}

/// A person found it at the partner.
async fn resolve_happened(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    let (effect, Happened { reference, note }) = asked(&state, &tenant, &id, request).await?;
    let (reference, note) = (worded("reference", &reference)?, worded("note", &note)?);
    let mut tx = state.db().begin().await?;
    let row = effects::resolve_happened(&mut tx, &administrator(), &effect.id, (reference, note)).await;
    tell(&state, tx, row).await
}

/// It did not happen and may be sent again; above the configured worth, once somebody else has approved.
async fn resend(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    let (effect, Note { note }) = asked(&state, &tenant, &id, request).await?;
    let terms = (state.four_eyes_above(), worded("note", &note)?);
    let mut tx = state.db().begin().await?;
    let row = effects::ask_resend(&mut tx, &administrator(), &effect.id, terms).await;
    tell(&state, tx, row).await
}

/// The second pair of eyes.
async fn approve(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    let (effect, Note { note }) = asked(&state, &tenant, &id, request).await?;
    let note = worded("note", &note)?;
    let mut tx = state.db().begin().await?;
    let row = effects::approve_resend(&mut tx, &administrator(), &effect.id, note).await;
    tell(&state, tx, row).await
}

/// It is given up: not sent again, not looked for.
async fn abandon(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    let (effect, Note { note }) = asked(&state, &tenant, &id, request).await?;
    let note = worded("note", &note)?;
    let mut tx = state.db().begin().await?;
    let row = effects::abandon(&mut tx, &administrator(), &effect.id, note).await;
    tell(&state, tx, row).await
}

/// Another effect undid it.
async fn compensate(
    State(state): State<ApiState>,
    Segments((tenant, id)): Segments<(String, String)>,
    request: Request,
) -> Result<Json<Decided>, Problem> {
    let (effect, Undone { void, note }) = asked(&state, &tenant, &id, request).await?;
    let note = worded("note", &note)?;
    let mut tx = state.db().begin().await?;
    let row = effects::compensate(&mut tx, &administrator(), &effect.id, (&void, note)).await;
    tell(&state, tx, row).await
}

/// An effect of the tenant and the body of a request about it.
async fn asked<T: DeserializeOwned>(
    state: &ApiState,
    tenant: &str,
    id: &str,
    request: Request,
) -> Result<(EffectRow, T), Problem> {
    let (_, effect) = known(state, tenant, id).await?;
    Ok((effect, body::json(request).await?))
}

/// An effect of another tenant does not exist.
async fn known(state: &ApiState, tenant: &str, id: &str) -> Result<(TenantId, EffectRow), Problem> {
    let tenant = state.tenant(tenant)?;
    let unknown = || Problem::not_found("unknown-effect", format!("there is no effect `{id}`"));
    let wanted = EffectId::parse(id).map_err(|_| unknown())?;
    let row = effects::get(state.db(), &wanted).await?.filter(|row| row.tenant == tenant).ok_or_else(unknown)?;
    Ok((tenant, row))
}

/// A person's words: some, and no novel.
pub(super) fn worded<'t>(field: &str, text: &'t str) -> Result<&'t str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.len() > 1_000 || text.contains(char::is_control) {
        let detail = format!("`{field}` must be one line of 1 to 1000 bytes");
        return Err(Problem::bad_request("bad-body", detail));
    }
    Ok(text)
}

/// Stores a decision together with the event for the flow that waits for it.
async fn tell(state: &ApiState, mut tx: Tx, row: Result<EffectRow, StoreError>) -> Result<Json<Decided>, Problem> {
    let effect = row.map_err(refused)?;
    let told = runner::decided(state.db(), &mut tx, &administrator(), &effect).await;
    let flow_told = told.map_err(|error| match error {
        ChoiceError::Store(error) => error.into(),
        other => Problem::conflict("not-resolvable", other.to_string()),
    })?;
    tx.commit().await?;
    Ok(Json(Decided { effect, flow_told }))
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Refused { .. } | StoreError::Moved { .. } | StoreError::Forbidden { .. } => {
            Problem::conflict("not-decidable", error.to_string())
        }
        StoreError::NotFound { .. } => Problem::not_found("unknown-effect", error.to_string()),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_domain::ctx::Actor;
    use wharf_domain::money::Money;

    use super::*;
    use crate::testing::House;

    fn path(id: &EffectId, rest: &str) -> String {
        format!("/api/v1/tenants/nordic/effects/{id}{rest}")
    }

    /// The event the flow was told last.
    async fn told(house: &House) -> serde_json::Value {
        house.jobs().await.last().expect("a job").payload["event"].clone()
    }

    #[tokio::test]
    async fn what_is_in_doubt_is_listed_with_its_age() {
        let house = House::new().await;
        let id = house.doubtful("42").await;
        house.clock.advance(7_000);
        let answer = house.get("/api/v1/tenants/nordic/effects").await;
        assert_eq!(answer.body["effects"][0]["age_ms"], 7_000);
        assert_eq!(answer.body["effects"][0]["effect"]["id"], json!(id));
        assert_eq!(house.get("/api/v1/tenants/silent/effects").await.body, json!({ "effects": [] }));
        let answer = house.get(&path(&id, "")).await;
        assert_eq!(answer.body["history"][1]["to"], "uncertain");
        assert_eq!(answer.body["audit"][0]["action"], "effect.opened");
        for (path, code) in [
            (path(&id, "").replace("nordic", "silent"), "unknown-effect"),
            ("/api/v1/tenants/nordic/effects/42".to_owned(), "unknown-effect"),
        ] {
            let answer = house.get(&path).await;
            assert_eq!((answer.status, answer.code()), (404, code), "{path}");
        }
    }

    #[tokio::test]
    async fn a_decision_is_told_to_the_flow_that_waits_by_its_own_exception() {
        for (rest, body, state, action) in [
            ("/resolve-happened", r#"{"reference":"1Z9","note":"seen"}"#, "resolved-happened", "look-again"),
            ("/abandon", r#"{"note":"never mind"}"#, "abandoned", "not-bought"),
        ] {
            let house = House::new().await;
            let id = house.doubtful("42").await;
            house.exception().await;
            let answer = house.post(&path(&id, rest), body).await;
            assert_eq!((answer.status, &answer.body["effect"]["state"]), (200, &json!(state)), "{}", answer.body);
            assert_eq!(answer.body["flow_told"], true);
            let event = told(&house).await;
            assert_eq!((&event["action"], &event["by"]), (&json!(action), &json!("user:admin")));
            let again = house.post(&path(&id, rest), body).await;
            assert_eq!((again.status, again.code()), (409, "not-decidable"));
        }
    }

    #[tokio::test]
    async fn the_exceptions_own_action_settles_the_effect_too() {
        let house = House::new().await;
        let id = house.doubtful("42").await;
        let exception = house.exception().await;
        let resolve = format!("/api/v1/tenants/nordic/exceptions/{exception}/resolve");
        assert_eq!(house.post(&resolve, r#"{"action":"not-bought"}"#).await.status, 202);
        assert_eq!(house.get(&path(&id, "")).await.body["effect"]["state"], "abandoned");
    }

    #[tokio::test]
    async fn a_second_send_of_unknown_worth_needs_somebody_else() {
        let house = House::new().await;
        let id = house.doubtful("42").await;
        house.exception().await;
        let early = house.post(&path(&id, "/resend/approve"), r#"{"note":"yes"}"#).await;
        assert_eq!((early.status, early.code()), (409, "not-decidable"));
        let answer = house.post(&path(&id, "/resend"), r#"{"note":"the carrier has none"}"#).await;
        assert_eq!((&answer.body["effect"]["state"], &answer.body["flow_told"]), (&json!("parked"), &json!(false)));
        assert_eq!(answer.body["effect"]["resend_by"], "user:admin");
        let same = house.post(&path(&id, "/resend/approve"), r#"{"note":"yes"}"#).await;
        assert_eq!((same.status, same.code()), (409, "not-decidable"));
        assert!(same.body["detail"].as_str().is_some_and(|text| text.contains("another person")), "{}", same.body);

        // Asked for by somebody else, the administrator is the second pair of eyes.
        let mut tx = house.db.begin().await.expect("begin");
        let (ana, limit) = (Actor::User("ana".to_owned()), Money::parse("500", "EUR").expect("money"));
        effects::ask_resend(&mut tx, &ana, &id, (Some(&limit), "none")).await.expect("asked");
        tx.commit().await.expect("commit");
        let answer = house.post(&path(&id, "/resend/approve"), r#"{"note":"yes"}"#).await;
        assert_eq!((&answer.body["effect"]["state"], &answer.body["flow_told"]), (&json!("resend"), &json!(true)));
        assert_eq!(told(&house).await["action"], "look-again");
    }

    #[tokio::test]
    async fn a_decision_without_a_reason_is_refused() {
        let house = House::new().await;
        let id = house.doubtful("42").await;
        for (rest, body) in [
            ("/abandon", r#"{"note":""}"#),
            ("/abandon", "{}"),
            ("/resolve-happened", r#"{"reference":" ","note":"x"}"#),
            ("/compensate", r#"{"void":"x","note":"x"}"#),
        ] {
            let answer = house.post(&path(&id, rest), body).await;
            assert_eq!((answer.status, answer.code()), (400, "bad-body"), "{rest} {body}");
        }
        let unknown = r#"{"void":"0190a1b2-0000-7000-8000-000000000000","note":"x"}"#;
        let answer = house.post(&path(&id, "/compensate"), unknown).await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-effect"));
    }
}
