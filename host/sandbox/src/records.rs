//! Questions to Odoo on their way from a guest to the port: who asks, on which runtime, and what may still be written.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tracing::Instrument as _;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind, Retry};
use wharf_domain::grant::Capabilities;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::port::records::{Answer, Asker, Records, Used, WriteBudget};
use wharf_egress::Grant;
use wharf_store::budgets::{self, BudgetKey, Limit, Taken};
use wharf_store::{Db, StoreError};

use crate::services::RecordsAsk;

/// Asks on the host's runtime and waits. A question on the wire is followed to its end, whatever becomes of the guest.
pub(crate) async fn ask(
    runtime: &Handle,
    odoo: Option<&Arc<dyn Records>>,
    db: Option<Db>,
    ask: RecordsAsk,
) -> (Result<Answer, Fault>, Used) {
    let RecordsAsk { grant, capabilities, ctx, mut used, ask } = ask;
    let asker = match asker(&grant, &capabilities) {
        Ok(asker) => asker,
        Err(fault) => return (Err(fault), used),
    };
    let Some(odoo) = odoo.cloned() else {
        return (Err(no_odoo(&ctx.tenant)), used);
    };
    let budget = HourBudget { db, tenant: ctx.tenant.clone() };
    let (mutates, before) = (ask.mutates(), used.clone());
    let work = async move {
        let answer = odoo.ask(&ctx, &asker, &mut used, &budget, ask).await;
        if let Err(fault) = &answer
            && fault.code.starts_with("odoo.denied-")
        {
            tracing::warn!(
                tenant = %ctx.tenant, connection = %asker.connection, code = %fault.code,
                "odoo's gate denied `{}`: `{}`", asker.connection, fault.code
            );
        }
        (answer, used)
    };
    let task = runtime.spawn(work.instrument(tracing::Span::current()));
    task.await.unwrap_or_else(|e| {
        let kind = if mutates { FaultKind::OutcomeUnknown } else { FaultKind::Transient };
        let fault = Fault::new(kind, "sandbox.odoo-task", format!("the question's task ended: {e}"), Blame::Host);
        (Err(fault), Used { risked: before.risked || mutates, ..before })
    })
}

/// Who asks Odoo. Without a grant of any model nobody needs to be asked.
fn asker(grant: &Grant, capabilities: &Capabilities) -> Result<Asker, Fault> {
    if capabilities.odoo.models.is_empty() {
        let text = format!(
            "connection `{}` is granted nothing of Odoo; it would need `[tenant.connection.odoo]` with a `[[tenant.connection.odoo.model]]` for each model",
            grant.connection
        );
        return Err(Fault::new(FaultKind::Forbidden, "odoo.denied-model", text, Blame::Guest));
    }
    let connection = ConnectionId::parse(grant.connection.clone())
        .map_err(|e| Fault::new(FaultKind::InvalidInput, "odoo.connection", e.to_string(), Blame::Operator))?;
    Ok(Asker { connection, adapter: grant.adapter_digest.clone(), access: Arc::new(capabilities.odoo.clone()) })
}

fn no_odoo(tenant: &TenantId) -> Fault {
    let text = format!("tenant `{tenant}` has no Odoo; it would need `[tenant.odoo]`");
    Fault::new(FaultKind::Unsupported, "odoo.not-connected", text, Blame::Operator)
}

/// Records a connection may still write in this hour, counted in the database over all hosts.
struct HourBudget {
    /// Absent offline, where there is no Odoo either.
    db: Option<Db>,
    tenant: TenantId,
}

const HOUR_MS: i64 = 3_600_000;

