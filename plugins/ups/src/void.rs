//! Cancelling: `DELETE /api/shipments/{version}/void/cancel/{id}` (`Shipping.yaml`). Repeating it is harmless.

use wharf_sdk::http::{Request, Response};
use wharf_sdk::labels::Voided;
use wharf_sdk::{CallContext, Fault};

use crate::errors::{Call, Said, refusal, unreadable};
use crate::parts;
use crate::wire::{Node, body};

/// "The Shipment has already been voided" (Shipping guide, error table).
const ALREADY: [&str; 1] = ["190117"];
/// Too late, a return shipment, or picked up: the void window is over for this shipment.
const TOO_LATE: [&str; 12] = [
    "190101", "190102", "190103", "190104", "190106", "190108", "190111", "190114", "190115", "190118", "190121",
    "190124",
];
const WRONG_NUMBER: [&str; 4] = ["190100", "190109", "190110", "190122"];

pub(crate) fn request(context: &CallContext, id: &str) -> Result<Request, Fault> {
    let version = parts::version(context, "void_version", "v1")?;
    if !number_fits(id) {
        let message = "a UPS shipment number has letters and digits only";
        return Err(Fault::invalid_input("ups.number", message).with_field("carrier_shipment_id", "format", message));
    }
    let url = context.url(&format!("/api/shipments/{version}/void/cancel/{id}"));
    Ok(parts::headers(Request::new("DELETE", url), context, &format!("void:{id}")))
}

/// Can `number` be a path segment as it is?
pub(crate) fn number_fits(number: &str) -> bool {
    (1..=34).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_alphanumeric())
}

pub(crate) fn answer(id: String, response: &Response) -> Result<Voided, Fault> {
    if !response.is_success() {
        let said = Said::read(response);
        if said.has(&ALREADY) {
            return Ok(Voided { carrier_shipment_id: id, already: true });
        }
        let fault = refusal(Call::Void, response);
        // Only a refusal proves anything; the same code inside a 5xx answer does not.
        let refused = fault.kind == "invalid-input";
        return Err(if refused && said.has(&TOO_LATE) {
            Fault::not_cancellable(fault.code, fault.message).with_provider(said.provider())
        } else if refused && said.has(&WRONG_NUMBER) {
            fault.with_field("carrier_shipment_id", "unknown", &said.text())
        } else {
            fault
        });
    }
    let value = body(response);
    let result = value.as_ref().map(|v| Node::of(v).at(&["VoidShipmentResponse"]));
    let status = result.map(|r| r.at(&["SummaryResult", "Status"]));
    match status.and_then(|s| s.at(&["Code"]).text()).as_deref() {
        Some("1") => {}
        Some("0") => return Err(Fault::not_cancellable("ups.not-voided", "UPS did not void the shipment")),
        _ => {
            return Err(unreadable(
                Call::Void,
                response,
                "ups.empty-answer",
                "UPS did not say whether it voided the shipment",
            ));
        }
    }
    // Up to v2205 the list is called `PackageLevelResult` in some answers.
    let parcels = |key| result.into_iter().flat_map(move |r| r.at(&[key]).each());
    let kept = parcels("PackageLevelResults")
        .chain(parcels("PackageLevelResult"))
        .filter(|p| p.at(&["Status", "Code"]).text().as_deref() == Some("0"))
        .count();
    if kept > 0 {
        return Err(Fault::partial(
            "ups.partly-voided",
            format!("UPS voided the shipment except {kept} of its parcels"),
        ));
    }
    // One code covers "voided" and "already voided"; the words are all there is to tell them apart.
    let words = status.and_then(|s| s.at(&["Description"]).text()).unwrap_or_default();
    Ok(Voided { carrier_shipment_id: id, already: words.to_ascii_lowercase().contains("already") })
}

#[cfg(test)]
mod tests {
    use wharf_sdk::{EffectCertainty, RetryClass};

    use super::*;
    use crate::inputs::{context, response};

    fn void(status: u16, body: &str) -> Result<bool, Fault> {
        answer("1Z1".to_owned(), &response(status, &[], body)).map(|v| v.already)
    }

    fn refused(code: &str) -> String {
        format!(r#"{{"response":{{"errors":[{{"code":"{code}","message":"text"}}]}}}}"#)
    }

    #[test]
    fn what_ups_says_decides() {
        let ok = r#"{"VoidShipmentResponse":{"SummaryResult":{"Status":{"Code":"&#xD;&#xD;1","Description":"&#xD;Voided"}}}}"#;
        assert_eq!(void(200, ok), Ok(false));
        assert_eq!(void(200, &ok.replace("Voided", "Already Voided")), Ok(true));
        assert_eq!(void(400, &refused("190117")), Ok(true));
        for (status, body, kind) in [
            (200, ok.replace("&#xD;&#xD;1", "0"), "not-cancellable"),
            (400, refused("190102"), "not-cancellable"),
            (400, refused("190101"), "not-cancellable"),
            (400, refused("190109"), "invalid-input"),
            (400, refused("190001"), "transient"),
            (404, String::new(), "not-found"),
            (503, refused("190102"), "transient"),
        ] {
            assert_eq!(void(status, &body).expect_err("fault").kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn an_empty_answer_may_have_voided_and_may_be_repeated() {
        let fault = void(200, "").expect_err("fault");
        assert_eq!((fault.effect, fault.retry), (EffectCertainty::Maybe, RetryClass::Later));
    }

    #[test]
    fn a_parcel_that_was_kept_is_not_a_void() {
        let body = r#"{"VoidShipmentResponse":{"SummaryResult":{"Status":{"Code":"1"}},
            "PackageLevelResults":[{"Status":{"Code":"1"}},{"Status":{"Code":"0"}}]}}"#;
        assert_eq!(void(200, body).expect_err("fault").kind, "partial");
    }

    #[test]
    fn a_number_that_could_leave_its_path_segment_is_refused() {
        for id in ["", "1Z/../x", "1Z?x", "1Z%2f"] {
            assert!(request(&context(), id).is_err(), "{id}");
        }
        let request = request(&context(), "1Z2220060290602143").expect("request");
        assert_eq!((request.method.as_str(), request.body), ("DELETE", None));
        assert_eq!(request.url, "https://ups.test/api/shipments/v1/void/cancel/1Z2220060290602143");
    }
}
