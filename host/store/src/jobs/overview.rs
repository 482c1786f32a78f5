//! The queue at a glance.

use serde::Serialize;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;

use super::{Counts, read};
use crate::db::Db;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::query;

/// How much waits, for whom, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    pub counts: Counts,
    /// Since when the job that has waited longest for a worker is ready; absent when none is.
    pub oldest_ready: Option<Timestamp>,
    /// The tenants with the most unfinished jobs, most first.
    pub busiest: Vec<TenantLoad>,
}

/// One tenant's share of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantLoad {
    pub tenant: TenantId,
    /// Not running yet: waiting, queued and ready.
    pub pending: u64,
    pub running: u64,
    pub parked: u64,
}

/// The parked jobs of one tenant and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    pub tenant: TenantId,
    pub kind: String,
    pub jobs: u64,
    /// When the first of them was parked.
    pub oldest: Timestamp,
    /// How many of them hold their lane.
    pub holding_lanes: u64,
}

/// Counts over all tenants, and the `most` busiest of them.
pub async fn overview(db: &Db, most: u32) -> Result<Overview, StoreError> {
    let oldest = query("SELECT MIN(updated_at) AS since FROM job WHERE state = 'ready'").fetch_one(db.reader()).await?;
    let rows = query(
        "SELECT tenant, CAST(SUM(CASE WHEN state IN ('waiting', 'queued', 'ready') THEN 1 ELSE 0 END) AS BIGINT) AS pending, \
         CAST(SUM(CASE WHEN state = 'running' THEN 1 ELSE 0 END) AS BIGINT) AS running, \
         CAST(SUM(CASE WHEN state = 'parked' THEN 1 ELSE 0 END) AS BIGINT) AS parked \
         FROM job GROUP BY tenant ORDER BY COUNT(*) DESC, tenant LIMIT $1",
    )
    .bind(i64::from(most))
    .fetch_all(db.reader())
    .await?;
    let busiest = rows.iter().map(|row| {
        let cols = Cols(row);
        Ok(TenantLoad {
            tenant: cols.tenant()?,
            pending: cols.count("pending")?,
            running: cols.count("running")?,
            parked: cols.count("parked")?,
        })
    });
    Ok(Overview {
        counts: read::counts(db).await?,
        oldest_ready: Cols(&oldest).opt_time("since")?,
        busiest: busiest.collect::<Result<_, StoreError>>()?,
    })
}

/// The dead letters of one tenant, or of all, by kind.
pub async fn dead_letters(db: &Db, tenant: Option<&TenantId>) -> Result<Vec<DeadLetters>, StoreError> {
    let rows = query(
        "SELECT tenant, kind, COUNT(*) AS jobs, MIN(updated_at) AS oldest, CAST(SUM(head) AS BIGINT) AS holding \
         FROM job WHERE state = 'parked' AND ($1 IS NULL OR tenant = $1) GROUP BY tenant, kind ORDER BY tenant, kind",
    )
    .bind(tenant.map(TenantId::as_str))
    .fetch_all(db.reader())
    .await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(DeadLetters {
                tenant: cols.tenant()?,
                kind: cols.text("kind")?,
                jobs: cols.count("jobs")?,
                oldest: cols.time("oldest")?,
                holding_lanes: cols.count("holding")?,
            })
        })
        .collect()
}
