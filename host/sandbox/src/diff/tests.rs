use std::collections::BTreeSet;

use proptest::prelude::*;
use wharf_domain::ids::Digest;
use wharf_domain::manifest::{Endpoint, SecretSlot};

use super::*;
use crate::manifest;

const TOML: &str = r#"
name = "acme"
version = "1.0.0"
description = "a carrier"
publisher = "ACME"
licence = "Apache-2.0"
[[endpoints]]
environment = "live"
origin = "https://api.acme.example"
[[routes]]
method = "POST"
path = "/ship"
class = "once"
effect = "buy-label"
reason = "buys labels"
[[routes]]
method = "GET"
path = "/track"
reason = "tracks"
[secrets.token]
type = "basic"
[config.properties.account]
type = "string"
description = "account"
"#;

fn report(toml: &str) -> Report {
    let face = |name: &str| Face { name: name.to_owned(), functions: vec!["f".to_owned()] };
    Report {
        digest: Digest::of(toml.as_bytes()),
        bytes: 1,
        manifest: manifest::from_toml("test", toml).expect("manifest"),
        imports: vec![face("wharf:http/outgoing@0.1.0")],
        exports: vec![face("wharf:adapter/info@0.1.0")],
        findings: Vec::new(),
    }
}

/// The heaviest line of a change from `TOML`, and its group.
fn heaviest(toml: &str) -> (Weight, Option<&'static str>) {
    let found = diff(&report(TOML), &report(toml));
    (found.weight, found.lines.first().map(|line| line.group))
}

#[test]
fn the_same_file_has_no_difference() {
    assert_eq!(diff(&report(TOML), &report(TOML)), Diff { weight: Weight::Narrower, lines: Vec::new() });
    assert_eq!(heaviest(&TOML.replace("1.0.0", "1.0.1").replace("a carrier", "the carrier")), (Weight::Narrower, None));
}

#[test]
fn what_the_new_one_can_do_more_is_wider() {
    let more = |text: &str| format!("{TOML}\n{text}");
    for (toml, weight, group) in [
        (TOML.replace("api.acme", "api.evil"), Weight::WiderHigh, "new destination"),
        (TOML.replace("\"once\"", "\"lookup\""), Weight::WiderHigh, "weaker effect class"),
        (TOML.replace("path = \"/ship\"", "path = \"/ship2\""), Weight::WiderHigh, "new money effect"),
        (TOML.replace("effect = \"buy-label\"\n", ""), Weight::WiderHigh, "changed effect"),
        (
            TOML.replace("reason = \"tracks\"", "secret = \"token\"\nreason = \"tracks\""),
            Weight::WiderHigh,
            "secret on a route",
        ),
        (
            TOML.replace("reason = \"buys", "proves_no_effect = [400, 500]\nreason = \"buys"),
            Weight::WiderHigh,
            "weaker effect class",
        ),
        (TOML.replace("/track", "/track/*"), Weight::WiderLow, "new data read"),
        (TOML.replace("[secrets.token]", "[secrets.other]"), Weight::WiderHigh, "new secret slot"),
        (TOML.replace("ACME\"", "Acme Ltd\""), Weight::WiderHigh, "changed publisher"),
        (TOML.replace("licence", "kv_bytes = 1\nlicence"), Weight::WiderLow, "wider limits"),
        (TOML.replace("name = \"acme\"", "name = \"acme-2\""), Weight::Incompatible, "name"),
        (
            more("[config.properties.depot]\ntype = \"string\"\ndescription = \"d\"\n[config]\nrequired = [\"depot\"]"),
            Weight::Incompatible,
            "setting needed",
        ),
        (more("[config]\nrequired = [\"account\"]"), Weight::Incompatible, "setting needed"),
        (TOML.replace("properties.account", "properties.customer"), Weight::Incompatible, "setting gone"),
        (more("maxLength = 3"), Weight::Incompatible, "setting narrower"),
    ] {
        assert_eq!(heaviest(&toml), (weight, Some(group)), "{toml}");
    }
}

#[test]
fn more_of_odoo_and_of_folders_is_wider() {
    let with = |text: &str| format!("{TOML}\n{text}");
    let odoo = "[[odoo]]\nmodel = \"res.partner\"\nread = [\"name\"]\nreason = \"r\"\n";
    let folder = "[[folders]]\nname = \"in\"\nread = true\narchive = true\nreason = \"r\"\n";
    let cases = [
        (with(""), with(odoo), Weight::WiderHigh, "new data read"),
        (with(odoo), with(""), Weight::Narrower, "Odoo model gone"),
        (with(odoo), with(&odoo.replace("\"name\"]", "\"name\", \"phone\"]")), Weight::WiderHigh, "new data read"),
        (
            with(odoo),
            with(&odoo.replace("reason", "write = [\"name\"]\nreason")),
            Weight::WiderHigh,
            "new data written",
        ),
        (with(odoo), with(&odoo.replace("reason", "create = true\nreason")), Weight::WiderHigh, "new data written"),
        (with(odoo), with(&odoo.replace("reason", "domain = '[]'\nreason")), Weight::WiderHigh, "changed domain"),
        (with(odoo), with(&odoo.replace("reason", "max_records = 501\nreason")), Weight::WiderLow, "wider limits"),
        (with(""), with(folder), Weight::WiderHigh, "new data read"),
        (with(folder), with(""), Weight::Narrower, "folder gone"),
        (with(folder), with(&folder.replace("archive = true\n", "")), Weight::WiderHigh, "archive gone"),
        (
            with(folder),
            with(&folder.replace("read = true", "read = true\ncreate = true")),
            Weight::WiderHigh,
            "new data written",
        ),
    ];
    for (old, new, weight, group) in cases {
        let found = diff(&report(&old), &report(&new));
        assert_eq!((found.weight, found.lines[0].group), (weight, group), "{new}");
    }
}

