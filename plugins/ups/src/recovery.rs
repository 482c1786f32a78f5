//! Finding a shipment again: `POST /api/labels/{version}/recovery` with the reference and the account
//! (`Shipping.yaml`, `ReferenceValues`). Only a definite "not found" is none; everything else UPS says is a fault.
//!
//! Codes: the error table of the Shipping guide (3000xx); the REST service answers with 98010xx, of which 9801031
//! (not found) and 9801040 (voided) are known from published probes of the live service.

use serde_json::{Value, json};
use wharf_sdk::http::{Request, Response};
use wharf_sdk::labels::{LabelledParcel, Shipment};
use wharf_sdk::{CallContext, Fault, Message};

use crate::documents::document;
use crate::errors::{Call, Said, refusal, request_id, unreadable};
use crate::labels::{shipment_documents, valid_reference};
use crate::parts;
use crate::wire::{Node, body, messages};

const NOT_FOUND: [&str; 2] = ["9801031", "300007"];
const VOIDED: [&str; 2] = ["9801040", "300033"];
const NOT_PROCESSED: [&str; 1] = ["300034"];
/// Several shipments, or one whose label UPS no longer gives: it exists, and only a person can tell more.
const NEEDS_A_PERSON: [&str; 5] = ["300001", "300002", "300006", "300032", "300035"];

/// What a lookup by reference found.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// UPS holds nothing under the reference.
    Nothing,
    Shipment(Box<Shipment>),
    /// UPS holds several shipments and gives their numbers without labels.
    Candidates(Vec<String>),
}

pub(crate) fn by_reference(context: &CallContext, reference: &str) -> Result<Request, Fault> {
    let account = context.required("account_number")?;
    let value = json!({"ReferenceNumber": {"Value": valid_reference(reference)?}, "ShipperNumber": account});
    request(context, reference, "ReferenceValues", value, "recovery")
}

/// Asks for the label of the first of several shipments.
pub(crate) fn by_number(context: &CallContext, reference: &str, numbers: &[String]) -> Result<Request, Fault> {
    let number = numbers.first().map(String::as_str).unwrap_or_default();
    request(context, reference, "TrackingNumber", json!(number), "recovery-first")
}

fn request(context: &CallContext, reference: &str, key: &str, value: Value, step: &str) -> Result<Request, Fault> {
    let version = parts::version(context, "recovery_version", "v1")?;
    let format = context.setting("label_format").unwrap_or("zpl").to_ascii_uppercase();
    let mut label = json!({"LabelImageFormat": {"Code": format}});
    // UPS refuses a stock size for images and documents (9801050).
    if matches!(format.as_str(), "ZPL" | "EPL" | "SPL") {
        label["LabelStockSize"] = json!({"Width": "4", "Height": "6"});
    }
    let mut head = json!({"SubVersion": "1903"});
    if reference.len() >= 5 {
        head["TransactionReference"] = json!({"CustomerContext": reference});
    }
    let body = json!({"LabelRecoveryRequest": {"Request": head, "LabelSpecification": label, key: value}});
    let url = context.url(&format!("/api/labels/{version}/recovery"));
    Ok(parts::headers(Request::post_json(url, &body)?, context, step))
}

pub(crate) fn answer(reference: &str, response: &Response) -> Result<Found, Fault> {
    if !response.is_success() {
        return not_found(response);
    }
    let value = body(response);
    let root = value.as_ref().map(|v| Node::of(v).at(&["LabelRecoveryResponse"]));
    let candidates = root.map(candidates).unwrap_or_default();
    if let Some(shipment) = root.and_then(|root| shipment(reference, root, response)) {
        let master = shipment.tracking_number.clone();
        return Ok(Found::Shipment(Box::new(with_others(shipment, candidates.iter().filter(|c| **c != master)))));
    }
    match candidates.is_empty() {
        false => Ok(Found::Candidates(candidates)),
        true => {
            Err(unreadable(Call::Read, response, "ups.no-recovery", "UPS did not say whether it holds the shipment"))
        }
    }
}

/// The first of several shipments, from the answer to [`by_number`]; the others' numbers beside it.
pub(crate) fn first_of(reference: &str, numbers: &[String], response: &Response) -> Result<Shipment, Fault> {
    match answer(reference, response)? {
        Found::Shipment(shipment) => Ok(with_others(*shipment, numbers.iter().skip(1))),
        Found::Nothing | Found::Candidates(_) => {
            let message =
                format!("UPS holds {} shipments under the reference and gives no label of them", numbers.len());
            Err(Fault::conflict("ups.several-shipments", message))
        }
    }
}

