//! The benchmark's adapter. `adapter.js` and `adapter.py` do the same:
//!
//! - `describe` does nothing: the empty call;
//! - `rate` prints a label for the order in its option `order`: 2 kB of JSON in, 20 kB of text out;
//! - `create-shipment` does that too, and gives the label as a document;
//! - `void` asks the host for the time as often as the id says;
//! - `find-by-reference` makes one request and waits for its answer.

mod label;

use wharf_sdk::http::Request;
use wharf_sdk::labels::{LabelledParcel, Shipment, ShipmentRequest, Voided};
use wharf_sdk::rates::{RateAnswer, RateOffer, RateRequest};
use wharf_sdk::{CallContext, Document, Fault, Money, info, labels, lookup, rates};

use label::Label;

struct Bench;

wharf_sdk::export!(Bench: info, rates, labels);

impl info::Guest for Bench {
    fn describe() -> info::Description {
        info::Description {
            name: String::new(),
            services: vec![],
            label_formats: vec![],
            test_environment: true,
            limits: vec![],
            extensions: vec![],
        }
    }
}

impl rates::Guest for Bench {
    fn rate(_context: CallContext, request: RateRequest) -> Result<RateAnswer, Fault> {
        let label = print(&request.options)?;
        let offer = RateOffer {
            service: "bench".to_owned(),
            service_name: "bench".to_owned(),
            total: Money { amount: "0".to_owned(), currency: "EUR".to_owned() },
            list_total: None,
            charges: vec![],
            transit_days: None,
            deliver_by: None,
            billed_weight_g: None,
            extensions: vec![("label".to_owned(), label.text), ("order".to_owned(), label.order)],
        };
        Ok(RateAnswer { rates: vec![offer], messages: vec![] })
    }
}

impl labels::Guest for Bench {
    fn create_shipment(_context: CallContext, request: ShipmentRequest) -> Result<Shipment, Fault> {
        let label = print(&request.options)?;
        let content = label.text.into_bytes();
        let document = Document { kind: "label".to_owned(), format: "zpl".to_owned(), content };
        let parcel =
            LabelledParcel { reference: "1".to_owned(), tracking_number: "1".to_owned(), documents: vec![document] };
        Ok(Shipment {
            reference: request.reference,
            carrier_shipment_id: "1".to_owned(),
            tracking_number: "1".to_owned(),
            parcels: vec![parcel],
            documents: vec![],
            total: None,
            list_total: None,
            charges: vec![],
            billed_weight_g: None,
            messages: vec![],
            extensions: vec![("order".to_owned(), label.order)],
        })
    }

    fn find_by_reference(context: CallContext, _reference: String) -> Result<Option<Shipment>, Fault> {
        Request::get(context.url("/")).send()?;
        Ok(None)
    }

    fn void(_context: CallContext, id: String) -> Result<Voided, Fault> {
        let times: u32 = id.parse().map_err(|_| Fault::invalid_input("times", "the id is no number"))?;
        for _ in 0..times {
            std::hint::black_box(wharf_sdk::clock::now_ms());
        }
        Ok(Voided { carrier_shipment_id: id, already: false })
    }
}

fn print(options: &[(String, String)]) -> Result<Label, Fault> {
    let order = lookup(options, "order").ok_or_else(|| Fault::invalid_input("order", "there is no order"))?;
    label::print(order).map_err(|e| Fault::invalid_input("order", e.to_string()))
}
