//! Prices: `POST /api/rating/{version}/Shop` for all or several services, `/Rate` for exactly one (`Rating.yaml`).

use serde_json::{Map, Value, json};
use wharf_sdk::decimal::Decimal;
use wharf_sdk::http::{Request, Response};
use wharf_sdk::rates::{Charge, RateAnswer, RateOffer, RateRequest};
use wharf_sdk::{CallContext, Datetime, Fault, Message, Money};

use crate::errors::{Call, refusal, unreadable};
use crate::moment;
use crate::parts;
use crate::services;
use crate::units::System;
use crate::wire::{Node, body, messages};
use crate::wishes::{Wishes, compact_date};

pub(crate) fn request(context: &CallContext, request: &RateRequest) -> Result<Request, Fault> {
    let version = parts::version(context, "rating_version", "v2205")?;
    let account = context.required("account_number")?;
    let wishes = Wishes::read(&request.options, &["signature", "saturday-delivery", "pickup-type"])?;
    let per_parcel = parts::per_parcel(&request.ship_from, &request.ship_to);
    let system = System::of_country(&request.ship_from.country);

    let mut shipper = parts::party(&request.ship_from, "ship_from")?;
    shipper.insert("ShipperNumber".to_owned(), json!(account));
    let packages = parts::packages(&request.parcels, system, "PackagingType", &wishes, per_parcel)?;
    let mut shipment = Map::from_iter([
        ("Shipper".to_owned(), Value::Object(shipper)),
        ("ShipTo".to_owned(), Value::Object(parts::party(&request.ship_to, "ship_to")?)),
        ("ShipFrom".to_owned(), Value::Object(parts::party(&request.ship_from, "ship_from")?)),
        (
            "PaymentDetails".to_owned(),
            json!({"ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]}),
        ),
        ("ShipmentRatingOptions".to_owned(), json!({"NegotiatedRatesIndicator": "Y"})),
        ("Package".to_owned(), json!(packages)),
    ]);
    if let Some(options) = wishes.shipment_options(per_parcel) {
        shipment.insert("ShipmentServiceOptions".to_owned(), options);
    }
    let option = match request.services.as_slice() {
        [service] => {
            shipment.insert("Service".to_owned(), json!({"Code": service, "Description": services::name(service)}));
            "Rate"
        }
        _ => "Shop",
    };
    let mut url = context.url(&format!("/api/rating/{version}/{option}"));
    if let Some(date) = &request.ship_date {
        let date = compact_date(date).ok_or_else(|| {
            Fault::invalid_input("ups.ship-date", format!("`{date}` is not a date like 2024-02-09")).with_field(
                "ship_date",
                "format",
                "write YYYY-MM-DD",
            )
        })?;
        // 03 = non-document. Without a date UPS gives no days for ground services.
        shipment
            .insert("DeliveryTimeInformation".to_owned(), json!({"PackageBillType": "03", "Pickup": {"Date": date}}));
        url.push_str("?additionalinfo=timeintransit");
    }
    let mut head = json!({"RequestOption": option, "TransactionReference": {"CustomerContext": context.connection}});
    if let Some(sub_version) = parts::sub_version(version) {
        head["SubVersion"] = json!(sub_version);
    }
    let pickup = wishes.pickup_type.as_deref().unwrap_or("01");
    let body = json!({"RateRequest": {"Request": head, "PickupType": {"Code": pickup}, "Shipment": shipment}});
    Ok(parts::headers(Request::post_json(url, &body)?, context, "rate"))
}

pub(crate) fn answer(request: &RateRequest, response: &Response) -> Result<RateAnswer, Fault> {
    if !response.is_success() {
        return Err(refusal(Call::Read, response));
    }
    let value = body(response);
    let rated = value.as_ref().map(|v| Node::of(v).at(&["RateResponse"])).filter(|r| r.is_there());
    let Some(rated) = rated else {
        return Err(unreadable(Call::Read, response, "ups.no-rates", "UPS answered without a rate response"));
    };
    let shipments = || rated.at(&["RatedShipment"]).each();
    let mut remarks = messages(
        [rated.at(&["Response", "Alert"])].into_iter().chain(shipments().map(|s| s.at(&["RatedShipmentAlert"]))),
    );
    let mut rates = Vec::new();
    for shipment in shipments() {
        let service = shipment.at(&["Service", "Code"]).text().unwrap_or_default();
        if !request.services.is_empty() && !request.services.contains(&service) {
            continue;
        }
        match offer(shipment, service.clone()) {
            Some(offer) => rates.push(offer),
            // One unreadable price must not hide the others.
            None => {
                remarks.push(remark("ups.rate-unreadable", format!("the price of service `{service}` cannot be read")))
            }
        }
    }
    for service in request.services.iter().filter(|s| !rates.iter().any(|r| r.service == **s)) {
        remarks.push(remark("ups.not-offered", format!("service `{service}` is not offered for this shipment")));
    }
    Ok(RateAnswer { rates, messages: remarks })
}

fn remark(code: &str, text: String) -> Message {
    Message { code: code.to_owned(), text }
}

fn offer(shipment: Node<'_>, service: String) -> Option<RateOffer> {
    let list = shipment.at(&["TotalCharges"]).money();
    let negotiated = shipment.at(&["NegotiatedRateCharges", "TotalCharge"]).money();
    let guaranteed = shipment.at(&["GuaranteedDelivery"]);
    let arrival = shipment.at(&["TimeInTransit", "ServiceSummary", "EstimatedArrival"]);
    let days = [guaranteed, arrival].iter().find_map(|n| n.at(&["BusinessDaysInTransit"]).text());
    let by = guaranteed.at(&["DeliveryByTime"]).text();
    let total = negotiated.clone().or_else(|| list.clone())?;
    let list_total = list.filter(|_| negotiated.is_some());
    Some(RateOffer {
        service_name: shipment.at(&["Service", "Description"]).text().unwrap_or_else(|| services::name(&service)),
        service,
        charges: charges(shipment, "RatedPackage", &total, list_total.is_some()),
        total,
        list_total,
        transit_days: days.and_then(|days| days.parse().ok()),
        deliver_by: deliver_by(arrival, guaranteed),
        billed_weight_g: shipment.at(&["BillingWeight"]).grams(),
        extensions: by.map(|by| ("ups.delivery-by-time".to_owned(), by)).into_iter().collect(),
    })
}

fn deliver_by(arrival: Node<'_>, guaranteed: Node<'_>) -> Option<Datetime> {
    let estimated = arrival.at(&["Arrival"]);
    let scheduled = guaranteed.at(&["ScheduledDeliveryDate"]).text();
    let (date, time) = match estimated.at(&["Date"]).text() {
        Some(date) => (date, estimated.at(&["Time"]).text()),
        None => (scheduled?, None),
    };
    moment::local(&date, time.as_deref()).map(|m| m.value)
}

/// The lines of a price, each code once: summed over the parcels, because a line has no place for the parcel. A
/// negotiated total has lines of its own or, often, only the list lines. UPS leaves things out (an Express Plus
/// surcharge was seen in a total and in no line), so what is missing follows as a line of its own: the lines add up.
pub(crate) fn charges(shipment: Node<'_>, packages_key: &str, total: &Money, negotiated: bool) -> Vec<Charge> {
    let packages = || shipment.at(&[packages_key]).each();
    let agreed = [shipment.at(&["NegotiatedRateCharges"])].into_iter();
    let agreed: Vec<Node<'_>> = agreed.chain(packages().map(|p| p.at(&["NegotiatedCharges"]))).collect();
    // Rating has the shipment's own lines beside the total, shipping inside `ShipmentCharges`.
    let own = [shipment, shipment.at(&["ShipmentCharges"])].into_iter();
    let list: Vec<Node<'_>> = own.chain(packages()).collect();
    let mut out = if negotiated { lines(&agreed) } else { Vec::new() };
    if out.is_empty() {
        out = lines(&list);
    }
    if let Some(rest) = rest(total, &out) {
        let category = if rest.is_negative() { "discount" } else { "other" };
        let amount = Money { amount: rest.to_string(), currency: total.currency.clone() };
        out.push(Charge { category: category.to_owned(), code: "not-itemized".to_owned(), amount });
    }
    out
}

/// What is left of the total after its lines; none when nothing is, or when there are no lines or other currencies.
fn rest(total: &Money, lines: &[Charge]) -> Option<Decimal> {
    let start = Decimal::parse(&total.amount).filter(|_| !lines.is_empty())?;
    let rest = lines.iter().try_fold(start, |rest, line| {
        let amount = Decimal::parse(&line.amount.amount).filter(|_| line.amount.currency == total.currency)?;
        rest.minus(amount)
    })?;
    (!rest.is_zero()).then_some(rest)
}

fn lines(places: &[Node<'_>]) -> Vec<Charge> {
    let mut out: Vec<Charge> = Vec::new();
    for place in places {
        let base =
            place.at(&["BaseServiceCharge"]).each().filter_map(|b| Some(("BaseServiceCharge".to_owned(), b.money()?)));
        let items = place.at(&["ItemizedCharges"]).each().filter_map(|i| Some((i.at(&["Code"]).text()?, i.money()?)));
        for (code, amount) in base.chain(items) {
            add(&mut out, code, amount);
        }
    }
    out
}

fn add(lines: &mut Vec<Charge>, code: String, amount: Money) {
    let Some(value) = Decimal::parse(&amount.amount).filter(|value| !value.is_zero()) else {
        return;
    };
    let same = lines.iter_mut().find(|line| line.code == code && line.amount.currency == amount.currency);
    let Some(line) = same else {
        lines.push(Charge { category: category(&code).to_owned(), code, amount });
        return;
    };
    if let Some(sum) = Decimal::parse(&line.amount.amount).and_then(|before| before.plus(value)) {
        line.amount.amount = sum.to_string();
    }
}

/// Codes: the accessorial table of the Rating guide's appendix.
fn category(code: &str) -> &'static str {
    match code {
        "BaseServiceCharge" => "base",
        "375" => "fuel",
        "270" => "residential",
        "190" | "376" | "407" => "remote",
        "377" | "431" | "440" | "520" | "558" => "oversize",
        "100" | "401" | "432" => "handling",
        "378" | "379" => "duties",
        "400" => "insurance",
        "250" | "260" | "280" | "290" | "350" | "464" | "524" => "return",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{context, rate_request, response};

    fn ask(services: &[&str]) -> RateRequest {
        rate_request(services.iter().map(|s| (*s).to_owned()).collect())
    }

    fn sent(ask: &RateRequest) -> (String, Value) {
        let request = request(&context(), ask).expect("request");
        let body: Value = serde_json::from_slice(&request.body.expect("body")).expect("json");
        (request.url.trim_start_matches("https://ups.test").to_owned(), body["RateRequest"].clone())
    }

    #[test]
    fn one_service_is_rated_and_any_other_number_is_shopped() {
        let (url, body) = sent(&ask(&["03"]));
        assert_eq!(url, "/api/rating/v2205/Rate");
        assert_eq!(body["Shipment"]["Service"]["Code"], "03");
        assert_eq!(body["Shipment"]["Shipper"]["ShipperNumber"], "A1B2C3");
        assert_eq!(body["Shipment"]["Package"][0]["PackageWeight"]["Weight"], "5");
        assert_eq!(body["Request"]["SubVersion"], "2205");
        for services in [&[][..], &["01", "02"]] {
            let (url, body) = sent(&ask(services));
            assert_eq!(url, "/api/rating/v2205/Shop");
            assert!(body["Shipment"].get("Service").is_none());
        }
    }

    #[test]
    fn a_ship_date_asks_for_the_time_in_transit() {
        let (url, body) = sent(&RateRequest { ship_date: Some("2024-02-09".to_owned()), ..ask(&[]) });
        assert_eq!(url, "/api/rating/v2205/Shop?additionalinfo=timeintransit");
        assert_eq!(body["Shipment"]["DeliveryTimeInformation"]["Pickup"]["Date"], "20240209");
        let wrong = RateRequest { ship_date: Some("tomorrow".to_owned()), ..ask(&[]) };
        assert_eq!(request(&context(), &wrong).expect_err("fault").fields[0].path, "ship_date");
    }

    #[test]
    fn good_prices_survive_an_unreadable_one_and_a_missing_service_is_told() {
        let body = r#"{"RateResponse":{"RatedShipment":[
            {"Service":{"Code":"01"},"TotalCharges":{"CurrencyCode":"USD","MonetaryValue":null}},
            {"Service":{"Code":"02"},"TotalCharges":{"CurrencyCode":"USD","MonetaryValue":"20.00"}},
            {"Service":{"Code":"03"},"TotalCharges":{"CurrencyCode":"USD","MonetaryValue":"10.00"}}]}}"#;
        let answer = answer(&ask(&["01", "03", "12"]), &response(200, &[], body)).expect("answer");
        assert_eq!(answer.rates.iter().map(|r| r.service.as_str()).collect::<Vec<_>>(), ["03"]);
        let codes: Vec<&str> = answer.messages.iter().map(|m| m.code.as_str()).collect();
        assert_eq!(codes, ["ups.rate-unreadable", "ups.not-offered", "ups.not-offered"]);
    }

    #[test]
    fn lines_add_up_to_a_negotiated_total_without_lines_of_its_own() {
        let body = r#"{"RateResponse":{"RatedShipment":{"Service":{"Code":"03"},
            "TotalCharges":{"CurrencyCode":"USD","MonetaryValue":"15.56"},
            "NegotiatedRateCharges":{"TotalCharge":{"CurrencyCode":"USD","MonetaryValue":"14.3"}},
            "ItemizedCharges":{"Code":"375","CurrencyCode":"USD","MonetaryValue":"3.00"},
            "TimeInTransit":{"ServiceSummary":{"EstimatedArrival":{"BusinessDaysInTransit":"4",
                "Arrival":{"Date":"20240213","Time":"230000"}}}},
            "RatedPackage":{"BaseServiceCharge":{"CurrencyCode":"USD","MonetaryValue":"12.56"}}}}}"#;
        let offer = answer(&ask(&[]), &response(200, &[], body)).expect("answer").rates.remove(0);
        let lines: Vec<String> = offer.charges.iter().map(|c| format!("{} {}", c.category, c.amount.amount)).collect();
        assert_eq!(lines, ["fuel 3.00", "base 12.56", "discount -1.26"]);
        assert_eq!(offer.list_total.map(|m| m.amount).as_deref(), Some("15.56"));
        assert_eq!(offer.transit_days, Some(4));
        assert_eq!(offer.deliver_by.map(|d| d.value).as_deref(), Some("2024-02-13T23:00:00"));
    }

    #[test]
    fn an_answer_without_a_rate_response_may_be_asked_again() {
        for body in ["", "<html>", "{}", r#"{"RateResponse":""}"#] {
            assert_eq!(answer(&ask(&[]), &response(200, &[], body)).expect_err("fault").kind, "data-out-of-contract");
        }
    }
}
