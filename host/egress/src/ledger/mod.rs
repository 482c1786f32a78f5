//! The effect ledger as this host uses it: where a business key stands, what a lookup has shown, what a person must
//! decide. All rows are `wharf_store::effects`; which state may follow which is `domain::effect` and nowhere else.
//!
//! The rule behind every function: a request is sent a second time only when the first was not sent, was refused, is
//! harmless to repeat, goes under a key the partner still honours, or was looked up twice and not found. Everything else
//! is for a person.

mod settle;
mod step;
mod unsent;

use std::sync::Arc;

use serde_json::Value;
use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::{EffectState, WayOut, Why, way_out};
use wharf_domain::fault::Fault;
use wharf_domain::ids::{ConnectionId, EffectId};
use wharf_domain::time::Timestamp;
use wharf_store::effects::{self, Change, EffectRow};
use wharf_store::{Db, StoreError, Tx};

use crate::crash_point::crash_point;
use crate::tape::actor;
use crate::vault::Vault;
use crate::{Grant, fault};

use unsent::Unsent;

pub(crate) use step::{End, Entry, Opening};

/// After so many sends a lookup that finds nothing is no reason for another one.
const MOST_SENDS: u32 = 3;

/// Moves effects on. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    db: Db,
    settle_ms: i64,
    vault: Option<Vault>,
    unsent: Arc<Unsent>,
}

/// Where the effect of a business key stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing was sent, or what was sent was refused: go ahead.
    Clear,
    /// It happened and the answer is in the journal: run the adapter again, the step is answered without the wire.
    Journaled { effect: EffectRow },
    /// It happened, and this is what it means.
    Outcome { value: Value, effect: EffectRow },
    /// It happened, as a person found at the partner under the row's `reference`.
    Happened { effect: EffectRow },
    /// Nobody knows: [`Ledger::way_out`] tells what that allows.
    Uncertain { effect: EffectRow },
    /// A person must decide, or has given up (state `abandoned`).
    Parked { effect: EffectRow },
    /// Another worker is on it; come back later.
    InProgress { effect: EffectRow },
    /// A restored backup may be older than its send, and it cannot be looked up: an operator has to lift the hold.
    Held { effect: EffectRow },
}

/// What may be done about a doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Run the adapter again: the very same request is sent once more.
    Repeat,
    /// Ask the partner for the reference.
    LookUp,
    /// Only a person can find out: [`Ledger::park`] it with this fault.
    Park(Box<Fault>),
    /// This account or this adapter cannot find out. It stays in doubt, so that looking again helps once the old one is
    /// back.
    Stuck(Box<Fault>),
}

const LONGEST_PAUSE_MS: i64 = 15 * 60_000;

/// What a lookup that found nothing allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Look again, not before this moment.
    WaitUntil(Timestamp),
    /// Two lookups agree, the settle delay apart: it did not happen and may be sent.
    Resend,
    /// The lookup contradicts what is known, or this went on too often: a person must decide.
    Unbelievable,
}

impl Ledger {
    /// `settle_ms`: how far apart two lookups must be to prove absence.
    pub fn new(db: Db, settle_ms: i64) -> Self {
        Self { db, settle_ms: settle_ms.max(0), vault: None, unsent: Arc::default() }
    }

    /// The secrets that are sent name the account.
    pub(crate) fn knowing(self, vault: Option<Vault>) -> Self {
        Self { vault, ..self }
    }

    /// How far apart two lookups must be, in milliseconds.
    pub fn settle_ms(&self) -> i64 {
        self.settle_ms
    }

    /// Where `ctx.business` stands at a connection; [`Standing::Clear`] without a business key.
    ///
    /// A row left behind by a dead process is brought to `uncertain` here.
    ///
    /// # Errors
    /// Only when the ledger cannot be read or written: retry later.
    pub async fn standing(&self, ctx: &CallCtx, connection: &str) -> Result<Standing, Fault> {
        let Some(business) = &ctx.business else {
            return Ok(Standing::Clear);
        };
        let connection = connection_id(connection)?;
        // What follows asks whose account it is now.
        if let Some(vault) = &self.vault {
            vault.fresh(&ctx.tenant).await?;
        }
        let found = effects::by_business(&self.db, &ctx.tenant, &connection, business).await;
        let Some(row) = found.map_err(|err| fault::store(&err))? else {
            return Ok(Standing::Clear);
        };
        if !settle::unsettled(&row, ctx, self.db.now()) {
            return Ok(stand(row));
        }
        let mut tx = self.begin().await?;
        let row = settle::settle(&mut tx, ctx, row, &self.unsent).await?;
        commit(tx).await?;
        Ok(stand(row))
    }