fn not_found(response: &Response) -> Result<Found, Fault> {
    let said = Said::read(response);
    let definite = response.status == 400 || response.status == 404;
    if definite && said.errors.len() == 1 && said.has(&NOT_FOUND) {
        return Ok(Found::Nothing);
    }
    let (code, text) = (said.fault_code(), said.text());
    let fault = if said.has(&VOIDED) {
        Fault::conflict(code, format!("the shipment under this reference was voided. {text}"))
    } else if said.has(&NOT_PROCESSED) {
        Fault::transient(code, text)
    } else if said.has(&NEEDS_A_PERSON) {
        Fault::conflict(code, text)
    } else {
        // A wrong path must not look like a shipment that is not there.
        let fault = refusal(Call::Read, response);
        let kind = if fault.kind == "not-found" { "conflict".to_owned() } else { fault.kind.clone() };
        return Err(Fault { kind, ..fault });
    };
    Err(fault.with_provider(said.provider()))
}

fn candidates(root: Node<'_>) -> Vec<String> {
    let mut numbers: Vec<String> = Vec::new();
    for number in root.at(&["TrackingCandidate"]).each().filter_map(|c| c.at(&["TrackingNumber"]).text()) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

fn shipment(reference: &str, root: Node<'_>, response: &Response) -> Option<Shipment> {
    let mut remarks = messages([root.at(&["Response", "Alert"])]);
    let mut parcels = Vec::new();
    for (i, result) in root.at(&["LabelResults"]).each().enumerate() {
        let Some(tracking_number) = result.at(&["TrackingNumber"]).text() else { continue };
        let mut documents = Vec::new();
        for (kind, image, format) in [
            ("label", result.at(&["LabelImage"]), "LabelImageFormat"),
            ("receipt", result.at(&["Receipt", "Image"]), "ImageFormat"),
            ("customs", result.at(&["Form", "Image"]), "ImageFormat"),
        ] {
            documents.extend(document(kind, image.at(&["GraphicImage"]), image.at(&[format, "Code"]), &mut remarks));
        }
        if !documents.iter().any(|d| d.kind == "label") {
            let text = format!("UPS holds parcel {} and gave no readable label for it", i + 1);
            remarks.push(Message { code: "ups.no-label".to_owned(), text });
        }
        parcels.push(LabelledParcel { reference: (i + 1).to_string(), tracking_number, documents });
    }
    let master = root.at(&["ShipmentIdentificationNumber"]).text();
    let id = master.or_else(|| parcels.first().map(|p| p.tracking_number.clone()))?;
    if parcels.is_empty() {
        return None;
    }
    Some(Shipment {
        reference: reference.to_owned(),
        tracking_number: id.clone(),
        carrier_shipment_id: id,
        documents: shipment_documents(root, &mut remarks),
        parcels,
        // Label recovery tells no prices.
        total: None,
        list_total: None,
        charges: Vec::new(),
        billed_weight_g: None,
        messages: remarks,
        extensions: request_id(response).map(|id| ("ups.request-id".to_owned(), id)).into_iter().collect(),
    })
}

fn with_others<'a>(mut shipment: Shipment, others: impl Iterator<Item = &'a String>) -> Shipment {
    let before = shipment.extensions.len();
    shipment.extensions.extend(others.map(|number| ("ups.other-tracking-number".to_owned(), number.clone())));
    let others = shipment.extensions.len() - before;
    if others > 0 {
        let text =
            format!("{others} more shipments carry this reference: somebody should look whether they were paid twice");
        shipment.messages.push(Message { code: "ups.several-shipments".to_owned(), text });
    }
    shipment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{context, response};

    fn said(code: &str) -> String {
        format!(r#"{{"errors":[{{"code":"{code}","message":"text"}}]}}"#)
    }

    #[test]
    fn only_a_definite_not_found_is_none() {
        for code in ["9801031", "300007"] {
            assert_eq!(answer("r", &response(400, &[], &said(code))), Ok(Found::Nothing));
        }
        let faults = [
            (400, said("9801040"), "conflict"),
            (400, said("300034"), "transient"),
            (400, said("300035"), "conflict"),
            (400, said("9801050"), "invalid-input"),
            (404, String::new(), "conflict"),
            (401, said("250002"), "unauthorized"),
            (429, String::new(), "rate-limited"),
            (503, said("9801031"), "outage"),
            (500, said("10004"), "transient"),
            (200, String::new(), "data-out-of-contract"),
            (200, "<html>".to_owned(), "data-out-of-contract"),
            (200, r#"{"LabelRecoveryResponse":{"LabelResults":[]}}"#.to_owned(), "data-out-of-contract"),
            (400, r#"{"errors":[{"code":"9801031"},{"code":"250003"}]}"#.to_owned(), "invalid-input"),
        ];
        for (status, body, kind) in faults {
            let fault = answer("r", &response(status, &[], &body)).expect_err("a fault");
            assert_eq!(fault.kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn a_found_label_is_named_by_its_bytes() {
        let body = r#"{"LabelRecoveryResponse":{"ShipmentIdentificationNumber":"1ZM","LabelResults":{"TrackingNumber":"1ZA",
            "Receipt":"","LabelImage":{"LabelImageFormat":{"Code":"zpl"},"GraphicImage":"XlhBXlha"}}}}"#;
        let Ok(Found::Shipment(found)) = answer("ref-1", &response(200, &[], body)) else { panic!("not found") };
        assert_eq!((found.reference.as_str(), found.carrier_shipment_id.as_str()), ("ref-1", "1ZM"));
        let parcel = &found.parcels[0];
        assert_eq!((parcel.reference.as_str(), parcel.documents[0].format.as_str()), ("1", "zpl"));
        assert!(found.total.is_none() && found.messages.is_empty());
    }

    #[test]
    fn the_first_of_several_shipments_comes_with_the_others_numbers() {
        let numbers = ["1ZA".to_owned(), "1ZB".to_owned(), "1ZC".to_owned()];
        let body = r#"{"LabelRecoveryResponse":{"TrackingCandidate":[{"TrackingNumber":"1ZA"},{"TrackingNumber":"1ZB"},
            {"TrackingNumber":"1ZC"}]}}"#;
        assert_eq!(answer("r", &response(200, &[], body)), Ok(Found::Candidates(numbers.to_vec())));
        let second = by_number(&context(), "ref-1", &numbers).expect("request");
        let sent: Value = serde_json::from_slice(&second.body.expect("body")).expect("json");
        assert_eq!(sent["LabelRecoveryRequest"]["TrackingNumber"], "1ZA");
        let body = r#"{"LabelRecoveryResponse":{"LabelResults":{"TrackingNumber":"1ZA","LabelImage":{"GraphicImage":"XlhB"}}}}"#;
        let found = first_of("ref-1", &numbers, &response(200, &[], body)).expect("shipment");
        let others: Vec<&str> = found.extensions.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!((others, found.messages[0].code.as_str()), (vec!["1ZB", "1ZC"], "ups.several-shipments"));
        let gone = first_of("ref-1", &numbers, &response(400, &[], &said("9801031"))).expect_err("conflict");
        assert_eq!(gone.kind, "conflict", "they were there a moment ago");
    }

    #[test]
    fn the_request_asks_by_reference_and_account() {
        let request = by_reference(&context(), "ORDER-7_1").expect("request");
        assert_eq!(request.url, "https://ups.test/api/labels/v1/recovery");
        let body: Value = serde_json::from_slice(&request.body.expect("body")).expect("json");
        let body = &body["LabelRecoveryRequest"];
        assert_eq!(
            body["ReferenceValues"],
            json!({"ReferenceNumber": {"Value": "ORDER-7_1"}, "ShipperNumber": "A1B2C3"})
        );
        assert_eq!(body["LabelSpecification"]["LabelStockSize"]["Height"], "6");
        let gif = CallContext {
            config: vec![
                ("account_number".to_owned(), "A1B2C3".to_owned()),
                ("label_format".to_owned(), "gif".to_owned()),
            ],
            ..context()
        };
        let body: Value =
            serde_json::from_slice(&by_reference(&gif, "r").expect("request").body.expect("body")).expect("json");
        assert_eq!(body["LabelRecoveryRequest"]["LabelSpecification"], json!({"LabelImageFormat": {"Code": "GIF"}}));
        assert!(by_reference(&context(), "has space").is_err());
    }
}
