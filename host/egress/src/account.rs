//! The account at the partner, asked before a request leaves and told afterwards what became of it.
//!
//! The account is one row that all hosts share, so its limits hold over all of them. A partner that names no limit and
//! works costs no write: its calls are counted in memory, and only trouble is written down, together with what went
//! well since. As long as there is trouble, everything goes by the row; other hosts see it within a second.
//!
//! A request that has to wait is sent back to the queue with the time to come again, and burns no attempt. The further
//! requests of a call that has begun wait where they are, for a while: coming back would ask again what was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wharf_domain::account::{Account, Ask, Decision, Limits, Outcome, Permit, pauses, retry_after_ms};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::time::Timestamp;
use wharf_store::accounts::{self, AccountKey};
use wharf_store::{Db, StoreError};

use crate::ledger::connection_id;
use crate::tape::actor;
use crate::{Grant, Response, Room, Steps, fault};

/// What a connection owes its partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Which account of the connection: the partner's origin. Another one starts afresh.
    pub account: String,
    pub limits: Limits,
    /// Statuses from 500 on that say nothing about the partner's health.
    pub healthy: Vec<u16>,
}

/// How long one call may wait between its requests, all in all. Shorter than any guest may run.
const LONGEST_STAND_MS: i64 = 20_000;
/// How long another host's trouble may go unseen, and how long calm is counted together.
const CALM_MS: i64 = 1_000;
const COUNTED_MS: i64 = 60_000;

/// Accounts in the memory of this host. They count only while all is well and the partner names no limit.
#[derive(Default)]
pub(crate) struct Calm(Mutex<HashMap<AccountKey, Arc<Mutex<Own>>>>);

#[derive(Default)]
struct Own {
    account: Account,
    /// Until when nobody needs to look at the row.
    calm_until: Option<Timestamp>,
    /// Answered calls nobody else knows of, and since when they are counted.
    answered: u32,
    since: Option<Timestamp>,
}

/// The right to send one request.
pub(crate) struct Admitted<'a> {
    door: Door<'a>,
    permit: Permit,
    /// Given out of memory.
    own: bool,
}

/// One connection's way to its account.
struct Door<'a> {
    db: &'a Db,
    key: AccountKey,
    terms: &'a Terms,
    own: Arc<Mutex<Own>>,
}

impl Room {
    /// None without a database or a network, and for a grant without terms.
    fn door<'a>(&'a self, grant: &'a Grant) -> Result<Option<Door<'a>>, Fault> {
        let (Some(db), Some(terms), false) = (&self.db, &grant.terms, self.wire.offline()) else {
            return Ok(None);
        };
        let connection = connection_id(&grant.connection)?;
        let key = AccountKey { tenant: grant.tenant.clone(), connection, name: terms.account.clone() };
        let own = Arc::clone(lock(&self.calm.0).entry(key.clone()).or_default());
        Ok(Some(Door { db, key, terms, own }))
    }

    /// Asks for the right to send one request that is over within `millis`; `None` when nobody has to be asked.
    ///
    /// # Errors
    /// `egress.wait` with the time to ask again; nothing was sent.
    pub(crate) async fn admit<'a>(
        &'a self,
        grant: &'a Grant,
        ctx: &CallCtx,
        steps: &mut Steps,
        millis: i64,
    ) -> Result<Option<Admitted<'a>>, Fault> {
        let Some(door) = self.door(grant)? else {
            return Ok(None);
        };
        let begun = steps.total > 1;
        // Who has begun goes before those who have not.
        let mut promised = if begun { Some(door.db.now()) } else { ctx.promised };
        loop {
            let (decision, own) = door.ask(ctx, promised, millis).await.map_err(|err| fault::store(&err))?;
            let (until, why) = match decision {
                Decision::Go(permit) => return Ok(Some(Admitted { door, permit, own })),
                Decision::Wait { until, why } => (until, why),
            };
            let wait_ms = until.since(door.db.now()).max(1);
            let stands = (begun || ctx.job.is_none()) && steps.stood_ms + wait_ms <= LONGEST_STAND_MS;
            if !stands || self.now().plus(wait_ms) >= ctx.deadline {
                tracing::debug!(connection = %grant.connection, "`{}` waits until {until}: {why}", grant.connection);
                let fault = fault::wait(until, why);
                steps.wait = Some(fault.clone());
                return Err(fault);
            }
            steps.stood_ms += wait_ms;
            tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
            promised = Some(until);
        }
    }

    /// A fault the caller read out of an answer that looked well. Not being able to keep it fails no call.
    pub(crate) async fn heard(&self, grant: &Grant, fault: &Fault) {
        let Ok(Some(door)) = self.door(grant) else {
            return;
        };
        if !pauses(fault) {
            return;
        }
        door.trouble();
        let told = |account: &mut Account, now| account.heard(fault, now);
        if let Err(err) = accounts::with(door.db, &actor(), &door.key, &door.terms.limits, told).await {
            tracing::warn!(connection = %grant.connection, "failed to keep a pause of `{}`: {err}", grant.connection);
        }
    }
}

