//! Finds secret values and puts their names in place.
//!
//! Two depths. What goes back to a guest loses only what is secret: a user name or client id may be an account number
//! that belongs on a label. What is recorded loses those too. Looked for are the value itself and the forms a careless
//! partner gives it ([`forms`]); an echo in another disguise is not found.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;

/// Shorter values are not looked for: they would be found everywhere.
const SHORTEST: usize = 6;

/// The values of one request's secrets, with their names. No `Debug`.
#[derive(Default)]
pub(crate) struct Secrets {
    /// Value, name, and whether it is only an identifier.
    known: Vec<(Vec<u8>, String, bool)>,
}

impl Secrets {
    /// `name` is what stands in its place, e.g. `{{secret:oauth.client_secret}}`.
    pub(crate) fn learn(&mut self, name: &str, value: &str, identifier: bool) {
        if value.len() < SHORTEST {
            return;
        }
        for form in forms(value) {
            if !self.known.iter().any(|(known, _, _)| known == form.as_bytes()) {
                self.known.push((form.into_bytes(), name.to_owned(), identifier));
            }
        }
    }

    pub(crate) fn redactor(&self) -> Redactor {
        Redactor { echo: Finder::new(&self.known, false), record: Finder::new(&self.known, true) }
    }
}

/// A value as it may come back: as it is, in base64 (by itself, and inside a longer text at each of the three places a
/// byte can have in a group), in hexadecimal, percent-encoded, and escaped in JSON.
///
/// Of a key in PEM its lines are looked for, whatever ends them: a line has no characters that are ever escaped.
fn forms(value: &str) -> Vec<String> {
    if value.starts_with("-----BEGIN ") {
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST && !line.starts_with("-----"));
        return lines.map(str::to_owned).collect();
    }
    let bytes = value.as_bytes();
    let mut forms = vec![value.to_owned(), STANDARD.encode(bytes), URL_SAFE.encode(bytes)];
    for before in 0..3 {
        let mut shifted = vec![0; before];
        shifted.extend_from_slice(bytes);
        // Characters that also hold bits of a neighbour are left out.
        let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.extend(text.get(from..to).map(str::to_owned));
        }
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    let plus: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let spaces = plus.replace('+', "%20");
    forms.extend([lower_percent(&plus), lower_percent(&spaces), plus, spaces]);
    let escaped = serde_json::Value::from(value).to_string();
    let escaped = escaped.get(1..escaped.len() - 1).unwrap_or_default().to_owned();
    // Some writers escape slashes, and everything beyond ASCII.
    forms.extend([escaped.replace('/', "\\/"), ascii(&escaped), ascii(&escaped.replace('/', "\\/")), escaped]);
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// The hexadecimal digits of `%XX` in lower case.
fn lower_percent(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(part.len().min(2));
        out.push('%');
        out.push_str(&digits.to_lowercase());
        out.push_str(rest);
    }
    out
}

/// Escaped JSON with `\uXXXX` for everything beyond ASCII.
fn ascii(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    for c in escaped.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Replaces what [`Secrets`] knows.
pub(crate) struct Redactor {
    echo: Option<Finder>,
    record: Option<Finder>,
}

impl Redactor {
    /// For a guest: bytes, untouched when nothing is found.
    pub(crate) fn echo(&self, bytes: Bytes) -> Bytes {
        match &self.echo {
            Some(finder) if finder.automaton.is_match(&bytes) => {
                Bytes::from(finder.automaton.replace_all_bytes(&bytes, &finder.names))
            }
            _ => bytes,
        }
    }

    /// Does an answer hold something a guest may not see?
    pub(crate) fn finds(&self, headers: &[(String, String)], body: &[u8]) -> bool {
        let Some(finder) = &self.echo else { return false };
        finder.automaton.is_match(body) || headers.iter().any(|(_, value)| finder.automaton.is_match(value))
    }

    /// For a guest: text.
    pub(crate) fn echo_text(&self, text: &str) -> String {
        replace(self.echo.as_ref(), text)
    }

    /// For a record: text.
    pub(crate) fn record(&self, text: &str) -> String {
        replace(self.record.as_ref(), text)
    }

    /// For a record: bytes.
    pub(crate) fn record_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.record {
            Some(finder) => finder.automaton.replace_all_bytes(bytes, &finder.names),
            None => bytes.to_vec(),
        }
    }
}

fn replace(finder: Option<&Finder>, text: &str) -> String {
    finder.map_or_else(|| text.to_owned(), |finder| finder.automaton.replace_all(text, &finder.names))
}

struct Finder {
    automaton: AhoCorasick,
    names: Vec<String>,
}

