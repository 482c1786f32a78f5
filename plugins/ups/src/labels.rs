//! Buying: `POST /api/shipments/{version}/ship` (`Shipping.yaml`). The label comes in the same answer.

use serde_json::{Map, Value, json};
use wharf_sdk::http::{Request, Response};
use wharf_sdk::labels::{LabelSpec, LabelledParcel, Shipment, ShipmentRequest};
use wharf_sdk::{CallContext, Document, Fault, Message};

use crate::documents::document;
use crate::errors::{Call, refusal, request_id, unreadable};
use crate::parts;
use crate::rates::charges;
use crate::services;
use crate::units::System;
use crate::wire::{Node, body, messages};
use crate::wishes::Wishes;

pub(crate) fn request(context: &CallContext, request: &ShipmentRequest) -> Result<Request, Fault> {
    let version = parts::version(context, "shipping_version", "v2205")?;
    let account = context.required("account_number")?;
    let reference = valid_reference(&request.reference)?;
    let label = label_specification(&request.label)?;
    let wishes = Wishes::read(&request.options, &["signature", "saturday-delivery", "description", "ship-date"])?;
    let per_parcel = parts::per_parcel(&request.ship_from, &request.ship_to);
    let system = System::of_country(&request.ship_from.country);

    let mut shipper = parts::contact(&request.ship_from, "ship_from")?;
    shipper.insert("ShipperNumber".to_owned(), json!(account));
    shipper.extend(parts::email(&request.ship_from));
    let mut ship_to = parts::contact(&request.ship_to, "ship_to")?;
    ship_to.extend(parts::email(&request.ship_to));
    let mut packages = parts::packages(&request.parcels, system, "Packaging", &wishes, per_parcel)?;
    // The first reference is what label recovery finds the shipment by; the second is for people.
    let order = request.order_number.as_deref().map(|o| o.chars().take(35).collect::<String>());
    let values = [Some(reference.to_owned()), order.filter(|o| !o.is_empty() && o != reference)];
    let references: Vec<Value> = values.into_iter().flatten().map(|value| json!({"Value": value})).collect();
    let mut shipment = Map::from_iter([
        ("Shipper".to_owned(), Value::Object(shipper)),
        ("ShipTo".to_owned(), Value::Object(ship_to)),
        ("ShipFrom".to_owned(), Value::Object(parts::contact(&request.ship_from, "ship_from")?)),
        (
            "PaymentInformation".to_owned(),
            json!({"ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]}),
        ),
        ("ShipmentRatingOptions".to_owned(), json!({"NegotiatedRatesIndicator": "Y"})),
        ("Service".to_owned(), json!({"Code": request.service, "Description": services::name(&request.service)})),
    ]);
    if per_parcel {
        packages.iter_mut().for_each(|p| drop(p.insert("ReferenceNumber".to_owned(), json!(references))));
    } else {
        shipment.insert("ReferenceNumber".to_owned(), json!(references));
    }
    shipment.insert("Package".to_owned(), json!(packages));
    let optional = [
        ("Description", wishes.description.as_ref().map(|d| json!(d.chars().take(50).collect::<String>()))),
        ("ShipmentDate", wishes.ship_date.as_ref().map(|d| json!(d))),
        ("ShipmentServiceOptions", wishes.shipment_options(per_parcel)),
    ];
    shipment.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));

    // `validate` checks city, state and postal code before anything is bought.
    let mut head = json!({"RequestOption": "validate", "TransactionReference": {"CustomerContext": reference}});
    if let Some(sub_version) = parts::sub_version(version) {
        head["SubVersion"] = json!(sub_version);
    }
    let body = json!({"ShipmentRequest": {"Request": head, "Shipment": shipment, "LabelSpecification": label}});
    let url = context.url(&format!("/api/shipments/{version}/ship?additionaladdressvalidation=city"));
    Ok(parts::headers(Request::post_json(url, &body)?, context, "ship"))
}

/// `ReferenceNumber/Value` takes 1 to 35 characters; a shortened reference would never be found again.
pub(crate) fn valid_reference(reference: &str) -> Result<&str, Fault> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if (1..=35).contains(&reference.len()) && reference.bytes().all(fits) {
        return Ok(reference);
    }
    let message = "a reference has 1 to 35 characters of A-Z a-z 0-9 - _";
    Err(Fault::invalid_input("ups.reference", message).with_field("reference", "format", message))
}

fn label_specification(label: &LabelSpec) -> Result<Value, Fault> {
    let code = match label.format.as_str() {
        "zpl" => "ZPL",
        "epl" => "EPL",
        "gif" => "GIF",
        "png" => "PNG",
        other => {
            let message = format!("UPS makes no `{other}` labels when shipping; there are zpl, epl, gif and png");
            return Err(Fault::unsupported("ups.label-format", message.clone()).with_field(
                "label.format",
                "unsupported",
                &message,
            ));
        }
    };
    // Width 4 inches; height 6 or 8 (`LabelStockSize`).
    let height = match (label.width_mm, label.height_mm) {
        (95..=110, 140..=165) => "6",
        (95..=110, 190..=215) => "8",
        (width, height) => {
            let message =
                format!("UPS prints 4 x 6 or 4 x 8 inches (102 x 152 or 102 x 203 mm), not {width} x {height} mm");
            return Err(Fault::unsupported("ups.label-size", message.clone()).with_field("label", "size", &message));
        }
    };
    let mut out = json!({"LabelImageFormat": {"Code": code}, "LabelStockSize": {"Width": "4", "Height": height}});
    if matches!(code, "GIF" | "PNG") {
        out["HTTPUserAgent"] = json!("Mozilla/4.5");
    }
    Ok(out)
}