    /// What a doubt allows somebody with this grant.
    pub fn way_out(&self, grant: &Grant, effect: &EffectRow) -> Way {
        let account = grant.account_with(self.vault.as_ref());
        let person = |why| Box::new(fault::for_a_person(effect, why));
        match way_out(&effect.doubt(Some(&account), grant.adapter_digest.as_ref(), self.db.now())) {
            WayOut::Repeat => Way::Repeat,
            WayOut::LookUp => Way::LookUp,
            WayOut::Person(why @ (Why::NoLookup | Why::KeyExpired)) => Way::Park(person(why)),
            WayOut::Person(why @ (Why::OtherAccount | Why::OtherAdapter)) => Way::Stuck(person(why)),
        }
    }

    /// What somebody is told who asks for a held effect.
    pub fn held(&self, effect: &EffectRow) -> Fault {
        fault::held(effect)
    }

    /// How long to wait before the very same request is sent again: the settle delay, doubled with each send, at most
    /// fifteen minutes; in milliseconds.
    pub fn pause_ms(&self, effect: &EffectRow) -> i64 {
        let doublings = effect.attempt.saturating_sub(1).min(10);
        (self.settle_ms << doublings).min(LONGEST_PAUSE_MS)
    }

    /// A lookup begins: `uncertain` to `reconciling`, in the name of this job.
    pub async fn reconcile_start(&self, ctx: &CallCtx, effect: &EffectRow) -> Result<EffectRow, Fault> {
        // The send deadline stays the purchase's own: until then a byte of it may still be under way.
        let change = by(ctx, "lookup started");
        let row = self.advance(&effect.id, EffectState::Uncertain, EffectState::Reconciling, &change).await?;
        crash_point!("cp15_reconcile_started");
        Ok(row)
    }

    /// The lookup found it: `reconciling` to `succeeded`, with what it means.
    pub async fn found(&self, ctx: &CallCtx, effect: &EffectRow, outcome: Value) -> Result<EffectRow, Fault> {
        crash_point!("cp15_found_not_committed");
        let change = Change { outcome: Some(outcome), ..by(ctx, "lookup found it") };
        self.advance(&effect.id, EffectState::Reconciling, EffectState::Succeeded, &change).await
    }

    /// The lookup found nothing. Proves absence, and allows another send, only when all of this holds:
    /// - the partner never answered the request with a success;
    /// - two lookups agree, the second begun at least the settle delay after the first;
    /// - the first was begun when no byte of the request could be under way any more;
    /// - it has not been sent again more than once already: a carrier that forgets twice is not to be believed.
    ///
    /// Otherwise `reconciling` goes back to `uncertain`.
    pub async fn absent(&self, ctx: &CallCtx, effect: &EffectRow) -> Result<Absent, Fault> {
        let mut tx = self.begin().await?;
        let row = load(&mut tx, &effect.id).await?;
        // Nothing else has written the row since the lookup began.
        let began = row.updated_at;
        let quiet = row.send_deadline.unwrap_or(began);
        let (to, absent_since, note, absent) = if row.response.is_some() || row.attempt >= MOST_SENDS {
            let note = "a lookup found nothing; a person must decide";
            (EffectState::Uncertain, row.absent_since, note, Absent::Unbelievable)
        } else if began < quiet {
            let note = "a lookup found nothing; the request may still be under way";
            (EffectState::Uncertain, None, note, Absent::WaitUntil(quiet))
        } else {
            let since = row.absent_since.unwrap_or(began);
            if row.absent_since.is_some() && began.since(since) >= self.settle_ms {
                let note = "two lookups found nothing: it did not happen";
                (EffectState::Intent, Some(since), note, Absent::Resend)
            } else {
                let note = "a lookup found nothing; one more has to agree";
                (EffectState::Uncertain, Some(since), note, Absent::WaitUntil(since.plus(self.settle_ms)))
            }
        };
        let change = Change { absent_since, ..by(ctx, note) };
        step_in(&mut tx, &row.id, EffectState::Reconciling, to, &change).await?;
        commit(tx).await?;
        Ok(absent)
    }

    /// Nobody can tell: a person must decide. From `uncertain` or `reconciling`; a parked one stays parked.
    pub async fn park(&self, ctx: &CallCtx, effect: &EffectRow, why: &Fault) -> Result<EffectRow, Fault> {
        let change = Change { fault: Some(why.clone()), ..by(ctx, "parked") };
        self.move_from_here(effect, EffectState::Parked, &change).await
    }

