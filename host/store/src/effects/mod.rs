//! The ledger of outside changes: one row per change, written before a byte leaves, and every step of its life after.
//!
//! Two keys make a change one and the same: the step of a job (`1:POST /path`) and, where a route has one, the
//! business key (`label:order/42/…`), unique for ever unless released by a void. Which state may follow which is
//! [`EffectState::may_become`] and nowhere else.

mod advance;
mod read;

use serde::Serialize;
use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::effect::{BusinessKey, EffectClass, EffectState};
use wharf_domain::fault::Fault;
use wharf_domain::ids::{ConnectionId, Digest, EffectId, FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::name;
use crate::sql::query;

pub use advance::{Change, advance, evidence, release, set_outcome};
pub use read::{by_business, by_step, for_flow, for_job, get, history, load};

/// An outside change that is decided and not yet written down.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEffect {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    /// What ran; absent for a change made by the host itself.
    pub adapter_digest: Option<Digest>,
    pub job: JobId,
    pub flow: Option<FlowKey>,
    /// Unique per job and the same in every attempt, e.g. `1:POST /path`.
    pub step_key: String,
    pub business: Option<BusinessKey>,
    /// Method and path template of the manifest, e.g. `POST /v1/shipments`.
    pub route: String,
    pub class: EffectClass,
    /// Of method, URL and body: a repeat with another request is not a repeat.
    pub request_digest: Digest,
    pub fence: i64,
    pub attempt: u32,
}

/// One outside change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectRow {
    pub id: EffectId,
    pub tenant: TenantId,
    pub connection: ConnectionId,
    pub adapter_digest: Option<Digest>,
    /// The job that works on it: the one that opened it, or a later one that took it over.
    pub job: JobId,
    pub flow: Option<FlowKey>,
    pub step_key: String,
    pub effect_type: Option<String>,
    pub business_key: Option<String>,
    pub route: String,
    pub class: EffectClass,
    pub state: EffectState,
    pub request_digest: Digest,
    /// Of the attempt that touched it last.
    pub fence: i64,
    pub attempt: u32,
    /// No byte of the request leaves after this moment.
    pub send_deadline: Option<Timestamp>,
    /// The partner's answer to the current send, for the replay of the step. Gone when it is sent again.
    pub response: Option<Value>,
    /// What the answer means to the business, e.g. the shipment that was bought.
    pub outcome: Option<Value>,
    pub fault: Option<Fault>,
    /// When a lookup first found nothing.
    pub absent_since: Option<Timestamp>,
    /// When a void freed the business key.
    pub released_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One step in the life of an effect. A row whose states are equal is evidence that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    pub seq: i64,
    pub at: Timestamp,
    /// Absent for the first row.
    pub from: Option<EffectState>,
    pub to: EffectState,
    pub actor: String,
    pub fence: i64,
    pub note: Option<String>,
}

/// Was it new?
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// Written now, in `Intent`.
    New(EffectRow),
    /// The same step of the same job, or else the same business key, is known: act on its state.
    Existing(EffectRow),
}

impl Opened {
    pub fn row(&self) -> &EffectRow {
        match self {
            Self::New(row) | Self::Existing(row) => row,
        }
    }
}

/// Writes an intent down, unless the same step or the same business key is known. Leaves `effect.opened` in the audit.
pub async fn open(tx: &mut Tx, actor: &Actor, new: &NewEffect) -> Result<Opened, StoreError> {
    let now = tx.now();
    let id = EffectId::mint(tx.ids(), now);
    let inserted = query(
        "INSERT INTO effect (id, tenant, connection, adapter_digest, job, flow, step_key, effect_type, business_key, \
         route, class, state, request_digest, fence, attempt, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'intent', $12, $13, $14, $15, $15) \
         ON CONFLICT DO NOTHING RETURNING *",
    )
    .bind(id.to_string())
    .bind(new.tenant.as_str())
    .bind(new.connection.as_str())
    .bind(new.adapter_digest.as_ref().map(Digest::as_str))
    .bind(new.job.to_string())
    .bind(new.flow.as_ref().map(FlowKey::as_str))
    .bind(&new.step_key)
    .bind(new.business.as_ref().map(|business| business.effect_type.as_str()))
    .bind(new.business.as_ref().map(|business| business.key.as_str()))
    .bind(&new.route)
    .bind(name(&new.class)?)
    .bind(new.request_digest.as_str())
    .bind(new.fence)
    .bind(i64::from(new.attempt))
    .bind(now.millis())
    .fetch_optional(tx.conn())
    .await?;
    let Some(inserted) = inserted else {
        return known(tx, new).await.map(Opened::Existing);
    };
    let row = read::read(&inserted)?;
    advance::record(tx, actor, &row, None, None).await?;
    let detail = value!({ "route": row.route, "class": row.class, "business_key": row.business_key, "job": row.job });
    audit::append(tx, actor, &row.tenant, "effect.opened", &object(&row.id), &detail).await?;
    Ok(Opened::New(row))
}

/// The row that kept a new one out: the step's own first.
async fn known(tx: &mut Tx, new: &NewEffect) -> Result<EffectRow, StoreError> {
    if let Some(row) = read::by_step_in(tx, &new.job, &new.step_key).await? {
        return Ok(row);
    }
    let business = new.business.as_ref();
    let row = query(
        "SELECT * FROM effect WHERE tenant = $1 AND connection = $2 AND effect_type = $3 AND business_key = $4 \
         AND released_at IS NULL",
    )
    .bind(new.tenant.as_str())
    .bind(new.connection.as_str())
    .bind(business.map(|business| business.effect_type.as_str()))
    .bind(business.map(|business| business.key.as_str()))
    .fetch_one(tx.conn())
    .await?;
    read::read(&row)
}

/// The audit's name for an effect.
fn object(id: &EffectId) -> String {
    format!("effect/{id}")
}

#[cfg(test)]
mod tests;
