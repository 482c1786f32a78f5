//! Orders, answers and policies the tests of this flow share.

use rust_decimal::Decimal;
use wharf_domain::address::Address;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::money::Money;
use wharf_domain::order::{Delivery, DeliveryMove, DeliveryState, Order, OrderLine, OrderState};
use wharf_domain::rate::{Rate, RateAnswer};
use wharf_domain::shipment::{Document, LabelledParcel, Parcel, Shipment};

use super::Policy;

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("nordic").expect("tenant")
}

pub(crate) fn acme() -> ConnectionId {
    ConnectionId::parse("acme").expect("connection")
}

/// The cheapest of one carrier.
pub(crate) fn policy() -> Policy {
    Policy::of(vec![acme()])
}

pub(crate) fn address(name: &str, street: &str) -> Address {
    Address {
        name: name.to_owned(),
        lines: vec![street.to_owned()],
        locality: "Bergen".to_owned(),
        postal_code: Some("5003".to_owned()),
        country: "NO".to_owned(),
        ..Address::default()
    }
}

/// Two units of 750 g, all reserved, nothing packed.
pub(crate) fn order() -> Order {
    Order {
        erp_id: "42".to_owned(),
        number: "S00042".to_owned(),
        state: OrderState::Confirmed,
        customer_reference: None,
        ship_from: address("Nordic 3PL", "Havnegata 1"),
        ship_to: address("Kari Nordmann", "Storgata 5"),
        lines: vec![OrderLine {
            erp_id: "420".to_owned(),
            sku: "MUG".to_owned(),
            description: "A mug".to_owned(),
            quantity: Decimal::TWO,
            unit_weight_g: Some(750),
        }],
        deliveries: vec![delivery("7", 2)],
    }
}

pub(crate) fn delivery(id: &str, reserved: i64) -> Delivery {
    Delivery {
        erp_id: id.to_owned(),
        name: format!("WH/OUT/{id:0>5}"),
        state: DeliveryState::Ready,
        moves: vec![DeliveryMove {
            erp_id: format!("{id}1"),
            sku: "MUG".to_owned(),
            order_line: Some("420".to_owned()),
            demand: Decimal::TWO,
            reserved: reserved.into(),
        }],
        parcels: Vec::new(),
        tracking_reference: None,
        weight_g: 0,
    }
}

pub(crate) fn parcel(reference: &str, weight_g: u64) -> Parcel {
    Parcel {
        reference: reference.to_owned(),
        weight_g,
        length_mm: None,
        width_mm: None,
        height_mm: None,
        packaging: None,
        declared_value: None,
    }
}

pub(crate) fn rates() -> RateAnswer {
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
    RateAnswer { rates: vec![rate], messages: Vec::new() }
}

/// What the carrier made of `reference`.
pub(crate) fn shipment(reference: &str) -> Shipment {
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

pub(crate) fn refusal() -> Fault {
    Fault::new(FaultKind::BusinessRejected, "acme.17", "the address cannot be served", Blame::Partner)
}

pub(crate) fn unknown() -> Fault {
    Fault::new(FaultKind::OutcomeUnknown, "egress.timeout", "no answer within 30 s", Blame::Partner)
}
