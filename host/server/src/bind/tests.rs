//! What a connection gets of Odoo, and that no partner is one.

use wharf_sandbox::manifest::from_toml;

use super::*;

const MANIFEST: &str = r#"
name = "acme"
version = "1.0.0"
description = "a carrier"
publisher = "ACME"
licence = "Apache-2.0"
[[endpoints]]
environment = "test"
origin = "https://api.example.com"
[[odoo]]
model = "res.partner"
read = ["name", "zip"]
write = ["ref"]
reason = "addresses"
"#;

const CONFIG: &str = r#"
[server]
data_dir = "data"
adapters_dir = "adapters"
admin_token = { file = "admin.token" }
[[tenant]]
id = "nordic"
name = "Nordic 3PL"
[tenant.odoo]
url = "https://odoo.example.com"
database = "odoo19"
company = 3
api_key = { env = "KEY" }
webhook_token = { file = "hook" }
[[tenant.connection]]
id = "acme"
adapter = "acme"
environment = "test"
"#;

const GRANT: &str = r#"
[tenant.connection.odoo]
writes_per_hour = 7
[[tenant.connection.odoo.model]]
model = "res.partner"
read = ["zip"]
domain = '[["vip", "=", false]]'
"#;

fn bound(config: &str, manifest: &str) -> Result<Settings> {
    let config: Config = toml::from_str(config)?;
    let tenant = &config.tenants[0];
    let manifest = from_toml("adapter.toml", manifest)?;
    let bound = connection(&config, tenant, &tenant.connections[0], (&manifest, None), Absent::Refuse);
    bound.map(|(_, settings)| settings)
}

#[test]
fn a_connection_without_a_grant_has_nothing_of_odoo() {
    let settings = bound(CONFIG, MANIFEST).expect("bound");
    assert_eq!(settings.capabilities.odoo, OdooAccess::default());
}

