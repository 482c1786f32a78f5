//! Whose turn it is to compute.
//!
//! A tenant's guests share as many places as there are threads for guests, however many of its calls are under way: one
//! that waits for the host holds none, and one that goes on computing gives its place to the next one every few ticks.
//! So a thread has no more than one guest of a tenant to come back from, and a neighbour's call waits for a tick where it
//! would wait for as many as the tenant has calls.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Ticks a guest computes before others of its tenant have their turn.
pub(crate) const SLICE: u64 = 4;

/// One call's place among those of its tenant.
#[derive(Clone)]
pub(crate) struct Place {
    places: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    pub(crate) fn among(places: Arc<Semaphore>) -> Self {
        Self { places, held: Arc::default() }
    }

    /// Nobody else's.
    pub(crate) fn alone() -> Self {
        Self::among(Arc::new(Semaphore::new(1)))
    }

    /// Waits for a place. In order: who came first computes first.
    pub(crate) async fn take(&self) {
        // A free one is taken at once, whatever else the caller's task has done in this turn: to wait for its next turn
        // would hand the call over for nothing. The places are never closed.
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => Arc::clone(&self.places).acquire_owned().await.ok(),
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Others may compute.
    pub(crate) fn leave(&self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Does what needs no guest, and comes back.
    pub(crate) async fn outside<T>(&self, work: impl Future<Output = T>) -> T {
        self.leave();
        let done = work.await;
        self.take().await;
        done
    }

    /// Lets everybody who waits go first.
    pub(crate) async fn pass(self) {
        self.outside(tokio::task::yield_now()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_guest_that_waits_or_passes_lets_others_of_its_tenant_compute() {
        let places = Arc::new(Semaphore::new(1));
        let (one, other) = (Place::among(places.clone()), Place::among(places.clone()));
        one.take().await;
        assert_eq!(places.available_permits(), 0);
        let mut waits = Box::pin(other.take());
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err(), "there is one place");
        let its_turn = async {
            waits.await;
            other.leave();
        };
        one.outside(its_turn).await;
        assert_eq!(places.available_permits(), 0, "and the first one has it again");
        one.clone().pass().await;
        one.leave();
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_free_place_is_taken_even_in_a_turn_that_is_used_up() {
        use tokio::task::coop::{consume_budget, has_budget_remaining};
        while has_budget_remaining() {
            consume_budget().await;
        }
        let mut take = Box::pin(async { Place::alone().take().await });
        let at_once = std::future::poll_fn(|cx| std::task::Poll::Ready(take.as_mut().poll(cx).is_ready()));
        assert!(at_once.await);
    }
}