impl Finder {
    /// `None` when there is nothing to look for.
    fn new(known: &[(Vec<u8>, String, bool)], identifiers: bool) -> Option<Self> {
        let wanted = || known.iter().filter(|(_, _, identifier)| identifiers || !identifier);
        let names: Vec<String> = wanted().map(|(_, name, _)| name.clone()).collect();
        if names.is_empty() {
            return None;
        }
        let built = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // Built for each request, and searched once or twice: a full table would cost more than it gives.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(wanted().map(|(value, _, _)| value.as_slice()));
        match built {
            Ok(automaton) => Some(Self { automaton, names }),
            Err(err) => {
                // Only a pattern set of gigabytes gets here.
                tracing::error!("failed to prepare redaction: {err}");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let mut secrets = Secrets::default();
        secrets.learn("{{secret:basic.username}}", "acct-4711", true);
        secrets.learn("{{secret:basic.password}}", "p\"ss wörd", false);
        secrets.learn("{{secret:tiny.value}}", "abc", false);
        secrets.redactor()
    }

    #[test]
    fn a_record_loses_every_form_of_a_secret() {
        let r = redactor();
        let encoded = STANDARD.encode("p\"ss wörd");
        let text = format!("acct-4711 p\"ss wörd {encoded} p%22ss+w%C3%B6rd {}", serde_json::json!("p\"ss wörd"));
        let name = "{{secret:basic.password}}";
        assert_eq!(r.record(&text), format!("{{{{secret:basic.username}}}} {name} {name} {name} \"{name}\""));
        assert_eq!(r.record_bytes(b"\xffacct-4711"), b"\xff{{secret:basic.username}}");
    }

    #[test]
    fn a_guest_keeps_identifiers_and_loses_secrets() {
        let r = redactor();
        let label = Bytes::from_static(b"^XA acct-4711 ^XZ");
        assert_eq!(r.echo(label.clone()), label);
        assert_eq!(r.echo_text("x p\"ss wörd"), "x {{secret:basic.password}}");
    }

    /// Whatever stands before and after it in a longer text.
    #[test]
    fn f5_a_secret_is_found_in_every_form_a_partner_may_send_it_back_in() {
        let value = "p\"ss/wörd +&16";
        let mut secrets = Secrets::default();
        secrets.learn("[it]", value, false);
        let r = secrets.redactor();
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut texts = vec![
            ("raw", value.to_owned()),
            ("base64", STANDARD.encode(value)),
            ("base64url", URL_SAFE.encode(value)),
            ("hex", hex.clone()),
            ("HEX", hex.to_uppercase()),
            ("form", "p%22ss%2Fw%C3%B6rd+%2B%2616".to_owned()),
            ("url", "p%22ss%2fw%c3%b6rd%20%2b%2616".to_owned()),
            ("JSON", serde_json::json!(value).to_string()),
            ("JSON with slashes", "p\\\"ss\\/wörd +&16".to_owned()),
            ("JSON in ASCII", "p\\\"ss/w\\u00f6rd +&16".to_owned()),
            ("basic of another user", STANDARD.encode(format!("someone:{value}"))),
        ];
        for before in 0..6 {
            for after in 0..3 {
                let text = format!("{}{value}{}", "x".repeat(before), "y".repeat(after));
                texts.push(("inside base64", STANDARD.encode(&text)));
                texts.push(("inside base64url", URL_SAFE_NO_PAD.encode(&text)));
            }
        }
        for (form, text) in texts {
            let text = format!("<{text}>");
            let cleaned = r.echo(Bytes::from(text.clone()));
            assert!(
                r.finds(&[], text.as_bytes()) && String::from_utf8_lossy(&cleaned).contains("[it]"),
                "{form}: {text}"
            );
            assert!(r.finds(&[("x".to_owned(), text.clone())], b"") && r.echo_text(&text).contains("[it]"), "{form}");
        }
        assert!(!r.finds(&[("x".to_owned(), "fine".to_owned())], b"p ss word"));
    }

    #[test]
    fn f5_a_key_in_pem_is_found_by_its_lines() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\nSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----\n";
        let mut secrets = Secrets::default();
        secrets.learn("[it]", key, false);
        let r = secrets.redactor();
        for text in [key.to_owned(), key.replace('\n', "\r\n"), serde_json::json!(key).to_string()] {
            let cleaned = r.echo_text(&text);
            assert!(!cleaned.contains("MIGH") && !cleaned.contains("SM49"), "{cleaned}");
        }
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(redactor().record("abc"), "abc");
        assert_eq!(Secrets::default().redactor().record("abcdef"), "abcdef");
    }
}