#[async_trait]
impl WriteBudget for HourBudget {
    async fn take(&self, asker: &Asker, records: u32) -> Result<(), Fault> {
        let Some(db) = &self.db else { return Ok(()) };
        let most = asker.access.writes_per_hour;
        let key = BudgetKey { tenant: self.tenant.clone(), connection: asker.connection.clone(), name: "odoo-writes" };
        let actor = Actor::Host(format!("adapter/{}", asker.connection));
        let spend = async {
            let mut tx = db.begin().await?;
            let taken = budgets::take(&mut tx, &actor, &key, records, Limit { most, window_ms: HOUR_MS }).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(taken)
        };
        match spend.await {
            Ok(Taken::Granted) => Ok(()),
            Ok(Taken::Refused { until }) => {
                let text = format!(
                    "connection `{}` may write {most} records of Odoo in an hour and wants {records} more; a higher `odoo.writes_per_hour` would allow it",
                    asker.connection
                );
                let after_ms = u64::try_from(until.since(db.now())).unwrap_or_default();
                Err(Fault::new(FaultKind::RateLimited, "odoo.limit-odoo-writes", text, Blame::Guest)
                    .with_retry(Retry::Later { after_ms: Some(after_ms) }))
            }
            Err(err) => Err(Fault::new(FaultKind::Transient, "odoo.budget", err.to_string(), Blame::Host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use wharf_domain::ctx::CallCtx;
    use wharf_domain::grant::{OdooAccess, OdooGrant};
    use wharf_domain::ids::IdSource;
    use wharf_domain::port::records::{Ask, Options};
    use wharf_domain::time::{ManualClock, Timestamp};

    use super::*;

    struct CountingIds(AtomicU64);

    impl IdSource for CountingIds {
        fn next(&self, _now: Timestamp) -> uuid::Uuid {
            uuid::Uuid::from_u64_pair(1, self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    /// Takes one record out of the budget and says yes.
    #[derive(Default)]
    struct Fake(Mutex<Vec<Ask>>);

    #[async_trait]
    impl Records for Fake {
        async fn ask(
            &self,
            _: &CallCtx,
            asker: &Asker,
            used: &mut Used,
            budget: &dyn WriteBudget,
            ask: Ask,
        ) -> Result<Answer, Fault> {
            budget.take(asker, 2).await?;
            used.mutating += 1;
            self.0.lock().expect("asks").push(ask);
            Ok(Answer::Written)
        }
    }

    fn granted(models: &[&str]) -> Arc<Capabilities> {
        let model = |name: &&str| OdooGrant {
            model: (*name).to_owned(),
            read: Default::default(),
            write: Default::default(),
            create: false,
            domain: None,
            narrowed: None,
            max_records: 1,
        };
        let models = models.iter().map(model).collect();
        Arc::new(Capabilities {
            odoo: OdooAccess { companies: vec![1], writes_per_hour: 5, models },
            ..Capabilities::default()
        })
    }

    fn question(capabilities: Arc<Capabilities>, used: Used) -> RecordsAsk {
        let tenant = TenantId::parse("t").expect("tenant");
        let grant = Grant {
            tenant: tenant.clone(),
            connection: "acme".to_owned(),
            adapter_digest: None,
            origins: Vec::new(),
            routes: Vec::new(),
            secrets: Default::default(),
            config: Default::default(),
            limits: Default::default(),
            terms: None,
        };
        let ctx = CallCtx {
            tenant,
            job: None,
            fence: 0,
            attempt: 1,
            flow: None,
            business: None,
            deadline: Timestamp::from_millis(i64::MAX),
            urgent: false,
            promised: None,
        };
        let ask = Ask::Write { model: "m".to_owned(), ids: vec![1], values: "{}".to_owned(), options: Options::new() };
        RecordsAsk { grant: Arc::new(grant), capabilities, ctx, used, ask }
    }

    #[tokio::test]
    async fn nothing_is_asked_without_a_grant_or_an_odoo() {
        let (fake, here) = (Arc::new(Fake::default()), Handle::current());
        let odoo: Arc<dyn Records> = fake.clone();
        let (denied, _) = ask(&here, Some(&odoo), None, question(Arc::default(), Used::default())).await;
        let denied = denied.expect_err("no grant");
        assert_eq!(denied.code, "odoo.denied-model");
        assert!(denied.message.contains("[tenant.connection.odoo]"), "{denied}");
        let (nobody, _) = ask(&here, None, None, question(granted(&["m"]), Used::default())).await;
        assert_eq!(nobody.expect_err("no Odoo").code, "odoo.not-connected");
        assert!(fake.0.lock().expect("asks").is_empty());
    }

    #[tokio::test]
    async fn h10_the_hour_of_a_connection_is_counted_in_the_database() {
        let clock = Arc::new(ManualClock::at(3 * HOUR_MS + 1_000));
        let dir = tempfile::tempdir().expect("folder");
        let ids = Arc::new(CountingIds(AtomicU64::new(1)));
        let db = Db::open(&dir.path().join("wharf.db"), clock.clone(), ids).await.expect("db");
        db.migrate().await.expect("schema");
        let odoo: Arc<dyn Records> = Arc::new(Fake::default());
        let mut used = Used::default();
        for so_far in 1..=2 {
            let question = question(granted(&["m"]), used);
            let (answer, now) = ask(&Handle::current(), Some(&odoo), Some(db.clone()), question).await;
            assert_eq!((answer, now.mutating), (Ok(Answer::Written), so_far), "what was used travels on");
            used = now;
        }
        let asked = question(granted(&["m"]), Used::default());
        let (over, _) = ask(&Handle::current(), Some(&odoo), Some(db.clone()), asked).await;
        let over = over.expect_err("4 of 5 are gone");
        assert_eq!(over.code, "odoo.limit-odoo-writes");
        assert_eq!(over.retry, Retry::Later { after_ms: Some(3_599_000) });
        assert!(over.message.contains("odoo.writes_per_hour"), "{over}");
        clock.advance(HOUR_MS);
        let asked = question(granted(&["m"]), Used::default());
        let (fresh, _) = ask(&Handle::current(), Some(&odoo), Some(db), asked).await;
        assert_eq!(fresh, Ok(Answer::Written));
    }
}
