//! An ERP with any number of equal orders, and a carrier that sells a label once for each business key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rust_decimal::Decimal;
use wharf_domain::address::Address;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::money::Money;
use wharf_domain::order::{Delivery, DeliveryMove, DeliveryState, Order, OrderLine, OrderState};
use wharf_domain::port::carrier::Carrier;
use wharf_domain::port::erp::{Attachment, Erp, ErpEvent, Note, ShippingUpdate};
use wharf_domain::rate::{Rate, RateAnswer, RateRequest};
use wharf_domain::shipment::{Document, LabelledParcel, Shipment, ShipmentRequest, Voided};
use wharf_domain::tracking::TrackResult;
use wharf_flows::Ports;
use wharf_flows::order_release::Policy;

#[derive(Default)]
pub(crate) struct Outside {
    pub(crate) pending: Mutex<Vec<ErpEvent>>,
    /// Orders somebody has cancelled.
    pub(crate) cancelled: Mutex<Vec<String>>,
    bought: Mutex<BTreeMap<String, Shipment>>,
}

/// The outside as the host sees it.
#[derive(Clone)]
pub(crate) struct Wired(pub(crate) Arc<Outside>);

pub(crate) fn acme() -> ConnectionId {
    ConnectionId::parse("acme").expect("connection")
}

impl Ports for Wired {
    fn erp(&self, _: &TenantId) -> Option<Arc<dyn Erp>> {
        Some(Arc::new(self.clone()))
    }
    fn carrier(&self, _: &TenantId, _: &ConnectionId) -> Option<Arc<dyn Carrier>> {
        Some(Arc::new(self.clone()))
    }
    fn order_release(&self, _: &TenantId) -> Option<Policy> {
        Some(Policy::of(vec![acme()]))
    }
}

#[async_trait]
impl Erp for Wired {
    async fn order(&self, _: &CallCtx, erp_id: &str) -> Result<Option<Order>, Fault> {
        let cancelled = self.0.cancelled.lock().expect("lock").iter().any(|gone| gone == erp_id);
        Ok(Some(order(erp_id, cancelled)))
    }
    async fn set_shipping(&self, _: &CallCtx, _: &ShippingUpdate) -> Result<(), Fault> {
        Ok(())
    }
    async fn attach(&self, _: &CallCtx, _: &Attachment) -> Result<String, Fault> {
        Ok("1".to_owned())
    }
    async fn note(&self, _: &CallCtx, _: &Note) -> Result<(), Fault> {
        Ok(())
    }
    async fn pending_events(&self, _: &CallCtx, _: u32) -> Result<Vec<ErpEvent>, Fault> {
        Ok(self.0.pending.lock().expect("lock").clone())
    }
    async fn acknowledge(&self, _: &CallCtx, events: &[ErpEvent]) -> Result<(), Fault> {
        self.0.pending.lock().expect("lock").retain(|event| !events.contains(event));
        Ok(())
    }
}

#[async_trait]
impl Carrier for Wired {
    async fn rate(&self, _: &CallCtx, _: &RateRequest) -> Result<RateAnswer, Fault> {
        let rate = Rate {
            service: "std".to_owned(),
            service_name: "Standard".to_owned(),
            total: Money::parse("12.40", "EUR").expect("money"),
            list_total: None,
            charges: Vec::new(),
            transit_days: Some(2),
            deliver_by: None,
            billed_weight_g: None,
            extensions: Vec::new(),
        };
        Ok(RateAnswer { rates: vec![rate], messages: Vec::new() })
    }
    async fn create_shipment(&self, ctx: &CallCtx, request: &ShipmentRequest) -> Result<Shipment, Fault> {
        let key = ctx.business.as_ref().expect("a purchase has a business key").key.clone();
        let mut bought = self.0.bought.lock().expect("lock");
        Ok(bought.entry(key).or_insert_with(|| shipment(&request.reference)).clone())
    }
    async fn find_by_reference(&self, _: &CallCtx, _: &str) -> Result<Option<Shipment>, Fault> {
        Ok(None)
    }
    async fn void(&self, _: &CallCtx, id: &str) -> Result<Voided, Fault> {
        Ok(Voided { carrier_shipment_id: id.to_owned(), already: false })
    }
    async fn track(&self, _: &CallCtx, _: &[String]) -> Result<Vec<TrackResult>, Fault> {
        Ok(Vec::new())
    }
}

fn address(name: &str) -> Address {
    Address {
        name: name.to_owned(),
        lines: vec!["Storgata 5".to_owned()],
        locality: "Bergen".to_owned(),
        postal_code: Some("5003".to_owned()),
        country: "NO".to_owned(),
        ..Address::default()
    }
}

fn order(erp_id: &str, cancelled: bool) -> Order {
    let delivery = Delivery {
        erp_id: format!("7{erp_id}"),
        name: format!("WH/OUT/{erp_id:0>5}"),
        state: DeliveryState::Ready,
        moves: vec![DeliveryMove {
            erp_id: "71".to_owned(),
            sku: "MUG".to_owned(),
            order_line: Some("420".to_owned()),
            demand: Decimal::TWO,
            reserved: Decimal::TWO,
        }],
        parcels: Vec::new(),
        tracking_reference: None,
        weight_g: 0,
    };
    Order {
        erp_id: erp_id.to_owned(),
        number: format!("S{erp_id:0>5}"),
        state: if cancelled { OrderState::Cancelled } else { OrderState::Confirmed },
        customer_reference: None,
        ship_from: address("Nordic 3PL"),
        ship_to: address("Kari Nordmann"),
        lines: vec![OrderLine {
            erp_id: "420".to_owned(),
            sku: "MUG".to_owned(),
            description: "A mug".to_owned(),
            quantity: Decimal::TWO,
            unit_weight_g: Some(750),
        }],
        deliveries: if cancelled { Vec::new() } else { vec![delivery] },
    }
}

fn shipment(reference: &str) -> Shipment {
    let label = Document {
        kind: "label".to_owned(),
        format: "zpl".to_owned(),
        sha256: "f".repeat(64),
        size: 6,
        content_base64: "XlhBXlha".to_owned(),
    };
    Shipment {
        reference: reference.to_owned(),
        carrier_shipment_id: format!("SH-{reference}"),
        tracking_number: format!("TN-{reference}"),
        parcels: vec![LabelledParcel {
            reference: "1".to_owned(),
            tracking_number: format!("TN-{reference}"),
            documents: vec![label],
        }],
        documents: Vec::new(),
        total: Some(Money::parse("12.40", "EUR").expect("money")),
        list_total: None,
        charges: Vec::new(),
        billed_weight_g: Some(2000),
        messages: Vec::new(),
        extensions: Vec::new(),
    }
}
