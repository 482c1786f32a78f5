//! The ledger of outside changes: one row per change, written before a byte leaves, and every step of its life after.
//!
//! Two keys make a change one and the same: the step of a job (`1:POST /path`) and, where a route has one, the
//! business key (`label:order/42/…`), unique for ever unless released by a void. Which state may follow which is
//! [`EffectState::may_become`] and nowhere else.

mod advance;
mod decide;
mod late;
mod read;
mod restore;

use serde::Serialize;
use serde_json::{Value, json as value};
use wharf_domain::ctx::Actor;
use wharf_domain::effect::{BusinessKey, Doubt, EffectClass, EffectState, remote_key};
use wharf_domain::fault::Fault;
use wharf_domain::ids::{ConnectionId, Digest, EffectId, FlowKey, JobId, TenantId};
use wharf_domain::money::Money;
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, name};
use crate::sql::query;

pub use advance::{Change, SEND_MARGIN_MS, advance, evidence, release, set_outcome};
pub use decide::{abandon, approve_resend, ask_resend, compensate, resolve_happened, set_worth};
pub use late::{late_answer, settle_late};
pub use read::{by_business, by_step, for_flow, for_job, get, history, in_doubt, in_doubt_of_flow, load};
pub use restore::{Held, HeldEffect, Reconciled, Report, epoch, hold_after_restore, lift, report};

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
    /// `find-by-reference` can tell what became of it.
    pub lookup: bool,
    /// Of connection, endpoint and account, without secrets; absent when nobody recorded it.
    pub account_ref: Option<Digest>,
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
    /// `find-by-reference` can tell what became of it.
    pub lookup: bool,
    pub state: EffectState,
    /// What it was sent under last; absent before, and for rows of a version that did not record it.
    pub account_ref: Option<Digest>,
    /// The key the partner is given; absent but for class `keyed`.
    pub remote_key: Option<String>,
    /// Until when the partner is relied on to remember the key.
    pub key_until: Option<Timestamp>,
    pub request_digest: Digest,
    /// Of the attempt that touched it last.
    pub fence: i64,
    pub attempt: u32,
    /// No byte of the request leaves after this moment.
    pub send_deadline: Option<Timestamp>,
    /// The partner's answer to the current send, for the replay of the step. Gone when it is sent again.
    pub response: Option<Value>,
    /// A success that came when the send had been given up already.
    pub late_response: Option<Value>,
    /// What the answer means to the business, e.g. the shipment that was bought.
    pub outcome: Option<Value>,
    pub fault: Option<Fault>,
    /// When a lookup first found nothing.
    pub absent_since: Option<Timestamp>,
    /// What it is worth; absent when nobody knows.
    pub worth: Option<Money>,
    /// `resolved-happened`: what a person found at the partner. `compensated`: the effect that undid it.
    pub reference: Option<String>,
    /// Who asked for a second send, while another person has to approve it.
    pub resend_by: Option<String>,
    /// When a void freed the business key.
    pub released_at: Option<Timestamp>,
    /// The restore it was opened after; 0 means none.
    pub epoch: i64,
    /// A restored backup may be older than what became of it: it is not sent before that is known.
    pub reconcile_first: bool,
    /// The restore that last put it in question.
    pub held_epoch: Option<i64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A clock that is this far behind what it has shown before is not believed.
const CLOCK_JUMP_MS: i64 = 5 * 60_000;

impl EffectRow {
    /// Is the partner relied on to remember the key at this moment? Not when the clock has gone back.
    pub fn key_alive(&self, now: Timestamp) -> bool {
        let in_time = self.key_until.is_some_and(|until| now < until);
        in_time && self.remote_key.is_some() && self.updated_at.since(now) < CLOCK_JUMP_MS
    }

    /// What is known about it by somebody with this account and adapter. A row that recorded no account is taken to be
    /// of the same one.
    pub fn doubt(&self, account: Option<&Digest>, adapter: Option<&Digest>, now: Timestamp) -> Doubt {
        Doubt {
            class: self.class,
            lookup: self.lookup,
            key_alive: self.key_alive(now),
            same_account: self.account_ref.is_none() || self.account_ref.as_ref() == account,
            same_adapter: self.adapter_digest.as_ref() == adapter,
        }
    }
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

/// Held after a restore: the tenant's newest restore has not been lifted, and the effect has a business key, so an
/// earlier life of this database may have made it already.
const OPEN: &str = "INSERT INTO effect (id, tenant, connection, adapter_digest, job, flow, step_key, effect_type, \
     business_key, route, class, lookup, state, account_ref, remote_key, request_digest, fence, attempt, created_at, \
     updated_at, epoch, reconcile_first, held_epoch, send_deadline) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'intent', $13, $14, $15, $16, $17, $18, $18, h.epoch, \
     h.held, CASE WHEN h.held = 1 THEN h.epoch END, CASE WHEN h.held = 1 THEN h.at + $19 END \
     FROM (SELECT COALESCE(MAX(epoch), 0) AS epoch, MAX(at) AS at, CASE WHEN CAST($9 AS TEXT) IS NOT NULL \
     AND COALESCE(MAX(epoch), 0) > (SELECT COALESCE(MAX(epoch), 0) FROM restore_lift WHERE tenant = $2) \
     THEN 1 ELSE 0 END AS held FROM restore) h WHERE 1 = 1 ON CONFLICT DO NOTHING RETURNING *";

/// Writes an intent down, unless the same step or the same business key is known. Leaves `effect.opened` in the audit.
pub async fn open(tx: &mut Tx, actor: &Actor, new: &NewEffect) -> Result<Opened, StoreError> {
    let now = tx.now();
    let id = EffectId::mint(tx.ids(), now);
    let inserted = query(OPEN)
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
        .bind(i64::from(new.lookup))
        .bind(new.account_ref.as_ref().map(Digest::as_str))
        .bind(key(tx, new).await?)
        .bind(new.request_digest.as_str())
        .bind(new.fence)
        .bind(i64::from(new.attempt))
        .bind(now.millis())
        .bind(restore::LONGEST_SEND_MS)
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

/// The partner's key for a new effect of class `keyed`: the same for the same business key, so that a host restored
/// from a backup gives it again, and another one after each release.
async fn key(tx: &mut Tx, new: &NewEffect) -> Result<Option<String>, StoreError> {
    if new.class != EffectClass::Keyed {
        return Ok(None);
    }
    let Some(business) = &new.business else {
        return Ok(Some(remote_key(&[&new.job.to_string(), &new.step_key])));
    };
    let (tenant, connection) = (new.tenant.as_str(), new.connection.as_str());
    let released = query(
        "SELECT COUNT(*) AS count FROM effect WHERE tenant = $1 AND connection = $2 AND effect_type = $3 \
         AND business_key = $4 AND released_at IS NOT NULL",
    )
    .bind(tenant)
    .bind(connection)
    .bind(&business.effect_type)
    .bind(&business.key)
    .fetch_one(tx.conn())
    .await?;
    let nth = Cols(&released).int("count")?.to_string();
    Ok(Some(remote_key(&[tenant, connection, &business.effect_type, &business.key, &nth])))
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
mod random;
#[cfg(test)]
mod tests;
