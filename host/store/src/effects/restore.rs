//! After a backup was restored: what the host did since the backup is missing in the ledger, and the partners remember
//! it. So nothing with a business key is sent before somebody has looked.
//!
//! Every restore has a number, the epoch. A tenant is held from the newest restore until an operator lifts it. A held
//! effect that can be looked up is looked up first, also when the ledger says that it was never sent; one that cannot
//! waits for the lift.

use serde::Serialize;
use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::effect::EffectState;
use wharf_domain::ids::{EffectId, TenantId};
use wharf_domain::time::Timestamp;

use super::{EffectRow, read};
use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::query;

/// No request of the life before the restore can be on its way for longer than this, in milliseconds.
pub(super) const LONGEST_SEND_MS: i64 = 60_000;

/// What a restore has put in question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Counts restores, from 1.
    pub epoch: i64,
    /// Effects without an outcome.
    pub effects: u64,
    /// Unfinished jobs, and jobs created since the given moment.
    pub jobs: u64,
    /// Flows created since the given moment.
    pub flows: u64,
    pub tenants: Vec<TenantId>,
}

/// Begins a new epoch in a restored database, before any worker runs on it. Every effect without an outcome is in
/// question; every tenant is held, so that whatever its jobs and flows do under a business key is looked up first.
/// `since`: what was finished before this moment was finished before the backup; goes into the record. Leaves
/// `restore.held` in the audit of every tenant with a row in the database.
pub async fn hold_after_restore(tx: &mut Tx, actor: &Actor, since: Timestamp) -> Result<Held, StoreError> {
    let now = tx.now();
    let row = query(
        "INSERT INTO restore (epoch, at, since, actor) SELECT COALESCE(MAX(epoch), 0) + 1, $1, $2, $3 FROM restore \
         WHERE 1 = 1 RETURNING epoch",
    )
    .bind(now.millis())
    .bind(since.millis())
    .bind(actor.to_string())
    .fetch_one(tx.conn())
    .await?;
    let epoch = Cols(&row).int("epoch")?;
    let effects = query(
        "UPDATE effect SET reconcile_first = 1, held_epoch = $1, send_deadline = $2, absent_since = NULL \
         WHERE state IN ('intent', 'sending', 'rejected', 'uncertain', 'reconciling', 'resend') \
         AND released_at IS NULL AND (state <> 'rejected' OR business_key IS NOT NULL)",
    )
    .bind(epoch)
    .bind(now.plus(LONGEST_SEND_MS).millis())
    .execute(tx.conn())
    .await?;
    let jobs = count(tx, "SELECT COUNT(*) AS count FROM job").await?
        + count_since(tx, "SELECT COUNT(*) AS count FROM job_done WHERE created_at >= $1", since).await?;
    let flows = count_since(tx, "SELECT COUNT(*) AS count FROM flow WHERE created_at >= $1", since).await?;
    let tenants = tenants(tx).await?;
    let held = Held { epoch, effects, jobs, flows, tenants };
    for tenant in &held.tenants {
        let detail = value!({ "epoch": epoch, "since": since, "effects": held.effects });
        audit::append(tx, actor, tenant, "restore.held", &object(epoch), &detail).await?;
    }
    Ok(held)
}

/// The number of the newest restore; 0 when there was none.
pub async fn epoch(db: &Db) -> Result<i64, StoreError> {
    let row = query("SELECT COALESCE(MAX(epoch), 0) AS epoch FROM restore").fetch_one(db.reader()).await?;
    Cols(&row).int("epoch")
}

/// An operator answers for it: the tenant's effects are sent again without looking first. What is in doubt stays so.
/// Returns how many effects were held; `None` when the tenant is not held. Leaves `restore.lifted` in the audit.
pub async fn lift(tx: &mut Tx, actor: &Actor, tenant: &TenantId, note: &str) -> Result<Option<u64>, StoreError> {
    let lifted = query(
        "INSERT INTO restore_lift (tenant, epoch, at, actor, note) SELECT $1, MAX(epoch), $2, $3, $4 FROM restore \
         HAVING MAX(epoch) IS NOT NULL ON CONFLICT DO NOTHING RETURNING epoch",
    )
    .bind(tenant.as_str())
    .bind(tx.now().millis())
    .bind(actor.to_string())
    .bind(note)
    .fetch_optional(tx.conn())
    .await?;
    let Some(lifted) = lifted else {
        return Ok(None);
    };
    let epoch = Cols(&lifted).int("epoch")?;
    let effects = query("UPDATE effect SET reconcile_first = 0 WHERE tenant = $1 AND reconcile_first = 1")
        .bind(tenant.as_str())
        .execute(tx.conn())
        .await?;
    let detail = value!({ "epoch": epoch, "effects": effects, "note": note });
    audit::append(tx, actor, tenant, "restore.lifted", &object(epoch), &detail).await?;
    Ok(Some(effects))
}

