//! The UPS twin's behaviour: tokens, effects, lookups.

use serde_json::{Value, json};
use wharf_twins::Running;
use wharf_twins::ups::{UpsConfig, start};

use crate::client::{Answer, Call};

pub(crate) async fn token(twin: &Running, id: &str, secret: &str) -> Answer {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    Call::new("POST", "/security/v1/oauth/token")
        .header("authorization", &format!("Basic {pair}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(b"grant_type=client_credentials")
        .send(&twin.base_url)
        .await
        .unwrap()
}

pub(crate) async fn bearer(twin: &Running) -> String {
    let answer = token(twin, "twin-client", "twin-secret").await.json();
    format!("Bearer {}", answer["access_token"].as_str().unwrap())
}

pub(crate) async fn call(twin: &Running, auth: &str, method: &str, path: &str, body: &Value) -> Answer {
    let call = if body.is_null() { Call::new(method, path) } else { Call::post(path, body) };
    let call = call.header("authorization", auth).header("transId", "t-1").header("transactionSrc", "test");
    call.send(&twin.base_url).await.unwrap()
}

pub(crate) fn ship_request(reference: &str, packages: usize, format: &str) -> Value {
    let address = json!({"AddressLine": ["7007 Sea World Dr"], "City": "Orlando", "StateProvinceCode": "FL", "PostalCode": "32821", "CountryCode": "US"});
    let package = json!({
        "Packaging": {"Code": "02"},
        "PackageWeight": {"UnitOfMeasurement": {"Code": "LBS"}, "Weight": "3"},
        "ReferenceNumber": [{"Code": "02", "Value": reference}],
    });
    json!({"ShipmentRequest": {
        "Request": {"SubVersion": "2205", "TransactionReference": {"CustomerContext": "c"}},
        "Shipment": {
            "Shipper": {"Name": "Wharf", "ShipperNumber": "A1B2C3", "Address": {"AddressLine": ["10 Lovely Street"], "City": "Raleigh", "StateProvinceCode": "NC", "PostalCode": "27615", "CountryCode": "US"}},
            "ShipTo": {"Name": "Ada", "Address": address},
            "PaymentInformation": {"ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": "A1B2C3"}}]},
            "Service": {"Code": "03"},
            "Package": vec![package; packages],
        },
        "LabelSpecification": {"LabelImageFormat": {"Code": format}, "LabelStockSize": {"Height": "6", "Width": "4"}},
    }})
}

fn recovery(reference: &str) -> Value {
    json!({"LabelRecoveryRequest": {
        "Request": {"SubVersion": "1903"},
        "LabelSpecification": {"LabelImageFormat": {"Code": "ZPL"}},
        "ReferenceValues": {"ReferenceNumber": {"Value": reference}, "ShipperNumber": "A1B2C3"},
    }})
}

fn results(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["ShipmentResponse"]["ShipmentResults"].clone()
}

#[tokio::test]
async fn a_token_is_needed_counts_expires_and_can_be_revoked() {
    let twin = start(UpsConfig { token_ttl_s: 1, ..UpsConfig::default() }).await.unwrap();
    assert_eq!(token(&twin, "twin-client", "wrong").await.status, 401);
    let good = token(&twin, "twin-client", "twin-secret").await.json();
    assert_eq!(good["expires_in"], "1", "a string, as recorded");
    let auth = bearer(&twin).await;
    let track = "/api/track/v1/details/1ZUNKNOWN";
    assert_eq!(call(&twin, &auth, "GET", track, &Value::Null).await.status, 200);
    assert_eq!(call(&twin, "Bearer made-up", "GET", track, &Value::Null).await.status, 401);
    Call::new("POST", "/__admin/revoke").send(&twin.base_url).await.unwrap();
    let refused = call(&twin, &auth, "GET", track, &Value::Null).await;
    assert_eq!((refused.status, refused.headers["errorcode"].as_str()), (401, "250002"));
    let auth = bearer(&twin).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(call(&twin, &auth, "GET", track, &Value::Null).await.status, 401, "expired");
    let count = Call::new("GET", "/__admin/tokens").send(&twin.base_url).await.unwrap().json();
    assert_eq!(count, json!({"requests": 4, "live": 0}));
}

