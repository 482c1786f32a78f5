//! UPS as a Wharf adapter: rates, labels, label recovery by reference, void, tracking and Track Alert.
//!
//! Written against the OpenAPI files of `UPS-API/api-documentation` (Rating, Shipping, Tracking, UPSTrackAlert) and
//! judged on recorded answers of the test environment. Each operation is a pure `request` and a pure `answer`; only
//! this file sends. `create-shipment` makes one request and never repeats it.

mod documents;
mod errors;
mod history;
#[cfg(test)]
mod inputs;
mod labels;
mod moment;
mod parts;
mod phases;
mod rates;
#[cfg(test)]
mod recorded;
mod recovery;
mod services;
mod tracking;
mod units;
mod void;
mod webhook;
mod wire;
mod wishes;

use wharf_sdk::labels::{Shipment, ShipmentRequest, Voided};
use wharf_sdk::rates::{RateAnswer, RateRequest};
use wharf_sdk::tracking::TrackResult;
use wharf_sdk::webhook::{Event, RawRequest, VerifiedFacts};
use wharf_sdk::{CallContext, Fault, info};

struct Ups;

wharf_sdk::export!(Ups: info, rates, labels, tracking, webhook);

impl info::Guest for Ups {
    fn describe() -> info::Description {
        services::describe()
    }
}

impl wharf_sdk::rates::Guest for Ups {
    fn rate(context: CallContext, request: RateRequest) -> Result<RateAnswer, Fault> {
        rates::answer(&request, &rates::request(&context, &request)?.send()?)
    }
}

impl wharf_sdk::labels::Guest for Ups {
    fn create_shipment(context: CallContext, request: ShipmentRequest) -> Result<Shipment, Fault> {
        labels::answer(&request, &labels::request(&context, &request)?.send()?)
    }

    fn find_by_reference(context: CallContext, reference: String) -> Result<Option<Shipment>, Fault> {
        let found = recovery::answer(&reference, &recovery::by_reference(&context, &reference)?.send()?)?;
        match found {
            recovery::Found::Nothing => Ok(None),
            recovery::Found::Shipment(shipment) => Ok(Some(*shipment)),
            recovery::Found::Candidates(numbers) => {
                let request = recovery::by_number(&context, &reference, &numbers)?;
                recovery::first_of(&reference, &numbers, &request.send()?).map(Some)
            }
        }
    }

    fn void(context: CallContext, carrier_shipment_id: String) -> Result<Voided, Fault> {
        let request = void::request(&context, &carrier_shipment_id)?;
        void::answer(carrier_shipment_id, &request.send()?)
    }
}

impl wharf_sdk::tracking::Guest for Ups {
    fn track(context: CallContext, numbers: Vec<String>) -> Result<Vec<TrackResult>, Fault> {
        tracking::track_all(numbers, |number| tracking::answer(number, &tracking::request(&context, number)?.send()?))
    }
}

impl wharf_sdk::webhook::Guest for Ups {
    fn parse(request: RawRequest, _facts: VerifiedFacts) -> Result<Vec<Event>, Fault> {
        webhook::parse(&request.body)
    }
}
