//! One parcel's events and the state they fold into. Tracking answers and alerts both end here, so that the same event
//! seen by both has the same key.

use wharf_sdk::tracking::{Tracker, TrackingEvent};

use crate::moment::Stamp;
use crate::phases::{self, Meaning, meaning};
use crate::wire::Node;

/// A status as UPS writes it.
pub(crate) struct Status {
    kind: Option<String>,
    code: Option<String>,
    status_code: Option<String>,
    text: String,
}

impl Status {
    /// `key` is where the three-digit code is: `statusCode` in tracking, `descriptionCode` in alerts.
    pub(crate) fn read(node: Node<'_>, key: &str) -> Self {
        Self {
            kind: node.at(&["type"]).text(),
            code: node.at(&["code"]).text(),
            status_code: node.at(&[key]).code(),
            text: node.at(&["description"]).text().unwrap_or_default(),
        }
    }

    pub(crate) fn meaning(&self) -> Meaning {
        meaning(self.status_code.as_deref(), self.kind.as_deref(), self.code.as_deref())
    }

    pub(crate) fn is_there(&self) -> bool {
        self.kind.is_some() || self.code.is_some() || self.status_code.is_some()
    }

    /// `I/OT/021`; none when there is no status.
    pub(crate) fn name(&self) -> Option<String> {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        self.is_there().then(|| format!("{}/{}/{}", part(&self.kind), part(&self.code), part(&self.status_code)))
    }
}

/// The events of one parcel, collected in any order.
pub(crate) struct History {
    number: String,
    events: Vec<(i64, TrackingEvent)>,
    notes: Vec<(String, String)>,
}

impl History {
    pub(crate) fn new(number: String) -> Self {
        Self { number, events: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, status: &Status, stamp: &Stamp<'_>, location: Option<String>) {
        let Some(moment) = stamp.moment() else {
            self.note("undated-event", status.name());
            return;
        };
        let meaning = status.meaning();
        if !meaning.known {
            self.note("unmapped-status", status.name());
        }
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        // The local clock and the two-part code are in tracking and in alerts alike.
        let local = moment.value.value.get(..19).unwrap_or(&moment.value.value);
        let code = status.code.as_ref().or(status.status_code.as_ref());
        let key = format!("{}|{local}|{}|{}", self.number, part(&status.kind), part(&code.cloned()));
        let event = TrackingEvent {
            phase: meaning.phase.to_owned(),
            reason: meaning.reason.map(str::to_owned),
            carrier_code: [&status.status_code, &status.code, &status.kind]
                .into_iter()
                .flatten()
                .next()
                .cloned()
                .unwrap_or_default(),
            carrier_text: status.text.clone(),
            occurred_at: moment.value,
            location,
            signed_by: None,
            dedupe_key: key,
        };
        if !self.events.iter().any(|(_, known)| known.dedupe_key == event.dedupe_key) {
            self.events.push((moment.order, event));
        }
    }

    fn note(&mut self, key: &str, value: Option<String>) {
        let note = (format!("ups.{key}"), value.unwrap_or_default());
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The tracker. `current` stands in when there is no event that says where the parcel is.
    pub(crate) fn fold(mut self, current: &Status) -> Tracker {
        let order = |(at, event): &(i64, TrackingEvent)| (*at, phases::rank(&event.phase), event.dedupe_key.clone());
        self.events.sort_by_key(order);
        let mut state: Option<&TrackingEvent> = None;
        for (_, event) in self.events.iter().filter(|(_, event)| event.phase != "info") {
            if state.is_none_or(|now| phases::may_follow(&now.phase, &event.phase)) {
                state = Some(event);
            }
        }
        let now = current.meaning();
        let (phase, reason) = match state {
            Some(event) => (event.phase.clone(), event.reason.clone()),
            // An update of the delivery date says nothing about the place.
            None if current.is_there() && now.phase != "info" => (now.phase.to_owned(), now.reason.map(str::to_owned)),
            None => ("unknown".to_owned(), None),
        };
        Tracker {
            delivered_at: state.filter(|e| e.phase == "delivered").map(|e| e.occurred_at.clone()),
            terminal: phases::terminal(&phase),
            phase,
            reason,
            tracking_number: self.number,
            service: None,
            estimated_delivery: None,
            signed_by: None,
            references: Vec::new(),
            events: self.events.into_iter().map(|(_, event)| event).collect(),
            extensions: self.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// (date, time, type, three-digit code)
    type Scan = (&'static str, &'static str, &'static str, &'static str);

    const JOURNEY: [Scan; 6] = [
        ("20240420", "080000", "M", "003"),
        ("20240420", "190000", "P", "038"),
        ("20240421", "010000", "I", "005"),
        ("20240422", "091500", "I", "021"),
        ("20240422", "120000", "U", ""),
        ("20240422", "120000", "D", "011"),
    ];

    fn status(kind: &str, code: &str) -> Status {
        let value: Value = json!({"type": kind, "statusCode": code});
        Status::read(Node::of(&value), "statusCode")
    }

    fn fold(scans: &[Scan]) -> Tracker {
        let mut history = History::new("1Z".to_owned());
        for (date, time, kind, code) in scans {
            let stamp = Stamp { date: Some(date), time: Some(time), ..Stamp::default() };
            history.add(&status(kind, code), &stamp, None);
        }
        history.fold(&status("", ""))
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let expected = fold(&JOURNEY);
        assert_eq!((expected.phase.as_str(), expected.events.len()), ("delivered", 6));
        assert_eq!(expected.delivered_at.as_ref().map(|d| d.value.as_str()), Some("2024-04-22T12:00:00"));
        for turn in 0..JOURNEY.len() {
            let mut scans = JOURNEY;
            scans.rotate_left(turn);
            assert_eq!(fold(&scans), expected, "turned by {turn}");
            scans.reverse();
            assert_eq!(fold(&scans), expected, "reversed, turned by {turn}");
        }
    }

    #[test]
    fn the_same_event_twice_counts_once() {
        let twice = [JOURNEY, JOURNEY].concat();
        assert_eq!(fold(&twice), fold(&JOURNEY));
    }

    #[test]
    fn a_late_scan_does_not_reopen_a_delivery_and_a_correction_does() {
        let after = |kind, code| {
            let mut scans = JOURNEY.to_vec();
            scans.push(("20240423", "100000", kind, code));
            let tracker = fold(&scans);
            (tracker.phase, tracker.terminal)
        };
        assert_eq!(after("I", "005"), ("delivered".to_owned(), true));
        assert_eq!(after("X", "013"), ("exception".to_owned(), false));
        assert_eq!(after("RS", "035"), ("returning".to_owned(), false));
        let moved = fold(&[("20240420", "080000", "MV", "007"), ("20240421", "080000", "I", "005")]);
        assert_eq!(moved.phase, "in-transit", "a voided label that moves anyway");
    }

    #[test]
    fn unknown_and_undated_events_are_kept_in_sight() {
        let tracker = fold(&[("20240420", "080000", "ZZ", "998"), ("someday", "", "I", "005")]);
        assert_eq!((tracker.phase.as_str(), tracker.reason.as_deref()), ("in-transit", Some("other")));
        let notes = [("ups.unmapped-status", "ZZ//998"), ("ups.undated-event", "I//005")];
        assert_eq!(tracker.extensions, notes.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let info = fold(&[("20240422", "120000", "U", "")]);
        assert_eq!((info.phase.as_str(), info.events.len()), ("unknown", 1), "an update says nothing about the place");
    }
}
