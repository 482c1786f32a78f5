//! The options of a request: what somebody wants beside the transport itself.

use serde_json::{Map, Value, json};
use wharf_sdk::{Fault, lookup};

/// What the options of a request ask for. Unknown options are refused, not ignored.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// `signature`: `required` or `adult`.
    adult: Option<bool>,
    pub(crate) saturday: bool,
    pub(crate) description: Option<String>,
    pub(crate) ship_date: Option<String>,
    pub(crate) pickup_type: Option<String>,
}

impl Wishes {
    /// Reads `options`, of which this operation knows `known`.
    pub(crate) fn read(options: &[(String, String)], known: &[&str]) -> Result<Self, Fault> {
        for (i, (name, value)) in options.iter().enumerate() {
            let fits = match name.as_str() {
                "signature" => matches!(value.as_str(), "required" | "adult"),
                "saturday-delivery" => matches!(value.as_str(), "true" | "false"),
                "ship-date" => compact_date(value).is_some(),
                _ => !value.is_empty(),
            };
            if !known.contains(&name.as_str()) || !fits {
                let message = format!("option `{name}` = `{value}` is not known; there are {}", known.join(", "));
                return Err(Fault::invalid_input("ups.option", message.clone()).with_field(
                    &format!("options[{i}]"),
                    "unknown",
                    &message,
                ));
            }
        }
        let text = |key: &str| lookup(options, key).map(str::to_owned);
        Ok(Self {
            adult: lookup(options, "signature").map(|kind| kind == "adult"),
            saturday: lookup(options, "saturday-delivery") == Some("true"),
            description: text("description"),
            ship_date: lookup(options, "ship-date").and_then(compact_date),
            pickup_type: text("pickup-type"),
        })
    }

    /// `DeliveryConfirmation` for one parcel: 2 signature, 3 adult signature.
    pub(crate) fn parcel_confirmation(&self, per_parcel: bool) -> Option<Value> {
        self.adult.filter(|_| per_parcel).map(|adult| json!({"DCISType": if adult { "3" } else { "2" }}))
    }

    /// `ShipmentServiceOptions`; the shipment's own `DeliveryConfirmation` is 1 signature, 2 adult signature.
    pub(crate) fn shipment_options(&self, per_parcel: bool) -> Option<Value> {
        let mut options = Map::new();
        if self.saturday {
            options.insert("SaturdayDeliveryIndicator".to_owned(), json!("Y"));
        }
        if let Some(adult) = self.adult.filter(|_| !per_parcel) {
            options.insert("DeliveryConfirmation".to_owned(), json!({"DCISType": if adult { "2" } else { "1" }}));
        }
        (!options.is_empty()).then_some(Value::Object(options))
    }
}

/// `20240209` of `2024-02-09`.
pub(crate) fn compact_date(date: &str) -> Option<String> {
    let digits: String = date.split('-').collect();
    let shape = date.len() == 10 && digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
    shape.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_asked_per_parcel_at_home_and_per_shipment_abroad() {
        let wishes = Wishes::read(&[("signature".to_owned(), "adult".to_owned())], &["signature"]).expect("wishes");
        assert_eq!(wishes.parcel_confirmation(true), Some(json!({"DCISType": "3"})));
        assert_eq!(wishes.shipment_options(true), None);
        assert_eq!(wishes.parcel_confirmation(false), None);
        assert_eq!(wishes.shipment_options(false), Some(json!({"DeliveryConfirmation": {"DCISType": "2"}})));
    }

    #[test]
    fn an_unknown_option_is_refused_and_not_ignored() {
        let read = |name: &str, value: &str| {
            let options = [("signature".to_owned(), "adult".to_owned()), (name.to_owned(), value.to_owned())];
            Wishes::read(&options, &["signature", "ship-date"]).map_err(|fault| fault.fields[0].path.clone())
        };
        assert!(read("ship-date", "2024-02-09").is_ok());
        for (name, value) in [("ship-date", "soon"), ("signature", "maybe"), ("saturday-delivery", "true"), ("x", "1")]
        {
            assert_eq!(read(name, value).expect_err("refused"), "options[1]", "{name} = {value}");
        }
    }
}
