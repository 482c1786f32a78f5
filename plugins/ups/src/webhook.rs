//! Track Alert: what UPS posts for each event (`UPSTrackAlert.yaml`, webhook `TrackingEvent`). There is no signature;
//! the host has compared the credential header before it calls. An alert is one event, not the history: the tracker it
//! gives holds that event alone.

use serde_json::Value;
use wharf_sdk::Fault;
use wharf_sdk::webhook::Event;

use crate::history::{History, Status};
use crate::moment::{self, Stamp};
use crate::tracking::place;
use crate::wire::Node;

/// The events in `body`; none for JSON that is no tracking event, such as a test ping.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<Event>, Fault> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|e| Fault::data_out_of_contract("ups.alert-json", format!("the alert is not JSON: {e}")))?;
    // One object by the specification; a list costs nothing to accept.
    Ok(Node::of(&value).each().filter_map(event).collect())
}

fn event(alert: Node<'_>) -> Option<Event> {
    let text = |key: &str| alert.at(&[key]).text();
    let number = text("trackingNumber")?;
    let status = Status::read(alert.at(&["activityStatus"]), "descriptionCode");
    if !status.is_there() {
        return None;
    }
    let (date, time) = (text("localActivityDate"), text("localActivityTime"));
    let (gmt_date, gmt_time, offset) = (text("gmtActivityDate"), text("gmtActivityTime"), text("gmtOffset"));
    let mut history = History::new(number);
    history.add(
        &status,
        &Stamp {
            date: date.as_deref(),
            time: time.as_deref(),
            gmt_date: gmt_date.as_deref(),
            gmt_time: gmt_time.as_deref(),
            offset: offset.as_deref(),
        },
        place(alert.at(&["activityLocation"])),
    );
    let mut tracker = history.fold(&status);
    if tracker.phase == "delivered" {
        let at = text("actualDeliveryDate").and_then(|d| moment::local(&d, text("actualDeliveryTime").as_deref()));
        tracker.delivered_at = at.map(|m| m.value).or(tracker.delivered_at);
        tracker.signed_by = text("receivedBy");
        if let Some(event) = tracker.events.last_mut() {
            event.signed_by.clone_from(&tracker.signed_by);
        }
    } else {
        let by = text("scheduledDeliveryDate").and_then(|d| moment::local(&d, text("deliveryEndTime").as_deref()));
        tracker.estimated_delivery = by.map(|m| m.value);
    }
    let other = text("alternateTrackingNumber").map(|n| ("ups.alternate-tracking-number".to_owned(), n));
    tracker.extensions.extend(other);
    // UPS gives its alerts no id of their own; the event inside has a key.
    Some(Event { id: None, kind: "tracking".to_owned(), trackers: vec![tracker], extensions: Vec::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery() -> Value {
        json!({
            "trackingNumber": "1Z204W4R0308071865",
            "localActivityDate": "20240423", "localActivityTime": "095004",
            "gmtActivityDate": "20240423", "gmtActivityTime": "135004",
            "activityLocation": {"city": "CHARLOTTE", "stateProvince": "NC", "country": "US"},
            "activityStatus": {"type": "D", "code": "FS", "description": "Delivered", "descriptionCode": "011"},
            "scheduledDeliveryDate": "20191014",
            "actualDeliveryDate": "20240423", "actualDeliveryTime": "095004", "receivedBy": "John"
        })
    }

    fn tracker(alert: &Value) -> wharf_sdk::tracking::Tracker {
        let mut events = parse(alert.to_string().as_bytes()).expect("events");
        assert_eq!((events.len(), events[0].kind.as_str()), (1, "tracking"));
        events.remove(0).trackers.remove(0)
    }

    #[test]
    fn the_delivery_of_the_specification() {
        let tracker = tracker(&delivery());
        assert_eq!((tracker.phase.as_str(), tracker.signed_by.as_deref()), ("delivered", Some("John")));
        assert_eq!(tracker.delivered_at.map(|d| d.value).as_deref(), Some("2024-04-23T09:50:04"));
        let event = &tracker.events[0];
        assert_eq!(event.occurred_at.value, "2024-04-23T09:50:04-04:00");
        assert_eq!(event.location.as_deref(), Some("CHARLOTTE, NC, US"));
        assert_eq!(event.dedupe_key, "1Z204W4R0308071865|2024-04-23T09:50:04|D|FS");
        assert_eq!(tracker.estimated_delivery, None);
    }

    #[test]
    fn a_code_that_lost_its_zero_as_a_number_is_read_as_it_was_meant() {
        let mut alert = delivery();
        alert["activityStatus"] = json!({"type": "I", "code": "XX", "descriptionCode": 21});
        let tracker = tracker(&alert);
        assert_eq!((tracker.phase.as_str(), tracker.events[0].carrier_code.as_str()), ("out-for-delivery", "021"));
        assert_eq!(tracker.estimated_delivery.map(|d| d.value).as_deref(), Some("2019-10-14"));
    }

    #[test]
    fn an_update_of_the_date_does_not_say_where_the_parcel_is() {
        let mut alert = delivery();
        alert["activityStatus"] = json!({"type": "U", "code": "AA", "description": "Updated"});
        let tracker = tracker(&alert);
        assert_eq!((tracker.phase.as_str(), tracker.events[0].phase.as_str()), ("unknown", "info"));
        assert_eq!(tracker.events[0].reason.as_deref(), Some("rescheduled"));
    }

    /// An alert is not signed: anybody who knows the address may send one.
    #[test]
    fn p14_track_alert() {
        let mut update = delivery();
        update["activityStatus"] = json!({"type": "U", "code": "AA", "description": "Updated"});
        let seeds = [delivery(), update, json!([delivery(), {"trackingNumber": 7}]), json!({"message": "ping"})];
        let words =
            ["\"20240230\"", "\"995960\"", "\"-14:60\"", "\"gmtOffset\":", "\"D\"", "null", "{}", "[]", "\u{1b}[2K"];
        let target = wharf_fuzz::Target::new("track_alert").seeds(seeds.map(|seed| seed.to_string())).words(words);
        target.run(|body| match parse(body) {
            Ok(events) => {
                for tracker in events.iter().flat_map(|event| &event.trackers) {
                    assert!(!tracker.tracking_number.is_empty() && tracker.events.len() <= 1, "{tracker:?}");
                }
                events.iter().flat_map(|event| &event.trackers).map(|tracker| tracker.phase.clone()).collect()
            }
            Err(fault) => vec![fault.code],
        });
    }

    #[test]
    fn what_is_no_event_means_nothing_and_what_is_no_json_is_a_fault() {
        for body in ["{}", "[]", "null", r#"{"message":"ping"}"#, r#"{"trackingNumber":"1Z","activityStatus":{}}"#] {
            assert_eq!(parse(body.as_bytes()), Ok(vec![]), "{body}");
        }
        for body in ["", "trackingNumber=1Z", "{\"trackingNumber\":"] {
            assert_eq!(parse(body.as_bytes()).expect_err("fault").kind, "data-out-of-contract", "{body}");
        }
    }
}
