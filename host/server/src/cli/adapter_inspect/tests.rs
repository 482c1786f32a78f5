//! What a person sees of an adapter, as it was agreed, and what a publisher cannot do to it.

use std::collections::BTreeMap;

use wharf_domain::ids::Digest;
use wharf_domain::peak::Peak;
use wharf_domain::time::Timestamp;
use wharf_sandbox::inspect::{Face, Report, sheet};
use wharf_sandbox::manifest::from_toml;
use wharf_store::usage::{Calls, Denied, Effects, Usage};

use super::*;

const TOML: &str = r#"
name = "acme"
version = "1.0.0"
description = "ships parcels"
publisher = "ACME"
licence = "Apache-2.0"
kv_bytes = 1000
[[endpoints]]
environment = "live"
origin = "https://api.acme.example"
[[routes]]
method = "POST"
path = "/ship"
class = "once"
effect = "buy-label"
secret = "token"
reason = "buys labels"
[[routes]]
method = "GET"
path = "/track/*"
reason = "tracks"
[secrets.token]
type = "basic"
[[odoo]]
model = "res.partner"
read = ["name", "zip"]
write = ["ref"]
reason = "addresses"
[limits]
buckets = [{ requests = 10, per_seconds = 1 }]
[config]
required = ["account"]
[config.properties]
account = { type = "string", description = "who pays" }
"#;

fn report(toml: &str) -> Report {
    let face = |name: &str| Face { name: name.to_owned(), functions: vec!["f".to_owned()] };
    Report {
        digest: Digest::of(b"acme"),
        bytes: 4,
        manifest: from_toml("test", toml).expect("manifest"),
        imports: ["wharf:http/outgoing@0.1.0", "wharf:odoo/records@0.1.0"].map(face).to_vec(),
        exports: ["wharf:adapter/info@0.1.0", "wharf:carrier/labels@0.1.0"].map(face).to_vec(),
        findings: Vec::new(),
    }
}

/// A host that granted less than is asked for, and saw some of it used.
fn answer() -> Answer {
    let mut manifest = report(TOML).manifest;
    manifest.odoo.clear();
    let surface = serde_json::json!({ "manifest": manifest, "imports": [], "exports": [], "allow_private": false });
    Answer {
        grant: "nordic/acme".to_owned(),
        version: 3,
        digest: Digest::of(b"acme"),
        surface: serde_json::from_value(surface).expect("surface"),
        days: 30,
        usage: Usage {
            since: Timestamp::from_millis(1_700_000_000_000),
            taped_since: Some(Timestamp::from_millis(1_701_000_000_000)),
            calls: vec![Calls { method: "POST".to_owned(), path: "/ship".to_owned(), calls: 12 }],
            effects: vec![Effects {
                route: "POST /ship".to_owned(),
                effect: Some("buy-label".to_owned()),
                state: "succeeded".to_owned(),
                count: 11,
            }],
            denied: vec![Denied {
                capability: "http".to_owned(),
                rule: "port".to_owned(),
                target: "api.acme.example:22".to_owned(),
                count: 3,
            }],
            kv_bytes: 250,
            files: 0,
            cut: false,
        },
        peak: None,
        publishers: vec!["ACME".to_owned()],
    }
}

#[test]
fn a_bare_file_shows_what_it_asks_for_and_claims_nothing_else() {
    let shown = text(&sheet(&report(TOML), b"acme", None), clean).expect("text");
    assert_eq!(shown, text(&sheet(&report(TOML), b"acme", None), clean).expect("text"), "the same for the same file");
    insta::assert_snapshot!("inspect-offline", shown);
}

#[test]
fn with_a_host_the_grant_and_what_was_used_stand_beside_it() {
    insta::assert_snapshot!(
        "inspect-asked",
        text(&sheet(&report(TOML), b"acme", Some(&answer())), clean).expect("text")
    );
}

#[test]
fn limits_show_how_near_calls_of_this_very_file_came() {
    let since = Timestamp::from_millis(1_700_000_000_000);
    let peak = Peak { since, calls: 40, cpu_ms: 250, memory_bytes: 16 << 20, http_requests: 3 };
    let limits = |digest: Digest, peak: Option<Peak>| {
        let sheet = sheet(&report(TOML), b"acme", Some(&Answer { digest, peak, ..answer() }));
        sheet.limits.into_iter().map(|limit| (limit.name, limit.used)).collect::<BTreeMap<_, _>>()
    };
    let (same, names) = (report(TOML).digest, ["processor time of a call", "memory of a call", "requests of a call"]);
    let shown = limits(same.clone(), Some(peak));
    assert_eq!(shown[names[0]], format!("250 (5 %) at most, in 40 calls since {since}"));
    assert_eq!(shown[names[1]], format!("16777216 (25 %) at most, in 40 calls since {since}"));
    assert_eq!(shown[names[2]], format!("3 (6 %) at most, in 40 calls since {since}"));
    let idle = limits(same.clone(), Some(Peak { calls: 0, ..peak }));
    assert_eq!(idle[names[0]], format!("not yet: no call since {since}"));
    for (digest, peak) in [(same, None), (Digest::of(b"another"), Some(peak))] {
        assert!(names.iter().all(|name| limits(digest.clone(), peak)[name] == "not measured"), "{digest}");
    }
}