impl Door<'_> {
    /// The answer, and whether it came out of memory.
    async fn ask(
        &self,
        ctx: &CallCtx,
        promised: Option<Timestamp>,
        millis: i64,
    ) -> Result<(Decision, bool), StoreError> {
        let roll = roll(self.db);
        let limits = &self.terms.limits;
        let ask = |account: &mut Account, now: Timestamp| {
            account.ask(limits, &Ask { urgent: ctx.urgent, promised, over_by: now.plus(millis), roll }, now)
        };
        if *limits == Limits::default() && self.is_calm().await? {
            return Ok((ask(&mut lock(&self.own).account, self.db.now()), true));
        }
        Ok((accounts::with(self.db, &actor(), &self.key, limits, ask).await?, false))
    }

    async fn is_calm(&self) -> Result<bool, StoreError> {
        if lock(&self.own).calm_until.is_some_and(|until| until > self.db.now()) {
            return Ok(true);
        }
        let row = accounts::get(self.db, &self.key).await?;
        let calm = row.is_none_or(|row| row.view.is_calm());
        lock(&self.own).calm_until = calm.then(|| self.db.now().plus(CALM_MS));
        Ok(calm)
    }

    /// The next to ask looks at the row.
    fn trouble(&self) {
        lock(&self.own).calm_until = None;
    }
}

impl Admitted<'_> {
    /// Says what became of the request. Not being able to fails no call: the permit expires.
    pub(crate) async fn report(self, outcome: Outcome) {
        let Self { door, permit, own } = self;
        let (now, roll) = (door.db.now(), roll(door.db));
        let mut answered = 0;
        if own {
            let mut own = lock(&door.own);
            own.account.report(
                permit.clone(),
                if outcome == Outcome::Answered { outcome } else { Outcome::Unused },
                now,
                roll,
            );
            match outcome {
                Outcome::Unused => return,
                Outcome::Answered => return own.count(now),
                Outcome::RateLimited { .. } | Outcome::Outage { .. } => answered = own.take(now),
            }
        }
        let told = |account: &mut Account, now| {
            if own {
                account.told(answered, &permit, outcome, now, roll);
            } else {
                account.report(permit.clone(), outcome, now, roll);
            }
        };
        if let Err(err) = accounts::with(door.db, &actor(), &door.key, &door.terms.limits, told).await {
            tracing::warn!("failed to tell the account of `{}`: {err}", door.key.connection);
        }
        if outcome != Outcome::Answered {
            door.trouble();
        }
    }
}

/// What an answer says about the partner.
pub(crate) fn of_answer(grant: &Grant, answer: &Response, now: Timestamp) -> Outcome {
    let header = |name| answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let after_ms = header("retry-after").and_then(|text| retry_after_ms(text, header("date"), now));
    let healthy = grant.terms.as_ref().is_some_and(|terms| terms.healthy.contains(&answer.status));
    match Outcome::of_status(answer.status, after_ms) {
        Outcome::Outage { .. } if healthy => Outcome::Answered,
        outcome => outcome,
    }
}

impl Own {
    fn count(&mut self, now: Timestamp) {
        let since = *self.since.get_or_insert(now);
        if now.since(since) > COUNTED_MS {
            (self.since, self.answered) = (Some(now), 0);
        }
        self.answered = self.answered.saturating_add(1);
    }

    fn take(&mut self, now: Timestamp) -> u32 {
        let fresh = self.since.is_some_and(|since| now.since(since) <= COUNTED_MS);
        self.since = None;
        let answered = std::mem::take(&mut self.answered);
        if fresh { answered } else { 0 }
    }
}

/// Spreads callers; the random part of an id is random enough.
fn roll(db: &Db) -> u32 {
    let bits = db.ids().next(db.now()).as_u128() & u128::from(u32::MAX);
    u32::try_from(bits).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
