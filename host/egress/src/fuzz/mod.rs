//! Promise 14 at this door: whatever a caller asks for and whatever a partner answers, nothing panics, nothing grows
//! without bound, and what the rules of the neighbouring files say holds for what got through. One file per subject.

mod answers;
mod policy;
mod requests;
mod slots;

use std::collections::BTreeMap;

use secrecy::SecretString;
use wharf_domain::effect::EffectClass;
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::{Route, SecretSlot};

use crate::{BoundSecret, Grant, Limits, Origin};

/// The origins of [`grant`], as they are written in canonical form, and whether they may be private.
const ORIGINS: [(&str, bool); 4] = [
    ("https://api.carrier.com", false),
    ("https://api.carrier.com:8443", false),
    ("http://127.0.0.1:9000", true),
    ("https://[fd12::9]", true),
];

/// What a person with several origins, several routes and several secrets has granted.
fn grant() -> Grant {
    let value = |name: &str, text: &str| (name.to_owned(), SecretString::from(text.to_owned()));
    let header = SecretSlot::Header { header: "X-Api-Key".to_owned(), format: "Key {value}".to_owned() };
    let signed: SecretSlot = serde_json::from_str(
        r#"{"type":"hmac-sign","header":"X-Signature","format":"{key_id}:{signature}","hash":"sha256",
            "encoding":"base64","template":"{timestamp}.{method} {path}?{query}\n{body}","timestamp_header":"X-Time"}"#,
    )
    .expect("a slot");
    let secrets = [
        ("header", header, vec![value("value", requests::SECRET)]),
        ("basic", SecretSlot::Basic, vec![value("username", "acct-4711"), value("password", requests::SECRET)]),
        ("signed", signed, vec![value("key_id", "k1"), value("key", requests::SECRET)]),
    ];
    Grant {
        tenant: TenantId::parse("nordic").expect("tenant"),
        connection: "acme".to_owned(),
        adapter_digest: None,
        origins: ORIGINS
            .iter()
            .map(|(url, allow_private)| Origin {
                url: (*url).to_owned(),
                allow_private: *allow_private,
                authority: None,
            })
            .collect(),
        routes: vec![
            route("GET", "/v1/*", None),
            route("POST", "/v1/*", None),
            route("PUT", "/key/*/x", Some("header")),
            route("POST", "/basic", Some("basic")),
            route("POST", "/signed/*", Some("signed")),
        ],
        secrets: secrets
            .into_iter()
            .map(|(name, slot, values)| (name.to_owned(), BoundSecret { slot, values: values.into_iter().collect() }))
            .collect(),
        config: BTreeMap::new(),
        limits: Limits::default(),
        terms: None,
    }
}

fn route(method: &str, path: &str, secret: Option<&str>) -> Route {
    Route {
        method: method.to_owned(),
        path: path.to_owned(),
        class: Some(EffectClass::Read),
        effect: None,
        secret: secret.map(str::to_owned),
        proves_no_effect: None,
        key: None,
        reason: "test".to_owned(),
    }
}

/// Spellings a URL parser knows and a person does not.
const WORDS: [&str; 44] = [
    "https://",
    "http://",
    "HTTPS:",
    "wss://",
    "file:///",
    "//",
    "\\",
    "@",
    "#",
    "?",
    "%2f",
    "%2e%2e/",
    "/../",
    "/./",
    "%00",
    "%25",
    "[::1]",
    "[fd12::9]",
    "[::ffff:127.0.0.1]",
    "127.0.0.1:9000",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "①②⑦.0.0.1",
    "169.254.169.254",
    "metadata.google.internal",
    "localhost",
    "api.carrier.com",
    ":8443",
    ":443",
    ".",
    "。",
    "xn--pi-8cd",
    "\u{ad}",
    "\u{200d}",
    "ａｐｉ",
    "ß",
    "\t",
    "\r\n",
    "/v1/a",
    "/key/1/x",
    "/signed/1",
    "/basic",
];

/// Parts of an input, separated by a byte that stands in no well-formed one.
fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut parts = input.splitn(N, |byte| *byte == 0x1e);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
