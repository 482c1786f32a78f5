//! Secrets: handed in, moved from version to version, forgotten. No answer holds a value; there is no way to ask for one.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use wharf_domain::fault::{Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::port::vault::{NewSecret, Wired};
use wharf_domain::secret::{Account, SecretAt};
use wharf_domain::time::Timestamp;
use wharf_store::StoreError;
use wharf_store::secrets::{self, SecretRow};

use super::effects::worded;
use crate::body;
use crate::caller::{Perm, administrator};
use crate::path::Segments;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

/// A version stays usable after its successor no longer than this, in seconds: 30 days.
const LONGEST_OVERLAP: u32 = 30 * 24 * 3_600;

pub(crate) fn routes() -> Vec<Row> {
    vec![
        route(Verb::Get, "/api/v1/tenants/{tenant}/secrets", Perm::SecretsRead, list),
        route(Verb::Put, "/api/v1/tenants/{tenant}/secrets/{connection}/{slot}", Perm::SecretsWrite, put),
        route(Verb::Delete, "/api/v1/tenants/{tenant}/secrets/{connection}/{slot}", Perm::SecretsWrite, remove),
        route(Verb::Post, "/api/v1/tenants/{tenant}/secrets/{connection}/{slot}/promote", Perm::SecretsWrite, promote),
        route(Verb::Post, "/api/v1/tenants/{tenant}/secrets/shred", Perm::SecretsShred, shred),
        route(Verb::Post, "/api/v1/vault/rekey", Perm::VaultRekey, rekey),
    ]
}

/// A value in a body. No `Debug`.
struct Hidden(SecretString);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handed {
    /// By field; all fields of the slot.
    values: BTreeMap<String, Hidden>,
    /// Lays it by instead of using it at once.
    #[serde(default)]
    as_next: bool,
    overlap_seconds: Option<u32>,
    #[serde(default)]
    account: Account,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promotion {
    overlap_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shredding {
    /// The tenant once more: this cannot be undone.
    tenant: String,
    note: String,
}

#[derive(Serialize)]
struct Secrets {
    secrets: Vec<Slot>,
}

/// One slot.
#[derive(Serialize)]
struct Slot {
    connection: ConnectionId,
    slot: String,
    /// The type of the manifest; absent for a slot no connection has any more.
    kind: Option<&'static str>,
    fields: &'static [&'static str],
    /// What is sent: the vault's value, the configuration's, or none.
    from: &'static str,
    versions: Vec<SecretRow>,
}

#[derive(Serialize)]
struct Changed {
    connection: ConnectionId,
    slot: String,
    version: i64,
    /// False: this value was there already.
    changed: bool,
    at: Timestamp,
}

#[derive(Serialize)]
struct Gone {
    versions: u64,
}

#[derive(Serialize)]
struct Rekeyed {
    tenants: u32,
}

/// Every slot with its versions, their ages and last uses.
async fn list(State(state): State<ApiState>, Segments(tenant): Segments<String>) -> Result<Json<Secrets>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let rows = secrets::list(state.db(), &tenant).await?;
    let wired = state.vault().map(|vault| vault.wired(&tenant)).unwrap_or_default();
    Ok(Json(Secrets { secrets: slots(wired, rows) }))
}

fn slots(wired: Vec<Wired>, rows: Vec<SecretRow>) -> Vec<Slot> {
    let mut slots: BTreeMap<(ConnectionId, String), Slot> = BTreeMap::new();
    for Wired { connection, slot, kind, fields, configured } in wired {
        let from = if configured { "configuration" } else { "none" };
        let key = (connection.clone(), slot.clone());
        slots.insert(key, Slot { connection, slot, kind: Some(kind), fields, from, versions: Vec::new() });
    }
    for row in rows {
        let entry = slots.entry((row.connection.clone(), row.slot.clone())).or_insert_with(|| Slot {
            connection: row.connection.clone(),
            slot: row.slot.clone(),
            kind: None,
            fields: &[],
            from: "none",
            versions: Vec::new(),
        });
        if row.stage == wharf_domain::secret::Stage::Current {
            entry.from = "vault";
        }
        entry.versions.push(row);
    }
    slots.into_values().collect()
}

/// Keeps a value. Repeating the request changes nothing.
async fn put(
    State(state): State<ApiState>,
    Segments(segments): Segments<(String, String, String)>,
    request: Request,
) -> Result<Json<Changed>, Problem> {
    let at = at(&state, segments)?;
    let vault = state.vault()?;
    let handed: Handed = body::secret_json(request).await?;
    let new = NewSecret {
        values: handed.values.into_iter().map(|(field, value)| (field, value.0)).collect(),
        as_next: handed.as_next,
        overlap_ms: handed.overlap_seconds.map(overlap).transpose()?,
        account: handed.account,
    };
    let kept = vault.set(&administrator(), &at, new).await.map_err(refused)?;
    Ok(changed(&state, at, kept.version, kept.fresh))
}

