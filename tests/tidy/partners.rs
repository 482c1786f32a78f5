//! The host knows no partner by name: a new carrier or warehouse is a folder of `plugins/` and nothing else.

use crate::code::{has_word, words};
use crate::files::of_tests;
use crate::tree::{Finding, Tree};

/// Partner systems a 3PL meets; the folders of `plugins/` are added.
const PARTNERS: &[&str] = &[
    "ups",
    "fedex",
    "dhl",
    "usps",
    "dpd",
    "gls",
    "tnt",
    "postnl",
    "purolator",
    "canadapost",
    "royalmail",
    "evri",
    "easypost",
    "shippo",
    "shipengine",
    "sendcloud",
    "onfleet",
    "vroom",
    "shiphero",
    "shipbob",
    "amazon",
    "shopify",
    "woocommerce",
];

pub(crate) fn named(tree: &Tree) -> Vec<Finding> {
    let mut names: Vec<String> = PARTNERS.iter().map(|name| (*name).to_owned()).collect();
    names.extend(tree.folders("plugins/"));
    let mut found = Vec::new();
    for (path, text) in tree.under("host/").filter(|(path, _)| !of_tests(tree, path)) {
        // Comments count too: what is said about one partner belongs beside that partner's code.
        let tested = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        for (index, line) in text[..tested].lines().enumerate() {
            if let Some(word) = names.iter().find(|name| names_partner(line, name)) {
                let remedy = "what is special about a partner belongs in its folder of plugins/";
                found.push(Finding::new(path, index + 1, format!("the partner's name `{word}`"), remedy));
            }
        }
    }
    found
}

/// As a word of an identifier (`AcmeRate`, `acme_rate`) or as a whole word in any case (`FedEx`).
fn names_partner(line: &str, name: &str) -> bool {
    words(line).iter().any(|word| word == name) || has_word(&line.to_lowercase(), name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::places;

    #[test]
    fn a_partners_name_is_found_in_any_spelling_but_not_inside_words_or_tests() {
        let text =
            "struct AcmeRate;\nlet groups = backups();\n// as FedEx does\n#[cfg(test)]\nmod tests {\n// acme\n}\n";
        let tree = Tree::of(&[("host/domain/src/rate.rs", text), ("plugins/acme/adapter.toml", "")]);
        assert_eq!(places(&named(&tree)), ["host/domain/src/rate.rs:1", "host/domain/src/rate.rs:3"]);
    }
}
