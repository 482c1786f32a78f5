//! `POST /api/shipments/{version}/ship`: buys. Nothing makes a repeat harmless; the same request again is another
//! shipment.
//!
//! Recorded: 120202 for a missing or overlong first line of the receiver, 120802 for an address that does not exist.
//! Not recorded: the other codes below (120100 and 121210 are known from public reports).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::label::{self, Format};
use super::ledger::{Effect, EffectKind, LabelRow, Parcel, Shipment};
use super::number::tracking_number;
use super::price::{self, Charge, Service, billing_weight, decimal, itemized, usd};
use super::rating::parse;
use super::reply::{self, Refusal, echoed_context, one_or_many};
use super::request::{Package, Party, Wanted, text};
use super::{Books, Ups, address};

#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    additionaladdressvalidation: String,
}

pub(super) async fn ship(
    State(ups): State<Arc<Ups>>,
    Path(version): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let checks_city = options.additionaladdressvalidation == "city";
    match ups.ship(reply::version(&version), checks_city, &headers, &body) {
        Ok(answer) => reply::ok(&answer, &ups.next_transaction()),
        Err(refusal) => refusal.into_response(),
    }
}

impl Ups {
    fn ship(&self, version: u32, checks_city: bool, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        self.admit(headers)?;
        let request = parse(body, "ShipmentRequest");
        let request = request.ok_or_else(|| Refusal::new("10002", "The request is not well formed or not valid"))?;
        let wanted = Wanted::read(&request["Shipment"]);
        check(&wanted, &self.config.account, checks_city)?;
        let code = text(&request, "/LabelSpecification/LabelImageFormat/Code");
        // Without a label specification the label is a GIF, as recorded.
        let format = if code.is_empty() { Some(Format::Gif) } else { Format::read(code) };
        let format = format.filter(|f| *f != Format::Pdf);
        let format = format.ok_or_else(|| Refusal::new("120412", "Missing or invalid label image format"))?;
        let service = wanted.service.as_deref().and_then(|code| price::sold(&wanted, code));
        let service = service.ok_or_else(|| {
            Refusal::new("121210", "The requested service is unavailable between the selected locations.")
        })?;
        let charges: Vec<Charge> = wanted.packages.iter().map(|p| price::charge(service, &wanted, p)).collect();
        let totals = Totals::of(&wanted, &charges);
        let shipment = self.buy(&wanted, service, format, totals.due(&wanted), body);
        Ok(json!({ "ShipmentResponse": {
            "Response": {
                "ResponseStatus": { "Code": "1", "Description": "Success" },
                "TransactionReference": echoed_context(&request),
            },
            "ShipmentResults": results(version, &wanted, &shipment, &charges, totals),
        }}))
    }

    /// The effect: from here on UPS has a shipment and the account owes money.
    fn buy(&self, wanted: &Wanted, service: Service, format: Format, cents: i64, body: &[u8]) -> Shipment {
        let now = self.clock.now();
        let mut books = self.books();
        let parcels: Vec<Parcel> =
            wanted.packages.iter().map(|p| self.parcel(&mut books, wanted, service, p, format)).collect();
        let id = parcels.first().map_or_else(String::new, |p| p.tracking.clone());
        let shipment = Shipment {
            id,
            service: service.code.to_owned(),
            ship_to: wanted.ship_to.clone(),
            ship_from: wanted.ship_from.clone(),
            parcels,
            cents,
            made: self.clock.elapsed(),
            day: now.strftime("%Y%m%d").to_string(),
            time: now.strftime("%H%M%S").to_string(),
        };
        let labels = shipment.parcels.iter().map(|p| LabelRow {
            tracking: p.tracking.clone(),
            format: format.code(),
            sha256: label::sha256(&shipment.label(p, format)),
        });
        let effect = Effect {
            id: books.effects.len() + 1,
            kind: EffectKind::Shipment,
            reference: shipment.parcels.first().and_then(|p| p.references.first()).cloned().unwrap_or_default(),
            tracking: shipment.id.clone(),
            amount: decimal(cents),
            currency: "USD",
            at: self.clock.rfc3339(),
            request_sha256: hex::encode(Sha256::digest(body)),
            labels: labels.collect(),
        };
        books.effects.push(effect);
        books.shipments.push(shipment.clone());
        shipment
    }

