//! The services UPS sells and what the adapter can do. Codes: `Rating.yaml` and `Shipping.yaml`, `Service/Code`; 93 is
//! missing there but was rated and bought in the recordings.

use wharf_sdk::info::{Description, Service};

const SERVICES: [(&str, &str); 20] = [
    ("01", "UPS Next Day Air"),
    ("02", "UPS 2nd Day Air"),
    ("03", "UPS Ground"),
    ("07", "UPS Worldwide Express"),
    ("08", "UPS Worldwide Expedited"),
    ("11", "UPS Standard"),
    ("12", "UPS 3 Day Select"),
    ("13", "UPS Next Day Air Saver"),
    ("14", "UPS Next Day Air Early"),
    ("17", "UPS Worldwide Economy DDU"),
    ("54", "UPS Worldwide Express Plus"),
    ("59", "UPS 2nd Day Air A.M."),
    ("65", "UPS Worldwide Saver"),
    ("70", "UPS Access Point Economy"),
    ("71", "UPS Worldwide Express Freight Midday"),
    ("72", "UPS Worldwide Economy DDP"),
    ("74", "UPS Express 12:00"),
    ("75", "UPS Heavy Goods"),
    ("93", "UPS Ground Saver"),
    ("96", "UPS Worldwide Express Freight"),
];

/// Parcels one request may hold: `Package`, maximum 200.
pub(crate) const MAX_PARCELS: usize = 200;

/// The name of a service; UPS itself sends an empty description.
pub(crate) fn name(code: &str) -> String {
    match SERVICES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("UPS service {code}"),
    }
}

pub(crate) fn describe() -> Description {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Description {
        name: "UPS".to_owned(),
        services: SERVICES.iter().map(|(c, n)| Service { code: (*c).to_owned(), name: (*n).to_owned() }).collect(),
        label_formats: ["zpl", "gif", "png", "epl"].map(str::to_owned).to_vec(),
        test_environment: true,
        limits: [
            ("parcels-per-shipment", "200"),
            ("reference-characters", "35"),
            ("address-lines", "3"),
            ("address-line-characters", "35"),
            ("ship-date-days-ahead", "7"),
            ("numbers-per-track-call", "50"),
            ("tracking-history-days", "120"),
        ]
        .map(pair)
        .to_vec(),
        extensions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_name_and_an_unknown_one_keeps_its_code() {
        assert_eq!(name("03"), "UPS Ground");
        assert_eq!(name("9Z"), "UPS service 9Z");
        let limits = describe().limits;
        assert!(limits.contains(&("parcels-per-shipment".to_owned(), MAX_PARCELS.to_string())));
    }
}
