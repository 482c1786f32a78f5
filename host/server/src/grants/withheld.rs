//! A connection nobody stands for yet: its jobs wait, visibly, and use up no attempt.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind, Retry};
use wharf_domain::port::carrier::Carrier;
use wharf_domain::rate::{RateAnswer, RateRequest};
use wharf_domain::shipment::{Shipment, ShipmentRequest, Voided};
use wharf_domain::time::Clock;
use wharf_domain::tracking::TrackResult;

/// When a job looks again, in milliseconds.
const WAIT_MS: i64 = 15_000;

pub(crate) struct Withheld {
    pub(crate) clock: Arc<dyn Clock>,
    /// What waits and what to do, for the reason of every job that waits.
    pub(crate) why: String,
}

impl Withheld {
    fn fault(&self) -> Fault {
        Fault::new(FaultKind::Forbidden, "grant.open", self.why.clone(), Blame::Operator)
            .with_retry(Retry::Wait { until: self.clock.now().plus(WAIT_MS) })
    }
}

#[async_trait]
impl Carrier for Withheld {
    async fn rate(&self, _: &CallCtx, _: &RateRequest) -> Result<RateAnswer, Fault> {
        Err(self.fault())
    }

    async fn create_shipment(&self, _: &CallCtx, _: &ShipmentRequest) -> Result<Shipment, Fault> {
        Err(self.fault())
    }

    async fn find_by_reference(&self, _: &CallCtx, _: &str) -> Result<Option<Shipment>, Fault> {
        Err(self.fault())
    }

    async fn void(&self, _: &CallCtx, _: &str) -> Result<Voided, Fault> {
        Err(self.fault())
    }

    async fn track(&self, _: &CallCtx, _: &[String]) -> Result<Vec<TrackResult>, Fault> {
        Err(self.fault())
    }
}
