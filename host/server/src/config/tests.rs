//! A good file is read, and a bad one is told what is wrong with it.

use super::*;

const GOOD: &str = r#"
[server]
data_dir = "data"
adapters_dir = "adapters"
admin_token = { file = "admin.token" }
[[tenant]]
id = "nordic"
name = "Nordic 3PL"
[tenant.odoo]
url = "http://127.0.0.1:8069"
database = "odoo19"
api_key = { env = "KEY" }
webhook_token = { file = "hook" }
[[tenant.connection]]
id = "acme"
adapter = "acme"
environment = "test"
config = { account_number = "A1" }
secrets = { oauth = { client_id = { env = "ID" } } }
"#;

#[test]
fn a_good_file_is_read() {
    let config = parse(GOOD).expect("config");
    assert_eq!(config.tenants[0].connections[0].id.as_str(), "acme");
    config.check().expect("check");
}

/// The example names every setting: each key of it is known, and leaving any one out of it would be seen here.
#[test]
fn the_example_is_valid_and_complete() {
    let text = include_str!("../../../../docs/wharf.example.toml");
    parse(text).expect("the example").check().expect("the example's rules");
    let source = include_str!("../config.rs");
    let (settings, _) = source.split_once("impl Config").expect("the structs come first");
    for line in settings.lines().filter(|l| l.trim_start().starts_with("pub(crate) ") && l.contains(':')) {
        let name = line.trim_start().trim_start_matches("pub(crate) ").split(':').next().expect("a name");
        let known = ["tenants", "connections", "server"].contains(&name) || text.contains(&format!("{name} = "));
        let table = text.contains(&format!("[tenant.{name}]")) || text.contains(&format!("[{name}]"));
        assert!(known || table, "`{name}` is missing in docs/wharf.example.toml");
    }
}

#[test]
fn a_postgres_database_is_a_secret_and_a_number() {
    let with = |table: &str| parse(&format!("{table}\n{GOOD}"));
    let config = with("[database]\nurl = { env = \"DB\" }").expect("config");
    config.check().expect("check");
    assert_eq!(config.database.expect("database").connections, 16);
    let err = format!("{:#}", with("[database]\nurl = \"postgres://a:b@c/d\"").expect_err("no secret in clear"));
    assert!(err.contains("url"), "{err}");
    let one = with("[database]\nurl = { env = \"DB\" }\nconnections = 1").expect("shape");
    let err = one.check().expect_err("too few").to_string();
    assert!(err.contains("`database.connections`") && err.contains("2 to 1000"), "{err}");
    for name in ["", "a b", "ü"] {
        let text = GOOD.replace("[server]", &format!("[server]\nname = \"{name}\""));
        let err = parse(&text).expect("shape").check().expect_err(name).to_string();
        assert!(err.contains("`server.name`"), "{err}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    for (from, to, name) in [
        ("database", "databse", "databse"),
        ("environment = \"test\"", "environment = \"test\"\nregion = 1", "region"),
        ("{ env = \"KEY\" }", "{ value = \"s3cret\" }", "value"),
    ] {
        let err = format!("{:#}", parse(&GOOD.replace(from, to)).expect_err(name));
        assert!(err.contains(name), "{err}");
    }
}

#[test]
fn retention_is_checked_and_the_hosts_name_is_taken() {
    for (from, to, named) in [
        ("[[tenant]]\n", "[retention]\njobs_days = 0\n[[tenant]]\n", "`jobs_days` is 0"),
        ("[[tenant]]\n", "[retention]\nschedule = { cron = \"0 1 * * *\", zone = \"Mars\" }\n[[tenant]]\n", "Mars"),
        ("id = \"nordic\"", "id = \"wharf\"", "host's own"),
        ("database = ", "poll_seconds = 0\ndatabase = ", "poll_seconds"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let refused = parse(&text).and_then(|config| config.check()).expect_err(named);
        assert!(format!("{refused:#}").contains(named), "{refused:#}");
    }
}

#[test]
fn a_live_connection_has_no_override() {
    let text = GOOD.replace("environment = \"test\"", "environment = \"live\"\nendpoint = \"http://127.0.0.1:1\"");
    let err = parse(&text).expect("shape").check().expect_err("rule").to_string();
    assert!(err.contains("`live`"), "{err}");
}

#[test]
fn the_limit_of_four_eyes_is_an_amount_and_a_currency() {
    let limit = |text: &str| Effects { four_eyes_above: Some(text.to_owned()) }.limit();
    assert_eq!(limit("500.00 EUR").expect("money"), Some(Money::parse("500.00", "EUR").expect("money")));
    for bad in ["500", "EUR 500", "500 eur", ""] {
        let err = format!("{:#}", limit(bad).expect_err(bad));
        assert!(err.contains("effects.four_eyes_above"), "{err}");
    }
}

#[test]
fn a_missing_secret_names_its_place() {
    let config = parse(GOOD).expect("config");
    let err = config.secret(&SecretRef::File("nowhere/x".into())).expect_err("missing");
    assert!(format!("{err:#}").contains("nowhere/x"));
    let err = config.secret(&SecretRef::Env("WHARF_TEST_NOT_SET".to_owned())).expect_err("missing");
    assert!(format!("{err:#}").contains("WHARF_TEST_NOT_SET"));
}
