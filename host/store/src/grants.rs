//! What each connection may do, as versions: what was asked for, by which adapter file, and who stands for it.
//!
//! A version is recorded accepted or pending. The newest accepted one is in force; only the newest of all can be pending or
//! refused, because a newer record takes back what nobody has decided about yet. Whoever decides by what stands here
//! takes the connection first ([`take`]), so hosts that start together see each other's records.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{ConnectionId, Digest, TenantId};
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, json, name};
use crate::sql::query;

mod read;

pub use read::{Head, Standing, all, heads, history, publishers};

/// A connection of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantAt {
    pub tenant: TenantId,
    pub connection: ConnectionId,
}

impl std::fmt::Display for GrantAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.tenant, self.connection)
    }
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// Nobody has decided.
    Pending,
    Accepted,
    /// A person said no. Not asked again by itself; may still be accepted while it is the newest.
    Refused,
    /// A newer record took its place before anybody decided.
    Withdrawn,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrantRow {
    pub version: i64,
    pub adapter: String,
    pub adapter_version: String,
    pub publisher: String,
    pub digest: Digest,
    /// What request and grant come to; the sandbox knows its shape.
    pub surface: Value,
    /// The version in force when it was recorded.
    pub against: Option<i64>,
    /// How it differs from that one: `narrower`, `wider-low`, `wider-high`, `incompatible`.
    pub weight: String,
    pub changes: Value,
    pub state: GrantState,
    /// Who asked.
    pub actor: String,
    pub created_at: Timestamp,
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    pub why: Option<String>,
}

/// A version to be recorded.
#[derive(Debug, Clone)]
pub struct NewGrant<'a> {
    pub adapter: &'a str,
    pub adapter_version: &'a str,
    pub publisher: &'a str,
    pub digest: &'a Digest,
    pub surface: &'a Value,
    pub against: Option<i64>,
    pub weight: &'a str,
    pub changes: &'a Value,
    /// Why it needs nobody's word; absent: it waits for one.
    pub accepted: Option<&'a str>,
}