#[tokio::test]
async fn the_same_request_twice_is_two_shipments_and_the_ledger_says_so() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let request = ship_request("R-1", 1, "ZPL");
    let first = results(&call(&twin, &auth, "POST", "/api/shipments/v2409/ship", &request).await);
    let second = results(&call(&twin, &auth, "POST", "/api/shipments/v2409/ship", &request).await);
    assert_ne!(first["ShipmentIdentificationNumber"], second["ShipmentIdentificationNumber"]);
    let effects = twin.effects();
    let rows = effects.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["request_sha256"], rows[1]["request_sha256"]);
    assert_eq!((&rows[0]["kind"], &rows[0]["reference"]), (&json!("shipment"), &json!("R-1")));
    assert_eq!(rows[0]["amount"], first["ShipmentCharges"]["TotalCharges"]["MonetaryValue"]);
    let found = call(&twin, &auth, "POST", "/api/labels/v1/recovery", &recovery("R-1")).await.json();
    let candidates = found["LabelRecoveryResponse"]["TrackingCandidate"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "two under one reference: candidates, no label");
    assert!(found["LabelRecoveryResponse"]["LabelResults"].is_null());
}

#[tokio::test]
async fn a_lost_label_comes_back_with_the_same_bytes_once_lookups_can_see_it() {
    let config = UpsConfig { read_after_write_ms: 300, ..UpsConfig::default() };
    let twin = start(config).await.unwrap();
    let auth = bearer(&twin).await;
    let bought =
        results(&call(&twin, &auth, "POST", "/api/shipments/v2205/ship", &ship_request("R-2", 1, "ZPL")).await);
    let early = call(&twin, &auth, "POST", "/api/labels/v1/recovery", &recovery("R-2")).await;
    assert_eq!((early.status, early.headers["errorcode"].as_str()), (400, "9801031"), "not visible yet");
    tokio::time::sleep(std::time::Duration::from_millis(320)).await;
    let found = call(&twin, &auth, "POST", "/api/labels/v1/recovery", &recovery("R-2")).await.json();
    let label = &found["LabelRecoveryResponse"]["LabelResults"];
    assert_eq!(label["LabelImage"]["GraphicImage"], bought["PackageResults"]["ShippingLabel"]["GraphicImage"]);
    assert_eq!(label["TrackingNumber"], bought["PackageResults"]["TrackingNumber"]);
    let nothing = call(&twin, &auth, "POST", "/api/labels/v1/recovery", &recovery("R-3")).await;
    assert_eq!(nothing.headers["errorcode"], "9801031");
}

#[tokio::test]
async fn a_void_is_an_effect_once_and_hides_the_shipment_from_lookups() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let bought =
        results(&call(&twin, &auth, "POST", "/api/shipments/v2409/ship", &ship_request("R-4", 2, "GIF")).await);
    let id = bought["ShipmentIdentificationNumber"].as_str().unwrap().to_owned();
    let path = format!("/api/shipments/v2409/void/cancel/{id}");
    assert_eq!(call(&twin, &auth, "DELETE", &path, &Value::Null).await.status, 200);
    let again = call(&twin, &auth, "DELETE", &path, &Value::Null).await;
    assert_eq!((again.status, again.headers["errorcode"].as_str()), (400, "190117"));
    let unknown = call(&twin, &auth, "DELETE", "/api/shipments/v1/void/cancel/1ZNONE", &Value::Null).await;
    assert_eq!(unknown.headers["errorcode"], "190102");
    let effects = twin.effects();
    let kinds: Vec<&str> = effects.as_array().unwrap().iter().filter_map(|e| e["kind"].as_str()).collect();
    assert_eq!(kinds, ["shipment", "void"]);
    assert_eq!(effects[0]["amount"], effects[1]["amount"]);
    let voided = call(&twin, &auth, "POST", "/api/labels/v1/recovery", &recovery("R-4")).await;
    assert_eq!((voided.status, voided.headers["errorcode"].as_str()), (400, "9801040"));
    let tracked = call(&twin, &auth, "GET", &format!("/api/track/v1/details/{id}"), &Value::Null).await.json();
    assert_eq!(tracked["trackResponse"]["shipment"][0]["package"][0]["currentStatus"]["type"], "MV");
}

