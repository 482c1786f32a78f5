//! Signed requests: what is signed is a template of the manifest filled with the request that is sent. The caller
//! chooses the request, never the text, so it cannot have anything else signed.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::manifest::{Encoding, Hash};
use wharf_domain::time::Timestamp;

/// The request as it goes onto the wire.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    /// With the port when it is not the scheme's own.
    pub(crate) host: String,
    pub(crate) path: &'a str,
    /// Without the `?`; empty when there is none.
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) at: Timestamp,
}

/// The template with its names replaced, in one pass: a name that comes out of the request stays as it is.
pub(crate) fn fill(template: &str, request: &Signed<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(template.len() + request.body.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.extend_from_slice(before.as_bytes());
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        match name {
            "method" => text.extend_from_slice(request.method.as_str().as_bytes()),
            "host" => text.extend_from_slice(request.host.as_bytes()),
            "path" => text.extend_from_slice(request.path.as_bytes()),
            "query" => text.extend_from_slice(request.query.as_bytes()),
            "timestamp" => text.extend_from_slice(seconds(request.at).as_bytes()),
            "body" => text.extend_from_slice(request.body),
            "body_sha256" => {
                text.extend_from_slice(hex(digest::digest(&digest::SHA256, request.body).as_ref()).as_bytes())
            }
            // The manifest's check has refused every other one.
            _ => {}
        }
        rest = behind;
    }
    text.extend_from_slice(rest.as_bytes());
    text
}

/// Unix time in seconds, as text.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.millis().div_euclid(1_000).to_string()
}

/// The signature of a text as it stands in its header.
pub(crate) fn sign(hash: Hash, encoding: Encoding, key: &SecretString, text: &[u8]) -> String {
    let algorithm = match hash {
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha512 => hmac::HMAC_SHA512,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, key.expose_secret().as_bytes()), text);
    match encoding {
        Encoding::Hex => hex(tag.as_ref()),
        Encoding::Base64 => STANDARD.encode(tag.as_ref()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &[u8]) -> Signed<'_> {
        Signed {
            method: &Method::POST,
            host: "api.example".to_owned(),
            path: "/v1/labels",
            query: "a=b",
            body,
            at: Timestamp::from_millis(1_700_000_000_999),
        }
    }

    #[test]
    fn a_template_is_filled_with_the_request_and_with_nothing_the_request_names() {
        let text =
            fill("{timestamp}.{method} {host}{path}?{query}\n{body}|", &request(b"{\"x\":\"{timestamp}{body}\"}"));
        let expected = "1700000000.POST api.example/v1/labels?a=b\n{\"x\":\"{timestamp}{body}\"}|";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
        let digest = fill("{body_sha256}", &request(b""));
        assert_eq!(digest, b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    /// RFC 4231, test case 2.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let key = SecretString::from("Jefe".to_owned());
        let text = b"what do ya want for nothing?";
        assert_eq!(
            sign(Hash::Sha256, Encoding::Hex, &key, text),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(sign(Hash::Sha512, Encoding::Hex, &key, text).starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
        let encoded = sign(Hash::Sha256, Encoding::Base64, &key, text);
        assert_eq!(encoded, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    }
}
