//! Where parcels are: `GET /api/track/v1/details/{number}` (`Tracking.yaml`), one request per number.
//!
//! UPS says that activities come newest first; recordings show that they do not always. So the state is folded over all
//! of them by the moment they happened.

use wharf_sdk::http::{Request, Response};
use wharf_sdk::tracking::{TrackResult, Tracker};
use wharf_sdk::{CallContext, Datetime, Fault, RetryClass};

use crate::errors::{Call, refusal, unreadable};
use crate::history::{History, Status};
use crate::moment::{self, Stamp};
use crate::parts;
use crate::void::number_fits;
use crate::wire::{Node, body};

pub(crate) fn request(context: &CallContext, number: &str) -> Result<Request, Fault> {
    if number.len() < 7 || !number_fits(number) {
        let message = "a UPS number has 7 to 34 letters and digits";
        return Err(Fault::invalid_input("ups.number", message).with_field("number", "format", message));
    }
    let url = context.url(&format!("/api/track/v1/details/{number}"));
    Ok(parts::headers(Request::get(url), context, &format!("track:{number}")))
}

/// One request per number, and the host allows no more requests in one call.
const MAX_NUMBERS: usize = 50;

/// Asks for each number in turn. A fault that would meet every number stops the asking: it is the whole answer when
/// nothing was found before, else the answer of each number left.
pub(crate) fn track_all(
    numbers: Vec<String>,
    ask: impl Fn(&str) -> Result<Vec<Tracker>, Fault>,
) -> Result<Vec<TrackResult>, Fault> {
    if numbers.len() > MAX_NUMBERS {
        let message = format!("ask for at most {MAX_NUMBERS} numbers at once, not {}", numbers.len());
        return Err(Fault::invalid_input("ups.numbers", message.clone()).with_field("numbers", "count", &message));
    }
    let mut results: Vec<TrackResult> = Vec::with_capacity(numbers.len());
    let mut stopped: Option<Fault> = None;
    for number in numbers {
        let outcome = match &stopped {
            Some(fault) => Err(fault.clone()),
            None => ask(&number),
        };
        if let Err(fault) = &outcome
            && stopped.is_none()
            && matches!(fault.kind.as_str(), "unauthorized" | "forbidden" | "rate-limited" | "outage")
        {
            if results.iter().all(|r| r.outcome.is_err()) {
                return Err(fault.clone());
            }
            stopped = Some(fault.clone());
        }
        results.push(TrackResult { number, outcome });
    }
    Ok(results)
}

/// All parcels UPS names for the number.
pub(crate) fn answer(number: &str, response: &Response) -> Result<Vec<Tracker>, Fault> {
    if !response.is_success() {
        let fault = refusal(Call::Read, response);
        // A label is known to tracking only some time after it was bought.
        return Err(if fault.kind == "not-found" { fault.with_retry(RetryClass::Later) } else { fault });
    }
    let value = body(response);
    let root = value.as_ref().map(|v| Node::of(v).at(&["trackResponse", "shipment"])).filter(|s| s.is_there());
    let Some(root) = root else {
        return Err(unreadable(Call::Read, response, "ups.no-tracking", "UPS answered without a shipment"));
    };
    let shipments: Vec<Node<'_>> = root.each().collect();
    let trackers: Vec<Tracker> = shipments
        .iter()
        .flat_map(|shipment| {
            let inquiry = shipment.at(&["inquiryNumber"]).text().unwrap_or_else(|| number.to_owned());
            shipment.at(&["package"]).each().map(move |package| tracker(package, &inquiry))
        })
        .collect();
    if !trackers.is_empty() {
        return Ok(trackers);
    }
    let warning = shipments.iter().flat_map(|s| s.at(&["warnings"]).each()).next();
    let text = |key| warning.and_then(|w| w.at(&[key]).text());
    let code = text("code").map_or_else(|| "ups.not-found".to_owned(), |code| format!("ups.{code}"));
    let message =
        text("message").map_or_else(|| "UPS holds nothing under the number".to_owned(), |m| format!("UPS says: {m}"));
    Err(Fault::not_found(code, message).with_retry(RetryClass::Later))
}

