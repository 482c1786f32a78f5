//! Buying a label: the one command that costs money. It asks the flow before the carrier, and the effect ledger before
//! it calls anything failed.

use wharf_domain::effect::{BusinessKey, EffectState};
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Retry};
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::time::Timestamp;
use wharf_queue::Verdict;
use wharf_store::effects::{self, EffectRow};
use wharf_store::jobs::Job;
use wharf_store::{StoreError, Tx, flows};

use super::command::done;
use super::{Runner, STOPPED, own_fault, wait_for_resume};
use crate::order_release::{self, Command, Event, State};

/// How long to wait for a reconcile when the port names no time.
const SETTLE_WAIT_MS: u64 = 60_000;

/// What the flow says about a purchase that is about to start.
enum Consent {
    Buy,
    Withdrawn,
    Stopped,
}

impl Runner {
    pub(super) async fn purchase(&self, job: &Job, command: &Command) -> Verdict {
        let Command::CreateShipment { delivery, generation, connection, key, request } = command else {
            return Verdict::Cancelled("this is not a purchase".to_owned());
        };
        let consent = match self.consent(job, (delivery, *generation), connection, key).await {
            Ok(consent) => consent,
            Err(error) => return Verdict::Retry(unknown_state(&error)),
        };
        match consent {
            Consent::Buy => {}
            Consent::Withdrawn => return Verdict::Cancelled("the order does not want this label any more".to_owned()),
            Consent::Stopped => return wait_for_resume(self.db.now()),
        }
        let carrier = match self.carrier(job, connection) {
            Ok(carrier) => carrier,
            Err(fault) => return Verdict::Park(fault),
        };
        let mut ctx = self.ctx(job);
        ctx.business = Some(key.clone());
        match carrier.create_shipment(&ctx, request).await {
            Ok(shipment) => {
                let (delivery, shipment) = (delivery.clone(), Box::new(shipment));
                done(&Event::LabelBought { delivery, generation: *generation, shipment })
            }
            Err(fault) => refused(fault, self.db.now()),
        }
    }

    /// Is the label still wanted? Once a byte may have left, the question is too late: the purchase is seen through,
    /// and the flow voids what arrives.
    async fn consent(
        &self,
        job: &Job,
        (delivery, generation): (&str, u32),
        connection: &ConnectionId,
        key: &BusinessKey,
    ) -> Result<Consent, StoreError> {
        if self.may_be_bought(&job.tenant, connection, key).await? {
            return Ok(Consent::Buy);
        }
        let row = match &job.flow {
            Some(flow) => flows::get(&self.db, &job.tenant, order_release::KIND, flow).await?,
            None => None,
        };
        let Some(row) = row else {
            return Ok(Consent::Withdrawn);
        };
        let state: State = serde_json::from_value(row.state)
            .map_err(|error| StoreError::Decode { column: "state", reason: error.to_string() })?;
        let wanted = state.label(delivery, generation).is_some_and(|label| !label.withdrawn);
        Ok(match (row.status == STOPPED, wanted) {
            (true, _) => Consent::Stopped,
            (false, true) => Consent::Buy,
            (false, false) => Consent::Withdrawn,
        })
    }

    /// Does the ledger allow that the carrier has heard of this purchase?
    pub(super) async fn may_be_bought(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        key: &BusinessKey,
    ) -> Result<bool, StoreError> {
        let effect = effects::by_business(&self.db, tenant, connection, key).await?;
        let unsent = |row: &EffectRow| matches!(row.state, EffectState::Intent | EffectState::Rejected);
        Ok(effect.is_some_and(|row| row.reconcile_first || !unsent(&row)))
    }

    /// Notes what a label was to cost with the purchase nobody knows the outcome of, for whoever has to decide. What was
    /// bought without asking for prices has no figure.
    pub(super) async fn note_worth(&self, tx: &mut Tx, job: &Job, command: &Command) -> Result<(), StoreError> {
        let Command::CreateShipment { delivery, generation, connection, key, .. } = command else {
            return Ok(());
        };
        let effect = effects::by_business(&self.db, &job.tenant, connection, key).await?;
        let (Some(effect), Some(flow)) = (effect, &job.flow) else {
            return Ok(());
        };
        let row = flows::get(&self.db, &job.tenant, order_release::KIND, flow).await?;
        let state: Option<State> = row.and_then(|row| serde_json::from_value(row.state).ok());
        let quoted = state.as_ref().and_then(|state| state.label(delivery, *generation)?.choice.quoted.clone());
        if let Some(quoted) = quoted {
            effects::set_worth(tx, &super::actor(), &effect.id, &quoted).await?;
        }
        Ok(())
    }
}

/// What becomes of a purchase the port did not complete.
fn refused(fault: Fault, now: Timestamp) -> Verdict {
    match (&fault.kind, fault.retry) {
        // A lookup has to wait until the carrier has settled: nothing failed, so no attempt is counted.
        (FaultKind::OutcomeUnknown, Retry::Later { after_ms }) => {
            let wait = i64::try_from(after_ms.unwrap_or(SETTLE_WAIT_MS)).unwrap_or(i64::MAX);
            Verdict::Snooze { until: now.plus(wait), reason: fault.to_string() }
        }
        (_, Retry::Wait { .. }) => Verdict::Retry(fault),
        (FaultKind::OutcomeUnknown, _) => Verdict::Park(fault),
        // The port settles an earlier attempt before it sends another, so coming back is safe even when this one may
        // have reached the carrier.
        (_, Retry::Later { .. } | Retry::Reconcile) => Verdict::Retry(fault),
        (_, Retry::Never) => Verdict::Park(fault),
    }
}

/// The event of a purchase that was given up. "Nothing was bought" needs both the fault's and the ledger's word.
pub(super) fn not_bought(delivery: String, generation: u32, fault: Fault, sent: bool) -> Event {
    if sent || fault.effect != EffectCertainty::None {
        let effect = if fault.effect == EffectCertainty::None { EffectCertainty::Maybe } else { fault.effect };
        return Event::LabelUncertain { delivery, generation, fault: fault.with_effect(effect) };
    }
    match fault.kind {
        FaultKind::Cancelled => Event::LabelNotBought { delivery, generation },
        _ => Event::LabelFailed { delivery, generation, fault },
    }
}

fn unknown_state(error: &StoreError) -> Fault {
    let message = format!("the flow cannot be asked whether the label is wanted: {error}");
    own_fault(FaultKind::Transient, "consent", message, Blame::Host)
}
