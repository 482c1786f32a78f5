//! The partner's routes as a connection is granted them, and the requests of the four classes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_domain::effect::{BusinessKey, EffectClass};
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::{KeySlot, Route, Stores};
use wharf_egress::{Grant, Limits, Origin, Request};

use crate::order::{Class, Order};

/// The name of every tenant's connection.
pub(crate) const CONNECTION: &str = "parcel";

/// What a tenant's connection may do.
pub(crate) fn grant(tenant: &TenantId, url: &str) -> Grant {
    let route = |method: &str, path: &str, class: EffectClass, effect: Option<&str>| Route {
        method: method.to_owned(),
        path: path.to_owned(),
        class: Some(class),
        effect: effect.map(str::to_owned),
        secret: None,
        proves_no_effect: None,
        key: None,
        reason: "the test's partner".to_owned(),
    };
    let key = KeySlot {
        header: Some("Idempotency-Key".to_owned()),
        body: None,
        retention_seconds: 86_400,
        stores: Stores::Success,
        lookup: false,
    };
    Grant {
        tenant: tenant.clone(),
        connection: CONNECTION.to_owned(),
        adapter_digest: None,
        origins: vec![Origin { url: url.to_owned(), allow_private: true, authority: None }],
        routes: vec![
            route("GET", "/v1/labels", EffectClass::Read, None),
            route("POST", "/v1/labels", EffectClass::Lookup, Some("buy-label")),
            route("POST", "/v1/pickups", EffectClass::Once, Some("order-pickup")),
            Route { key: Some(key), ..route("POST", "/v1/shipments", EffectClass::Keyed, Some("buy-shipment")) },
            route("PUT", "/v1/lanes/*/address", EffectClass::Natural, None),
        ],
        secrets: BTreeMap::new(),
        config: BTreeMap::new(),
        limits: Limits::default(),
        terms: None,
    }
}

/// The key under which the order's effect must happen once; `None` where a repeat is harmless.
pub(crate) fn business(order: &Order) -> Option<BusinessKey> {
    let (effect_type, what) = match order.class {
        Class::Lookup => ("buy-label", "label"),
        Class::Once => ("order-pickup", "pickup"),
        Class::Keyed => ("buy-shipment", "shipment"),
        Class::Natural | Class::Inside => return None,
    };
    Some(BusinessKey { effect_type: effect_type.to_owned(), key: format!("{what}:{}", order.name()) })
}

/// The request that changes something; `None` for an order that touches nothing outside.
pub(crate) fn change(order: &Order, url: &str) -> Option<Request> {
    let (method, path) = match order.class {
        Class::Lookup => ("POST", "/v1/labels".to_owned()),
        Class::Once => ("POST", "/v1/pickups".to_owned()),
        Class::Keyed => ("POST", "/v1/shipments".to_owned()),
        Class::Natural => ("PUT", format!("/v1/lanes/{}/address", order.lane())),
        Class::Inside => return None,
    };
    let body = json!({ "reference": order.name() }).to_string();
    Some(Request {
        method: method.to_owned(),
        url: format!("{url}{path}"),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(Bytes::from(body)),
        timeout_ms: None,
    })
}

/// The request that finds a label again.
pub(crate) fn find(order: &Order, url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: format!("{url}/v1/labels?reference={}", order.name()),
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
    }
}

/// The first label of a lookup's answer; `None` when it has none. Fails on an answer that is none.
pub(crate) fn found(body: &[u8]) -> Result<Option<Value>, serde_json::Error> {
    let answer: Value = serde_json::from_slice(body)?;
    Ok(answer["numbers"].get(0).map(|number| json!({ "number": number })))
}
