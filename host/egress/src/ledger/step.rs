//! One mutating step of a call: opened, being sent, closed. Used by `send` and by nobody else.

use serde_json::Value;
use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::{BusinessKey, EffectClass, EffectState, WayOut, Why, remote_key, way_out};
use wharf_domain::fault::Fault;
use wharf_domain::ids::{Digest, FlowKey, JobId};
use wharf_domain::manifest::{Route, Stores};
use wharf_domain::time::Timestamp;
use wharf_store::effects::{self, Change, EffectRow, NewEffect, Opened};
use wharf_store::{StoreError, Tx};

use super::settle::settle;
use super::{Ledger, commit, connection_id, step_in};
use crate::crash_point::crash_point;
use crate::tape::{self, actor};
use crate::{Grant, Response, fault};

/// A step about to be taken.
pub(crate) struct Entry<'a> {
    ctx: &'a CallCtx,
    job: JobId,
    new: NewEffect,
    /// How long the route's key is relied on from its first use.
    key_holds_ms: Option<i64>,
    /// The partner answers a refused key with the same refusal.
    stores_refusals: bool,
}

/// May the step be taken?
pub(crate) enum Opening {
    /// Written down as an intent; nothing of it is on the wire.
    Ready(Box<EffectRow>),
    /// It was taken before: this is its answer.
    Answered(Response),
}

