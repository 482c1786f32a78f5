//! Who may run a guest now: the share of a tenant, its processor time, and adapters that are left alone.
//!
//! In memory of this host: a restart forgets, which costs an adapter that fails no more than five more calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wharf_domain::ids::{Digest, TenantId};
use wharf_domain::quarantine::{Leave, Strikes};
use wharf_domain::time::Timestamp;

use crate::limits::Limits;
use crate::place::Place;

const MINUTE: Duration = Duration::from_secs(60);

/// One version of one connection's adapter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) connection: &'a str,
    pub(crate) digest: &'a Digest,
}

impl Who<'_> {
    fn key(self) -> (TenantId, String, Digest) {
        (self.tenant.clone(), self.connection.to_owned(), self.digest.clone())
    }
}

/// Everything that is remembered between calls.
pub(crate) struct Warden {
    tenants: Mutex<BTreeMap<TenantId, Arc<Share>>>,
    /// Nearly always empty.
    strikes: Mutex<HashMap<(TenantId, String, Digest), Strikes>>,
    calls: usize,
    places: usize,
    cpu_ms: u64,
}

/// What one tenant uses.
struct Share {
    calls: Arc<Semaphore>,
    /// Guests of it that compute at once.
    places: Arc<Semaphore>,
    time: Mutex<Spent>,
}

/// A tenant's processor time.
struct Spent {
    minute: Instant,
    used_ms: u64,
    /// Milliseconds its calls have waited for the next minute, in all.
    throttled_ms: u64,
}

/// One call's turn: it is one of its tenant's as long as this is there.
pub(crate) struct Turn<'a> {
    warden: &'a Warden,
    share: Arc<Share>,
    _call: OwnedSemaphorePermit,
}

impl Turn<'_> {
    /// A place among the tenant's guests that compute, to be waited for.
    pub(crate) fn place(&self) -> Place {
        Place::among(Arc::clone(&self.share.places))
    }

    /// Does the tenant have more calls under way than its guests may compute at once?
    pub(crate) fn is_crowded(&self) -> bool {
        self.warden.calls.saturating_sub(self.share.calls.available_permits()) > self.warden.places
    }

    /// The call has used so much processor time.
    pub(crate) fn used(&self, cpu_ms: u64) {
        let mut spent = self.share.spent();
        spent.used_ms = spent.used_ms.saturating_add(cpu_ms);
    }
}

impl Warden {
    /// `threads`: those that guests run on.
    pub(crate) fn new(limits: &Limits, threads: usize) -> Self {
        Self {
            tenants: Mutex::default(),
            strikes: Mutex::default(),
            calls: limits.tenant_calls.max(1),
            places: threads.max(1),
            cpu_ms: limits.tenant_cpu_ms_per_minute.max(1),
        }
    }

    /// Waits for the tenant's turn: no more calls at once than its share, and none while the processor time of this
    /// minute is used up. A delay, never a failure.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Option<Turn<'_>> {
        let share = self.share(tenant);
        let call = Arc::clone(&share.calls).acquire_owned().await.ok()?;
        loop {
            let wait = share.spent().wait(self.cpu_ms, Instant::now());
            let Some(wait) = wait else { break };
            tokio::time::sleep(wait).await;
        }
        Some(Turn { warden: self, share, _call: call })
    }

    /// Milliseconds the tenant's calls have been held back.
    pub(crate) fn throttled_ms(&self, tenant: &TenantId) -> u64 {
        self.share(tenant).spent().throttled_ms
    }

    pub(crate) fn ask(&self, who: Who<'_>, now: Timestamp) -> Leave {
        let mut strikes = self.strikes();
        if strikes.is_empty() {
            return Leave::Free;
        }
        strikes.get_mut(&who.key()).map_or(Leave::Free, |strikes| strikes.ask(now))
    }

    /// True when the call's end begins a quarantine.
    pub(crate) fn ended(&self, who: Who<'_>, leave: Leave, bad: bool, now: Timestamp) -> bool {
        let mut strikes = self.strikes();
        if !bad && strikes.is_empty() {
            return false;
        }
        let key = who.key();
        if !bad && !strikes.contains_key(&key) {
            return false;
        }
        let of = strikes.entry(key.clone()).or_default();
        let begun = of.ended(leave, bad, now);
        if of.is_clean(now) {
            strikes.remove(&key);
        }
        begun
    }

    fn share(&self, tenant: &TenantId) -> Arc<Share> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = tenants.get(tenant) {
            return Arc::clone(share);
        }
        let share = Arc::new(Share {
            calls: Arc::new(Semaphore::new(self.calls)),
            places: Arc::new(Semaphore::new(self.places)),
            time: Mutex::new(Spent { minute: Instant::now(), used_ms: 0, throttled_ms: 0 }),
        });
        tenants.insert(tenant.clone(), Arc::clone(&share));
        share
    }

    fn strikes(&self) -> MutexGuard<'_, HashMap<(TenantId, String, Digest), Strikes>> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    /// How long to wait for the next minute; `None` when there is processor time left in this one.
    fn wait(&mut self, budget_ms: u64, now: Instant) -> Option<Duration> {
        let into = now.saturating_duration_since(self.minute);
        if into >= MINUTE {
            (self.minute, self.used_ms) = (now, 0);
        }
        if self.used_ms < budget_ms {
            return None;
        }
        let wait = MINUTE.saturating_sub(into);
        self.throttled_ms = self.throttled_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("tenant")
    }

    #[test]
    fn b9_a_tenant_that_used_its_processor_time_waits_for_the_next_minute() {
        let began = Instant::now();
        let mut spent = Spent { minute: began, used_ms: 0, throttled_ms: 0 };
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(spent.wait(100, after(10)), None);
        spent.used_ms += 100;
        assert_eq!(spent.wait(100, after(20)), Some(Duration::from_secs(40)));
        assert_eq!(spent.throttled_ms, 40_000);
        assert_eq!(spent.wait(100, after(60)), None, "a new minute");
        spent.used_ms += 99;
        assert_eq!(spent.wait(100, after(61)), None, "there is something left");
    }

    #[tokio::test]
    async fn a_tenant_gets_no_more_than_its_share_of_calls() {
        let warden = Warden::new(&Limits { tenant_calls: 2, ..Limits::default() }, 1);
        let held = [warden.turn(&tenant("a")).await, warden.turn(&tenant("a")).await];
        assert!(held.iter().all(Option::is_some));
        let share = |name: &str| warden.share(&tenant(name)).calls.available_permits();
        assert_eq!((share("a"), share("b")), (0, 2), "a third one waits, another tenant does not");
        assert!(held[1].as_ref().is_some_and(Turn::is_crowded), "two calls, one thread");
        assert!(warden.turn(&tenant("b")).await.is_some_and(|turn| !turn.is_crowded()));
        drop(held);
        assert_eq!(share("a"), 2);
    }
}
