//! Shapes: domain to WIT for requests, WIT to domain for results. A result that breaks the contract (money that is not
//! money) is a fault here, so that nothing behind this file has to doubt it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use wharf_domain::address::Address;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, FieldFault, Provider, Retry};
use wharf_domain::money::Money;
use wharf_domain::rate::{Charge, Message, Rate, RateAnswer, RateRequest};
use wharf_domain::shipment::{Document, LabelledParcel, Parcel, Shipment, ShipmentRequest};
use wharf_domain::time::{DateTime, Precision};
use wharf_domain::tracking::{TrackResult, Tracker, TrackingEvent};

use crate::bindings::exports::wharf::carrier::{labels, rates, tracking};
use crate::bindings::wharf::types::types as wit;

pub(crate) type WitFault = wit::Fault;

/// A guest's own fault. The guest cannot blame anybody: what it reports is the partner's doing.
pub(crate) fn fault(f: WitFault) -> Fault {
    let kind = FaultKind::from(f.kind);
    let blame = match kind {
        FaultKind::InvalidInput | FaultKind::Unauthorized => Blame::Operator,
        FaultKind::AdapterFault => Blame::Guest,
        _ => Blame::Partner,
    };
    Fault {
        kind,
        code: f.code,
        message: f.message,
        blame,
        effect: match f.effect {
            wit::EffectCertainty::None => EffectCertainty::None,
            wit::EffectCertainty::Maybe => EffectCertainty::Maybe,
            wit::EffectCertainty::Done => EffectCertainty::Done,
        },
        retry: match f.retry {
            wit::RetryClass::Never => Retry::Never,
            wit::RetryClass::Later => Retry::Later { after_ms: f.retry_after_ms },
            wit::RetryClass::Reconcile => Retry::Reconcile,
        },
        provider: f.provider.map(|p| Provider {
            code: p.code,
            http_status: p.http_status,
            message: p.message,
            request_id: p.request_id,
        }),
        fields: f
            .fields
            .into_iter()
            .map(|f| FieldFault { path: canonical_path(&f.path), code: f.code, message: f.message })
            .collect(),
        frames: Vec::new(),
    }
}

/// The guest names fields as WIT does; people see the canonical JSON.
fn canonical_path(path: &str) -> String {
    path.replace('-', "_").replace("address_lines", "lines")
}

fn address(a: &Address) -> wit::Address {
    wit::Address {
        name: a.name.clone(),
        company: a.company.clone(),
        address_lines: a.lines.clone(),
        locality: a.locality.clone(),
        region: a.region.clone(),
        postal_code: a.postal_code.clone(),
        country: a.country.clone(),
        residential: a.residential,
        email: a.email.clone(),
        phone: a.phone.clone(),
    }
}

fn wit_money(m: &Money) -> wit::Money {
    wit::Money { amount: m.amount.to_string(), currency: m.currency.clone() }
}

fn parcel(p: &Parcel) -> wit::Parcel {
    wit::Parcel {
        reference: p.reference.clone(),
        weight_g: p.weight_g,
        length_mm: p.length_mm,
        width_mm: p.width_mm,
        height_mm: p.height_mm,
        packaging: p.packaging.clone(),
        declared_value: p.declared_value.as_ref().map(wit_money),
    }
}

pub(crate) fn rate_request(r: &RateRequest) -> rates::RateRequest {
    rates::RateRequest {
        ship_from: address(&r.ship_from),
        ship_to: address(&r.ship_to),
        parcels: r.parcels.iter().map(parcel).collect(),
        services: r.services.clone(),
        ship_date: r.ship_date.clone(),
        options: r.options.clone(),
    }
}

pub(crate) fn shipment_request(r: &ShipmentRequest) -> labels::ShipmentRequest {
    labels::ShipmentRequest {
        reference: r.reference.clone(),
        service: r.service.clone(),
        ship_from: address(&r.ship_from),
        ship_to: address(&r.ship_to),
        parcels: r.parcels.iter().map(parcel).collect(),
        label: labels::LabelSpec {
            format: r.label.format.clone(),
            width_mm: r.label.width_mm,
            height_mm: r.label.height_mm,
        },
        order_number: r.order_number.clone(),
        options: r.options.clone(),
    }
}

/// What the guest returned cannot be used. After a purchase the money may be spent, so the effect stays open.
fn broken(path: &str, detail: &str) -> Fault {
    let message = format!("the adapter's result breaks the contract at `{path}`: {detail}");
    Fault::new(FaultKind::DataOutOfContract, "sandbox.result", message, Blame::Guest)
        .with_field(path, "contract", detail)
}

fn money(path: impl FnOnce() -> String, m: &wit::Money) -> Result<Money, Fault> {
    Money::parse(&m.amount, &m.currency).map_err(|e| broken(&path(), &e.to_string()))
}

fn optional_money(path: impl FnOnce() -> String, m: Option<&wit::Money>) -> Result<Option<Money>, Fault> {
    m.map(|m| money(path, m)).transpose()
}

fn charges(list: &[rates::Charge]) -> Result<Vec<Charge>, Fault> {
    list.iter()
        .enumerate()
        .map(|(i, c)| {
            let amount = money(|| format!("charges[{i}].amount"), &c.amount)?;
            Ok(Charge { category: c.category.clone(), code: c.code.clone(), amount })
        })
        .collect()
}

