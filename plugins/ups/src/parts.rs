//! Pieces that rating and shipping requests share: headers, addresses, parcels.

use serde_json::{Map, Value, json};
use wharf_sdk::http::Request;
use wharf_sdk::{Address, CallContext, Fault, Parcel};

use crate::services::MAX_PARCELS;
use crate::units::System;
use crate::wishes::Wishes;

/// `transId`, `transactionSrc` and what we accept. `step` names the request within the call, so that a repeat of the
/// same intent sends the same bytes. UPS uses `transId` to trace, not to recognise repeats.
pub(crate) fn headers(request: Request, context: &CallContext, step: &str) -> Request {
    let source = context.setting("transaction_src").unwrap_or("wharf");
    request
        .header("accept", "application/json")
        .header("transid", &trace_id(&[&context.tenant, &context.connection, &context.idempotency_key, step]))
        .header("transactionsrc", source)
}

/// 32 hexadecimal digits from `parts`: two FNV-1a hashes with different starts.
fn trace_id(parts: &[&str]) -> String {
    let hash = |start: u64| {
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        bytes.fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    format!("{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x9ae1_6a3b_2f90_404f))
}

/// A version segment such as `v2205` from the setting `key`. Only letters and digits can be part of a path.
pub(crate) fn version<'a>(context: &'a CallContext, key: &str, default: &'a str) -> Result<&'a str, Fault> {
    let version = context.setting(key).unwrap_or(default);
    if version.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(version);
    }
    let message = format!("setting `{key}` is `{version}`; write a version such as `{default}`");
    Err(Fault::invalid_input("ups.setting", message).with_field(&format!("config.{key}"), "version", default))
}

/// `2205` of `v2205`: what `SubVersion` wants. None for `v1`.
pub(crate) fn sub_version(version: &str) -> Option<&str> {
    version.strip_prefix('v').filter(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Both ends in the United States, or both in Puerto Rico: there UPS takes references and signatures per parcel,
/// elsewhere per shipment (`Shipping.yaml`, `Package/ReferenceNumber/Value`), and refuses the wrong place (120541).
pub(crate) fn per_parcel(from: &Address, to: &Address) -> bool {
    from.country == to.country && matches!(from.country.as_str(), "US" | "PR")
}

/// A party: `Name` is the company or the person, `AttentionName` the person. UPS takes 35 characters of each; what is
/// longer is cut, while address lines are sent as they are and judged by UPS.
pub(crate) fn party(address: &Address, path: &str) -> Result<Map<String, Value>, Fault> {
    let cut = |text: &str| text.trim().chars().take(35).collect::<String>();
    Ok(Map::from_iter([
        ("Name".to_owned(), json!(cut(address.company.as_deref().unwrap_or(&address.name)))),
        ("AttentionName".to_owned(), json!(cut(&address.name))),
        ("Address".to_owned(), postal(address, path)?),
    ]))
}

/// A party that can be reached: shipping wants a phone number, prices need none. `ShipFrom` has no place for e-mail.
pub(crate) fn contact(address: &Address, path: &str) -> Result<Map<String, Value>, Fault> {
    let mut party = party(address, path)?;
    if let Some(number) = address.phone.as_deref().and_then(|phone| digits(phone, &address.country)) {
        party.insert("Phone".to_owned(), json!({"Number": number}));
    }
    Ok(party)
}

/// The e-mail address, when there is one that fits.
pub(crate) fn email(address: &Address) -> Option<(String, Value)> {
    let email = address.email.as_deref().filter(|email| (1..=50).contains(&email.len()))?;
    Some(("EMailAddress".to_owned(), json!(email)))
}

/// At most 15 digits; the country code of North American numbers is dropped, as their layout has none.
fn digits(phone: &str, country: &str) -> Option<String> {
    let all: String = phone.chars().filter(char::is_ascii_digit).collect();
    let local = match all.strip_prefix('1') {
        Some(rest) if rest.len() == 10 && matches!(country, "US" | "CA" | "PR" | "VI") => rest,
        _ => all.as_str(),
    };
    (!local.is_empty()).then(|| local.chars().take(15).collect())
}

fn postal(address: &Address, path: &str) -> Result<Value, Fault> {
    let lines: Vec<&str> = address.address_lines.iter().map(|line| line.trim()).filter(|l| !l.is_empty()).collect();
    if lines.is_empty() || lines.len() > 3 {
        let message = format!("UPS takes one to three address lines, not {}", lines.len());
        return Err(Fault::invalid_input("ups.address-lines", message.clone()).with_field(
            &format!("{path}.address_lines"),
            "count",
            &message,
        ));
    }
    let mut out = Map::new();
    out.insert("AddressLine".to_owned(), json!(lines));
    out.insert("City".to_owned(), json!(address.locality));
    if let Some(region) = &address.region {
        out.insert("StateProvinceCode".to_owned(), json!(region));
    }
    if let Some(postal_code) = &address.postal_code {
        out.insert("PostalCode".to_owned(), json!(postal_code));
    }
    out.insert("CountryCode".to_owned(), json!(address.country));
    // An empty tag by the specification: its presence is the answer.
    if address.residential == Some(true) {
        out.insert("ResidentialAddressIndicator".to_owned(), json!("Y"));
    }
    Ok(Value::Object(out))
}

/// The parcels. `kind_key` is what the API calls the packaging: `PackagingType` when rating, `Packaging` when shipping.
pub(crate) fn packages(
    parcels: &[Parcel],
    system: System,
    kind_key: &str,
    wishes: &Wishes,
    per_parcel: bool,
) -> Result<Vec<Map<String, Value>>, Fault> {
    if parcels.is_empty() || parcels.len() > MAX_PARCELS {
        let message = format!("UPS takes 1 to {MAX_PARCELS} parcels in a shipment, not {}", parcels.len());
        return Err(Fault::invalid_input("ups.parcels", message.clone()).with_field("parcels", "count", &message));
    }
    let package = |(i, parcel)| {
        let mut package = package(i, parcel, system, kind_key)?;
        let mut options = Map::new();
        if let Some(value) = &parcel.declared_value {
            let declared = json!({"CurrencyCode": value.currency, "MonetaryValue": value.amount});
            options.insert("DeclaredValue".to_owned(), declared);
        }
        if let Some(confirmation) = wishes.parcel_confirmation(per_parcel) {
            options.insert("DeliveryConfirmation".to_owned(), confirmation);
        }
        if !options.is_empty() {
            package.insert("PackageServiceOptions".to_owned(), Value::Object(options));
        }
        Ok(package)
    };
    parcels.iter().enumerate().map(package).collect()
}

/// `Rating.yaml` requires the description although nothing depends on it.
fn unit((code, description): (&str, &str)) -> Value {
    json!({"Code": code, "Description": description})
}

fn package(i: usize, parcel: &Parcel, system: System, kind_key: &str) -> Result<Map<String, Value>, Fault> {
    if parcel.weight_g == 0 {
        return Err(Fault::invalid_input("ups.weight", "a parcel without weight cannot be sent").with_field(
            &format!("parcels[{i}].weight_g"),
            "missing",
            "give a weight above zero",
        ));
    }
    let mut package = Map::new();
    package.insert(kind_key.to_owned(), json!({"Code": parcel.packaging.as_deref().unwrap_or("02")}));
    package.insert(
        "PackageWeight".to_owned(),
        json!({"UnitOfMeasurement": unit(system.weight_unit()), "Weight": system.weight(parcel.weight_g)}),
    );
    match [parcel.length_mm, parcel.width_mm, parcel.height_mm] {
        [None, None, None] => {}
        [Some(a), Some(b), Some(c)] => {
            // The specification wants the longest side as the length.
            let mut sides = [a, b, c];
            sides.sort_unstable_by(|a, b| b.cmp(a));
            let [length, width, height] = sides.map(|mm| system.length(mm));
            package.insert(
                "Dimensions".to_owned(),
                json!({"UnitOfMeasurement": unit(system.length_unit()), "Length": length, "Width": width, "Height": height}),
            );
        }
        _ => {
            return Err(Fault::invalid_input("ups.dimensions", "a parcel has all three dimensions or none")
                .with_field(&format!("parcels[{i}]"), "dimensions", "give length, width and height together"));
        }
    }
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{address, context, parcel};

    #[test]
    fn a_repeat_of_the_same_intent_sends_the_same_trace_id() {
        let send = |attempt| {
            let context = CallContext { attempt, ..context() };
            headers(Request::get("https://x"), &context, "ship").headers
        };
        assert_eq!(send(1), send(2));
        let id = trace_id(&["a", "b"]);
        assert_eq!(id.len(), 32);
        assert_ne!(id, trace_id(&["ab", ""]));
    }

    #[test]
    fn a_long_name_is_cut_and_a_long_address_line_is_not() {
        let mut to = address("US");
        to.company = Some("x".repeat(40));
        to.address_lines = vec!["y".repeat(36)];
        to.phone = Some("+1 (555) 555-0199".to_owned());
        let party = Value::Object(contact(&to, "ship_to").expect("party"));
        assert_eq!(party["Name"].as_str().map(str::len), Some(35));
        assert_eq!(party["Address"]["AddressLine"][0].as_str().map(str::len), Some(36));
        assert_eq!(party["Phone"]["Number"], "5555550199");
    }

    #[test]
    fn home_is_one_country_that_ups_treats_as_home() {
        let both = |from, to| per_parcel(&address(from), &address(to));
        assert!(both("US", "US") && both("PR", "PR"));
        assert!(!both("US", "PR") && !both("DE", "DE"));
    }

    #[test]
    fn wrong_input_is_refused_before_anything_is_sent() {
        let wishes = Wishes::default();
        let build = |parcels: &[Parcel]| packages(parcels, System::Imperial, "Packaging", &wishes, true);
        let path = |fault: Fault| fault.fields.first().map(|f| f.path.clone()).unwrap_or_default();
        assert_eq!(path(build(&[]).expect_err("none")), "parcels");
        assert_eq!(path(build(&vec![parcel(); 201]).expect_err("many")), "parcels");
        assert_eq!(path(build(&[Parcel { weight_g: 0, ..parcel() }]).expect_err("weight")), "parcels[0].weight_g");
        assert_eq!(path(build(&[Parcel { width_mm: None, ..parcel() }]).expect_err("sides")), "parcels[0]");
        let five = Address { address_lines: vec!["a".to_owned(); 4], ..address("US") };
        assert_eq!(path(party(&five, "ship_to").expect_err("lines")), "ship_to.address_lines");
        let evil = CallContext { config: vec![("v".to_owned(), "v1/../x".to_owned())], ..context() };
        assert_eq!(path(version(&evil, "v", "v1").expect_err("version")), "config.v");
    }
}
