//! What becomes of an order: the same steps a shipped adapter's port takes, with the partner's routes in place of it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Retry};
use wharf_domain::time::Timestamp;
use wharf_egress::ledger::{Absent, Standing, Way};
use wharf_egress::{Egress, Ledger, Request, Response, Steps};
use wharf_queue::{Handler, Registry, Verdict};
use wharf_store::effects::{EffectRow, SEND_MARGIN_MS};
use wharf_store::jobs::{self, Job, NewJob};
use wharf_store::{Db, StoreError, Tx, audit};

use crate::fate::{Fate, Point, in_the_name_of};
use crate::history::{Line, Said, Writer};
use crate::order::{Class, Order};
use crate::partner::{self, CONNECTION};

/// The kind of job an order is.
pub(crate) const ORDER: &str = "order";
/// The kind of job a finished label leaves behind.
pub(crate) const FOLLOW_UP: &str = "follow-up";
/// The audit's action for an order whose result was stored.
pub(crate) const SETTLED: &str = "feeder.settled";

/// What every handler needs.
pub(crate) struct Hands {
    pub(crate) db: Db,
    pub(crate) egress: Egress,
    pub(crate) url: String,
    pub(crate) settle_ms: i64,
    pub(crate) history: Arc<Writer>,
    pub(crate) fate: Arc<Fate>,
}

pub(crate) fn registry(hands: Arc<Hands>) -> Registry {
    let mut registry = Registry::new();
    registry.register(ORDER, Arc::new(Orders(hands)));
    registry.register(FOLLOW_UP, Arc::new(FollowUps));
    registry
}

struct Orders(Arc<Hands>);

#[async_trait]
impl Handler for Orders {
    async fn run(&self, job: &Job) -> Verdict {
        let order: Order = match serde_json::from_value(job.payload.clone()) {
            Ok(order) => order,
            Err(error) => {
                return Verdict::Park(fault(FaultKind::DataOutOfContract, "feeder.payload", &error.to_string()));
            }
        };
        self.0.fate.pass(Point::Claimed, &order.name());
        let result = Box::pin(in_the_name_of(order.name(), self.0.carry_out(job, &order))).await;
        self.0.fate.pass(Point::Worked, &order.name());
        match result {
            Ok(value) => Verdict::Done(value),
            Err(fault) => refused(fault, self.0.db.now()),
        }
    }

    /// Leaves a line in the audit, and the job that follows a label.
    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        let (Verdict::Done(_), Ok(order)) = (verdict, serde_json::from_value::<Order>(job.payload.clone())) else {
            return Ok(());
        };
        let actor = Actor::Host(order.host.clone());
        audit::append(tx, &actor, &job.tenant, SETTLED, &format!("order/{}", order.name()), &json!({})).await?;
        if order.has_follow_up() {
            let next = NewJob::unordered(job.tenant.clone(), FOLLOW_UP, job.payload.clone());
            jobs::enqueue(tx, &actor, &NewJob { flow: job.flow.clone(), depth: job.depth + 1, ..next }).await?;
        }
        Ok(())
    }
}

/// Stores nothing, so it is finished together with others.
struct FollowUps;

#[async_trait]
impl Handler for FollowUps {
    async fn run(&self, _job: &Job) -> Verdict {
        Verdict::Done(Value::Null)
    }

    fn settles(&self) -> bool {
        false
    }
}

impl Hands {
    async fn carry_out(&self, job: &Job, order: &Order) -> Result<Value, Fault> {
        let ctx = self.ctx(job, order);
        match order.class {
            Class::Inside => Ok(Value::Null),
            Class::Natural => self.send(&ctx, order).await,
            Class::Lookup | Class::Keyed | Class::Once => self.once(&ctx, order).await,
        }
    }

    /// At most once per business key: what an earlier attempt did is settled before anything is sent.
    async fn once(&self, ctx: &CallCtx, order: &Order) -> Result<Value, Fault> {
        let ledger = self.ledger()?;
        match ledger.standing(ctx, CONNECTION).await? {
            Standing::Clear => self.send(ctx, order).await,
            Standing::Journaled { .. } => Ok(Value::Null),
            Standing::Outcome { value, .. } => Ok(value),
            Standing::Happened { .. } => Ok(Value::Null),
            Standing::Held { .. } => Err(self.later("a restored backup holds it")),
            Standing::InProgress { .. } => Err(self.later("another worker is at it")),
            Standing::Parked { .. } => Err(fault(FaultKind::OutcomeUnknown, "feeder.parked", "a person must decide")),
            Standing::Uncertain { effect } => self.settle(ctx, order, ledger, &effect).await,
        }
    }

    async fn settle(&self, ctx: &CallCtx, order: &Order, ledger: &Ledger, row: &EffectRow) -> Result<Value, Fault> {
        match ledger.way_out(&partner::grant(&ctx.tenant, &self.url), row) {
            Way::Repeat => return self.send(ctx, order).await,
            Way::LookUp => {}
            Way::Park(why) => {
                ledger.park(ctx, row, &why).await?;
                return Err(fault(FaultKind::OutcomeUnknown, "feeder.parked", &why.to_string()));
            }
            Way::Stuck(why) => return Err(*why),
        }
        let row = ledger.reconcile_start(ctx, row).await?;
        // A lookup is a read of its own: it must not claim the purchase's key.
        let reading = CallCtx { business: None, ..ctx.clone() };
        let answer = self.ask(&reading, partner::find(order, &self.url)).await;
        let label = answer.and_then(|answer| match answer.status {
            200 => partner::found(&answer.body).map_err(|_| self.later("the lookup's answer is no JSON")),
            _ => Err(self.later("the lookup failed")),
        });
        match label {
            Ok(Some(label)) => {
                ledger.found(ctx, &row, label.clone()).await?;
                Ok(label)
            }
            Ok(None) => match ledger.absent(ctx, &row).await? {
                Absent::Resend => self.send(ctx, order).await,
                Absent::WaitUntil(at) => Err(waiting("not found yet", at.since(self.db.now()))),
                Absent::Unbelievable => Err(fault(FaultKind::OutcomeUnknown, "feeder.unbelievable", "never found")),
            },
            Err(why) => {
                ledger.mark_uncertain(ctx, &row, &why).await?;
                Err(self.later("the lookup brought nothing"))
            }
        }
    }