/// What became of an effect a restore had put in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reconciled {
    /// The partner or a person told that it happened.
    Relearned,
    /// It did not happen, was refused, or was undone.
    NotThere,
    /// A person must decide.
    Parked,
    /// Nobody has found out yet.
    Open,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldEffect {
    pub id: EffectId,
    pub business_key: Option<String>,
    pub route: String,
    pub state: EffectState,
    pub became: Reconciled,
    pub updated_at: Timestamp,
}

/// The newest restore as one tenant sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// 0 when there was none.
    pub epoch: i64,
    /// The tenant's effects are looked up before they are sent.
    pub held: bool,
    /// What was in question, oldest first.
    pub effects: Vec<HeldEffect>,
}

/// What was re-learned, parked or is still open since the newest restore.
pub async fn report(db: &Db, tenant: &TenantId) -> Result<Report, StoreError> {
    let epoch = epoch(db).await?;
    let row = query("SELECT COALESCE(MAX(epoch), 0) AS epoch FROM restore_lift WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_one(db.reader())
        .await?;
    let held = epoch > Cols(&row).int("epoch")?;
    let rows = query("SELECT * FROM effect WHERE held_epoch = $1 AND tenant = $2 ORDER BY created_at, id")
        .bind(epoch)
        .bind(tenant.as_str())
        .fetch_all(db.reader())
        .await?;
    let effects = rows.iter().map(|row| read::read(row).map(line)).collect::<Result<_, _>>()?;
    Ok(Report { epoch, held, effects })
}

fn line(row: EffectRow) -> HeldEffect {
    use EffectState::{
        Abandoned, Compensated, Intent, Parked, Reconciling, Rejected, Resend, ResolvedHappened, Sending, Succeeded,
        Uncertain,
    };
    let became = match row.state {
        Succeeded | ResolvedHappened => Reconciled::Relearned,
        Parked => Reconciled::Parked,
        _ if row.reconcile_first => Reconciled::Open,
        Intent | Rejected | Resend | Abandoned | Compensated => Reconciled::NotThere,
        Sending | Uncertain | Reconciling => Reconciled::Open,
    };
    let EffectRow { id, business_key, route, state, updated_at, .. } = row;
    HeldEffect { id, business_key, route, state, became, updated_at }
}

async fn tenants(tx: &mut Tx) -> Result<Vec<TenantId>, StoreError> {
    let rows = query(
        "SELECT tenant FROM effect UNION SELECT tenant FROM job UNION SELECT tenant FROM job_done \
         UNION SELECT tenant FROM flow UNION SELECT tenant FROM event ORDER BY tenant",
    )
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| Cols(row).tenant()).collect()
}

async fn count(tx: &mut Tx, text: &'static str) -> Result<u64, StoreError> {
    let row = query(text).fetch_one(tx.conn()).await?;
    Cols(&row).count("count")
}

async fn count_since(tx: &mut Tx, text: &'static str, since: Timestamp) -> Result<u64, StoreError> {
    let row = query(text).bind(since.millis()).fetch_one(tx.conn()).await?;
    Cols(&row).count("count")
}

fn object(epoch: i64) -> String {
    format!("restore/{epoch}")
}

#[cfg(test)]
mod tests {
    use wharf_domain::effect::BusinessKey;
    use wharf_domain::effect::EffectState::{Intent, Parked, Reconciling, Rejected, Sending, Succeeded, Uncertain};

    use super::*;
    use crate::effects::tests::{by, label, moved, new, opened, running};
    use crate::effects::{Change, get};
    use crate::testing::{House, actor, both, tenant};

    async fn hold(house: &House) -> Held {
        let mut tx = house.db.begin().await.expect("begin");
        let held = hold_after_restore(&mut tx, &actor(), house.db.now()).await.expect("held");
        tx.commit().await.expect("commit");
        held
    }

    async fn lifted(house: &House, name: &str) -> Option<u64> {
        let mut tx = house.db.begin().await.expect("begin");
        let lifted = lift(&mut tx, &actor(), &tenant(name), "looked at the carrier").await.expect("lift");
        tx.commit().await.expect("commit");
        lifted
    }

    fn key(number: u32) -> Option<BusinessKey> {
        Some(BusinessKey { key: format!("label:order/1/{number}"), ..label() })
    }

