//! `erp.pull`: what the ERP has to tell, fetched, stored once and acknowledged.
//!
//! Facts and the jobs they cause are committed before the ERP may forget them. A crash in between only means that the
//! same facts are told again: their keys are known, so nothing happens twice.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wharf_domain::ctx::Actor;
use wharf_domain::exception::{self as codes, NewException, Severity};
use wharf_domain::fault::{Blame, Fault, FaultKind, Retry};
use wharf_domain::ids::TenantId;
use wharf_domain::port::erp::{ErpEvent, ErpEventKind};
use wharf_domain::time::Timestamp;
use wharf_queue::{Handler, Verdict};
use wharf_store::inbox::{self, Accepted, NewEvent};
use wharf_store::jobs::{Enqueued, Job, NewJob};
use wharf_store::{StoreError, Tx, exceptions, jobs};

use crate::order_release::Event;
use crate::runner::{self, Runner};

/// Fetches what the ERP has to tell.
pub const PULL: &str = "erp.pull";

/// The inbox's name for the ERP.
const SOURCE: &str = "odoo";
/// Events fetched at once.
const PAGE: u32 = 100;
/// How long to wait for an ERP that fails in passing, when it names no time itself.
const SOON_MS: u64 = 5_000;
/// How long to wait for one that a person has to put right.
const LATER_MS: u64 = 15_000;

/// Asks for a pull of one tenant's ERP. A pull that has not started yet does for any number of wishes.
pub async fn request_pull(tx: &mut Tx, actor: &Actor, tenant: &TenantId) -> Result<Enqueued, StoreError> {
    let job = NewJob { coalesce_key: Some(PULL.to_owned()), ..NewJob::new(tenant.clone(), PULL, PULL, json!({})) };
    jobs::enqueue(tx, actor, &job).await
}

pub(crate) struct Pull(pub(crate) Runner);

#[async_trait]
impl Handler for Pull {
    async fn run(&self, job: &Job) -> Verdict {
        if self.0.ports.order_release(&job.tenant).is_none() {
            return Verdict::Cancelled(format!("order release is switched off for `{}`", job.tenant));
        }
        match self.pull(job).await {
            Ok(pulled) => match serde_json::to_value(pulled) {
                Ok(value) => Verdict::Done(value),
                Err(error) => Verdict::Retry(not_stored(&error.into())),
            },
            Err(fault) => {
                let now = self.0.db.now();
                Verdict::Snooze { until: now.plus(wait_ms(&fault, now)), reason: fault.to_string() }
            }
        }
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        let trouble = match verdict {
            Verdict::Retry(_) | Verdict::Cancelled(_) => return Ok(()),
            Verdict::Park(fault) => fault.to_string(),
            Verdict::Snooze { reason, .. } => reason.clone(),
            Verdict::Done(value) => {
                let pulled: Pulled = serde_json::from_value(value.clone())?;
                if pulled.more {
                    request_pull(tx, &actor(), &job.tenant).await?;
                }
                match pulled.acknowledged {
                    Acknowledged::Yes => return self.reachable(tx, &job.tenant).await,
                    Acknowledged::Left => return Ok(()),
                    Acknowledged::Failed(fault) => fault.to_string(),
                }
            }
        };
        let exception = unreachable(&job.tenant, &trouble);
        exceptions::raise(tx, &actor(), &job.tenant, None, &exception).await.map(|_| ())
    }
}

/// How a pull went.
#[derive(Debug, Serialize, Deserialize)]
struct Pulled {
    /// Another pull should follow at once.
    more: bool,
    acknowledged: Acknowledged,
}

#[derive(Debug, Serialize, Deserialize)]
enum Acknowledged {
    Yes,
    /// To the pull that follows.
    Left,
    Failed(Fault),
}

impl Pull {
    /// One page. An ERP that fails makes the pull wait, never park: nothing is lost meanwhile, and the exception tells
    /// whoever has to act.
    async fn pull(&self, job: &Job) -> Result<Pulled, Fault> {
        let ctx = self.0.ctx(job);
        let erp = self.0.erp(job)?;
        let events = erp.pending_events(&ctx, PAGE).await?;
        if events.is_empty() {
            return Ok(Pulled { more: false, acknowledged: Acknowledged::Yes });
        }
        self.accept(&job.tenant, &events).await.map_err(|error| not_stored(&error))?;
        // An acknowledgement is journaled as a step of its job. After a first claim this job may hold one of other
        // events already, so it leaves these to the pull that follows.
        if job.fence > 1 {
            return Ok(Pulled { more: true, acknowledged: Acknowledged::Left });
        }
        let full = events.len() >= PAGE as usize;
        Ok(match erp.acknowledge(&ctx, &events).await {
            Ok(()) => Pulled { more: full, acknowledged: Acknowledged::Yes },
            // They are told again by the next pull, and known by then.
            Err(fault) => Pulled { more: false, acknowledged: Acknowledged::Failed(fault) },
        })
    }

    /// Stores what is new, and the work it causes, at once.
    async fn accept(&self, tenant: &TenantId, events: &[ErpEvent]) -> Result<(), StoreError> {
        let mut tx = self.0.db.begin().await?;
        for event in events {
            let key = runner::order_key(&event.order);
            let fact = NewEvent {
                tenant: tenant.clone(),
                source: SOURCE.to_owned(),
                key: event.key.clone(),
                kind: kind(event.kind).to_owned(),
                flow: Some(key.clone()),
                body: serde_json::to_value(event)?,
            };
            if let Accepted::Fresh(_) = inbox::accept(&mut tx, &actor(), &fact).await? {
                let job = runner::told_job(tenant, &key, Event::ErpChanged { kind: event.kind })?;
                // When too much waits already, the ERP keeps its events until some of it is worked off.
                jobs::enqueue(&mut tx, &actor(), &NewJob { source: Some(SOURCE.to_owned()), ..job }).await?;
            }
        }
        tx.commit().await
    }

