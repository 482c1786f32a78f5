//! Finding jobs of one tenant: page by page for reading, by filter for a replay.

use wharf_domain::ids::{FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;

use super::{JobRow, JobState, read};
use crate::db::Db;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::query;

/// A filter finds no more than this.
pub const MOST_FOUND: u32 = 10_000;
/// So many parked jobs are looked at in one read.
const LOOK: i64 = 1_000;

/// Some of a tenant's jobs, newest first. Absent fields do not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub state: Option<JobState>,
    pub kind: Option<String>,
    /// The last job of the page before.
    pub after: Option<JobId>,
    pub limit: u32,
}

/// One page. Empty after the last one.
pub async fn list(db: &Db, tenant: &TenantId, page: &Page) -> Result<Vec<JobRow>, StoreError> {
    let over = page.state.is_none_or(|state| matches!(state, JobState::Done | JobState::Cancelled));
    let unfinished = page.state.is_none_or(|state| !matches!(state, JobState::Done | JobState::Cancelled));
    let state = page.state.map(|state| crate::row::name(&state)).transpose()?;
    // Each table by its own index of ids: nothing but the page itself is read when most jobs fit.
    let texts = [(unfinished, read::OF_TENANT_UNFINISHED), (over, read::OF_TENANT_OVER)];
    let mut found = Vec::new();
    for (_, text) in texts.into_iter().filter(|(wanted, _)| *wanted) {
        let rows = query(text)
            .bind(tenant.as_str())
            .bind(state.clone())
            .bind(&page.kind)
            .bind(page.after.map(|id| id.to_string()))
            .bind(i64::from(page.limit))
            .fetch_all(db.reader())
            .await?;
        for row in &rows {
            found.push(read::read(row)?);
        }
    }
    found.sort_by_key(|row| std::cmp::Reverse(row.id));
    found.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// Which parked jobs. Absent fields do not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub kind: Option<String>,
    /// Of the fault it was parked with, e.g. `queue.bad-payload`.
    pub code: Option<String>,
    pub flow: Option<FlowKey>,
    /// Parked at this moment or later.
    pub parked_from: Option<Timestamp>,
    /// Parked before this moment.
    pub parked_until: Option<Timestamp>,
    /// At most so many, and never more than [`MOST_FOUND`].
    pub limit: u32,
}

impl Filter {
    fn fits(&self, job: &JobRow) -> bool {
        let code = job.fault.as_ref().map(|fault| &fault.code);
        self.code.as_ref().is_none_or(|wanted| code == Some(wanted))
            && self.flow.as_ref().is_none_or(|wanted| job.flow.as_ref() == Some(wanted))
            && self.kind.as_ref().is_none_or(|wanted| job.kind == *wanted)
            && self.parked_from.is_none_or(|from| job.updated_at >= from)
            && self.parked_until.is_none_or(|until| job.updated_at < until)
    }
}

/// The parked jobs that fit, in the order they were enqueued.
pub async fn find_parked(db: &Db, tenant: &TenantId, filter: &Filter) -> Result<Vec<JobRow>, StoreError> {
    let limit = usize::try_from(filter.limit.min(MOST_FOUND)).unwrap_or(0);
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let rows =
            query(read::PARKED_AFTER).bind(tenant.as_str()).bind(after).bind(LOOK).fetch_all(db.reader()).await?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = Cols(last).int("seq")?;
        for row in &rows {
            if found.len() >= limit {
                return Ok(found);
            }
            let job = read::read(row)?;
            if filter.fits(&job) {
                found.push(job);
            }
        }
    }
}
