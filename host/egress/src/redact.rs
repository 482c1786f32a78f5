//! Finds secret values and puts their names in place.
//!
//! Two depths. What goes back to a guest loses only what is secret: a user name or client id may be an account number
//! that belongs on a label. What is recorded loses those too. Looked for are the value itself and its base64,
//! percent-encoded and JSON-escaped forms; an echo in another disguise is not found.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
        let percent: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let escaped = serde_json::Value::from(value).to_string();
        for form in [value.to_owned(), STANDARD.encode(value), percent, escaped.trim_matches('"').to_owned()] {
            if !self.known.iter().any(|(known, _, _)| known == form.as_bytes()) {
                self.known.push((form.into_bytes(), name.to_owned(), identifier));
            }
        }
    }

    pub(crate) fn redactor(&self) -> Redactor {
        Redactor { echo: Finder::new(&self.known, false), record: Finder::new(&self.known, true) }
    }
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

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(redactor().record("abc"), "abc");
        assert_eq!(Secrets::default().redactor().record("abcdef"), "abcdef");
    }
}