fn tracker(package: Node<'_>, inquiry: &str) -> Tracker {
    let number = package.at(&["trackingNumber"]).text().unwrap_or_else(|| inquiry.to_owned());
    let signed_by = package.at(&["deliveryInformation", "receivedBy"]).text();
    let mut history = History::new(number);
    for activity in package.at(&["activity"]).each() {
        let text = |path: &[&str]| activity.at(path).text();
        let (date, time) = (text(&["date"]), text(&["time"]));
        let (gmt_date, gmt_time, offset) = (text(&["gmtDate"]), text(&["gmtTime"]), text(&["gmtOffset"]));
        history.add(
            &Status::read(activity.at(&["status"]), "statusCode"),
            &Stamp {
                date: date.as_deref(),
                time: time.as_deref(),
                gmt_date: gmt_date.as_deref(),
                gmt_time: gmt_time.as_deref(),
                offset: offset.as_deref(),
            },
            place(activity.at(&["location", "address"])),
        );
    }
    let current = Status::read(package.at(&["currentStatus"]), "statusCode");
    let mut tracker = history.fold(&current);
    tracker.service =
        package.at(&["service", "description"]).text().or_else(|| package.at(&["service", "code"]).text());
    let delivered = tracker.phase == "delivered";
    let promised = delivery(package, &["RDD", "SDD"], &["EDW", "CDW", "IDW", "CMT"]);
    tracker.estimated_delivery = promised.filter(|_| !delivered);
    if delivered {
        tracker.delivered_at = delivery(package, &["DEL"], &["DEL"]).or_else(|| tracker.delivered_at.take());
        tracker.signed_by = signed_by;
        if let Some(event) = tracker.events.iter_mut().rev().find(|e| e.phase == "delivered") {
            event.signed_by.clone_from(&tracker.signed_by);
        }
    }
    tracker.references = package
        .at(&["referenceNumber"])
        .each()
        .filter_map(|r| Some((r.at(&["type"]).text()?.to_ascii_lowercase(), r.at(&["number"]).text()?)))
        .collect();
    let mut extend = |key: &str, value: Option<String>| {
        tracker.extensions.extend(value.map(|value| (format!("ups.{key}"), value)));
    };
    extend("current-status", current.name());
    extend("delivery-location", package.at(&["deliveryInformation", "location"]).text());
    extend("package-count", package.at(&["packageCount"]).text().filter(|count| count != "1"));
    for other in package.at(&["alternateTrackingNumber"]).each() {
        extend("alternate-tracking-number", other.at(&["number"]).text());
    }
    tracker
}

/// The date of the first type in `dates` that is there, with the time when its type is among `times`.
fn delivery(package: Node<'_>, dates: &[&str], times: &[&str]) -> Option<Datetime> {
    let of = |kind: &str| {
        package
            .at(&["deliveryDate"])
            .each()
            .find(|d| d.at(&["type"]).text().as_deref() == Some(kind))?
            .at(&["date"])
            .text()
    };
    let date = dates.iter().find_map(|kind| of(kind))?;
    let time = package.at(&["deliveryTime"]);
    let fits = time.at(&["type"]).text().is_some_and(|kind| times.contains(&kind.as_str()));
    let end = time.at(&["endTime"]).text().filter(|_| fits);
    moment::local(&date, end.as_deref()).map(|m| m.value)
}