/// Takes a connection until the transaction ends: another host waits, and then sees what was recorded. Gives every
/// version so far, oldest first.
pub async fn take(tx: &mut Tx, at: &GrantAt) -> Result<Vec<GrantRow>, StoreError> {
    query(
        "INSERT INTO grant_head (tenant, connection, last_version, revision) VALUES ($1, $2, 0, 0) \
         ON CONFLICT (tenant, connection) DO UPDATE SET revision = grant_head.revision",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .execute(tx.conn())
    .await?;
    let rows = query(read::HISTORY).bind(at.tenant.as_str()).bind(at.connection.as_str()).fetch_all(tx.conn()).await?;
    rows.iter().map(read::row).collect()
}

/// Records a version, with its audit row; takes back the one that is pending. To be called with the connection taken.
/// Returns its number.
pub async fn record(tx: &mut Tx, actor: &Actor, at: &GrantAt, new: &NewGrant<'_>) -> Result<i64, StoreError> {
    let version = next_version(tx, at).await?;
    withdraw(tx, actor, at, version).await?;
    let now = tx.now().millis();
    let state = if new.accepted.is_some() { GrantState::Accepted } else { GrantState::Pending };
    let (by, when) = (new.accepted.map(|_| actor.to_string()), new.accepted.map(|_| now));
    query(
        "INSERT INTO grant_record (tenant, connection, version, adapter, adapter_version, publisher, digest, surface, \
         against, weight, changes, state, actor, created_at, decided_by, decided_at, why) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(version)
    .bind(new.adapter)
    .bind(new.adapter_version)
    .bind(new.publisher)
    .bind(new.digest.as_str())
    .bind(json(new.surface)?)
    .bind(new.against)
    .bind(new.weight)
    .bind(json(new.changes)?)
    .bind(name(&state)?)
    .bind(actor.to_string())
    .bind(now)
    .bind(by)
    .bind(when)
    .bind(new.accepted)
    .execute(tx.conn())
    .await?;
    let action = if new.accepted.is_some() { "grant.recorded" } else { "grant.asked" };
    let detail = value!({
        "version": version, "adapter": new.adapter, "adapter_version": new.adapter_version, "digest": new.digest,
        "against": new.against, "weight": new.weight, "changes": new.changes, "why": new.accepted,
    });
    audit::append(tx, actor, &at.tenant, action, &object(at), &detail).await?;
    Ok(version)
}

/// A person's word about a version, with its audit row. Only the newest version can be decided about, and only while it is
/// pending or refused: what was looked at is what is decided.
///
/// # Errors
/// [`StoreError::NotFound`] for a version that never was, [`StoreError::Refused`] for one that is not open.
pub async fn decide(
    tx: &mut Tx,
    actor: &Actor,
    at: &GrantAt,
    (version, accept): (i64, bool),
    why: &str,
) -> Result<GrantRow, StoreError> {
    let rows = take(tx, at).await?;
    let id = format!("{at} version {version}");
    let newest = rows.last().map(|row| row.version);
    let row = rows.into_iter().find(|row| row.version == version);
    let row = row.ok_or(StoreError::NotFound { what: "grant", id: id.clone() })?;
    let refused = |rule| {
        let state = name(&row.state).unwrap_or_default();
        Err(StoreError::Refused { what: "grant", id: id.clone(), state, rule })
    };
    if newest != Some(version) {
        return refused("a newer version was recorded meanwhile; look at it with `wharf grant show`");
    }
    let (state, action) =
        if accept { (GrantState::Accepted, "grant.accepted") } else { (GrantState::Refused, "grant.refused") };
    if row.state == GrantState::Accepted || row.state == state {
        return refused("nobody has to decide about it any more");
    }
    settle(tx, actor, at, version, (state, why)).await?;
    let detail = value!({ "version": version, "digest": row.digest, "weight": row.weight, "why": why });
    audit::append(tx, actor, &at.tenant, action, &object(at), &detail).await?;
    let (by, when) = (Some(actor.to_string()), Some(tx.now()));
    Ok(GrantRow { state, decided_by: by, decided_at: when, why: Some(why.to_owned()), ..row })
}

async fn next_version(tx: &mut Tx, at: &GrantAt) -> Result<i64, StoreError> {
    let row = query(
        "UPDATE grant_head SET last_version = last_version + 1, revision = revision + 1 \
         WHERE tenant = $1 AND connection = $2 RETURNING last_version",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .fetch_one(tx.conn())
    .await?;
    Cols(&row).int("last_version")
}

/// Takes back what nobody has decided about.
async fn withdraw(tx: &mut Tx, actor: &Actor, at: &GrantAt, newer: i64) -> Result<(), StoreError> {
    let row = query("SELECT version FROM grant_record WHERE tenant = $1 AND connection = $2 AND state = 'pending'")
        .bind(at.tenant.as_str())
        .bind(at.connection.as_str())
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = row else { return Ok(()) };
    let version = Cols(&row).int("version")?;
    let why = format!("version {newer} took its place");
    settle(tx, actor, at, version, (GrantState::Withdrawn, &why)).await?;
    let detail = value!({ "version": version, "why": why });
    audit::append(tx, actor, &at.tenant, "grant.withdrawn", &object(at), &detail).await
}

async fn settle(
    tx: &mut Tx,
    actor: &Actor,
    at: &GrantAt,
    version: i64,
    (state, why): (GrantState, &str),
) -> Result<(), StoreError> {
    let now = tx.now().millis();
    query(
        "UPDATE grant_record SET state = $4, decided_by = $5, decided_at = $6, why = $7 \
         WHERE tenant = $1 AND connection = $2 AND version = $3",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(version)
    .bind(name(&state)?)
    .bind(actor.to_string())
    .bind(now)
    .bind(why)
    .execute(tx.conn())
    .await?;
    query("UPDATE grant_head SET revision = revision + 1 WHERE tenant = $1 AND connection = $2")
        .bind(at.tenant.as_str())
        .bind(at.connection.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What the audit calls it.
fn object(at: &GrantAt) -> String {
    format!("grant/{}", at.connection)
}

#[cfg(test)]
mod tests;
