//! Buying a label once. What an earlier attempt did is settled before anything is sent: by the journaled answer, by the
//! same request under the same key, by asking the carrier for our reference, or by a person.

use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::{BusinessKey, EffectClass};
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Retry};
use wharf_domain::shipment::{LabelledParcel, Shipment, ShipmentRequest};
use wharf_domain::time::Timestamp;
use wharf_egress::Ledger;
use wharf_egress::ledger::{Absent, Standing, Way};
use wharf_store::effects::EffectRow;

use super::v0_1;
use crate::roles::Connection;

/// `create-shipment`, at most once per `ctx.business`.
pub(super) async fn buy(connection: &Connection, ctx: &CallCtx, request: &ShipmentRequest) -> Result<Shipment, Fault> {
    let (Some(_), Some(ledger)) = (&ctx.business, connection.services.ledger()) else {
        return v0_1::create(connection, ctx, request).await.0;
    };
    let buyer = Buyer { connection, ctx, ledger, request };
    match ledger.standing(ctx, &connection.grant.connection).await? {
        // A journaled answer is replayed inside `send`, so the guest reads it again as if it had just arrived.
        Standing::Clear | Standing::Journaled { .. } => buyer.create(None).await,
        Standing::Outcome { value, .. } => shipment(value),
        Standing::Happened { effect } => buyer.by_hand(&effect).await,
        Standing::Held { effect } => Err(ledger.held(&effect)),
        Standing::InProgress { .. } => Err(wait("another worker is buying this label", 1_000)),
        Standing::Parked { effect } => Err(parked(&effect)),
        Standing::Uncertain { effect } => buyer.settle(&effect).await,
    }
}

struct Buyer<'a> {
    connection: &'a Connection,
    ctx: &'a CallCtx,
    ledger: &'a Ledger,
    request: &'a ShipmentRequest,
}

impl Buyer<'_> {
    /// `before`: how often it had been sent when the very same request was let through once more.
    async fn create(&self, before: Option<u32>) -> Result<Shipment, Fault> {
        let result = v0_1::create(self.connection, self.ctx, self.request).await.0;
        let standing = self.ledger.standing(self.ctx, &self.connection.grant.connection).await?;
        match (result, standing) {
            (Ok(shipment), Standing::Journaled { effect }) => {
                self.ledger.save_outcome(&effect, &json(&shipment)?).await?;
                Ok(shipment)
            }
            (_, Standing::Held { effect }) => Err(self.ledger.held(&effect)),
            (_, Standing::Happened { effect }) => self.by_hand(&effect).await,
            // The repeat was refused before it was sent: the request is not the same any more.
            (Err(fault), Standing::Uncertain { effect })
                if before == Some(effect.attempt) && !matches!(fault.retry, Retry::Later { .. }) =>
            {
                Err(undecided(&effect, Some(&fault)))
            }
            (Err(fault), Standing::Uncertain { effect }) if effect.class == EffectClass::Keyed => {
                Err(unknown(&fault, self.ledger.pause_ms(&effect)))
            }
            // A purchase the ledger has not seen succeed is not believed, whatever the guest makes of the answer.
            (Ok(_), Standing::Uncertain { .. } | Standing::InProgress { .. }) => {
                Err(wait("the answer proves nothing", self.ledger.settle_ms()))
            }
            (Ok(_), Standing::Clear) => Err(unproven(&self.connection.adapter().name)),
            (Ok(_), Standing::Parked { effect }) => Err(parked(&effect)),
            (Ok(shipment), Standing::Outcome { .. }) => Ok(shipment),
            // Bought, and what follows it has to wait: the purchase is answered from the journal then.
            (Err(fault), Standing::Journaled { .. }) if waits(&fault) => Err(fault),
            // The wire says success and the guest cannot use it (an empty 200, a trap, broken data): money may be gone.
            (Err(fault), Standing::Journaled { effect }) => {
                self.ledger.mark_uncertain(self.ctx, &effect, &fault).await?;
                Err(unknown(&fault, self.ledger.settle_ms()))
            }
            // In progress: our own request outlived the guest that asked for it.
            (Err(fault), Standing::Uncertain { .. } | Standing::InProgress { .. }) => {
                Err(unknown(&fault, self.ledger.settle_ms()))
            }
            (Err(fault), Standing::Parked { effect }) => {
                tracing::warn!(effect = %effect.id, code = %fault.code, "label purchase parked");
                Err(parked(&effect))
            }
            (Err(fault), _) => Err(fault),
        }
    }

    /// Finds out what became of the earlier request, by whatever way the route allows.
    async fn settle(&self, effect: &EffectRow) -> Result<Shipment, Fault> {
        match self.ledger.way_out(&self.connection.grant, effect) {
            Way::Repeat => return self.create(Some(effect.attempt)).await,
            Way::LookUp => {}
            Way::Park(fault) => {
                self.ledger.park(self.ctx, effect, &fault).await?;
                return Err(parked(effect));
            }
            Way::Stuck(fault) => return Err(*fault),
        }
        let effect = self.ledger.reconcile_start(self.ctx, effect).await?;
        match self.find().await {
            Ok(Some(shipment)) => {
                self.ledger.found(self.ctx, &effect, json(&shipment)?).await?;
                tracing::info!(effect = %effect.id, tracking = %shipment.tracking_number, "lost label found again");
                Ok(shipment)
            }
            Ok(None) => match self.ledger.absent(self.ctx, &effect).await? {
                Absent::Resend => self.create(None).await,
                Absent::WaitUntil(at) => Err(wait_until(at, self.connection.services.now())),
                Absent::Unbelievable => Err(undecided(&effect, None)),
            },
            Err(fault) if matches!(fault.retry, Retry::Later { .. } | Retry::Wait { .. }) => {
                self.ledger.mark_uncertain(self.ctx, &effect, &fault).await?;
                Err(unknown(&fault, self.ledger.settle_ms()))
            }
            // The lookup itself was refused. The effect stays uncertain, so that looking again is possible.
            Err(fault) => {
                let effect = self.ledger.mark_uncertain(self.ctx, &effect, &fault).await?;
                Err(undecided(&effect, Some(&fault)))
            }
        }
    }
}

