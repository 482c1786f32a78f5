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
        (with(odoo), with(&odoo.replace("reason", "domain = '[]'\nreason")), Weight::Narrower, "new domain"),
        (with(&odoo.replace("reason", "domain = '[]'\nreason")), with(odoo), Weight::WiderHigh, "changed domain"),
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
fn a_key_that_is_relied_on_in_another_way_and_more_calls_are_wider() {
    let keyed = |seconds: u32| {
        let key = format!("key = {{ header = \"Idempotency-Key\", retention_seconds = {seconds}, stores = \"all\" }}");
        TOML.replace("class = \"once\"", &format!("class = \"keyed\"\n{key}"))
    };
    let rates = |buckets: &str| format!("{TOML}\n[limits]\nbuckets = [{buckets}]\n");
    let ten = rates("{ requests = 10, per_seconds = 1 }");
    for (old, new, weight, group) in [
        (keyed(3_600), keyed(86_400), Weight::WiderHigh, Some("changed key")),
        (keyed(3_600), keyed(3_600), Weight::Narrower, None),
        (ten.clone(), rates("{ requests = 11, per_seconds = 1 }"), Weight::WiderLow, Some("wider limits")),
        (ten.clone(), rates("{ requests = 10, per_seconds = 2 }"), Weight::WiderLow, Some("wider limits")),
        (ten.clone(), rates(""), Weight::WiderLow, Some("wider limits")),
        (rates("{ requests = 10, per_seconds = 1, burst = 2 }"), ten.clone(), Weight::WiderLow, Some("wider limits")),
        (ten.clone(), rates("{ requests = 10, per_seconds = 1, burst = 2 }"), Weight::Narrower, None),
        (
            ten.clone(),
            rates("{ requests = 10, per_seconds = 1 }, { requests = 9, per_seconds = 9 }"),
            Weight::Narrower,
            None,
        ),
        (rates(""), ten, Weight::Narrower, None),
    ] {
        let found = diff(&report(&old), &report(&new));
        assert_eq!((found.weight, found.lines.first().map(|line| line.group)), (weight, group), "{new}");
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

const SPANS: [u32; 2] = [1, 60];
/// More calls than any bucket of the test allows.
const WITHOUT_END: u32 = 9;

/// What a manifest may do, as a set: the order that is published is "is a subset of".
fn capabilities(manifest: &Manifest) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    all.extend(
        manifest.endpoints.iter().map(|endpoint| format!("send to {:?} {}", endpoint.environment, endpoint.origin)),
    );
    all.extend(manifest.secrets.iter().map(|(name, slot)| format!("use {name} as {slot:?}")));
    all.extend((0..manifest.kv_bytes).map(|byte| format!("keep byte {byte}")));
    all.extend((0..manifest.limits.max_in_flight.get()).map(|call| format!("have call {call} under way")));
    for per_seconds in SPANS {
        let of_it = manifest.limits.buckets.iter().filter(|bucket| bucket.per_seconds.get() == per_seconds);
        let most = of_it.map(|bucket| bucket.requests.get()).min().unwrap_or(WITHOUT_END);
        all.extend((0..most).map(|call| format!("make call {call} within {per_seconds} s")));
    }
    for request in &manifest.odoo {
        all.insert(format!("search {}", request.model));
        all.extend(request.read.iter().map(|field| format!("read {field} of {}", request.model)));
        all.extend(request.write.iter().map(|field| format!("write {field} of {}", request.model)));
        all.extend(request.create.then(|| format!("create {}", request.model)));
        all.extend((0..request.max_records.unwrap_or(MAX_RECORDS)).map(|n| format!("see {n} of {}", request.model)));
    }
    for route in &manifest.routes {
        let name = format!("{} {}", route.method, route.path);
        all.extend((0..=freedom(route.class())).map(|level| format!("repeat {name} at {level}")));
        all.insert(format!("do {:?} by {name}", route.effect));
        all.extend(route.key.iter().map(|key| format!("rely on {key:?} of {name}")));
        all.extend(route.secret.iter().map(|slot| format!("send {slot} by {name}")));
        let proofs = (100..600).filter(|status| route.proves_no_effect(*status));
        all.extend(proofs.map(|status| format!("believe {status} of {name}")));
    }
    all
}

fn buckets() -> impl Strategy<Value = Vec<Bucket>> {
    let bucket = (1..5_u32, prop::sample::select(SPANS.to_vec())).prop_map(|(requests, per_seconds)| Bucket {
        requests: requests.try_into().expect("not zero"),
        per_seconds: per_seconds.try_into().expect("not zero"),
        burst: None,
    });
    prop::collection::vec(bucket, 0..3)
}

fn models() -> impl Strategy<Value = Vec<OdooRequest>> {
    let fields = || prop::sample::subsequence(vec!["name", "zip"], 0..=2);
    let owned = |fields: Vec<&str>| fields.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let one = move |model: &'static str| {
        (fields(), fields(), any::<bool>(), 1..4_u32).prop_map(move |(read, write, create, most)| OdooRequest {
            model: model.to_owned(),
            read: owned(read),
            write: owned(write),
            create,
            domain: None,
            max_records: Some(most),
            reason: "test".to_owned(),
        })
    };
    (prop::option::of(one("res.partner")), prop::option::of(one("res.country")))
        .prop_map(|(partner, country)| partner.into_iter().chain(country).collect())
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
    let rest = (buckets(), models());
    (origins, prop::collection::vec(route, 0..4), secrets, any::<bool>(), 0..3_u64, 1..4_u16, rest).prop_map(
        |(origins, routes, secrets, basic, kv_bytes, under_way, (buckets, odoo))| {
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
            manifest.limits.buckets = buckets;
            manifest.odoo = odoo;
            manifest.limits.max_in_flight = under_way.try_into().expect("not zero");
            manifest
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A person is asked exactly when there is something the new version may do and the old one may not.
    #[test]
    fn p19_a_person_is_asked_exactly_when_an_upgrade_may_do_something_new(old in manifests(), new in manifests()) {
        let (mut before, mut after) = (report(TOML), report(TOML));
        let more: Vec<String> = capabilities(&new).difference(&capabilities(&old)).cloned().collect();
        (before.manifest, after.manifest) = (old, new);
        let found = diff(&before, &after);
        prop_assert_eq!(found.weight >= Weight::WiderLow, !more.is_empty(), "{:?} and {:?}", found.lines, more);
    }
}