/// How a send ended.
#[derive(Clone, Copy)]
pub(crate) enum End<'a> {
    /// No byte reached the kernel.
    NotSent(&'a Fault),
    Happened(&'a Response),
    /// Nothing was changed.
    Refused(&'a Fault),
    /// No complete answer: the request may still be under way.
    Unknown(&'a Fault),
    /// A complete answer that proves nothing: the exchange is over.
    Unproven(&'a Fault),
}

impl<'a> Entry<'a> {
    /// `business` only where the route is the one that uses the key. Fails without a job, and on a connection name
    /// that is no id.
    pub(crate) fn new(
        ctx: &'a CallCtx,
        grant: &Grant,
        route: &Route,
        step_key: String,
        business: Option<&BusinessKey>,
        digest: Digest,
    ) -> Result<Self, Fault> {
        let job = ctx.job.ok_or_else(|| fault::host("effect-needs-job", "an effect needs a job".to_owned()))?;
        let new = NewEffect {
            tenant: ctx.tenant.clone(),
            connection: connection_id(&grant.connection)?,
            adapter_digest: grant.adapter_digest.clone(),
            job,
            flow: ctx.flow.clone().map(FlowKey::from_text),
            step_key,
            business: business.cloned(),
            route: format!("{} {}", route.method, route.path),
            class: route.class(),
            lookup: route.looks_up(),
            account_ref: None,
            request_digest: digest,
            fence: ctx.fence,
            // Counts sends, and there was none.
            attempt: 0,
        };
        let key_holds_ms = route.key_holds_ms();
        let stores_refusals = route.key.as_ref().is_some_and(|key| key.stores == Stores::All);
        Ok(Self { ctx, job, new, key_holds_ms, stores_refusals })
    }

    /// The account the request is sent under.
    pub(crate) fn under(mut self, account: Digest) -> Self {
        self.new.account_ref = Some(account);
        self
    }

    fn change(&self, note: &str) -> Change {
        Change { note: Some(note.to_owned()), ..Change::by(self.job, self.ctx.fence) }
    }

    /// The step may be taken again. A partner that stores refusals would answer a corrected request with the old one,
    /// and a refusal proved that nothing happened, so then the key is a new one.
    fn again(&self, row: &EffectRow, note: &str) -> Change {
        let burned = row.state == EffectState::Rejected && self.stores_refusals;
        let remote_key = row.remote_key.as_deref().filter(|_| burned).map(|key| remote_key(&[key, "refused"]));
        Change { remote_key, ..self.change(note) }
    }
}

/// What may be done with a step that has a row.
#[derive(Debug, PartialEq)]
enum Judgement {
    Send,
    Answer(Response),
    Refuse(Box<Fault>),
}

/// Decides by the row, and by who would act on it now.
fn judge(row: &EffectRow, new: &NewEffect, now: Timestamp) -> Judgement {
    let refuse = |fault: Fault| Judgement::Refuse(Box::new(fault));
    let same = row.request_digest == new.request_digest;
    let doubt = row.doubt(new.account_ref.as_ref(), new.adapter_digest.as_ref(), now);
    match row.state {
        EffectState::Intent | EffectState::Rejected | EffectState::Resend if row.reconcile_first => {
            refuse(fault::held(row))
        }
        // The lookups asked about the first request. Another one, another account or another adapter version means that
        // they may have asked the wrong partner.
        EffectState::Intent if row.absent_since.is_some() && !(same && doubt.same_account && doubt.same_adapter) => {
            refuse(fault::changed_since_lookup(row))
        }
        // Never sent, not sent after all, refused, or let through by a person: a corrected request may use the same key.
        EffectState::Intent | EffectState::Rejected | EffectState::Resend => Judgement::Send,
        EffectState::Uncertain => match way_out(&doubt) {
            WayOut::Repeat if same || row.class == EffectClass::Natural => Judgement::Send,
            WayOut::Repeat => refuse(fault::changed_under_key(row)),
            WayOut::LookUp | WayOut::Person(Why::NoLookup | Why::KeyExpired) => refuse(fault::settled(row)),
            WayOut::Person(why) => refuse(fault::for_a_person(row, why)),
        },
        EffectState::Succeeded if !same => refuse(fault::mismatch(row)),
        EffectState::Succeeded => match row.response.as_ref().and_then(tape::from_journal) {
            Some(answer) => Judgement::Answer(answer),
            None => refuse(fault::settled(row)),
        },
        _ => refuse(fault::settled(row)),
    }
}

/// The answer to a commit never came.
#[cfg(feature = "failpoints")]
fn lose_the_answer(moved: Result<EffectRow, Fault>) -> Result<EffectRow, Fault> {
    crash_point!("cp06_sending_in_doubt", Err(fault::store(&StoreError::InDoubt)));
    moved
}

impl Ledger {
    /// Writes the intent down, or finds what became of the step before. Committed when it returns.
    pub(crate) async fn open_step(&self, entry: &Entry<'_>) -> Result<Opening, Fault> {
        let mut tx = self.begin().await?;
        let opened = effects::open(&mut tx, &actor(), &entry.new).await.map_err(|err| fault::store(&err))?;
        crash_point!("cp03_intent_not_committed");
        let row = match opened {
            Opened::New(row) if !row.reconcile_first => {
                commit(tx).await?;
                crash_point!("cp04_commit_in_doubt", Err(fault::store(&StoreError::InDoubt)));
                return Ok(Opening::Ready(Box::new(row)));
            }
            Opened::New(row) | Opened::Existing(row) => settle(&mut tx, entry.ctx, row, &self.unsent).await?,
        };
        let opening = match judge(&row, &entry.new, tx.now()) {
            Judgement::Send if row.state == EffectState::Intent => Ok(Opening::Ready(Box::new(row))),
            Judgement::Send => {
                let change = entry.again(&row, "may be sent again");
                let row = step_in(&mut tx, &row.id, row.state, EffectState::Intent, &change).await?;
                Ok(Opening::Ready(Box::new(row)))
            }
            Judgement::Answer(answer) => Ok(Opening::Answered(answer)),
            Judgement::Refuse(fault) => Err(*fault),
        };
        // Also on a refusal: what was left behind stays settled.
        commit(tx).await?;
        opening
    }

    /// `intent` to `sending`. From here on a crash leaves the outcome in doubt.
    pub(crate) async fn sending(
        &self,
        entry: &Entry<'_>,
        row: &EffectRow,
        deadline: Timestamp,
    ) -> Result<EffectRow, Fault> {
        let now = self.db.now();
        let key_until = row.key_until.filter(|until| now < *until);
        let change = Change {
            attempt: Some(row.attempt.saturating_add(1)),
            send_deadline: Some(deadline),
            request_digest: Some(entry.new.request_digest.clone()),
            adapter_digest: entry.new.adapter_digest.clone(),
            account_ref: entry.new.account_ref.clone(),
            key_until: key_until.or(entry.key_holds_ms.map(|holds| now.plus(holds))),
            ..entry.change("sending")
        };
        let moved = self.advance(&row.id, EffectState::Intent, EffectState::Sending, &change).await;
        #[cfg(feature = "failpoints")]
        let moved = lose_the_answer(moved);
        match &moved {
            Ok(row) => self.unsent.forget(&row.id, row.fence),
            // It may be written down all the same, and nothing will be sent.
            Err(_) => self.unsent.remember(&row.id, entry.ctx.fence),
        }
        moved
    }

    /// `rejected` to `intent`, for the one repeat after a token or a secret was turned down: under the same key, since the
    /// partner never looked at it.
    pub(crate) async fn reopen(&self, entry: &Entry<'_>, row: &EffectRow) -> Result<EffectRow, Fault> {
        let change = entry.change("the credential was refused; once more with another one");
        self.advance(&row.id, EffectState::Rejected, EffectState::Intent, &change).await
    }

    /// Writes down how the send ended, with its tape, in one transaction.
    ///
    /// When somebody else has judged the row meanwhile, what was learnt is kept as evidence and the outcome is unknown
    /// to this caller. An answer that cannot be written down is no answer.
    pub(crate) async fn close_step(
        &self,
        entry: &Entry<'_>,
        row: &EffectRow,
        end: End<'_>,
        tape: &Value,
    ) -> Result<EffectRow, Fault> {
        match self.try_close(entry, row, end, tape).await {
            Ok(row) => Ok(row),
            Err(err) => {
                if matches!(err, StoreError::Moved { .. } | StoreError::LostLease { .. }) {
                    self.keep_evidence(entry, row, end, tape).await;
                }
                tracing::error!(effect = %row.id, "failed to settle effect `{}`: {err}", row.id);
                match end {
                    // True whatever the ledger says; the row is settled by whoever comes next.
                    End::NotSent(fault) => {
                        self.unsent.remember(&row.id, row.fence);
                        Err(fault.clone())
                    }
                    _ => Err(fault::unrecorded(&err, row.class)),
                }
            }
        }
    }

    async fn try_close(
        &self,
        entry: &Entry<'_>,
        row: &EffectRow,
        end: End<'_>,
        tape: &Value,
    ) -> Result<EffectRow, StoreError> {
        let (to, change) = match end {
            End::NotSent(fault) => {
                (EffectState::Intent, Change { fault: Some(fault.clone()), ..entry.change("not sent") })
            }
            End::Happened(answer) => {
                let response = Some(tape::journal(answer));
                (EffectState::Succeeded, Change { response, ..entry.change("answered") })
            }
            End::Refused(fault) => {
                (EffectState::Rejected, Change { fault: Some(fault.clone()), ..entry.change("refused") })
            }
            End::Unknown(fault) => {
                (EffectState::Uncertain, Change { fault: Some(fault.clone()), ..entry.change("outcome unknown") })
            }
            End::Unproven(fault) => {
                let send_deadline = Some(self.db.now());
                let change = entry.change("the answer proves nothing");
                (EffectState::Uncertain, Change { fault: Some(fault.clone()), send_deadline, ..change })
            }
        };
        crash_point!("cp20_disk_full", Err(StoreError::Full));
        let mut tx = self.db.begin().await?;
        let row = effects::advance(&mut tx, &actor(), &row.id, EffectState::Sending, to, &change).await?;
        tape::keep_in(&mut tx, entry.ctx, tape).await?;
        tx.commit().await?;
        let (id, state) = (row.id, row.state.as_str());
        tracing::info!(effect = %id, connection = %row.connection, route = row.route, "effect `{id}` is {state}");
        Ok(row)
    }

    async fn keep_evidence(&self, entry: &Entry<'_>, row: &EffectRow, end: End<'_>, tape: &Value) {
        let text = match end {
            End::Happened(answer) => {
                format!("came late: status {} with body {}", answer.status, Digest::of(&answer.body))
            }
            End::NotSent(fault) | End::Refused(fault) | End::Unknown(fault) | End::Unproven(fault) => {
                format!("came late: {fault}")
            }
        };
        let text = format!("attempt {} under fence {} {text}", row.attempt, entry.ctx.fence);
        let kept = async {
            let mut tx: Tx = self.db.begin().await?;
            match end {
                End::Happened(answer) => {
                    let late = tape::journal(answer);
                    effects::late_answer(&mut tx, &actor(), &row.id, (row.attempt, &late), &text).await?;
                }
                _ => effects::evidence(&mut tx, &actor(), &row.id, &text).await?,
            }
            tape::keep_in(&mut tx, entry.ctx, tape).await?;
            tx.commit().await
        };
        if let Err(err) = kept.await {
            tracing::error!(effect = %row.id, "failed to keep evidence for effect `{}`: {err}", row.id);
        }
    }
}