#[test]
fn what_it_can_do_less_is_not() {
    for (toml, group) in [
        (TOML.replace("\"/track\"", "\"/t\"").replace("GET", "HEAD"), "new data read"),
        (TOML.replace("[secrets.token]\ntype = \"basic\"\n", ""), "secret slot gone"),
    ] {
        let (weight, found) = heaviest(&toml);
        assert!(weight <= Weight::WiderLow, "{toml}");
        assert_eq!(found, Some(group), "{toml}");
    }
    let without = TOML.replace("class = \"once\"\n", "class = \"natural\"\n");
    let stricter = diff(&report(&without), &report(TOML));
    assert_eq!(stricter.weight, Weight::Narrower);
    assert_eq!(stricter.lines[0].group, "stricter effect class");
}

#[test]
fn imports_and_abilities_are_read_from_the_code() {
    let (old, mut new) = (report(TOML), report(TOML));
    new.imports.push(Face { name: "wharf:kv/store@0.1.0".to_owned(), functions: vec![] });
    assert_eq!((diff(&old, &new).weight, diff(&old, &new).lines[0].group), (Weight::WiderHigh, "new imports"));
    assert_eq!(diff(&new, &old).weight, Weight::Narrower);
    new.imports[1].name = "wharf:log/logger@0.1.0".to_owned();
    assert_eq!(diff(&old, &new).weight, Weight::Narrower, "it reaches nothing");
    new.exports.clear();
    assert_eq!(diff(&old, &new).weight, Weight::Incompatible);
    assert_eq!(
        [Weight::Narrower, Weight::WiderLow, Weight::WiderHigh, Weight::Incompatible].map(Weight::exit_code),
        [0, 10, 20, 30]
    );
}

/// What a manifest may do, as a set: the order that is published is "is a subset of".
fn capabilities(manifest: &Manifest) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    all.extend(manifest.endpoints.iter().map(|endpoint| format!("send to {}", endpoint.origin)));
    all.extend(manifest.secrets.iter().map(|(name, slot)| format!("use {name} as {slot:?}")));
    all.extend((0..manifest.kv_bytes).map(|byte| format!("keep byte {byte}")));
    all.extend((0..manifest.limits.max_in_flight.get()).map(|call| format!("have call {call} under way")));
    for route in &manifest.routes {
        let name = format!("{} {}", route.method, route.path);
        all.extend((0..=freedom(route.class())).map(|level| format!("repeat {name} at {level}")));
        all.insert(format!("do {:?} by {name}", route.effect));
        all.extend(route.secret.iter().map(|slot| format!("send {slot} by {name}")));
        let proofs = (100..600).filter(|status| route.proves_no_effect(*status));
        all.extend(proofs.map(|status| format!("believe {status} of {name}")));
    }
    all
}

/// Manifests that differ in what they may do and in nothing else.
fn manifests() -> impl Strategy<Value = Manifest> {
    let origins = prop::sample::subsequence(vec!["https://a.example", "https://b.example"], 0..=2);
    let route = (
        prop::sample::select(vec!["GET", "POST", "PUT"]),
        prop::sample::select(vec!["/a", "/b"]),
        prop::sample::select(vec![EffectClass::Read, EffectClass::Natural, EffectClass::Lookup, EffectClass::Once]),
        prop::option::of(prop::sample::select(vec!["buy-label", "void-label"])),
        prop::option::of(prop::sample::select(vec!["one", "two"])),
        prop::option::of(prop::sample::subsequence(vec![400_u16, 401, 409, 500], 0..=4)),
    );
    let secrets = prop::sample::subsequence(vec!["one", "two"], 0..=2);
    (origins, prop::collection::vec(route, 0..4), secrets, any::<bool>(), 0..3_u64, 1..4_u16).prop_map(
        |(origins, routes, secrets, basic, kv_bytes, under_way)| {
            let mut manifest = report(TOML).manifest;
            let endpoint = |origin: &str| Endpoint {
                environment: wharf_domain::ctx::Environment::Live,
                origin: origin.to_owned(),
            };
            manifest.endpoints = origins.into_iter().map(endpoint).collect();
            manifest.routes.clear();
            for (method, path, class, effect, secret, proves) in routes {
                if manifest.routes.iter().any(|route| route.method == method && route.path == path) {
                    continue;
                }
                manifest.routes.push(Route {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    class: Some(class),
                    effect: effect.map(str::to_owned),
                    secret: secret.map(str::to_owned),
                    proves_no_effect: proves,
                    key: None,
                    reason: "test".to_owned(),
                });
            }
            let slot = if basic {
                SecretSlot::Basic
            } else {
                SecretSlot::Header { header: "x-key".to_owned(), format: "{value}".to_owned() }
            };
            manifest.secrets = secrets.into_iter().map(|name| (name.to_owned(), slot.clone())).collect();
            manifest.kv_bytes = kv_bytes;
            manifest.limits.max_in_flight = under_way.try_into().expect("not zero");
            manifest
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A person is asked exactly when there is something the new version may do and the old one may not.
    #[test]
    fn an_upgrade_is_wider_exactly_when_it_may_do_something_new(old in manifests(), new in manifests()) {
        let (mut before, mut after) = (report(TOML), report(TOML));
        let more: Vec<String> = capabilities(&new).difference(&capabilities(&old)).cloned().collect();
        (before.manifest, after.manifest) = (old, new);
        let found = diff(&before, &after);
        prop_assert_eq!(found.weight >= Weight::WiderLow, !more.is_empty(), "{:?} and {:?}", found.lines, more);
    }
}