#[test]
fn request_and_grant_meet_in_the_tenants_company() {
    let odoo = &bound(&format!("{CONFIG}{GRANT}"), MANIFEST).expect("bound").capabilities.odoo;
    assert_eq!((odoo.companies.as_slice(), odoo.writes_per_hour, odoo.models.len()), ([3].as_slice(), 7, 1));
    let partner = odoo.model("res.partner").expect("granted");
    assert!(partner.read.contains("zip") && partner.read.len() == 1 && partner.write.is_empty());
    assert_eq!(partner.narrowed.as_deref(), Some(r#"[["vip", "=", false]]"#));
}

#[test]
fn a_grant_that_cannot_be_one_stops_the_start_and_names_the_line() {
    let config = format!("{CONFIG}{GRANT}");
    for (config, manifest, word) in [
        (config.replace("\"zip\"", "\"vat\""), MANIFEST.to_owned(), "`vat`"),
        (
            config.replace("\"res.partner\"", "\"res.users\""),
            MANIFEST.replace("res.partner", "res.users"),
            "`res.users`",
        ),
        (config.replace("false]]", "false"), MANIFEST.to_owned(), "`domain` of `res.partner`"),
        (config.replace("writes_per_hour = 7", "companies = [4]"), MANIFEST.to_owned(), "names 4"),
        (config.replace("writes_per_hour", "writes_per_day"), MANIFEST.to_owned(), "writes_per_day"),
    ] {
        let err = format!("{:#}", bound(&config, &manifest).expect_err(word));
        assert!(err.contains(word), "{err}");
    }
}

#[test]
fn h8_no_tenants_odoo_is_a_partner() {
    for origin in ["https://odoo.example.com", "https://ODOO.example.com:443", "https://odoo.example.com."] {
        let err = bound(CONFIG, &MANIFEST.replace("https://api.example.com", origin)).expect_err(origin);
        assert!(format!("{err:#}").contains("is an Odoo of this host"), "{err:#}");
    }
}

/// What somebody accepted of `MANIFEST`.
fn accepted() -> wharf_sandbox::surface::Surface {
    let mut manifest = from_toml("adapter.toml", MANIFEST).expect("manifest");
    manifest.odoo[0].read = vec!["zip".to_owned()];
    manifest.odoo[0].write.clear();
    manifest.odoo[0].max_records = Some(50);
    let narrowed = serde_json::json!({ "res.partner": r#"[["vip", "=", false]]"# });
    serde_json::from_value(serde_json::json!({
        "manifest": manifest, "imports": [], "exports": [], "allow_private": false, "companies": [3],
        "writes_per_hour": 7, "narrowed": narrowed,
    }))
    .expect("surface")
}

/// The connection of `config` while something wider waits.
fn waiting(config: &str) -> Result<(Grant, Settings)> {
    let config: Config = toml::from_str(config)?;
    let tenant = &config.tenants[0];
    let file = from_toml("adapter.toml", MANIFEST)?;
    held(&config, tenant, &tenant.connections[0], (&accepted(), &file, Digest::of(b"old")), Absent::Refuse)
}

#[test]
fn p19_while_something_waits_a_connection_has_what_was_accepted_and_is_still_given() {
    // The file now gives more, and speaks of a newer adapter, too.
    let more = format!(
        "{CONFIG}allow_private_address = true\nconfig = {{ new = \"1\" }}\n{}",
        GRANT
            .replace("writes_per_hour = 7", "writes_per_hour = 900")
            .replace("[\"zip\"]", "[\"zip\", \"name\"]\nwrite = [\"ref\"]")
    );
    let (grant, settings) = waiting(&more).expect("bound");
    assert_eq!((grant.origins[0].url.as_str(), grant.origins[0].allow_private), ("https://api.example.com", false));
    assert_eq!((settings.environment, settings.config.len()), (wharf_domain::ctx::Environment::Test, 0));
    let odoo = &settings.capabilities.odoo;
    let partner = odoo.model("res.partner").expect("granted");
    assert_eq!((odoo.writes_per_hour, partner.max_records), (7, 50));
    assert!(partner.read.len() == 1 && partner.read.contains("zip") && partner.write.is_empty());

    // Its secrets are for the place it names.
    for elsewhere in ["endpoint = \"https://elsewhere.example\"", "environment = \"live\""] {
        let config = CONFIG.replace("environment = \"test\"\n", "");
        let environment = if elsewhere.contains("live") { "" } else { "environment = \"test\"\n" };
        let error = waiting(&format!("{config}{environment}{elsewhere}\n")).err().expect(elsewhere);
        assert!(error.to_string().contains("names another place"), "{error:#}");
    }

    // What it takes away is gone, whatever waits.
    let less = format!("{CONFIG}{}", GRANT.replace("= 7", "= 2").replace("[\"zip\"]", "[]").replace("vip", "new"));
    let odoo = &waiting(&less).expect("bound").1.capabilities.odoo;
    let partner = odoo.model("res.partner").expect("granted");
    assert_eq!((odoo.writes_per_hour, partner.read.len()), (2, 0));
    assert_eq!(partner.narrowed.as_deref(), Some(r#"[["vip","=",false],["new","=",false]]"#), "both domains hold");
    assert_eq!(waiting(CONFIG).expect("bound").1.capabilities.odoo, OdooAccess::default(), "nothing is given any more");
    let other = format!("{CONFIG}{GRANT}").replace("company = 3", "company = 4");
    assert_eq!(waiting(&other).expect("bound").1.capabilities.odoo, OdooAccess::default(), "another company");
}

#[test]
fn settings_are_held_against_the_adapters_schema() {
    let schema = r#"
[config]
required = ["account"]
[config.properties]
account = { type = "string", description = "who pays", pattern = "^[0-9]{4}$" }
copies = { type = "integer", description = "labels of one parcel", minimum = 1, default = 1 }
test = { type = "boolean", description = "marks labels" }
"#;
    let (manifest, endpoint) = (format!("{MANIFEST}{schema}"), "environment = \"test\"\n");
    let with = |config: &str| CONFIG.replace(endpoint, &format!("{endpoint}config = {config}\n"));
    let told = bound(&with(r#"{ account = "4711", copies = 2, test = true }"#), &manifest).expect("bound").config;
    let pairs: Vec<_> = told.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("account", "4711"), ("copies", "2"), ("test", "true")]);
    for (config, rule) in [
        ("{}", "`config.account` is missing: who pays"),
        (r#"{ account = "47" }"#, "`config.account` must match `^[0-9]{4}$`"),
        (r#"{ account = "4711", copies = 0 }"#, "`config.copies` must be at least 1"),
        (
            r#"{ account = "4711", depot = "A" }"#,
            "`config.depot` is no setting of the adapter; known are account, copies",
        ),
        (r#"{ account = ["4711"] }"#, "`account` must be a text, a number or a boolean"),
    ] {
        let err = format!("{:#}", bound(&with(config), &manifest).expect_err(rule));
        assert!(err.contains(rule), "{err}");
    }
}

#[test]
fn e5_an_authority_that_vouches_for_nobody_stops_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").expect("written");
    let with = |line: &str| CONFIG.replace("environment = \"test\"\n", &format!("environment = \"test\"\n{line}\n"));
    let ca = format!("ca_file = \"{}\"", file.display());
    let gone = format!("ca_file = \"{}\"", folder.path().join("gone.pem").display());
    let plain = format!("{ca}\nendpoint = \"http://127.0.0.1:9\"");
    for (line, word) in
        [(&ca, "has no certificate in PEM"), (&gone, "cannot read `ca_file`"), (&plain, "not reached over TLS")]
    {
        let err = format!("{:#}", bound(&with(line), MANIFEST).expect_err(word));
        assert!(err.contains(word) && err.contains("connection `acme`"), "{err}");
    }
}