    fn parcel(
        &self,
        books: &mut Books,
        wanted: &Wanted,
        service: Service,
        package: &Package,
        format: Format,
    ) -> Parcel {
        books.numbers += 1;
        let tracking = tracking_number(&self.config.account, service.code, self.config.seed, books.numbers);
        let references = package.references.iter().chain(&wanted.references).cloned().collect();
        let (weight, unit) = (package.weight.clone(), package.unit.clone());
        Parcel { tracking, references, weight, unit, format, voided: false }
    }

    /// An identifier for one answer, unique until the next reset.
    pub(super) fn next_transaction(&self) -> String {
        let mut books = self.books();
        books.answers += 1;
        let digest = Sha256::digest(format!("answer {} {}", self.config.seed, books.answers));
        format!("twin{}", &hex::encode(digest)[..18])
    }
}

fn check(wanted: &Wanted, account: &str, checks_city: bool) -> Result<(), Refusal> {
    if wanted.account != account {
        return Err(Refusal::new("120100", "Missing or invalid shipper number"));
    }
    check_party(&wanted.shipper, ["120102", "120104", "120105", "120106"], "shipper")?;
    if wanted.ship_to.name.is_empty() || wanted.ship_to.name.chars().count() > 35 {
        return Err(Refusal::new("120200", "Missing or invalid ship to company name"));
    }
    check_party(&wanted.ship_to, ["120202", "120205", "120206", "120207"], "ship to")?;
    if wanted.ship_from != wanted.shipper {
        check_party(&wanted.ship_from, ["120302", "120305", "120306", "120307"], "ship from")?;
    }
    if !address::zip_fits_state(&wanted.ship_to) || (checks_city && !address::city_fits_zip(&wanted.ship_to)) {
        return Err(Refusal::new("120802", "Address Validation Error on ShipTo address"));
    }
    if !wanted.has_payment {
        return Err(Refusal::new("120400", "Missing or invalid payment information"));
    }
    if wanted.packages.is_empty() || wanted.packages.iter().any(|p| p.pounds <= 0.0 || p.pounds > 150.0) {
        return Err(Refusal::new("120500", "Missing or invalid package weight"));
    }
    check_references(wanted)
}