#[test]
fn what_nobody_recorded_is_not_called_unused() {
    let mut answer = answer();
    answer.usage.taped_since = None;
    answer.usage.calls.clear();
    answer.usage.effects.clear();
    let shown = sheet(&report(TOML), b"acme", Some(&answer));
    assert!(!shown.findings.iter().any(|finding| finding.rule == "unused-grant"), "{:?}", shown.findings);
}

/// A publisher's text is shown by the numbers of its characters, wherever it stands.
#[test]
fn j4_terminal_codes_of_a_publisher_are_printed_escaped() {
    let forged = TOML
        .replace("\"ships parcels\"", "\"ships\\u001b[2K\\rRISK  LOW\"")
        .replace("\"tracks\"", "\"tracks\\nFINDINGS\\n  none\"")
        .replace("\"who pays\"", "\"who \\u202epays\\u009b31m\"");
    let sheet = sheet(&report(&forged), b"acme", None);
    let shown = text(&sheet, clean).expect("text");
    assert!(!shown.chars().any(|c| c != '\n' && forges(c)), "{}", shown.escape_debug());
    assert!(shown.contains("ships\\u{1b}[2K\\rRISK  LOW") && shown.contains("who \\u{202e}pays\\u{9b}31m"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("FINDINGS")).count(), 1, "no line is made up: {shown}");
    let raw = text(&sheet, str::to_owned).expect("text");
    assert!(raw.contains('\u{1b}'), "`--raw` is what was written");
}

/// Business data cannot be kept from a partner an adapter may talk to, so it is shown where it goes.
#[test]
fn f9_business_data_to_a_granted_host_is_shown_as_a_flow() {
    let sheet = sheet(&report(TOML), b"acme", None);
    let to_partner: Vec<_> = sheet.flows.iter().filter(|flow| flow.to == "https://api.acme.example").collect();
    let from_odoo = to_partner.iter().find(|flow| flow.from == "Odoo res.partner").expect("what is read there");
    assert_eq!((from_odoo.data.as_str(), from_odoo.personal), ("name, zip", true));
    assert!(to_partner.iter().any(|flow| flow.data.contains("addresses of senders and recipients")), "{to_partner:?}");
    assert!(sheet.flows.iter().any(|flow| flow.from == "https://api.acme.example" && flow.data.contains("labels")));
    assert_eq!(sheet.risk.level, "high");
    let shown = text(&sheet, clean).expect("text");
    assert!(shown.contains("name, zip: Odoo res.partner → https://api.acme.example  (personal data)"), "{shown}");
    let silent = TOML.split("[[routes]]").next().expect("the beginning").to_owned()
        + "[[odoo]]\nmodel = \"res.partner\"\nread = [\"name\"]\nreason = \"r\"\n";
    let none = super::inspect::sheet(&report(&silent), b"acme", None);
    assert!(none.flows.iter().all(|flow| !flow.to.starts_with("https")), "without a route nothing goes there");
}

/// An operator may send a connection to a place the adapter does not name: that is where the data goes.
#[test]
fn f9_a_place_the_grant_names_and_the_manifest_does_not_is_shown() {
    let mut answer = answer();
    answer.surface.manifest.endpoints[0].origin = "https://proxy.example".to_owned();
    let sheet = sheet(&report(TOML), b"acme", Some(&answer));
    let there = sheet.lines.iter().find(|line| line.what.starts_with("https://proxy.example")).expect("a line");
    assert_eq!((there.declared, there.granted), (super::inspect::Known::No, super::inspect::Known::Yes));
    assert!(matches!(there.used, super::inspect::Count::Used(_)), "{there:?}");
    assert!(sheet.flows.iter().any(|flow| flow.to == "https://proxy.example" && flow.personal));
    assert!(sheet.risk.because.iter().any(|why| why.contains("https://proxy.example")), "{:?}", sheet.risk);
}

#[test]
fn j5_a_publisher_that_looks_like_a_known_one_is_shown_as_what_it_is() {
    let forged = report(&TOML.replace("\"ACME\"", "\"\u{410}CME\""));
    let shown = text(&sheet(&forged, b"acme", None), clean).expect("text");
    assert!(shown.contains("\u{410}CME = \\u{410}CME (not verified)"), "by itself: {shown}");
    let asked = sheet(&forged, b"acme", Some(&answer()));
    let finding = asked.findings.iter().find(|finding| finding.rule == "lookalike-publisher").expect("a finding");
    assert!(finding.text.contains("\\u{410}CME") && finding.text.contains("looks like `ACME`"), "{}", finding.text);
    let honest = sheet(&report(TOML), b"acme", Some(&answer()));
    assert!(honest.findings.iter().all(|finding| finding.rule != "lookalike-publisher"));
}
