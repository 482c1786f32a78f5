//! Promise 11, by the real program: a host works for a while with secrets nobody has ever seen, at the most detailed log
//! there is, among failures. Then they are looked for in every file it wrote and every answer it gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use wharf_domain::ids::Digest;
use wharf_tests::{Http, Settings, World};

use crate::traces::traces;

const PATIENCE: Duration = Duration::from_secs(60);

/// What was handed in, and what belongs to the partners.
const NOT_OURS: [&str; 11] = [
    "admin.token",
    "webhook.token",
    "carrier.id",
    "carrier.secret",
    "odoo.key",
    "odoo-admin.key",
    "vault.key",
    "ups.log",
    "odoo.log",
    "ups.ready",
    "odoo.ready",
];

/// Reads that need nothing but the tenant.
const READS: [&str; 12] = [
    "/healthz",
    "/api/v1/jobs/counts",
    "/api/v1/queue",
    "/api/v1/dead-letters",
    "/api/v1/tenants/nordic/flows",
    "/api/v1/tenants/nordic/exceptions",
    "/api/v1/tenants/nordic/dead-letters",
    "/api/v1/tenants/nordic/jobs",
    "/api/v1/tenants/nordic/connections",
    "/api/v1/tenants/nordic/effects",
    "/api/v1/tenants/nordic/secrets",
    "/api/v1/tenants/nordic/nothing",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if !NOT_OURS.iter().any(|name| path.ends_with(name)) {
            found.push(path);
        }
    }
    Ok(())
}

/// A world whose carrier account is in the vault.
fn sealed() -> anyhow::Result<(World, String)> {
    let world = World::new(&Settings::default())?;
    let key = STANDARD.encode(rand::random::<[u8; 32]>());
    std::fs::write(world.file("vault.key"), &key)?;
    world.edit_config("[[tenant]]\n", "[vault]\nkey = { file = \"vault.key\" }\n[[tenant]]\n")?;
    world.edit_config("secrets = { oauth", "# secrets = { oauth")?;
    Ok((world, key))
}

/// What every command and every read of the API says.
fn all_that_is_said(world: &World, orders: &[i64]) -> anyhow::Result<Vec<(String, String)>> {
    let mut said = Vec::new();
    let stranger = Http::new(world.api().base(), Some("not-the-token"));
    let mut paths: Vec<String> = READS.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(orders.iter().map(|order| format!("/api/v1/tenants/nordic/flows/order/{order}")));
    for (list, key) in [("jobs", "jobs"), ("effects", "effects")] {
        let answer = world.api().json("GET", &format!("/api/v1/tenants/nordic/{list}"), None)?;
        let ids = answer[key].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
        paths.extend(ids.map(|id| format!("/api/v1/tenants/nordic/{list}/{id}")));
    }
    for path in paths {
        for http in [&world.api(), &stranger] {
            let (status, text) = http.ask("GET", &path, None)?;
            said.push((format!("GET {path}: {status}"), text));
        }
    }
    for command in [
        "status",
        "status --json",
        "jobs list --tenant nordic",
        "effects list --tenant nordic",
        "secret list --tenant nordic",
        "doctor",
    ] {
        let output = world.wharf(&command.split(' ').collect::<Vec<_>>())?;
        let text = [output.stdout, output.stderr].concat();
        said.push((format!("wharf {command}"), String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(said)
}

#[test]
fn p11_a_working_host_writes_and_says_no_secret() -> anyhow::Result<()> {
    let (world, vault_key) = sealed()?;
    let mut host = world.serve_with(&["--log", "trace"])?;
    let from = |field: &str, file: &str| format!("{field}={}", world.file(file).display());
    let (id, secret) = (from("client_id", "carrier.id"), from("client_secret", "carrier.secret"));
    let set = [
        "secret",
        "set",
        "--tenant",
        "nordic",
        "--connection",
        "ups",
        "--slot",
        "oauth",
        "--from",
        &id,
        "--from",
        &secret,
    ];
    let output = world.wharf(&set)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    world.carrier_script(&json!([
        { "match": { "path_contains": "/oauth" }, "times": 1, "fault": { "status": { "code": 500 } } },
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": { "status": { "code": 401 } } },
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": "answer_lost_after_effect" },
        { "match": { "path_contains": "/Shop" }, "times": 1, "fault": "html_200" },
    ]))?;
    let orders = world.confirm_orders(4)?;
    world.wait_until(&orders, &["closed"], PATIENCE)?;
    for path in ["/hooks/odoo/nordic/wrong", "/hooks/odoo/nobody/wrong"] {
        assert_eq!(world.api().ask("POST", path, Some(&json!({ "_id": 1 })))?.0, 404);
    }
    let mut places = all_that_is_said(&world, &orders)?;
    let backup = world.file("all.backup").display().to_string();
    let output = world.wharf(&["backup", &backup])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host.stop()?;

    let mut found = Vec::new();
    files(&world.file(""), &mut found)?;
    for path in &found {
        let mut bytes = std::fs::read(path)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            bytes = std::io::read_to_string(flate2::read::GzDecoder::new(&bytes[..]))?.into_bytes();
        }
        places.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let s = &world.secrets;
    let bot = std::fs::read_to_string(world.file("odoo.key"))?;
    let mut secrets = vec![&s.admin_token, &s.hook_token, &s.carrier_secret, &s.odoo_admin_key, &bot, &vault_key];
    let given = world.carrier.json("GET", "/__admin/tokens", None)?["requests"].as_u64().unwrap_or_default();
    assert!(given > 0);
    let tokens: Vec<String> =
        (1..=given).map(|n| Digest::of(format!("token 1 {n}").as_bytes()).hex().to_owned()).collect();
    secrets.extend(&tokens);
    let forms: Vec<String> = secrets.iter().flat_map(|secret| traces(secret.trim())).collect();
    for (place, text) in &places {
        for form in &forms {
            assert!(!text.contains(form.as_str()), "`{form}` in {place}: {}", around(text, form));
        }
    }
    // The places hold what they are thought to hold.
    let tracking = world.bought()?[0]["tracking"].as_str().expect("a number").to_owned();
    for place in ["wharf.db", "all.backup", "flows/order/"] {
        let holds = |(name, text): &(String, String)| name.contains(place) && text.contains(&tracking);
        assert!(places.iter().any(holds), "`{place}` has the label's number");
    }
    let log = places.iter().find(|(name, _)| name.ends_with("wharf.log")).map_or("", |(_, text)| text);
    assert!(log.contains("DEBUG") && log.contains("nordic"), "{log}");
    println!(
        "canaries: {} forms of {} secrets looked for in {} places, 0 found",
        forms.len(),
        secrets.len(),
        places.len()
    );
    Ok(())
}

/// The line it stands in, as far as a person wants to see.
fn around<'a>(text: &'a str, form: &str) -> &'a str {
    text.lines().find(|line| line.contains(form)).map_or("", |line| line.get(..600).unwrap_or(line))
}