/// `codes`: first line, city, state, postal code.
fn check_party(party: &Party, codes: [&'static str; 4], who: &str) -> Result<(), Refusal> {
    let state_needed = matches!(party.country.as_str(), "US" | "CA");
    let wrong = [
        (codes[0], "address line 1", party.line1.is_empty() || party.line1.chars().count() > 35),
        (codes[1], "city", party.city.is_empty() || party.city.chars().count() > 30),
        (codes[2], "state province code", state_needed && party.state.is_empty()),
        (codes[3], "postal code", party.postal.is_empty()),
        ("120008", "country code", party.country.len() != 2),
    ];
    match wrong.into_iter().find(|(_, _, wrong)| *wrong) {
        Some((code, what, _)) => Err(Refusal::new(code, format!("Missing or invalid {who} {what}"))),
        None => Ok(()),
    }
}

/// Shipping.yaml: references stand on the package within the United States and on the shipment elsewhere; 35 characters.
fn check_references(wanted: &Wanted) -> Result<(), Refusal> {
    let domestic = wanted.ship_from.country == "US" && wanted.ship_to.country == "US";
    let misplaced =
        if domestic { !wanted.references.is_empty() } else { wanted.packages.iter().any(|p| !p.references.is_empty()) };
    if misplaced {
        return Err(Refusal::new("120541", "The reference number is not allowed at this level for this movement"));
    }
    let mut all = wanted.references.iter().chain(wanted.packages.iter().flat_map(|p| &p.references));
    if all.any(|r| r.is_empty() || r.chars().count() > 35) {
        return Err(Refusal::new("120542", "Missing or invalid reference number value"));
    }
    Ok(())
}

/// Of the whole shipment, in cents.
#[derive(Debug, Clone, Copy)]
struct Totals {
    transportation: i64,
    residential: i64,
    /// Code 441, five cents a parcel.
    carbon: i64,
    billed_pounds: i64,
}

impl Totals {
    fn of(wanted: &Wanted, charges: &[Charge]) -> Self {
        Self {
            transportation: charges.iter().map(|c| c.transportation()).sum(),
            residential: charges.iter().map(|c| c.residential).sum(),
            carbon: if wanted.carbon_neutral { 5 * charges.len() as i64 } else { 0 },
            billed_pounds: charges.iter().map(|c| c.billed_pounds).sum(),
        }
    }

    fn list(self) -> i64 {
        self.transportation + self.carbon
    }

    fn due(self, wanted: &Wanted) -> i64 {
        if wanted.negotiated { Charge::negotiated(self.list()) } else { self.list() }
    }
}

fn results(version: u32, wanted: &Wanted, shipment: &Shipment, charges: &[Charge], totals: Totals) -> Value {
    let items: Vec<Value> = [("270", totals.residential), ("441", totals.carbon)]
        .into_iter()
        .filter(|(_, cents)| *cents > 0)
        .map(|(code, cents)| itemized(code, cents))
        .collect();
    let mut shipment_charges = json!({
        "TransportationCharges": usd(totals.transportation),
        "ServiceOptionsCharges": usd(totals.carbon),
        "TotalCharges": usd(totals.list()),
    });
    if !items.is_empty() {
        shipment_charges["ItemizedCharges"] = one_or_many(version, items);
    }
    let packages = shipment.parcels.iter().zip(charges).enumerate().map(|(at, (parcel, charge))| {
        let options = if at == 0 { totals.carbon } else { 0 };
        package_result(version, shipment, parcel, *charge, options)
    });
    let mut results = json!({
        "ShipmentCharges": shipment_charges,
        "BillingWeight": billing_weight(totals.billed_pounds),
        "ShipmentIdentificationNumber": shipment.id,
        "PackageResults": one_or_many(version, packages.collect()),
    });
    if wanted.negotiated {
        results["NegotiatedRateCharges"] = json!({ "TotalCharge": usd(totals.due(wanted)) });
    }
    if wanted.label_links {
        results["LabelURL"] = json!(label_url(shipment));
    }
    results
}

pub(super) fn label_url(shipment: &Shipment) -> String {
    format!("https://www.ups.com/uel/llp/{}/link/labelAll/XSA/twin/en_US?loc=en_US&cie=true&pdr=false", shipment.id)
}

fn package_result(version: u32, shipment: &Shipment, parcel: &Parcel, charge: Charge, options: i64) -> Value {
    let file = shipment.label(parcel, parcel.format);
    let code = parcel.format.code();
    let mut label = json!({
        "ImageFormat": { "Code": code, "Description": code },
        "GraphicImage": label::base64(&file),
    });
    if let Some(page) = label::html_image(&parcel.tracking, parcel.format) {
        label["HTMLImage"] = page;
    }
    let mut result = json!({
        "TrackingNumber": parcel.tracking,
        "BaseServiceCharge": usd(charge.base),
        "ServiceOptionsCharges": usd(options),
        "ShippingLabel": label,
        "ItemizedCharges": one_or_many(version, vec![itemized("375", charge.fuel)]),
    });
    if shipment.service == "93" {
        // The postal service's number of the last mile: 26 digits.
        let digits: String = parcel.tracking.bytes().map(|b| char::from(b'0' + b % 10)).collect();
        result["USPSPICNumber"] = json!(format!("92612903{digits:0>18}"));
    }
    result
}