    /// Closes the exception of an ERP that answers again.
    async fn reachable(&self, tx: &mut Tx, tenant: &TenantId) -> Result<(), StoreError> {
        for open in exceptions::open(&self.0.db, tenant).await? {
            if open.code == codes::ERP_UNREACHABLE {
                exceptions::resolve(tx, &actor(), &open.id, "cause-gone", "").await?;
            }
        }
        Ok(())
    }
}

fn kind(kind: ErpEventKind) -> &'static str {
    match kind {
        ErpEventKind::OrderChanged => "order-changed",
        ErpEventKind::OrderConfirmed => "order-confirmed",
        ErpEventKind::OrderCancelled => "order-cancelled",
    }
}

fn actor() -> Actor {
    Actor::Host("intake".to_owned())
}

fn not_stored(error: &StoreError) -> Fault {
    let message = format!("failed to store what the ERP told: {error}");
    Fault::new(FaultKind::Transient, "flows.inbox", message, Blame::Host)
}

fn wait_ms(fault: &Fault, now: Timestamp) -> i64 {
    let wait = match fault.retry {
        Retry::Wait { until } => return until.since(now),
        Retry::Never => LATER_MS,
        Retry::Later { after_ms } => after_ms.unwrap_or(SOON_MS),
        Retry::Reconcile => SOON_MS,
    };
    i64::try_from(wait).unwrap_or(i64::MAX)
}

fn unreachable(tenant: &TenantId, trouble: &str) -> NewException {
    NewException {
        code: codes::ERP_UNREACHABLE.to_owned(),
        severity: Severity::Critical,
        object: format!("tenant/{tenant}"),
        owner_role: "integration".to_owned(),
        cause: format!("events of the ERP cannot be fetched: {trouble}; they are kept there and fetched when it works"),
        actions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use wharf_store::inbox;

    use super::*;
    use crate::order_release::examples;
    use crate::testing::{House, LEASE, fault, key, told};

    async fn pull(house: &House) {
        let mut tx = house.db.begin().await.expect("begin");
        request_pull(&mut tx, &actor(), &examples::tenant()).await.expect("pull");
        tx.commit().await.expect("commit");
    }

    async fn events(house: &House) -> usize {
        inbox::for_flow(&house.db, &examples::tenant(), &key()).await.expect("inbox").len()
    }

    #[tokio::test]
    async fn a_crash_before_the_acknowledgement_tells_nothing_twice() {
        let mut house = House::new().await;
        house.change("e1").await;
        house.outside.erp().acknowledge_faults = vec![fault(FaultKind::Transient)];
        // Claimed, stored, not acknowledged, never finished.
        let claimed = jobs::claim(&house.db, "dying", LEASE, 1).await.expect("claim");
        Pull(house.runner()).run(&claimed[0]).await;
        assert_eq!((events(&house).await, house.jobs(runner::ADVANCE).await.len()), (1, 1));
        house.restart().await;
        house.clock.advance(LEASE);
        house.drain().await;
        assert_eq!((events(&house).await, house.jobs(runner::ADVANCE).await.len()), (1, 1));
        assert_eq!(house.outside.erp().acknowledged, ["e1"], "by the pull that follows");
        house.at_rest().await;
    }

    #[tokio::test]
    async fn everything_pending_is_fetched_page_by_page() {
        let house = House::new().await;
        house.outside.erp().pending = (0..250).map(|number| told(&format!("e{number}"))).collect();
        pull(&house).await;
        house.drain().await;
        assert_eq!((events(&house).await, house.outside.erp().acknowledged.len()), (250, 250));
        assert!(house.outside.erp().reads <= 250);
        house.at_rest().await;
    }

    #[tokio::test]
    async fn an_erp_that_fails_is_an_exception_until_it_answers_and_never_a_dead_letter() {
        let house = House::new().await;
        house.outside.erp().pending_faults = vec![fault(FaultKind::Outage), fault(FaultKind::Unauthorized)];
        house.change("e1").await;
        house.drain().await;
        assert_eq!(house.open().await, [codes::ERP_UNREACHABLE]);
        pull(&house).await;
        pull(&house).await;
        let counts = jobs::counts(&house.db).await.expect("counts");
        assert_eq!((counts.unfinished(), counts.parked), (2, 0), "the one that waits, and one for every wish since");
        for wait in [5_000, 15_000] {
            house.clock.advance(wait);
            house.drain().await;
        }
        assert_eq!(house.open().await, Vec::<String>::new());
        assert_eq!(house.outside.erp().acknowledged, ["e1"]);
        house.at_rest().await;
    }

    #[tokio::test]
    async fn events_that_cannot_be_acknowledged_are_an_exception() {
        let house = House::new().await;
        house.outside.erp().acknowledge_faults = vec![fault(FaultKind::Forbidden)];
        house.change("e1").await;
        house.drain().await;
        assert_eq!(house.open().await, [codes::ERP_UNREACHABLE]);
        assert_eq!(house.flow().await.0, "closed", "the work goes on");
        pull(&house).await;
        house.drain().await;
        assert_eq!(house.open().await, Vec::<String>::new());
    }
}