pub(crate) fn answer(request: &ShipmentRequest, response: &Response) -> Result<Shipment, Fault> {
    if !response.is_success() {
        return Err(refusal(Call::Buy, response));
    }
    let unknown = |code: &str, message: &str| unreadable(Call::Buy, response, code, message);
    let value = body(response);
    let root = value.as_ref().map(|v| Node::of(v).at(&["ShipmentResponse"]));
    let Some(root) = root.filter(|r| r.at(&["ShipmentResults"]).is_there()) else {
        // Seen: status 200 with an empty body and `errorcode: 1`.
        return Err(unknown("ups.empty-answer", "UPS accepted the request and did not say what it did"));
    };
    let results = root.at(&["ShipmentResults"]);
    let mut remarks = messages([root.at(&["Response", "Alert"]), results.at(&["Disclaimer"])]);
    let mut extensions = Vec::new();
    let mut parcels = Vec::new();
    for (i, package) in results.at(&["PackageResults"]).each().enumerate() {
        let Some(tracking_number) = package.at(&["TrackingNumber"]).text() else {
            return Err(unknown("ups.no-number", "UPS bought a parcel and did not say its number"));
        };
        let documents = parcel_documents(package, &mut remarks);
        if !documents.iter().any(|d| d.kind == "label") {
            // The lookup by reference fetches the label that was paid for.
            return Err(unknown("ups.no-label", "UPS bought the shipment and sent no readable label"));
        }
        if let Some(pic) = package.at(&["USPSPICNumber"]).text() {
            extensions.push((format!("ups.usps-pic[{i}]"), pic));
        }
        let reference = request.parcels.get(i).map_or_else(|| (i + 1).to_string(), |p| p.reference.clone());
        parcels.push(LabelledParcel { reference, tracking_number, documents });
    }
    let Some(first) = parcels.first() else {
        return Err(unknown("ups.no-number", "UPS bought the shipment and named no parcel"));
    };
    if parcels.len() != request.parcels.len() {
        let text = format!("{} parcels were sent to UPS, {} came back", request.parcels.len(), parcels.len());
        remarks.push(Message { code: "ups.parcel-count".to_owned(), text });
    }
    let id = results.at(&["ShipmentIdentificationNumber"]).text().unwrap_or_else(|| first.tracking_number.clone());
    let list = results.at(&["ShipmentCharges", "TotalCharges"]).money();
    let negotiated = results.at(&["NegotiatedRateCharges", "TotalCharge"]).money();
    let list_total = list.clone().filter(|_| negotiated.is_some());
    let total = negotiated.or(list);
    extensions.extend(request_id(response).map(|id| ("ups.request-id".to_owned(), id)));
    Ok(Shipment {
        reference: request.reference.clone(),
        tracking_number: id.clone(),
        carrier_shipment_id: id,
        documents: shipment_documents(results, &mut remarks),
        charges: total
            .as_ref()
            .map(|t| charges(results, "PackageResults", t, list_total.is_some()))
            .unwrap_or_default(),
        total,
        list_total,
        billed_weight_g: results.at(&["BillingWeight"]).grams(),
        parcels,
        messages: remarks,
        extensions,
    })
}

