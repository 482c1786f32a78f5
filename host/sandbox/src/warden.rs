//! Who may run a guest now: the share of a tenant, its processor time, and adapters that are left alone.
//!
//! In memory of this host: a restart forgets, which costs an adapter that fails no more than five more calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wharf_domain::ids::TenantId;
use wharf_domain::quarantine::{Leave, Strikes};
use wharf_domain::time::Timestamp;

use crate::limits::Limits;
use crate::place::Place;

const MINUTE: Duration = Duration::from_secs(60);

/// One version of one connection's adapter.
pub(crate) type Who = (TenantId, String, String);

/// Everything that is remembered between calls.
pub(crate) struct Warden {
    tenants: Mutex<BTreeMap<TenantId, Share>>,
    strikes: Mutex<HashMap<Who, Strikes>>,
    calls: usize,
    places: usize,
    cpu_ms: u64,
}

/// What one tenant uses.
struct Share {
    calls: Arc<Semaphore>,
    /// Guests of it that compute at once.
    places: Arc<Semaphore>,
    minute: Instant,
    used_ms: u64,
    /// Milliseconds its calls have waited for the next minute, in all.
    throttled_ms: u64,
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
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Option<OwnedSemaphorePermit> {
        let calls = self.share(tenant, |share| Arc::clone(&share.calls));
        let permit = calls.acquire_owned().await.ok()?;
        while let Some(wait) = self.share(tenant, |share| share.wait(self.cpu_ms, Instant::now())) {
            tokio::time::sleep(wait).await;
        }
        Some(permit)
    }

    /// A place among the tenant's guests that compute, to be waited for.
    pub(crate) fn place(&self, tenant: &TenantId) -> Place {
        Place::among(self.share(tenant, |share| Arc::clone(&share.places)))
    }

    /// Does the tenant have more calls under way than its guests may compute at once?
    pub(crate) fn is_crowded(&self, tenant: &TenantId) -> bool {
        self.share(tenant, |share| self.calls.saturating_sub(share.calls.available_permits()) > self.places)
    }

    /// A call has used so much processor time.
    pub(crate) fn used(&self, tenant: &TenantId, cpu_ms: u64) {
        self.share(tenant, |share| share.used_ms = share.used_ms.saturating_add(cpu_ms));
    }

    /// Milliseconds the tenant's calls have been held back.
    pub(crate) fn throttled_ms(&self, tenant: &TenantId) -> u64 {
        self.share(tenant, |share| share.throttled_ms)
    }

    pub(crate) fn ask(&self, who: &Who, now: Timestamp) -> Leave {
        // Nearly always there is nobody in it.
        self.strikes().get_mut(who).map_or(Leave::Free, |strikes| strikes.ask(now))
    }

    /// True when the call's end begins a quarantine.
    pub(crate) fn ended(&self, who: &Who, leave: Leave, bad: bool, now: Timestamp) -> bool {
        let mut strikes = self.strikes();
        if !bad && !strikes.contains_key(who) {
            return false;
        }
        let of = strikes.entry(who.clone()).or_default();
        let begun = of.ended(leave, bad, now);
        if of.is_clean(now) {
            strikes.remove(who);
        }
        begun
    }

    fn share<T>(&self, tenant: &TenantId, read: impl FnOnce(&mut Share) -> T) -> T {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let share = tenants.entry(tenant.clone()).or_insert_with(|| Share {
            calls: Arc::new(Semaphore::new(self.calls)),
            places: Arc::new(Semaphore::new(self.places)),
            minute: Instant::now(),
            used_ms: 0,
            throttled_ms: 0,
        });
        read(share)
    }

    fn strikes(&self) -> MutexGuard<'_, HashMap<Who, Strikes>> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
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
        let calls = Arc::new(Semaphore::new(1));
        let places = Arc::clone(&calls);
        let mut share = Share { calls, places, minute: began, used_ms: 0, throttled_ms: 0 };
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(share.wait(100, after(10)), None);
        share.used_ms += 100;
        assert_eq!(share.wait(100, after(20)), Some(Duration::from_secs(40)));
        assert_eq!(share.throttled_ms, 40_000);
        assert_eq!(share.wait(100, after(60)), None, "a new minute");
        share.used_ms += 99;
        assert_eq!(share.wait(100, after(61)), None, "there is something left");
    }

    #[tokio::test]
    async fn a_tenant_gets_no_more_than_its_share_of_calls() {
        let warden = Warden::new(&Limits { tenant_calls: 2, ..Limits::default() }, 1);
        let held = [warden.turn(&tenant("a")).await, warden.turn(&tenant("a")).await];
        assert!(held.iter().all(Option::is_some));
        let share = |name: &str| warden.share(&tenant(name), |share| share.calls.available_permits());
        assert_eq!((share("a"), share("b")), (0, 2), "a third one waits, another tenant does not");
        assert!(warden.is_crowded(&tenant("a")) && !warden.is_crowded(&tenant("b")), "two calls, one thread");
        drop(held);
        assert_eq!(share("a"), 2);
    }
}