    /// The call that changes something, with its lines in the history.
    async fn send(&self, ctx: &CallCtx, order: &Order) -> Result<Value, Fault> {
        let request = partner::change(order, &self.url)
            .ok_or_else(|| fault(FaultKind::Unsupported, "feeder.no-route", "it has no route"))?;
        let (name, fence) = (order.name(), ctx.fence);
        self.fate.pass(Point::BeforeCall, &name);
        self.write(&Line::Send { order: name.clone(), fence })?;
        let result = self.ask(ctx, request).await;
        match &result {
            Err(fault) if fault.code == "egress.unrecorded" => self.fate.not_stored(&name),
            _ => self.fate.pass(Point::Recorded, &name),
        }
        let said = said(&result);
        self.write(&Line::Heard { order: name, fence, said })?;
        match (result, said) {
            (Ok(_), Said::Happened) => Ok(Value::Null),
            (Ok(answer), Said::Nothing) => Err(refusal(answer.status)),
            // Harmless to repeat: an attempt like any other.
            (Ok(answer), _) if order.class == Class::Natural => Err(refusal(answer.status)),
            (Err(fault), _) if order.class == Class::Natural || said == Said::Nothing => Err(fault),
            (Ok(_) | Err(_), _) => Err(self.later("the outcome is in doubt")),
        }
    }

    async fn ask(&self, ctx: &CallCtx, request: Request) -> Result<Response, Fault> {
        let grant = partner::grant(&ctx.tenant, &self.url);
        self.egress.send(&grant, ctx, &mut Steps::default(), request).await
    }

    fn write(&self, line: &Line) -> Result<(), Fault> {
        self.history.write(line).map_err(|error| fault(FaultKind::Transient, "feeder.history", &format!("{error:#}")))
    }

    fn ledger(&self) -> Result<&Ledger, Fault> {
        self.egress.ledger().ok_or_else(|| fault(FaultKind::Unsupported, "feeder.no-ledger", "there is no ledger"))
    }

    /// As every call of the host it ends well before the lease; leases are short here, so the margin is what counts.
    fn ctx(&self, job: &Job, order: &Order) -> CallCtx {
        let now = self.db.now();
        let lease = job.lease_until.since(now).max(0);
        CallCtx {
            tenant: job.tenant.clone(),
            job: Some(job.id),
            fence: job.fence,
            attempt: job.attempt,
            flow: job.flow.as_ref().map(ToString::to_string),
            business: partner::business(order),
            deadline: now.plus(lease - (lease / 5).max(SEND_MARGIN_MS)),
            urgent: job.urgent,
            promised: None,
        }
    }

    fn later(&self, why: &str) -> Fault {
        waiting(why, self.settle_ms)
    }
}

/// What the end of a call says about its effect.
fn said(result: &Result<Response, Fault>) -> Said {
    match result {
        Ok(answer) if matches!(answer.status, 204 | 205) => Said::Happened,
        // Half a document proves nothing.
        Ok(answer) if matches!(answer.status, 200..=299) => {
            let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_ok();
            if whole { Said::Happened } else { Said::Unknown }
        }
        Ok(answer) if matches!(answer.status, 400 | 401 | 403 | 404 | 405 | 413 | 415 | 422) => Said::Nothing,
        Ok(_) => Said::Unknown,
        Err(fault) if fault.effect == EffectCertainty::None => Said::Nothing,
        Err(_) => Said::Unknown,
    }
}

/// Waiting for certainty is no failed attempt; everything else goes by the fault.
fn refused(fault: Fault, now: Timestamp) -> Verdict {
    match (&fault.kind, fault.retry) {
        (FaultKind::OutcomeUnknown, Retry::Later { after_ms: Some(ms) }) => {
            Verdict::Snooze { until: now.plus(i64::try_from(ms).unwrap_or(i64::MAX)), reason: fault.to_string() }
        }
        (_, Retry::Later { .. } | Retry::Reconcile | Retry::Wait { .. }) => Verdict::Retry(fault),
        (_, Retry::Never) => Verdict::Park(fault),
    }
}

fn waiting(why: &str, ms: i64) -> Fault {
    let after_ms = u64::try_from(ms.max(1)).ok();
    fault(FaultKind::OutcomeUnknown, "feeder.waiting", why).with_retry(Retry::Later { after_ms })
}

fn refusal(status: u16) -> Fault {
    fault(FaultKind::Outage, "feeder.refused", &format!("the partner answered {status}"))
        .with_retry(Retry::Later { after_ms: None })
}

/// Nothing more is tried.
fn fault(kind: FaultKind, code: &str, message: &str) -> Fault {
    Fault::new(kind, code, message, Blame::Host).with_retry(Retry::Never)
}