#[tokio::test]
async fn one_package_is_an_object_before_v2403_and_a_list_after() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    for (version, packages, list) in [("v2205", 1, false), ("v2205", 2, true), ("v2409", 1, true)] {
        let path = format!("/api/shipments/{version}/ship");
        let got = results(&call(&twin, &auth, "POST", &path, &ship_request("R", packages, "ZPL")).await);
        assert_eq!(got["PackageResults"].is_array(), list, "{version} {packages}");
    }
}

#[tokio::test]
async fn shop_with_time_in_transit_tells_arrival_and_both_prices() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let mut shipment = ship_request("R", 1, "ZPL")["ShipmentRequest"]["Shipment"].clone();
    shipment["DeliveryTimeInformation"] = json!({"PackageBillType": "03", "Pickup": {"Date": "20261127"}});
    shipment["ShipmentRatingOptions"] = json!({"NegotiatedRatesIndicator": "X"});
    let request = json!({"RateRequest": {"Request": {}, "Shipment": shipment}});
    let got = call(&twin, &auth, "POST", "/api/rating/v2409/Shoptimeintransit", &request).await.json();
    let asked = call(&twin, &auth, "POST", "/api/rating/v2409/Shop?additionalinfo=timeintransit", &request).await;
    assert_eq!(
        asked.json()["RateResponse"]["RatedShipment"],
        got["RateResponse"]["RatedShipment"],
        "the other way to ask"
    );
    let rated = got["RateResponse"]["RatedShipment"].as_array().unwrap().clone();
    assert_eq!(rated.len(), 6);
    let next_day = rated.iter().find(|r| r["Service"]["Code"] == "01").unwrap();
    let arrival = &next_day["TimeInTransit"]["ServiceSummary"]["EstimatedArrival"];
    assert_eq!(arrival["Arrival"]["Date"], "20261130", "Friday plus one business day is Monday");
    assert_eq!(arrival["DayOfWeek"], "MON");
    let cents = |v: &Value| v["MonetaryValue"].as_str().unwrap().parse::<f64>().unwrap();
    assert!(cents(&next_day["NegotiatedRateCharges"]["TotalCharge"]) < cents(&next_day["TotalCharges"]));
    assert!(twin.effects().as_array().unwrap().is_empty(), "rating buys nothing");
}

#[tokio::test]
async fn what_ups_refuses_the_twin_refuses_without_an_effect() {
    let twin = start(UpsConfig::default()).await.unwrap();
    let auth = bearer(&twin).await;
    let cases: [(&str, Value, &str); 8] = [
        ("/ShipmentRequest/Shipment/ShipTo/Address/AddressLine", json!([""]), "120202"),
        ("/ShipmentRequest/Shipment/ShipTo/Address/PostalCode", json!("27615"), "120802"),
        ("/ShipmentRequest/Shipment/Shipper/ShipperNumber", json!("ZZZZZZ"), "120100"),
        ("/ShipmentRequest/Shipment/ShipTo/Name", json!("N".repeat(36)), "120200"),
        ("/ShipmentRequest/Shipment/Service/Code", json!("77"), "121210"),
        ("/ShipmentRequest/Shipment/Package/0/PackageWeight/Weight", json!("151"), "120500"),
        ("/ShipmentRequest/Shipment/Package/0/ReferenceNumber/0/Value", json!("R".repeat(36)), "120542"),
        ("/ShipmentRequest/LabelSpecification/LabelImageFormat/Code", json!("TIFF"), "120412"),
    ];
    for (at, value, code) in cases {
        let mut request = ship_request("R", 1, "ZPL");
        *request.pointer_mut(at).unwrap() = value;
        let got = call(&twin, &auth, "POST", "/api/shipments/v2409/ship", &request).await;
        assert_eq!((got.status, got.headers["errorcode"].as_str()), (400, code), "{at}");
        assert_eq!(got.json()["response"]["errors"][0]["code"], code);
    }
    assert_eq!(twin.effects(), json!([]));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_numbers_and_a_reset_starts_over() {
    let twin = start(UpsConfig { seed: 9, ..UpsConfig::default() }).await.unwrap();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let auth = bearer(&twin).await;
        let got = results(&call(&twin, &auth, "POST", "/api/shipments/v2409/ship", &ship_request("R", 1, "PNG")).await);
        numbers.push(got["ShipmentIdentificationNumber"].clone());
        twin.reset();
    }
    assert_eq!(numbers[0], numbers[1]);
    assert!(twin.requests().is_empty());
}
