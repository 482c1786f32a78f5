//! The carrier port. Implemented by the sandbox over an adapter; by fakes in tests.

use async_trait::async_trait;

use crate::ctx::CallCtx;
use crate::fault::Fault;
use crate::rate::{RateAnswer, RateRequest};
use crate::shipment::{Shipment, ShipmentRequest, Voided};
use crate::tracking::TrackResult;

/// One connection to one carrier account.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Prices. Changes nothing; may be repeated freely.
    async fn rate(&self, ctx: &CallCtx, request: &RateRequest) -> Result<RateAnswer, Fault>;

    /// Buys a shipment once per `ctx.business`. Called again after a crash or a lost answer it settles the earlier
    /// attempt first: the journaled answer, or what `find-by-reference` shows. It never buys twice.
    ///
    /// A fault of kind `outcome-unknown` means the effect is parked and a person must look.
    async fn create_shipment(&self, ctx: &CallCtx, request: &ShipmentRequest) -> Result<Shipment, Fault>;

    /// The shipment the carrier holds under the host's reference; `None` when it has none.
    async fn find_by_reference(&self, ctx: &CallCtx, reference: &str) -> Result<Option<Shipment>, Fault>;

    /// Cancels a bought shipment. Repeating it is harmless.
    async fn void(&self, ctx: &CallCtx, carrier_shipment_id: &str) -> Result<Voided, Fault>;

    /// Where parcels are, one result per number.
    async fn track(&self, ctx: &CallCtx, numbers: &[String]) -> Result<Vec<TrackResult>, Fault>;
}