/// `Memphis, TN, US`.
pub(crate) fn place(address: Node<'_>) -> Option<String> {
    let country = ["countryCode", "country"].iter().find_map(|key| address.at(&[key]).text());
    let parts = [address.at(&["city"]).text(), address.at(&["stateProvince"]).text(), country];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{context, response};

    const DELIVERED: &str = r#"{"trackResponse":{"shipment":[{"inquiryNumber":"1Z12345678","package":[
        {"trackingNumber":"1ZA","packageCount":2,"deliveryInformation":{"receivedBy":"DELUISE","location":"Front Door"},
         "deliveryDate":[{"type":"SDD","date":"20240422"},{"type":"DEL","date":"20240423"}],
         "deliveryTime":{"type":"DEL","endTime":"095004"},"currentStatus":{"type":"D","code":"FS","statusCode":"011"},
         "referenceNumber":[{"type":"SHIPMENT","number":"R1"},{"type":"PACKAGE"}],
         "activity":[{"date":"20240423","time":"095004","status":{"type":"D","code":"FS","statusCode":"011"}}]},
        {"currentStatus":{"type":"M","statusCode":"003"},
         "deliveryDate":[{"type":"SDD","date":"20240424"},{"type":"RDD","date":"20240425"}],
         "deliveryTime":{"type":"EDW","startTime":"150000","endTime":"170000"}}]}]}}"#;

    #[test]
    fn every_parcel_of_a_number_has_its_own_tracker() {
        let trackers = answer("1Z12345678", &response(200, &[], DELIVERED)).expect("trackers");
        let [first, second] = trackers.as_slice() else { panic!("{} trackers", trackers.len()) };
        let value = |d: &Option<Datetime>| d.as_ref().map(|d| d.value.clone());
        assert_eq!((first.phase.as_str(), first.terminal), ("delivered", true));
        assert_eq!(value(&first.delivered_at).as_deref(), Some("2024-04-23T09:50:04"));
        assert_eq!((first.signed_by.as_deref(), value(&first.estimated_delivery)), (Some("DELUISE"), None));
        assert_eq!(first.references, [("shipment".to_owned(), "R1".to_owned())]);
        let extensions: Vec<&str> = first.extensions.iter().map(|(k, _)| k.as_str()).collect();
        assert_eq!(extensions, ["ups.current-status", "ups.delivery-location", "ups.package-count"]);
        assert_eq!((second.tracking_number.as_str(), second.phase.as_str()), ("1Z12345678", "announced"));
        assert_eq!(value(&second.estimated_delivery).as_deref(), Some("2024-04-25T17:00:00"), "rescheduled wins");
    }

    #[test]
    fn a_number_ups_does_not_know_yet_may_be_asked_again() {
        let warning = r#"{"trackResponse":{"shipment":[{"inquiryNumber":"1Z","warnings":[{"code":"TW0001","message":"Tracking Information Not Found"}]}]}}"#;
        for (status, body) in [(200, warning), (404, r#"{"response":{"errors":[{"code":"TW0001","message":"x"}]}}"#)] {
            let fault = answer("1Z", &response(status, &[], body)).expect_err("fault");
            assert_eq!(
                (fault.kind.as_str(), fault.code.as_str(), fault.retry),
                ("not-found", "ups.TW0001", RetryClass::Later)
            );
        }
        assert_eq!(answer("1Z", &response(200, &[], "")).expect_err("fault").kind, "data-out-of-contract");
        for number in ["short", "has space 1", "1Z/../12345"] {
            assert_eq!(request(&context(), number).expect_err("fault").kind, "invalid-input");
        }
    }

    #[test]
    fn a_fault_of_one_number_is_its_own_and_a_fault_of_all_stops_the_asking() {
        let ask = |kind: &'static str| {
            move |number: &str| match number {
                "bad" => Err(Fault::new(kind, "ups.x", "text")),
                "never" => panic!("asked after the stop"),
                _ => Ok(vec![]),
            }
        };
        let numbers = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let results = track_all(numbers(&["a", "bad", "b"]), ask("not-found")).expect("results");
        assert_eq!(results.iter().map(|r| r.outcome.is_ok()).collect::<Vec<_>>(), [true, false, true]);
        let results = track_all(numbers(&["a", "bad", "never"]), ask("rate-limited")).expect("results");
        assert_eq!(results.iter().map(|r| r.outcome.is_ok()).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(track_all(numbers(&["bad", "never"]), ask("unauthorized")).expect_err("fault").kind, "unauthorized");
        assert_eq!(track_all(vec!["a".to_owned(); 51], ask("x")).expect_err("fault").fields[0].path, "numbers");
    }
}
