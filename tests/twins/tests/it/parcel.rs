//! The carrier nobody has heard of: what each of its routes does when it is asked twice.

use serde_json::json;
use wharf_twins::Running;
use wharf_twins::parcel::{Call as Row, ParcelConfig, Route, start};

use crate::client::Call;

fn ledger(twin: &Running) -> Vec<(Route, bool)> {
    let rows: Vec<Row> = serde_json::from_value(twin.effects()).unwrap();
    rows.into_iter().map(|row| (row.route, row.effect)).collect()
}

#[tokio::test]
async fn a_label_and_a_pickup_are_made_again_and_only_the_label_can_be_found() {
    let twin = start(ParcelConfig::default()).await.unwrap();
    for path in ["/v1/labels", "/v1/labels", "/v1/pickups", "/v1/pickups"] {
        let status = Call::post(path, &json!({ "reference": "r" })).send(&twin.base_url).await.unwrap().status;
        assert_eq!(status, 201, "{path}");
    }
    assert_eq!(
        ledger(&twin),
        [(Route::Label, true), (Route::Label, true), (Route::Pickup, true), (Route::Pickup, true)]
    );
    let found = Call::new("GET", "/v1/labels?reference=r").send(&twin.base_url).await.unwrap().json();
    assert_eq!(found["numbers"], json!(["PL00000002", "PL00000003"]));
    let other = Call::new("GET", "/v1/labels?reference=x").send(&twin.base_url).await.unwrap().json();
    assert_eq!(other["numbers"], json!([]));
}

#[tokio::test]
async fn a_key_has_its_first_answer_as_long_as_it_is_remembered() {
    let buy = |reference: &str| Call::post("/v1/shipments", &json!({ "reference": reference }));
    let keyed = |reference: &str| buy(reference).header("idempotency-key", "k");
    let twin = start(ParcelConfig::default()).await.unwrap();
    let first = keyed("r").send(&twin.base_url).await.unwrap();
    assert_eq!(keyed("r").send(&twin.base_url).await.unwrap().body, first.body);
    assert_eq!(keyed("other").send(&twin.base_url).await.unwrap().status, 409);
    assert_eq!(buy("r").send(&twin.base_url).await.unwrap().status, 400, "no key");
    assert_eq!(ledger(&twin), [(Route::Shipment, true), (Route::Shipment, false)]);

    let forgetful = start(ParcelConfig { retention_ms: 0, ..ParcelConfig::default() }).await.unwrap();
    for _ in 0..2 {
        keyed("r").send(&forgetful.base_url).await.unwrap();
    }
    assert_eq!(ledger(&forgetful), [(Route::Shipment, true), (Route::Shipment, true)]);
}

#[tokio::test]
async fn a_status_after_the_effect_hides_it() {
    let twin = start(ParcelConfig::default()).await.unwrap();
    let rules = serde_json::from_value(json!([{ "nth": 1, "fault": { "status_after_effect": { "code": 500 } } }]));
    twin.set_script(rules.unwrap(), 1).unwrap();
    let call = Call::post("/v1/pickups", &json!({ "reference": "r" }));
    assert_eq!(call.send(&twin.base_url).await.unwrap().status, 500);
    assert_eq!(ledger(&twin), [(Route::Pickup, true)]);
    assert_eq!(call.send(&twin.base_url).await.unwrap().status, 201);
}
