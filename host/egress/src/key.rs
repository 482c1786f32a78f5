//! Puts the ledger's key on a request of class `keyed`. Done last, on the way to the wire: the digest that makes a
//! repeat a repeat does not know the key.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use wharf_domain::effect::EffectClass;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::manifest::Route;

use crate::fault;

/// What the key adds to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keyed {
    Header(HeaderName, HeaderValue),
    /// The whole body, with the key in its place.
    Body(Bytes),
}

/// The request's key in its place; `None` on a route without one.
///
/// # Errors
/// A body the key does not fit into is the guest's fault, a header that is none the manifest's. Nothing was sent.
pub(crate) fn keyed(route: &Route, key: Option<&str>, body: &Bytes) -> Result<Option<Keyed>, Fault> {
    let (Some(slot), Some(key)) = (route.key.as_ref().filter(|_| route.class() == EffectClass::Keyed), key) else {
        return Ok(None);
    };
    if let Some(name) = &slot.header {
        let name = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(key).ok());
        let (name, value) = name.ok_or_else(|| {
            fault::host("bad-key-slot", format!("`key.header` of `{} {}` is no HTTP header", route.method, route.path))
        })?;
        return Ok(Some(Keyed::Header(name, value)));
    }
    let pointer = slot.body.as_deref().unwrap_or_default();
    let misfit = |why: &str| {
        let text =
            format!("the request of `{} {}` cannot carry its key at `{pointer}`: {why}", route.method, route.path);
        Fault::new(FaultKind::InvalidInput, "egress.key-misfit", text, Blame::Guest)
    };
    let mut value: Value = serde_json::from_slice(body).map_err(|_| misfit("the body is not JSON"))?;
    let (parent, member) = pointer.rsplit_once('/').ok_or_else(|| misfit("it is no JSON pointer"))?;
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut);
    let object = parent.ok_or_else(|| misfit("what it points into is not an object of the body"))?;
    object.insert(member.replace("~1", "/").replace("~0", "~"), Value::String(key.to_owned()));
    let bytes = serde_json::to_vec(&value).map_err(|err| misfit(&err.to_string()))?;
    Ok(Some(Keyed::Body(bytes.into())))
}

#[cfg(test)]
mod tests {
    use wharf_domain::manifest::{KeySlot, Stores};

    use super::*;

    fn route(header: Option<&str>, body: Option<&str>) -> Route {
        Route {
            method: "POST".to_owned(),
            path: "/x".to_owned(),
            class: Some(EffectClass::Keyed),
            effect: None,
            secret: None,
            proves_no_effect: None,
            key: Some(KeySlot {
                header: header.map(str::to_owned),
                body: body.map(str::to_owned),
                retention_seconds: 60,
                stores: Stores::All,
                lookup: false,
            }),
            reason: "test".to_owned(),
        }
    }

    #[test]
    fn the_key_goes_where_the_manifest_says() {
        let body = Bytes::from_static(br#"{"b":1,"meta":{"z":[2]}}"#);
        let header = keyed(&route(Some("Idempotency-Key"), None), Some("k1"), &body).expect("header");
        let name = HeaderName::from_static("idempotency-key");
        assert_eq!(header, Some(Keyed::Header(name, HeaderValue::from_static("k1"))));
        let in_body = |pointer: &str| keyed(&route(None, Some(pointer)), Some("k1"), &body);
        let Ok(Some(Keyed::Body(bytes))) = in_body("/meta/id~1x") else { panic!("no body") };
        let value: Value = serde_json::from_slice(&bytes).expect("json");
        assert_eq!(value, serde_json::json!({ "b": 1, "meta": { "z": [2], "id/x": "k1" } }));
        for pointer in ["/nowhere/id", "/b/id"] {
            let fault = in_body(pointer).expect_err(pointer);
            assert_eq!((fault.code.as_str(), fault.blame), ("egress.key-misfit", Blame::Guest));
        }
        let plain = Route { class: None, ..route(Some("K"), None) };
        assert_eq!(keyed(&plain, Some("k1"), &body), Ok(None), "only class `keyed` has a key");
    }
}
