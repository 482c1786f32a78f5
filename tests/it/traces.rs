//! What a secret would be found by. Written for the tests alone, without a look at the host's own list.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

/// The forms in which a value may come back from a partner or be kept by somebody.
pub(crate) fn disguises(value: &str) -> Vec<String> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    vec![
        value.to_owned(),
        STANDARD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        STANDARD.encode(format!("x{value}")),
        STANDARD.encode(format!("xy{value}z")),
        hex.to_uppercase(),
        hex,
        value.bytes().map(percent).collect(),
        json!(value).to_string().replace('/', "\\/"),
    ]
}

/// Whole where it stands alone, its middle where neighbours would change its ends.
pub(crate) fn traces(value: &str) -> Vec<String> {
    let mut all = disguises(value);
    for before in ["", "x", "xy"] {
        for text in [STANDARD.encode(format!("{before}{value}")), URL_SAFE_NO_PAD.encode(format!("{before}{value}"))] {
            all.push(text[4..text.len() - 8].to_owned());
        }
    }
    all
}