fn messages(list: Vec<wit::Message>) -> Vec<Message> {
    list.into_iter().map(|m| Message { code: m.code, text: m.text }).collect()
}

pub(crate) fn rate_answer(a: rates::RateAnswer) -> Result<RateAnswer, Fault> {
    let rates = a.rates.into_iter().enumerate().map(|(i, r)| rate(i, r)).collect::<Result<_, _>>()?;
    Ok(RateAnswer { rates, messages: messages(a.messages) })
}

fn rate(index: usize, r: rates::RateOffer) -> Result<Rate, Fault> {
    Ok(Rate {
        total: money(|| format!("rates[{index}].total"), &r.total)?,
        list_total: optional_money(|| format!("rates[{index}].list_total"), r.list_total.as_ref())?,
        charges: charges(&r.charges)?,
        service: r.service,
        service_name: r.service_name,
        transit_days: r.transit_days,
        deliver_by: r.deliver_by.map(datetime),
        billed_weight_g: r.billed_weight_g,
        extensions: r.extensions,
    })
}

fn datetime(d: wit::Datetime) -> DateTime {
    DateTime {
        value: d.value,
        zone: d.zone,
        precision: match d.precision {
            wit::Precision::Second => Precision::Second,
            wit::Precision::Minute => Precision::Minute,
            wit::Precision::Day => Precision::Day,
        },
    }
}

fn document(d: wit::Document) -> Document {
    Document {
        kind: d.kind,
        format: d.format,
        sha256: hex::encode(Sha256::digest(&d.content)),
        size: d.content.len() as u64,
        content_base64: STANDARD.encode(&d.content),
    }
}

pub(crate) fn shipment(s: labels::Shipment) -> Result<Shipment, Fault> {
    if s.carrier_shipment_id.is_empty() || s.tracking_number.is_empty() {
        return Err(broken("carrier_shipment_id", "a shipment has an id and a tracking number"));
    }
    Ok(Shipment {
        total: optional_money(|| "total".to_owned(), s.total.as_ref())?,
        list_total: optional_money(|| "list_total".to_owned(), s.list_total.as_ref())?,
        charges: charges(&s.charges)?,
        reference: s.reference,
        carrier_shipment_id: s.carrier_shipment_id,
        tracking_number: s.tracking_number,
        parcels: s
            .parcels
            .into_iter()
            .map(|p| LabelledParcel {
                reference: p.reference,
                tracking_number: p.tracking_number,
                documents: p.documents.into_iter().map(document).collect(),
            })
            .collect(),
        documents: s.documents.into_iter().map(document).collect(),
        billed_weight_g: s.billed_weight_g,
        messages: messages(s.messages),
        extensions: s.extensions,
    })
}

pub(crate) fn track_result(r: tracking::TrackResult) -> TrackResult {
    match r.outcome {
        Ok(trackers) => {
            TrackResult { number: r.number, trackers: trackers.into_iter().map(tracker).collect(), fault: None }
        }
        Err(f) => TrackResult { number: r.number, trackers: Vec::new(), fault: Some(fault(f)) },
    }
}

pub(crate) fn tracker(t: tracking::Tracker) -> Tracker {
    Tracker {
        tracking_number: t.tracking_number,
        phase: t.phase,
        reason: t.reason,
        terminal: t.terminal,
        service: t.service,
        estimated_delivery: t.estimated_delivery.map(datetime),
        delivered_at: t.delivered_at.map(datetime),
        signed_by: t.signed_by,
        references: t.references,
        events: t.events.into_iter().map(event).collect(),
        extensions: t.extensions,
    }
}

fn event(e: tracking::TrackingEvent) -> TrackingEvent {
    TrackingEvent {
        phase: e.phase,
        reason: e.reason,
        carrier_code: e.carrier_code,
        carrier_text: e.carrier_text,
        occurred_at: datetime(e.occurred_at),
        location: e.location,
        signed_by: e.signed_by,
        dedupe_key: e.dedupe_key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(amount: &str, currency: &str) -> rates::RateAnswer {
        let total = wit::Money { amount: amount.to_owned(), currency: currency.to_owned() };
        let offer = rates::RateOffer {
            service: "03".to_owned(),
            service_name: "Ground".to_owned(),
            total,
            list_total: None,
            charges: vec![],
            transit_days: None,
            deliver_by: None,
            billed_weight_g: None,
            extensions: vec![],
        };
        rates::RateAnswer { rates: vec![offer], messages: vec![] }
    }

    #[test]
    fn c7_money_that_is_no_number_names_the_field() {
        for amount in ["NaN", "Infinity", "-Infinity", "1e400", "0x10", "", " ", "1,50", "1 000", "١", "--1", "1.2.3"]
        {
            let fault = rate_answer(offer(amount, "EUR")).expect_err(amount);
            wharf_attack::assert_as_written("C7", &fault.code);
            assert_eq!((fault.kind, fault.fields[0].path.as_str()), (FaultKind::DataOutOfContract, "rates[0].total"));
        }
        for currency in ["", "eur", "EURO", "E€R"] {
            assert_eq!(rate_answer(offer("1.50", currency)).expect_err(currency).fields[0].path, "rates[0].total");
        }
        assert_eq!(rate_answer(offer("1.50", "EUR")).expect("money").rates[0].total.to_string(), "1.50 EUR");
    }
}
