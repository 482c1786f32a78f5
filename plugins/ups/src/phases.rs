//! What a UPS status means: phase and reason.
//!
//! The three-digit status code (Tracking guide, appendix "package status codes") is the finest and comes first; then
//! the status type (`UPSTrackAlert.yaml`, `activityStatus/type`, and the Tracking guide). Codes are text: `003` is not 3.
//! Of a type that covers several phases the two-letter activity codes for "out for delivery" are told apart.

/// Where a parcel is and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) phase: &'static str,
    pub(crate) reason: Option<&'static str>,
    /// False when this table does not know the status: somebody should add it.
    pub(crate) known: bool,
}

const fn known(phase: &'static str, reason: Option<&'static str>) -> Option<Meaning> {
    Some(Meaning { phase, reason, known: true })
}

/// `status_code` is the three-digit code, `kind` the type, `code` the activity code.
pub(crate) fn meaning(status_code: Option<&str>, kind: Option<&str>, code: Option<&str>) -> Meaning {
    status_code.and_then(by_status_code).or_else(|| by_kind(kind?, code)).unwrap_or(Meaning {
        phase: "in-transit",
        reason: Some("other"),
        known: false,
    })
}

fn by_status_code(code: &str) -> Option<Meaning> {
    match code {
        "000" => known("unknown", None),
        "003" | "045" => known("announced", None),
        "005" | "010" | "039" | "044" | "057" => known("in-transit", None),
        "006" | "021" => known("out-for-delivery", None),
        "007" => known("cancelled", None),
        "011" | "026" => known("delivered", None),
        "012" | "014" => known("in-transit", Some("customs")),
        "013" => known("exception", None),
        "016" => known("on-hold", None),
        "017" | "040" => known("pickup-ready", None),
        "018" | "019" | "020" => known("on-hold", Some("delivery-change")),
        "022" | "023" | "024" | "060" | "066" => known("attempt-failed", None),
        "025" => known("in-transit", Some("handed-to-post")),
        "027" | "028" => known("in-transit", Some("address-change")),
        "029" => known("exception", Some("action-required")),
        "030" => known("exception", None),
        "032" | "051" | "052" | "053" => known("delayed", Some("weather")),
        "033" | "035" | "036" | "037" => known("returning", None),
        "034" | "067" => known("returned", None),
        "038" => known("accepted", None),
        // Requests and their completion: nothing moved.
        "041" | "042" | "056" => known("info", Some("service-upgrade")),
        "043" => known("info", Some("pickup-voided")),
        "046" | "047" | "048" => known("delayed", None),
        "049" => known("delayed", Some("action-required")),
        "050" => known("on-hold", Some("address")),
        "054" | "063" => known("info", Some("delivery-change")),
        "055" => known("delayed", Some("rescheduled")),
        "058" => known("on-hold", Some("customs")),
        "059" => known("exception", Some("damaged")),
        "061" => known("attempt-failed", Some("signature-required")),
        "062" => known("attempt-failed", Some("payment-required")),
        "064" => known("exception", Some("refused")),
        "065" => known("info", Some("pickup-attempted")),
        "068" => known("exception", Some("lost")),
        "069" => known("exception", Some("unclaimed")),
        _ => None,
    }
}

fn by_kind(kind: &str, code: Option<&str>) -> Option<Meaning> {
    match (kind, code) {
        // Track Alert counts "out for delivery" among the delivery events, tracking among those in transit.
        ("D" | "I", Some("OT" | "OF")) => known("out-for-delivery", None),
        ("M", _) => known("announced", None),
        ("MV", _) => known("cancelled", None),
        ("P", _) => known("accepted", None),
        // Freight: in a warehouse, at the origin's or the destination's freight station.
        ("I" | "W" | "DO" | "DD", _) => known("in-transit", None),
        ("O", _) => known("out-for-delivery", None),
        ("D", _) => known("delivered", None),
        ("X", _) => known("exception", None),
        ("RS", _) => known("returning", None),
        ("NA", _) => known("unknown", None),
        // A new date or time for the delivery.
        ("U", _) => known("info", Some("rescheduled")),
        _ => None,
    }
}

/// Decides between two events of the same moment: the one further along the way wins.
pub(crate) fn rank(phase: &str) -> u8 {
    match phase {
        "info" | "unknown" => 0,
        "announced" => 1,
        "accepted" => 2,
        "in-transit" => 3,
        "delayed" | "on-hold" => 4,
        "exception" => 5,
        "pickup-ready" | "out-for-delivery" => 6,
        "attempt-failed" => 7,
        "returning" => 8,
        _ => 9,
    }
}

/// Is the journey over?
pub(crate) fn terminal(phase: &str) -> bool {
    matches!(phase, "delivered" | "returned" | "cancelled")
}

/// May an event of phase `next`, which happened later, replace the state `now`? A finished journey reopens only where
/// UPS says so: a cancelled label that moves, a delivery that is taken back. A late scan does not reopen it.
pub(crate) fn may_follow(now: &str, next: &str) -> bool {
    match now {
        "cancelled" => next != "announced",
        "delivered" | "returned" => matches!(next, "delivered" | "returned" | "returning" | "exception"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [&str; 15] = [
        "announced",
        "accepted",
        "in-transit",
        "out-for-delivery",
        "pickup-ready",
        "attempt-failed",
        "delayed",
        "on-hold",
        "exception",
        "returning",
        "returned",
        "delivered",
        "cancelled",
        "unknown",
        "info",
    ];

    #[test]
    fn every_code_of_the_tables_has_a_settled_phase() {
        for n in 0..1_000 {
            let code = format!("{n:03}");
            let meaning = meaning(Some(&code), None, None);
            assert!(PHASES.contains(&meaning.phase), "{code}");
            assert_eq!(meaning.known, by_status_code(&code).is_some());
        }
        for kind in ["M", "MV", "P", "I", "O", "D", "X", "RS", "W", "DO", "DD", "NA", "U"] {
            assert!(PHASES.contains(&meaning(None, Some(kind), None).phase), "{kind}");
        }
    }

    #[test]
    fn the_fine_code_wins_and_leading_zeros_count() {
        let phase = |s, k, c| meaning(s, k, c).phase;
        assert_eq!(phase(Some("021"), Some("I"), None), "out-for-delivery");
        assert_eq!(phase(Some("21"), Some("I"), None), "in-transit");
        assert_eq!(phase(Some("003"), Some("X"), Some("SR")), "announced");
        assert_eq!(phase(None, Some("D"), Some("OT")), "out-for-delivery");
        assert_eq!(phase(None, Some("D"), Some("FS")), "delivered");
    }

    #[test]
    fn an_unknown_status_is_in_transit_for_an_unnamed_reason() {
        for (status, kind) in [(Some("999"), None), (None, Some("ZZ")), (None, None)] {
            let unknown = meaning(status, kind, None);
            assert_eq!((unknown.phase, unknown.reason, unknown.known), ("in-transit", Some("other"), false));
        }
    }
}
