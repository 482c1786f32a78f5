//! Secret slots of a manifest: what passes the check can be put on a request, and signs the whole of it.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method};
use wharf_domain::manifest::SecretSlot;
use wharf_domain::time::Timestamp;
use wharf_fuzz::{Target, shape};

use crate::sign::{Signed, fill};

const SEEDS: [&str; 6] = [
    r#"{"type":"header","header":"x-key","format":"Token {value}"}"#,
    r#"{"type":"basic"}"#,
    r#"{"type":"oauth2-client-credentials","token_path":"/t","form":{"scope":"a"},"headers_from_config":{"x-id":"account"}}"#,
    r#"{"type":"jwt-bearer","token_path":"/t","algorithm":"ES256","audience":"https://a.example/t"}"#,
    r#"{"type":"hmac-sign","header":"x-s","format":"{key_id}:{signature}","hash":"sha256","encoding":"hex","template":"{timestamp}{method}{host}{path}{query}{body}"}"#,
    r#"{"type":"hmac-sign","header":"x-s","format":"v1={signature}","hash":"sha512","encoding":"base64","template":"{method}\n{path}\n{body_sha256}","timestamp_header":"x-t"}"#,
];
const WORDS: [&str; 14] = [
    "{method}",
    "{path}",
    "{query}",
    "{body}",
    "{body_sha256}",
    "{timestamp}",
    "{host}",
    "{value}",
    "{signature}",
    "{key_id}",
    "{{",
    "}}",
    "{}",
    "\\n",
];

#[test]
fn p14_secret_slots() {
    Target::new("secret_slots").seeds(SEEDS).words(WORDS).longest(1_000).run(|input| {
        let slot: SecretSlot = match serde_json::from_slice(input) {
            Ok(slot) => slot,
            Err(err) => return shape(&err.to_string()),
        };
        if let Err(rule) = slot.valid() {
            return shape(&rule);
        }
        for name in slot.headers() {
            assert!(HeaderName::from_bytes(name.as_bytes()).is_ok(), "`{name}` passes and is no header");
        }
        match &slot {
            SecretSlot::Header { format, .. } => as_header(&format.replace("{value}", "s3cret")),
            SecretSlot::HmacSign { format, template, .. } => {
                as_header(&format.replace("{signature}", "00").replace("{key_id}", "k1"));
                signs_all_of_it(template);
            }
            _ => {}
        }
        slot.kind().to_owned()
    });
}

fn as_header(text: &str) {
    assert!(HeaderValue::from_str(text).is_ok(), "{text:?} passes and cannot stand in a header");
}

/// Another method, path or body is another text; what the request says is never read as a name.
fn signs_all_of_it(template: &str) {
    let text = |method: &Method, path: &str, body: &[u8]| {
        let at = Timestamp::from_millis(1_700_000_000_999);
        fill(template, &Signed { method, host: "api.example".to_owned(), path, query: "q={body}", body, at })
    };
    let one = text(&Method::POST, "/a", b"{path}{timestamp}");
    let texts = BTreeMap::from([
        (one.clone(), "as it is"),
        (text(&Method::PUT, "/a", b"{path}{timestamp}"), "another method"),
        (text(&Method::POST, "/b", b"{path}{timestamp}"), "another path"),
        (text(&Method::POST, "/a", b"{path}{timestamp}!"), "another body"),
    ]);
    assert_eq!(texts.len(), 4, "{template:?} signs the same for different requests: {texts:?}");
    if template.contains("{body}") {
        let body = b"{path}{timestamp}".as_slice();
        assert!(one.windows(body.len()).any(|part| part == body), "{template:?} changes the body");
    }
}
