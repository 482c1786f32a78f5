//! Looking at grants without taking anything.

use serde::Serialize;
use wharf_domain::ids::{ConnectionId, Digest, TenantId};

use super::{GrantAt, GrantRow, GrantState};
use crate::db::Db;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Row, query};

pub(super) const HISTORY: &str = "SELECT * FROM grant_record WHERE tenant = $1 AND connection = $2 ORDER BY version";

/// Where a connection stands: what is in force, and what waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    /// The newest accepted version; absent when none ever was.
    pub accepted: Option<GrantRow>,
    /// The newest version when it is pending or refused.
    pub open: Option<GrantRow>,
}

/// How far a connection's records have come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    pub at: GrantAt,
    pub revision: i64,
}

/// Every version of a connection, oldest first; none for a connection that was never wired.
pub async fn history(db: &Db, at: &GrantAt) -> Result<Vec<GrantRow>, StoreError> {
    let rows = query(HISTORY).bind(at.tenant.as_str()).bind(at.connection.as_str()).fetch_all(db.reader()).await?;
    rows.iter().map(row).collect()
}

/// Every connection that was ever wired, by tenant and name.
pub async fn all(db: &Db) -> Result<Vec<Standing>, StoreError> {
    let rows = query(
        "SELECT r.* FROM grant_record r JOIN grant_head h ON h.tenant = r.tenant AND h.connection = r.connection \
         WHERE r.version = h.last_version OR r.version = (SELECT MAX(a.version) FROM grant_record a \
         WHERE a.tenant = r.tenant AND a.connection = r.connection AND a.state = 'accepted') \
         ORDER BY r.tenant, r.connection, r.version",
    )
    .fetch_all(db.reader())
    .await?;
    let mut all: Vec<Standing> = Vec::new();
    for found in &rows {
        let cols = Cols(found);
        let (tenant, connection) = (cols.tenant()?, cols.parse("connection", |text| ConnectionId::parse(text))?);
        if all.last().is_none_or(|last| last.tenant != tenant || last.connection != connection) {
            all.push(Standing { tenant, connection, accepted: None, open: None });
        }
        let (row, Some(last)) = (row(found)?, all.last_mut()) else { continue };
        match row.state {
            GrantState::Accepted => last.accepted = Some(row),
            GrantState::Pending | GrantState::Refused => last.open = Some(row),
            GrantState::Withdrawn => {}
        }
    }
    Ok(all)
}

/// What a host compares to see whether somebody decided.
pub async fn heads(db: &Db) -> Result<Vec<Head>, StoreError> {
    let rows =
        query("SELECT tenant, connection, revision FROM grant_head ORDER BY tenant, connection").fetch_all(db.reader());
    let read = |row: &Row| {
        let cols = Cols(row);
        let connection = cols.parse("connection", |text| ConnectionId::parse(text))?;
        Ok(Head { at: GrantAt { tenant: cols.tenant()?, connection }, revision: cols.int("revision")? })
    };
    rows.await?.iter().map(read).collect()
}

/// Publishers somebody has accepted an adapter of, on any connection.
pub async fn publishers(db: &Db) -> Result<Vec<String>, StoreError> {
    let text = "SELECT DISTINCT publisher FROM grant_record WHERE state = 'accepted' ORDER BY publisher";
    let rows = query(text).fetch_all(db.reader()).await?;
    rows.iter().map(|row| Cols(row).text("publisher")).collect()
}

pub(super) fn row(row: &Row) -> Result<GrantRow, StoreError> {
    let cols = Cols(row);
    Ok(GrantRow {
        version: cols.int("version")?,
        adapter: cols.text("adapter")?,
        adapter_version: cols.text("adapter_version")?,
        publisher: cols.text("publisher")?,
        digest: Digest::from_text(cols.text("digest")?),
        surface: cols.json("surface")?,
        against: cols.opt_int("against")?,
        weight: cols.text("weight")?,
        changes: cols.json("changes")?,
        state: cols.name("state")?,
        actor: cols.text("actor")?,
        created_at: cols.time("created_at")?,
        decided_by: cols.opt_text("decided_by")?,
        decided_at: cols.opt_time("decided_at")?,
        why: cols.opt_text("why")?,
    })
}