impl Buyer<'_> {
    async fn find(&self) -> Result<Option<Shipment>, Fault> {
        // A lookup is a read of its own: it must not claim the purchase's key.
        let reading = CallCtx { business: None::<BusinessKey>, ..self.ctx.clone() };
        v0_1::find(self.connection, &reading, &self.request.reference).await.0
    }

    /// A person found it at the carrier. What the carrier shows is better than what the person wrote down; without it
    /// there are numbers and no label file: the person has that too.
    async fn by_hand(&self, effect: &EffectRow) -> Result<Shipment, Fault> {
        if matches!(self.ledger.way_out(&self.connection.grant, effect), Way::LookUp) {
            match self.find().await {
                Ok(Some(shipment)) => return Ok(shipment),
                Err(fault) if matches!(fault.retry, Retry::Later { .. }) => {
                    return Err(unknown(&fault, self.ledger.settle_ms()));
                }
                Ok(None) | Err(_) => {}
            }
        }
        let number = effect.reference.clone().unwrap_or_default();
        let parcel = |reference: &str| LabelledParcel {
            reference: reference.to_owned(),
            tracking_number: number.clone(),
            documents: Vec::new(),
        };
        Ok(Shipment {
            reference: self.request.reference.clone(),
            carrier_shipment_id: number.clone(),
            tracking_number: number.clone(),
            parcels: self.request.parcels.iter().map(|p| parcel(&p.reference)).collect(),
            documents: Vec::new(),
            total: None,
            list_total: None,
            charges: Vec::new(),
            billed_weight_g: None,
            messages: Vec::new(),
            extensions: Vec::new(),
        })
    }
}

fn shipment(value: serde_json::Value) -> Result<Shipment, Fault> {
    serde_json::from_value(value).map_err(|e| {
        let message = format!("the stored shipment cannot be read: {e}");
        Fault::new(FaultKind::DataOutOfContract, "effect.outcome", message, Blame::Host)
            .with_effect(EffectCertainty::Done)
    })
}

fn json(shipment: &Shipment) -> Result<serde_json::Value, Fault> {
    super::super::output(shipment)
}

fn waits(fault: &Fault) -> bool {
    matches!(fault.retry, Retry::Wait { .. })
}

/// Nobody knows yet; the host looks again by itself.
fn unknown(cause: &Fault, after_ms: i64) -> Fault {
    let mut fault = cause.clone();
    fault.kind = FaultKind::OutcomeUnknown;
    fault.effect = EffectCertainty::Maybe;
    if waits(cause) {
        return fault;
    }
    let named = match cause.retry {
        Retry::Later { after_ms } => after_ms,
        _ => None,
    };
    fault.retry = Retry::Later { after_ms: Some(named.unwrap_or_default().max(u64::try_from(after_ms).unwrap_or(0))) };
    fault
}

fn wait_until(at: Timestamp, now: Timestamp) -> Fault {
    wait("the carrier does not know our reference yet", at.since(now).max(1))
}

fn wait(message: &str, ms: i64) -> Fault {
    Fault::new(FaultKind::OutcomeUnknown, "effect.settling", message, Blame::Partner)
        .with_retry(Retry::Later { after_ms: u64::try_from(ms).ok() })
}

/// A person must look; looking again by hand is possible.
fn undecided(effect: &EffectRow, cause: Option<&Fault>) -> Fault {
    let why = match (cause, &effect.response) {
        (Some(fault), _) => format!("the lookup failed with {fault}"),
        (None, Some(_)) => "the carrier answered the purchase with a success and now does not find it".to_owned(),
        (None, None) => format!("it was sent {} times and never found", effect.attempt),
    };
    let message = format!("nobody knows whether the label of effect `{}` was bought: {why}", effect.id);
    Fault::new(FaultKind::OutcomeUnknown, "effect.undecided", message, Blame::Partner).with_retry(Retry::Never)
}

/// The guest reports a purchase that no request under the purchase's key made.
fn unproven(adapter: &str) -> Fault {
    let message = format!(
        "adapter `{adapter}` reports a purchase, but no request with the effect of this command succeeded; its manifest needs a route with that `effect`"
    );
    Fault::new(FaultKind::OutcomeUnknown, "effect.unproven", message, Blame::Guest).with_retry(Retry::Never)
}

/// A person must look.
fn parked(effect: &EffectRow) -> Fault {
    let message = format!("effect `{}` is parked: nobody knows whether the label was bought", effect.id);
    Fault::new(FaultKind::OutcomeUnknown, "effect.parked", message, Blame::Partner).with_retry(Retry::Never)
}