    /// The answer proved nothing after all, or the lookup could not tell. From `succeeded`, `reconciling` or
    /// `sending`; an uncertain one stays uncertain.
    pub async fn mark_uncertain(&self, ctx: &CallCtx, effect: &EffectRow, why: &Fault) -> Result<EffectRow, Fault> {
        let change = Change { fault: Some(why.clone()), ..by(ctx, "the outcome is in doubt") };
        self.move_from_here(effect, EffectState::Uncertain, &change).await
    }

    /// Stores what a succeeded effect means, for everybody who asks again under its key.
    pub async fn save_outcome(&self, effect: &EffectRow, outcome: &Value) -> Result<EffectRow, Fault> {
        let mut tx = self.begin().await?;
        let row =
            effects::set_outcome(&mut tx, &actor(), &effect.id, outcome).await.map_err(|err| fault::store(&err))?;
        commit(tx).await?;
        Ok(row)
    }

    /// Frees the business key of an effect that was undone. Repeating it is harmless.
    pub async fn release(&self, effect: &EffectId) -> Result<EffectRow, Fault> {
        let mut tx = self.begin().await?;
        let row = effects::release(&mut tx, &actor(), effect).await.map_err(|err| fault::store(&err))?;
        commit(tx).await?;
        Ok(row)
    }

    async fn begin(&self) -> Result<Tx, Fault> {
        self.db.begin().await.map_err(|err| fault::store(&err))
    }

    async fn advance(
        &self,
        id: &EffectId,
        from: EffectState,
        to: EffectState,
        change: &Change,
    ) -> Result<EffectRow, Fault> {
        let mut tx = self.begin().await?;
        let row = step_in(&mut tx, id, from, to, change).await?;
        commit(tx).await?;
        Ok(row)
    }

    /// From whatever state the row is in by now; a row already in `to` is left alone.
    async fn move_from_here(&self, effect: &EffectRow, to: EffectState, change: &Change) -> Result<EffectRow, Fault> {
        let mut tx = self.begin().await?;
        let row = load(&mut tx, &effect.id).await?;
        if row.state == to {
            return Ok(row);
        }
        let row = step_in(&mut tx, &row.id, row.state, to, change).await?;
        commit(tx).await?;
        Ok(row)
    }
}

/// What a row means to somebody about to act on its key.
fn stand(effect: EffectRow) -> Standing {
    match effect.state {
        EffectState::Intent | EffectState::Rejected | EffectState::Resend if effect.reconcile_first => {
            Standing::Held { effect }
        }
        // A compensated effect has given its key back.
        EffectState::Intent | EffectState::Rejected | EffectState::Resend | EffectState::Compensated => Standing::Clear,
        EffectState::ResolvedHappened => Standing::Happened { effect },
        EffectState::Sending | EffectState::Reconciling => Standing::InProgress { effect },
        EffectState::Uncertain => Standing::Uncertain { effect },
        EffectState::Parked | EffectState::Abandoned => Standing::Parked { effect },
        EffectState::Succeeded => match (&effect.outcome, &effect.response) {
            (Some(value), _) => Standing::Outcome { value: value.clone(), effect },
            (None, Some(_)) => Standing::Journaled { effect },
            // Somebody said that it happened and not what it was.
            (None, None) => Standing::Parked { effect },
        },
    }
}

/// A change in the name of the acting job.
fn by(ctx: &CallCtx, note: &str) -> Change {
    let fence = ctx.job.map(|_| ctx.fence);
    Change { job: ctx.job, fence, note: Some(note.to_owned()), ..Change::default() }
}

pub(crate) fn connection_id(connection: &str) -> Result<ConnectionId, Fault> {
    ConnectionId::parse(connection).map_err(|err| fault::host("bad-connection", err.to_string()))
}

async fn load(tx: &mut Tx, id: &EffectId) -> Result<EffectRow, Fault> {
    let row = effects::load(tx, id).await.map_err(|err| fault::store(&err))?;
    row.ok_or_else(|| fault::store(&StoreError::NotFound { what: "effect", id: id.to_string() }))
}

async fn step_in(
    tx: &mut Tx,
    id: &EffectId,
    from: EffectState,
    to: EffectState,
    change: &Change,
) -> Result<EffectRow, Fault> {
    effects::advance(tx, &actor(), id, from, to, change).await.map_err(|err| fault::store(&err))
}

async fn commit(tx: Tx) -> Result<(), Fault> {
    tx.commit().await.map_err(|err| fault::store(&err))
}