/// Forgets all versions; from now on the configuration's value counts, if there is one.
async fn remove(
    State(state): State<ApiState>,
    Segments(segments): Segments<(String, String, String)>,
) -> Result<Json<Gone>, Problem> {
    let at = at(&state, segments)?;
    let vault = state.vault()?;
    let mut tx = state.db().begin().await?;
    let versions = secrets::remove(&mut tx, &administrator(), &at).await.map_err(missing)?;
    tx.commit().await?;
    vault.changed(&at.tenant);
    Ok(Json(Gone { versions }))
}

/// The version that was laid by is sent from now on.
async fn promote(
    State(state): State<ApiState>,
    Segments(segments): Segments<(String, String, String)>,
    request: Request,
) -> Result<Json<Changed>, Problem> {
    let at = at(&state, segments)?;
    let vault = state.vault()?;
    let Promotion { overlap_seconds } = body::json(request).await?;
    let overlap_ms = overlap_seconds.map(overlap).transpose()?.unwrap_or(vault.overlap_ms());
    let mut tx = state.db().begin().await?;
    let version = secrets::promote(&mut tx, &administrator(), &at, overlap_ms).await.map_err(missing)?;
    tx.commit().await?;
    vault.changed(&at.tenant);
    Ok(changed(&state, at, version, true))
}

/// Destroys the tenant's key. Whatever it sealed opens nowhere any more.
async fn shred(
    State(state): State<ApiState>,
    Segments(tenant): Segments<String>,
    request: Request,
) -> Result<Json<Gone>, Problem> {
    let tenant = state.tenant(&tenant)?;
    let vault = state.vault()?;
    let said: Shredding = body::json(request).await?;
    if said.tenant != tenant.as_str() {
        let detail = format!("`tenant` in the body must be `{tenant}` once more: this cannot be undone");
        return Err(Problem::bad_request("bad-body", detail));
    }
    let mut tx = state.db().begin().await?;
    let gone = secrets::shred(&mut tx, &administrator(), &tenant, worded("note", &said.note)?).await?;
    let Some(versions) = gone else {
        return Err(Problem::conflict("nothing-sealed", format!("nothing of tenant `{tenant}` is sealed")));
    };
    tx.commit().await?;
    vault.changed(&tenant);
    Ok(Json(Gone { versions }))
}

/// Wraps what is still wrapped with the operator's old key anew. To be repeated when it was broken off.
async fn rekey(State(state): State<ApiState>) -> Result<Json<Rekeyed>, Problem> {
    let tenants = state.vault()?.rekey(&administrator()).await.map_err(refused)?;
    Ok(Json(Rekeyed { tenants }))
}

fn at(state: &ApiState, (tenant, connection, slot): (String, String, String)) -> Result<SecretAt, Problem> {
    let tenant: TenantId = state.tenant(&tenant)?;
    let unknown = || Problem::not_found("unknown-secret", format!("tenant `{tenant}` has no such secret"));
    let connection = ConnectionId::parse(connection).map_err(|_| unknown())?;
    if slot.is_empty() || slot.len() > 100 {
        return Err(unknown());
    }
    Ok(SecretAt { tenant: tenant.clone(), connection, slot })
}

fn changed(state: &ApiState, at: SecretAt, version: i64, changed: bool) -> Json<Changed> {
    Json(Changed { connection: at.connection, slot: at.slot, version, changed, at: state.db().now() })
}

fn overlap(seconds: u32) -> Result<i64, Problem> {
    if seconds > LONGEST_OVERLAP {
        let detail = format!("`overlap_seconds` is {seconds}; use at most {LONGEST_OVERLAP}");
        return Err(Problem::bad_request("bad-body", detail));
    }
    Ok(i64::from(seconds) * 1_000)
}

fn missing(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound { .. } => Problem::not_found("unknown-secret", error.to_string()),
        error => error.into(),
    }
}

/// What the vault says, for the caller.
fn refused(fault: Fault) -> Problem {
    tracing::warn!(code = fault.code, "the vault refused: {}", fault.message);
    match fault.kind {
        FaultKind::NotFound => Problem::not_found("unknown-secret", fault.message),
        FaultKind::InvalidInput => Problem::bad_request("bad-secret", fault.message),
        FaultKind::Unauthorized => Problem::conflict("vault-key", fault.message),
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "vault-unavailable", fault.message)
            .hint("nothing was changed; repeat the request later"),
    }
}

#[cfg(test)]
mod tests;
