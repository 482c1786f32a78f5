//! Reading the shipment of a rate or ship request. Lists may be single objects, numbers may be strings.

use serde_json::Value;

/// A shipper, sender or receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) name: String,
    /// Empty when absent.
    pub(super) line1: String,
    pub(super) city: String,
    pub(super) state: String,
    pub(super) postal: String,
    pub(super) country: String,
    pub(super) residential: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Package {
    /// As the caller wrote it.
    pub(super) weight: String,
    /// `LBS` or `KGS`, as the caller wrote it.
    pub(super) unit: String,
    /// 0 when absent or not a number.
    pub(super) pounds: f64,
    /// Length, width, height in inches; `None` when one is missing.
    pub(super) inches: Option<[f64; 3]>,
    pub(super) references: Vec<String>,
}

/// The `Shipment` of either request.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) account: String,
    pub(super) shipper: Party,
    pub(super) ship_to: Party,
    /// The shipper when the request names no other place.
    pub(super) ship_from: Party,
    pub(super) service: Option<String>,
    pub(super) packages: Vec<Package>,
    /// References of the whole shipment.
    pub(super) references: Vec<String>,
    pub(super) negotiated: bool,
    pub(super) carbon_neutral: bool,
    pub(super) label_links: bool,
    pub(super) has_payment: bool,
}

/// The text at the pointer; empty when absent or no text.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list, the one thing that stands for a list of one, or nothing.
pub(super) fn items(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

impl Wanted {
    pub(super) fn read(shipment: &Value) -> Self {
        let shipper = Party::read(shipment.get("Shipper"));
        let ship_from = match shipment.get("ShipFrom") {
            Some(from) => Party::read(Some(from)),
            None => shipper.clone(),
        };
        let service = text(shipment, "/Service/Code");
        Self {
            account: text(shipment, "/Shipper/ShipperNumber").trim().to_owned(),
            ship_to: Party::read(shipment.get("ShipTo")),
            shipper,
            ship_from,
            service: (!service.is_empty()).then(|| service.to_owned()),
            packages: items(shipment.get("Package")).into_iter().map(Package::read).collect(),
            references: references(shipment),
            negotiated: shipment.pointer("/ShipmentRatingOptions/NegotiatedRatesIndicator").is_some(),
            carbon_neutral: shipment.pointer("/ShipmentServiceOptions/UPScarbonneutralIndicator").is_some(),
            label_links: shipment.pointer("/ShipmentServiceOptions/LabelDelivery/LabelLinksIndicator").is_some(),
            has_payment: shipment.pointer("/PaymentInformation/ShipmentCharge").is_some(),
        }
    }
}

impl Party {
    fn read(party: Option<&Value>) -> Self {
        let Some(party) = party else { return Self::default() };
        let lines = items(party.pointer("/Address/AddressLine"));
        let line1 = lines.first().and_then(|l| l.as_str()).unwrap_or_default();
        let at = |pointer| text(party, pointer).trim().to_owned();
        Self {
            name: at("/Name"),
            line1: line1.trim().to_owned(),
            city: at("/Address/City"),
            state: at("/Address/StateProvinceCode"),
            postal: at("/Address/PostalCode"),
            country: at("/Address/CountryCode"),
            residential: party.pointer("/Address/ResidentialAddressIndicator").is_some(),
        }
    }
}

impl Package {
    fn read(package: &Value) -> Self {
        let unit = text(package, "/PackageWeight/UnitOfMeasurement/Code").to_owned();
        let weight = number(package.pointer("/PackageWeight/Weight"));
        let pounds =
            if unit.eq_ignore_ascii_case("KGS") { weight.unwrap_or(0.0) * 2.204_62 } else { weight.unwrap_or(0.0) };
        let centimetres = text(package, "/Dimensions/UnitOfMeasurement/Code").eq_ignore_ascii_case("CM");
        let side = |name| number(package.pointer(name)).map(|v| if centimetres { v / 2.54 } else { v });
        let inches = match (side("/Dimensions/Length"), side("/Dimensions/Width"), side("/Dimensions/Height")) {
            (Some(l), Some(w), Some(h)) => Some([l, w, h]),
            _ => None,
        };
        let weight = match package.pointer("/PackageWeight/Weight") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Self { weight, unit, pounds, inches, references: references(package) }
    }
}

fn references(of: &Value) -> Vec<String> {
    items(of.get("ReferenceNumber")).into_iter().map(|r| text(r, "/Value").to_owned()).collect()
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_package_and_one_reference_may_come_without_their_lists() {
        let wanted = Wanted::read(&json!({
            "Shipper": {"ShipperNumber": " A1B2C3 ", "Address": {"AddressLine": "1 Way", "City": "Raleigh"}},
            "Package": {
                "PackageWeight": {"UnitOfMeasurement": {"Code": "KGS"}, "Weight": "2"},
                "ReferenceNumber": {"Value": "R-1"},
            },
        }));
        assert_eq!(wanted.account, "A1B2C3");
        assert_eq!(wanted.ship_from.line1, "1 Way", "no ShipFrom: from the shipper");
        assert_eq!(wanted.packages.len(), 1);
        assert_eq!(wanted.packages[0].references, ["R-1"]);
        assert!((wanted.packages[0].pounds - 4.409).abs() < 0.001);
        assert_eq!(wanted.packages[0].inches, None);
    }
}
