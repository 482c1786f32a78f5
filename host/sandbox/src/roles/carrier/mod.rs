//! The carrier role: the port over whatever version of the interface the adapter speaks.

mod buy;
pub(crate) mod v0_1;

use async_trait::async_trait;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::port::carrier::Carrier;
use wharf_domain::rate::{RateAnswer, RateRequest};
use wharf_domain::shipment::{Shipment, ShipmentRequest, Voided};
use wharf_domain::tracking::TrackResult;

use super::Connection;

#[async_trait]
impl Carrier for Connection {
    async fn rate(&self, ctx: &CallCtx, request: &RateRequest) -> Result<RateAnswer, Fault> {
        v0_1::rate(self, ctx, request).await.0
    }

    async fn create_shipment(&self, ctx: &CallCtx, request: &ShipmentRequest) -> Result<Shipment, Fault> {
        Box::pin(buy::buy(self, ctx, request)).await
    }

    async fn find_by_reference(&self, ctx: &CallCtx, reference: &str) -> Result<Option<Shipment>, Fault> {
        v0_1::find(self, ctx, reference).await.0
    }

    async fn void(&self, ctx: &CallCtx, carrier_shipment_id: &str) -> Result<Voided, Fault> {
        v0_1::void(self, ctx, carrier_shipment_id).await.0
    }

    async fn track(&self, ctx: &CallCtx, numbers: &[String]) -> Result<Vec<TrackResult>, Fault> {
        v0_1::track(self, ctx, numbers).await.0
    }
}
