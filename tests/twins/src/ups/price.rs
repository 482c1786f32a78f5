//! What things cost: made up, the same every time, and adding up as the recorded answers add up. In cents.

use serde_json::{Value, json};

use super::address::zip3;
use super::request::{Package, Wanted};

/// One product and its price list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    base: i64,
    per_pound: i64,
    per_zone: i64,
    /// Promised days; `None` for ground, where they depend on the distance.
    pub(super) days: Option<u32>,
    /// Promised time, where there is one.
    pub(super) by: Option<&'static str>,
}

/// In the order of the recorded answers.
const DOMESTIC: [Service; 6] = [
    Service {
        code: "01",
        name: "UPS Next Day Air",
        base: 6_900,
        per_pound: 540,
        per_zone: 900,
        days: Some(1),
        by: Some("10:30 A.M."),
    },
    Service {
        code: "02",
        name: "UPS 2nd Day Air",
        base: 2_100,
        per_pound: 160,
        per_zone: 310,
        days: Some(2),
        by: None,
    },
    Service { code: "03", name: "UPS Ground", base: 1_080, per_pound: 55, per_zone: 70, days: None, by: None },
    Service {
        code: "12",
        name: "UPS 3 Day Select",
        base: 1_590,
        per_pound: 120,
        per_zone: 240,
        days: Some(3),
        by: None,
    },
    Service {
        code: "13",
        name: "UPS Next Day Air Saver",
        base: 6_300,
        per_pound: 500,
        per_zone: 850,
        days: Some(1),
        by: None,
    },
    Service {
        code: "14",
        name: "UPS Next Day Air Early",
        base: 9_900,
        per_pound: 540,
        per_zone: 900,
        days: Some(1),
        by: Some("8:00 A.M."),
    },
];

/// Sold by the ship route only, as recorded.
const GROUND_SAVER: Service =
    Service { code: "93", name: "UPS Ground Saver", base: 930, per_pound: 50, per_zone: 60, days: None, by: None };

const ABROAD: [Service; 3] = [
    Service {
        code: "07",
        name: "UPS Worldwide Express",
        base: 11_500,
        per_pound: 620,
        per_zone: 0,
        days: Some(2),
        by: Some("10:30 A.M."),
    },
    Service {
        code: "08",
        name: "UPS Worldwide Expedited",
        base: 8_700,
        per_pound: 430,
        per_zone: 0,
        days: Some(4),
        by: None,
    },
    Service {
        code: "65",
        name: "UPS Worldwide Saver",
        base: 10_400,
        per_pound: 580,
        per_zone: 0,
        days: Some(2),
        by: None,
    },
];

/// The products from here to there that rating offers.
pub(super) fn offered(wanted: &Wanted) -> &'static [Service] {
    if wanted.ship_from.country == "US" && wanted.ship_to.country == "US" { &DOMESTIC } else { &ABROAD }
}

/// The product of this code, if it can be shipped there.
pub(super) fn sold(wanted: &Wanted, code: &str) -> Option<Service> {
    let domestic = wanted.ship_to.country == "US";
    let saver = (domestic && code == GROUND_SAVER.code).then_some(GROUND_SAVER);
    offered(wanted).iter().find(|s| s.code == code).copied().or(saver)
}

/// The product's name; empty for an unknown code.
pub(super) fn name(code: &str) -> &'static str {
    let all = DOMESTIC.iter().chain(&ABROAD).chain([&GROUND_SAVER]);
    all.into_iter().find(|s| s.code == code).map_or("", |s| s.name)
}

/// The charges of one parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) base: i64,
    /// Code 375.
    pub(super) fuel: i64,
    /// Code 270; not charged apart for Ground Saver.
    pub(super) residential: i64,
    pub(super) billed_pounds: i64,
}

impl Charge {
    pub(super) fn transportation(self) -> i64 {
        self.base + self.fuel + self.residential
    }

    /// What an account with a contract pays: 65 %, half a cent up.
    pub(super) fn negotiated(cents: i64) -> i64 {
        (cents * 65 + 50) / 100
    }
}

pub(super) fn charge(service: Service, wanted: &Wanted, package: &Package) -> Charge {
    let billed_pounds = billed(package);
    let base = service.base + service.per_pound * billed_pounds + service.per_zone * zone(wanted);
    let residential = match service.code {
        _ if !wanted.ship_to.residential => 0,
        "93" => 0,
        "03" => 565,
        _ => 620,
    };
    Charge { base, fuel: base * 16 / 100, residential, billed_pounds }
}

/// The larger of weight and volume over 139 cubic inches a pound, each side and the result rounded up.
fn billed(package: &Package) -> i64 {
    let volume: f64 = package.inches.map_or(0.0, |sides| sides.iter().map(|s| s.round()).product());
    (package.pounds.max(volume / 139.0)).ceil().max(1.0) as i64
}

/// 0 to 6, by how far apart the first three digits of the ZIP codes are.
fn zone(wanted: &Wanted) -> i64 {
    let (from, to) = (zip3(&wanted.ship_from.postal), zip3(&wanted.ship_to.postal));
    let (Some(from), Some(to)) = (from, to) else { return 0 };
    i64::from(from.abs_diff(to)) / 150
}

/// Business days of a product that promises none.
pub(super) fn days(service: Service, wanted: &Wanted) -> u32 {
    service.days.unwrap_or_else(|| 1 + u32::try_from(zone(wanted)).unwrap_or(0).min(4))
}

pub(super) fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

pub(super) fn usd(cents: i64) -> Value {
    json!({ "CurrencyCode": "USD", "MonetaryValue": decimal(cents) })
}

pub(super) fn itemized(code: &str, cents: i64) -> Value {
    json!({ "Code": code, "CurrencyCode": "USD", "MonetaryValue": decimal(cents) })
}

pub(super) fn billing_weight(pounds: i64) -> Value {
    json!({ "UnitOfMeasurement": { "Code": "LBS", "Description": "Pounds" }, "Weight": format!("{pounds}.0") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_of_the_recordings_is_billed_at_five_pounds() {
        let inches = Some([7.874, 5.906, 11.811]);
        let package = Package { weight: "1".into(), unit: "LBS".into(), pounds: 1.0, inches, references: vec![] };
        assert_eq!(billed(&package), 5);
        assert_eq!(billed(&Package { pounds: 12.2, ..package }), 13);
    }

    #[test]
    fn money_has_two_places() {
        assert_eq!((decimal(5), decimal(123), decimal(1_2340)), ("0.05".into(), "1.23".into(), "123.40".into()));
        assert_eq!(Charge::negotiated(1000), 650);
    }
}