/// Where a document is: kind, image, declared format.
type Place = (&'static str, &'static [&'static str], &'static [&'static str]);

fn parcel_documents(package: Node<'_>, remarks: &mut Vec<Message>) -> Vec<Document> {
    const PLACES: [Place; 3] = [
        ("label", &["ShippingLabel", "GraphicImage"], &["ShippingLabel", "ImageFormat", "Code"]),
        ("receipt", &["ShippingReceipt", "GraphicImage"], &["ShippingReceipt", "ImageFormat", "Code"]),
        ("customs", &["Form", "Image", "GraphicImage"], &["Form", "Image", "ImageFormat", "Code"]),
    ];
    let read = |(kind, image, format): Place| document(kind, package.at(image), package.at(format), remarks);
    PLACES.into_iter().filter_map(read).collect()
}

/// Customs forms, high value reports and dangerous goods papers of the whole shipment.
pub(crate) fn shipment_documents(results: Node<'_>, remarks: &mut Vec<Message>) -> Vec<Document> {
    let mut out = Vec::new();
    for form in results.at(&["Form"]).each() {
        let image = form.at(&["Image"]);
        out.extend(document("customs", image.at(&["GraphicImage"]), image.at(&["ImageFormat", "Code"]), remarks));
    }
    for report in results.at(&["ControlLogReceipt"]).each() {
        out.extend(document("receipt", report.at(&["GraphicImage"]), report.at(&["ImageFormat", "Code"]), remarks));
    }
    let report = results.at(&["HighValueReport", "Image"]);
    out.extend(document("receipt", report.at(&["GraphicImage"]), report.at(&["ImageFormat", "Code"]), remarks));
    for paper in results.at(&["DGPaperImage"]).each() {
        out.extend(document("dg", paper, paper.at(&["ImageFormat"]), remarks));
    }
    out
}

#[cfg(test)]
mod tests {
    use wharf_sdk::{EffectCertainty, RetryClass};

    use super::*;
    use crate::inputs::{context, response, shipment_request};

    fn sent(ask: &ShipmentRequest) -> Value {
        let request = request(&context(), ask).expect("request");
        assert_eq!(request.url, "https://ups.test/api/shipments/v2205/ship?additionaladdressvalidation=city");
        let body: Value = serde_json::from_slice(&request.body.expect("body")).expect("json");
        body["ShipmentRequest"].clone()
    }

    #[test]
    fn the_reference_goes_where_ups_takes_it() {
        let expected = json!([{"Value": "ref-00042-1"}, {"Value": "S00042"}]);
        let home = sent(&shipment_request("US"));
        assert_eq!(home["Shipment"]["Package"][0]["ReferenceNumber"], expected);
        assert!(home["Shipment"].get("ReferenceNumber").is_none(), "UPS refuses it with 120541");
        assert_eq!(home["Request"]["TransactionReference"]["CustomerContext"], "ref-00042-1");
        let abroad = sent(&shipment_request("DE"));
        assert_eq!(abroad["Shipment"]["ReferenceNumber"], expected);
        assert!(abroad["Shipment"]["Package"][0].get("ReferenceNumber").is_none());
        assert_eq!(abroad["LabelSpecification"]["LabelStockSize"], json!({"Width": "4", "Height": "6"}));
    }

    #[test]
    fn what_ups_cannot_print_is_refused_before_anything_is_bought() {
        let mut ask = shipment_request("US");
        ask.label.format = "pdf".to_owned();
        assert_eq!(request(&context(), &ask).expect_err("fault").kind, "unsupported");
        ask.label = LabelSpec { format: "zpl".to_owned(), width_mm: 210, height_mm: 297 };
        assert_eq!(request(&context(), &ask).expect_err("fault").code, "ups.label-size");
        for reference in ["", "with space", "über", &"x".repeat(36)] {
            let ask = ShipmentRequest { reference: reference.to_owned(), ..shipment_request("US") };
            assert_eq!(request(&context(), &ask).expect_err("fault").fields[0].path, "reference");
        }
    }

    #[test]
    fn a_success_without_proof_is_an_unknown_outcome() {
        let label = r#"{"ShippingLabel":{"ImageFormat":{"Code":"ZPL"},"GraphicImage":"XlhBXlha"}}"#;
        let results = |package: &str| {
            format!(
                r#"{{"ShipmentResponse":{{"ShipmentResults":{{"ShipmentIdentificationNumber":"1Z1","PackageResults":{package}}}}}}}"#
            )
        };
        for body in [
            String::new(),
            "<html>".to_owned(),
            "{}".to_owned(),
            r#"{"ShipmentResponse":{"Response":{"ResponseStatus":{"Code":"1"}}}}"#.to_owned(),
            results("[]"),
            results(label),
            results(r#"{"TrackingNumber":"1Z1"}"#),
            results(r#"{"TrackingNumber":"1Z1","ShippingLabel":{"GraphicImage":"?"}}"#),
        ] {
            let fault =
                answer(&shipment_request("US"), &response(200, &[("errorcode", "1")], &body)).expect_err("fault");
            assert_eq!(fault.kind, "outcome-unknown", "{body}");
            assert_eq!((fault.effect, fault.retry), (EffectCertainty::Maybe, RetryClass::Reconcile));
        }
    }

    #[test]
    fn customs_papers_stand_beside_the_label() {
        let body = r#"{"ShipmentResponse":{"ShipmentResults":{"ShipmentIdentificationNumber":"1Z1",
            "Form":{"Code":"01","Image":{"ImageFormat":{"Code":"PDF"},"GraphicImage":"JVBERi0x"}},
            "DGPaperImage":["JVBERi0x"],
            "PackageResults":{"TrackingNumber":"1Z1","USPSPICNumber":"926",
                "ShippingLabel":{"ImageFormat":{"Code":"GIF"},"GraphicImage":"XlhBXlha"}}}}}"#;
        let shipment = answer(&shipment_request("DE"), &response(200, &[], body)).expect("shipment");
        let kinds: Vec<String> = shipment.documents.iter().map(|d| format!("{} {}", d.kind, d.format)).collect();
        assert_eq!(kinds, ["customs pdf", "dg pdf"]);
        assert_eq!(shipment.parcels[0].documents[0].format, "zpl");
        let codes: Vec<&str> = shipment.messages.iter().map(|m| m.code.as_str()).collect();
        assert_eq!(codes, ["ups.format-differs"]);
        assert_eq!(shipment.extensions, [("ups.usps-pic[0]".to_owned(), "926".to_owned())]);
    }
}
