//! Names that a person would take for another one. Two names look alike when they have the same skeleton, the prototype
//! form of Unicode Technical Standard 39, section 4, after case and blanks are taken away.

use unicode_security::confusable_detection::skeleton;

use crate::guest::forges;

/// The first of `known` that `name` could be taken for without being it; `None` for a name that is itself known.
pub fn like<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    if known.iter().any(|other| other == name) {
        return None;
    }
    let forms = forms(name);
    let meets = |other: &[String; 2]| other.iter().zip(&forms).any(|(a, b)| a == b);
    known.iter().map(String::as_str).find(|other| meets(&self::forms(other)))
}

/// A name with every letter that is not plain ASCII written by its number.
pub fn spelled(name: &str) -> String {
    name.chars().flat_map(char::escape_default).collect()
}

/// Characters without a width of their own.
const UNSEEN: [char; 6] = ['\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}'];

/// As it is written, and in small letters: what looks like a capital letter has no small one, and a capital I looks like a
/// small l.
fn forms(name: &str) -> [String; 2] {
    let seen: String = name.chars().filter(|c| !c.is_whitespace() && !forges(*c) && !UNSEEN.contains(c)).collect();
    let written: String = skeleton(&seen).collect();
    [written.to_lowercase(), skeleton(&seen.to_lowercase()).collect()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j5_a_name_that_would_be_taken_for_another_is_found() {
        let known = ["ACME".to_owned(), "Nordic Freight".to_owned()];
        for name in [
            "\u{410}\u{421}\u{41c}\u{415}",
            "ACM\u{395}",
            "Acme",
            "ACME ",
            "AC\u{200b}ME",
            "\u{202e}ACME",
            "Nordic\u{a0}Freight",
            "N\u{43e}rdic Freight",
            "NORDIC FREIGHT",
        ] {
            assert!(like(name, &known).is_some(), "{}", spelled(name));
        }
        for name in ["ACME", "ACME Parcels", "Acne", "Nordic", "", "Südfracht"] {
            assert_eq!(like(name, &known), None, "{name}");
        }
        assert_eq!(like("anything", &[]), None);
        assert_eq!(spelled("\u{410}CME"), "\\u{410}CME");
    }
}
