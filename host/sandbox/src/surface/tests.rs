//! What a connection comes to, and what of it is wider.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_domain::ctx::Environment;
use wharf_domain::grant::{Capabilities, OdooAccess, OdooGrant};
use wharf_domain::ids::TenantId;
use wharf_egress::{Limits, Origin};

use super::*;
use crate::diff::{Weight, widening};
use crate::manifest::from_toml;

const TOML: &str = r#"
name = "acme"
version = "1.0.0"
description = "a carrier"
publisher = "ACME"
licence = "Apache-2.0"
[[endpoints]]
environment = "test"
origin = "https://test.acme.example"
[[endpoints]]
environment = "live"
origin = "https://api.acme.example"
[[routes]]
method = "GET"
path = "/track"
reason = "tracks"
[[odoo]]
model = "res.partner"
read = ["name", "zip"]
write = ["ref"]
reason = "addresses"
[[odoo]]
model = "res.country"
reason = "codes"
[[folders]]
name = "in"
read = true
reason = "orders"
[examples]
"tracking.track" = "{}"
"#;

/// What an operator gives of it.
struct Given {
    environment: Environment,
    allow_private: bool,
    read: Vec<&'static str>,
    narrowed: Option<&'static str>,
    companies: Vec<i64>,
    writes_per_hour: u32,
}

impl Given {
    fn usual() -> Self {
        Self {
            environment: Environment::Test,
            allow_private: false,
            read: vec!["zip"],
            narrowed: None,
            companies: vec![3],
            writes_per_hour: 10,
        }
    }

    fn surface(&self) -> Surface {
        let manifest = from_toml("test", TOML).expect("manifest");
        let partner = OdooGrant {
            model: "res.partner".to_owned(),
            read: self.read.iter().map(|field| (*field).to_owned()).collect(),
            write: Default::default(),
            create: false,
            domain: None,
            narrowed: self.narrowed.map(str::to_owned),
            max_records: 5,
        };
        let odoo = OdooAccess {
            companies: self.companies.clone(),
            writes_per_hour: self.writes_per_hour,
            models: vec![partner],
        };
        let origin = manifest.endpoints.iter().find(|e| e.environment == self.environment).expect("one").origin.clone();
        let grant = Grant {
            tenant: TenantId::parse("t").expect("tenant"),
            connection: "c".to_owned(),
            adapter_digest: None,
            origins: vec![Origin { url: origin.clone(), allow_private: self.allow_private, authority: None }],
            routes: manifest.routes.clone(),
            secrets: BTreeMap::new(),
            config: BTreeMap::new(),
            limits: Limits::default(),
            terms: None,
        };
        let settings = Settings {
            environment: self.environment,
            endpoint: origin,
            config: Vec::new(),
            capabilities: Arc::new(Capabilities { odoo, folders: Vec::new() }),
        };
        Surface::from_parts(&manifest, (&[], &[]), &grant, &settings)
    }
}

#[test]
fn only_what_both_sides_say_is_in_it() {
    let surface = Given::usual().surface();
    let manifest = &surface.manifest;
    assert_eq!(manifest.endpoints.iter().map(|e| e.origin.as_str()).collect::<Vec<_>>(), ["https://test.acme.example"]);
    let [partner] = manifest.odoo.as_slice() else { panic!("one model is granted: {:?}", manifest.odoo) };
    assert_eq!((partner.read.as_slice(), partner.write.len()), (["zip".to_owned()].as_slice(), 0));
    assert_eq!((partner.max_records, partner.reason.as_str()), (Some(5), "addresses"));
    assert!(manifest.folders.is_empty() && manifest.examples.is_empty(), "no place was given for the folder");
    let again: Surface = serde_json::from_value(serde_json::to_value(&surface).expect("json")).expect("stored");
    assert_eq!(again, surface);
}

#[test]
fn what_an_operator_gives_more_is_wider_and_what_is_taken_away_is_not() {
    let change = |change: fn(&mut Given)| {
        let mut given = Given::usual();
        change(&mut given);
        given
    };
    for (given, group) in [
        (change(|g| g.environment = Environment::Live), "new destination"),
        (change(|g| g.allow_private = true), "new destination"),
        (change(|g| g.read.push("name")), "new data read"),
        (change(|g| g.companies.push(4)), "new data read"),
        (change(|g| g.writes_per_hour = 11), "wider limits"),
    ] {
        let (usual, other) = (Given::usual().surface(), given.surface());
        let found = widening(&usual, &other);
        assert!(found.weight >= Weight::WiderLow, "{group}");
        assert_eq!(found.lines[0].group, group, "{:?}", found.lines);
        if group != "new destination" || other.allow_private {
            assert_eq!(widening(&other, &usual).weight, Weight::Narrower, "and back again: {group}");
        }
    }
    let narrowed = |domain| Given { narrowed: Some(domain), ..Given::usual() }.surface();
    assert_eq!(widening(&Given::usual().surface(), &narrowed("[]")).weight, Weight::Narrower);
    assert_eq!(widening(&narrowed("[]"), &Given::usual().surface()).weight, Weight::WiderHigh);
    assert_eq!(widening(&narrowed("[]"), &narrowed("[1]")).weight, Weight::WiderHigh, "nobody can tell by looking");
}

#[test]
fn the_same_address_where_money_is_real_is_another_destination() {
    let mut live = Given::usual().surface();
    live.manifest.endpoints[0].environment = Environment::Live;
    assert_eq!(widening(&Given::usual().surface(), &live).weight, Weight::WiderHigh);
}