    both! {
        async fn what_has_no_outcome_is_not_sent_after_a_restore_before_it_is_settled(house) {
            let job = running(&house, "a").await;
            let id = opened(&house, &new(&job, "1", key(1))).await.row().id;
            let done = opened(&house, &new(&job, "2", key(2))).await.row().id;
            moved(&house, &done, Intent, Sending, by(&job)).await.expect("sending");
            moved(&house, &done, Sending, Succeeded, by(&job)).await.expect("succeeded");
            let refused = opened(&house, &new(&job, "3", key(3))).await.row().id;
            moved(&house, &refused, Intent, Sending, by(&job)).await.expect("sending");
            moved(&house, &refused, Sending, Rejected, by(&job)).await.expect("rejected");

            let held = hold(&house).await;
            assert_eq!((held.epoch, held.effects, held.jobs, held.tenants), (1, 2, 1, vec![tenant("t")]));
            for (id, from, to) in [(id, Intent, Sending), (refused, Rejected, Intent)] {
                let err = moved(&house, &id, from, to, by(&job)).await.expect_err("held");
                assert!(matches!(err, StoreError::Refused { .. }), "{err}");
            }
            moved(&house, &id, Intent, Uncertain, by(&job)).await.expect("in doubt");
            moved(&house, &id, Uncertain, Reconciling, by(&job)).await.expect("looking");
            let row = moved(&house, &id, Reconciling, Intent, by(&job)).await.expect("not there");
            assert!(!row.reconcile_first);
            moved(&house, &id, Intent, Sending, by(&job)).await.expect("sent");
        }
    }

    both! {
        async fn a_new_effect_with_a_business_key_is_held_until_the_tenant_is_lifted(house) {
            let job = running(&house, "a").await;
            let before = opened(&house, &new(&job, "0", key(0))).await.row().clone();
            assert_eq!((before.epoch, before.reconcile_first, before.held_epoch), (0, false, None));
            assert_eq!(lifted(&house, "t").await, None, "nothing was restored");
            hold(&house).await;
            let row = opened(&house, &new(&job, "1", key(1))).await.row().clone();
            assert_eq!((row.epoch, row.reconcile_first, row.held_epoch), (1, true, Some(1)));
            assert_eq!(row.send_deadline, Some(house.db.now().plus(LONGEST_SEND_MS)));
            let row = opened(&house, &new(&job, "2", None)).await.row().clone();
            assert_eq!((row.epoch, row.reconcile_first, row.held_epoch), (1, false, None), "no key, no hold");

            assert_eq!(lifted(&house, "other").await, Some(0), "tenants are lifted one by one");
            assert!(opened(&house, &new(&job, "3", key(3))).await.row().reconcile_first);
            assert_eq!(lifted(&house, "t").await, Some(3));
            assert_eq!(lifted(&house, "t").await, None, "once");
            assert!(!opened(&house, &new(&job, "4", key(4))).await.row().reconcile_first);
            assert!(!get(&house.db, &before.id).await.expect("get").expect("some").reconcile_first);
            hold(&house).await;
            assert_eq!(epoch(&house.db).await.expect("epoch"), 2);
            assert!(opened(&house, &new(&job, "5", key(5))).await.row().reconcile_first, "the next restore holds again");
        }
    }

    both! {
        async fn the_report_tells_what_was_relearned_parked_or_is_open(house) {
            let job = running(&house, "a").await;
            hold(&house).await;
            let mut ids = Vec::new();
            for number in 1..=4 {
                let id = opened(&house, &new(&job, &number.to_string(), key(number))).await.row().id;
                moved(&house, &id, Intent, Uncertain, by(&job)).await.expect("in doubt");
                ids.push(id);
            }
            moved(&house, &ids[0], Uncertain, Reconciling, by(&job)).await.expect("looking");
            let found = Change { outcome: Some(value!({ "tracking": "1Z" })), ..by(&job) };
            moved(&house, &ids[0], Reconciling, Succeeded, found).await.expect("found");
            moved(&house, &ids[1], Uncertain, Parked, by(&job)).await.expect("parked");
            moved(&house, &ids[2], Uncertain, Intent, by(&job)).await.expect("not there");
            let report = report(&house.db, &tenant("t")).await.expect("report");
            let lines: Vec<_> = report.effects.iter().map(|line| line.became).collect();
            assert_eq!((report.epoch, report.held), (1, true));
            assert_eq!(
                lines,
                [Reconciled::Relearned, Reconciled::Parked, Reconciled::NotThere, Reconciled::Open]
            );
        }
    }
}
