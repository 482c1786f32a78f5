//! The whole path, by the real binary: an order in Odoo becomes one label, whatever is delivered twice, refused, slow or
//! not there.

use std::time::Duration;

use serde_json::{Value, json};
use wharf_tests::{Http, Settings, World, binary};

const PATIENCE: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_confirmed_order_gets_one_label_and_ten_more_webhooks_change_nothing() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let _host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    for _ in 0..10 {
        assert_eq!(world.knock()?, 202);
    }
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    let bought = world.bought()?;
    assert_eq!(bought.len(), 1, "{bought:?}");

    let timeline = world.timeline(order)?;
    let effect = timeline["effects"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| &e["effect"])
        .find(|e| e["effect_type"] == "buy-label");
    let effect = effect.expect("the purchase is in the ledger");
    assert_eq!(effect["state"], "succeeded");
    assert!(effect["adapter_digest"].as_str().is_some_and(|d| d.starts_with("sha256:")), "{effect}");

    let domain = json!([["sale_id", "=", order], ["picking_type_code", "=", "outgoing"]]);
    let pickings = world.odoo_rows("stock.picking", &domain, &["carrier_tracking_ref"])?;
    assert_eq!(pickings[0]["carrier_tracking_ref"], bought[0]["tracking"]);
    Ok(())
}

#[test]
fn an_answer_that_never_came_is_looked_up_and_not_bought_again() -> anyhow::Result<()> {
    let world = World::new(&Settings { read_after_write_ms: 500, settle_seconds: 1, ..Settings::default() })?;
    world.carrier_script(&json!([
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": "answer_lost_after_effect" },
    ]))?;
    let _host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 1);
    let timeline = world.timeline(order)?;
    assert!(timeline.to_string().contains("reconciling"), "the history shows the lookup: {timeline:#}");
    Ok(())
}

/// Waits until a person is asked about `code`.
fn wait_for_exception(world: &World, code: &str) -> anyhow::Result<Value> {
    let start = std::time::Instant::now();
    loop {
        let open = world.api().json("GET", "/api/v1/tenants/nordic/exceptions", None)?;
        let mut all = open["exceptions"].as_array().or(open.as_array()).into_iter().flatten();
        if let Some(found) = all.find(|e| e["code"] == code) {
            return Ok(found.clone());
        }
        anyhow::ensure!(start.elapsed() < PATIENCE, "no exception `{code}`: {open:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Requests the carrier has got for buying a label.
fn purchases_sent(world: &World) -> anyhow::Result<usize> {
    let requests = world.carrier.json("GET", "/__admin/requests", None)?;
    let ship = |r: &&Value| r["path"].as_str().is_some_and(|p| p.contains("/ship?") || p.ends_with("/ship"));
    Ok(requests.as_array().into_iter().flatten().filter(ship).count())
}

#[test]
fn a_carrier_that_acts_after_the_host_died_is_waited_for() -> anyhow::Result<()> {
    let world = World::new(&Settings { lease_seconds: 10, settle_seconds: 1, ..Settings::default() })?;
    world.carrier_script(&json!([
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": { "late_effect": { "ms": 5_000 } } },
    ]))?;
    let mut host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    let start = std::time::Instant::now();
    while purchases_sent(&world)? == 0 && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    host.kill()?;
    assert_eq!(world.bought()?.len(), 0, "the carrier has not acted yet");
    // Lookups find nothing at first: that must not count while the request may be under way.
    let _host = world.serve()?;
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 1);
    assert_eq!(purchases_sent(&world)?, 1);
    Ok(())
}

#[test]
fn e8_a_success_nobody_can_read_and_nobody_can_find_is_left_to_a_person() -> anyhow::Result<()> {
    let world = World::new(&Settings { lease_seconds: 10, settle_seconds: 1, ..Settings::default() })?;
    world.carrier_script(&json!([{ "match": { "path_contains": "/ship" }, "fault": "html_200" }]))?;
    let _host = world.serve()?;
    world.confirm_orders(1)?;
    wait_for_exception(&world, "label-unknown")?;
    wharf_attack::assert_as_written("E8", "label-unknown");
    // A web page proves nothing: it is sent again after lookups that found nothing, and no more than twice.
    assert_eq!(purchases_sent(&world)?, 3, "it is not bought again and again");
    assert!(world.bought()?.is_empty());
    Ok(())
}

#[test]
fn a_lookup_that_was_refused_can_be_done_again_by_a_person() -> anyhow::Result<()> {
    let world = World::new(&Settings { lease_seconds: 10, settle_seconds: 1, ..Settings::default() })?;
    world.carrier_script(&json!([
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": "answer_lost_after_effect" },
        { "match": { "path_contains": "/recovery" }, "times": 1, "fault": { "status": { "code": 403 } } },
    ]))?;
    let _host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    let exception = wait_for_exception(&world, "label-unknown")?;
    assert!(exception["cause"].as_str().is_some_and(|c| c.contains("lookup failed")), "{exception:#}");
    let path = format!("/api/v1/tenants/nordic/exceptions/{}/resolve", exception["id"].as_str().expect("an id"));
    world.api().json("POST", &path, Some(&json!({ "action": "look-again" })))?;
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 1);
    assert_eq!(purchases_sent(&world)?, 1);
    Ok(())
}

#[test]
fn an_empty_200_without_an_effect_is_bought_once_after_two_lookups() -> anyhow::Result<()> {
    let world = World::new(&Settings { settle_seconds: 1, ..Settings::default() })?;
    world.carrier_script(&json!([
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": "empty_200_no_effect" },
    ]))?;
    let _host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 1);
    Ok(())
}

#[test]
fn a_carrier_in_trouble_is_waited_for() -> anyhow::Result<()> {
    let world = World::new(&Settings { lease_seconds: 10, settle_seconds: 1, ..Settings::default() })?;
    world.carrier_script(&json!([
        { "match": { "path_contains": "/ship" }, "times": 1, "fault": "reset_before_effect" },
        { "match": { "path_contains": "/rating" }, "times": 1,
          "fault": { "status": { "code": 503 } } },
        { "match": { "path_contains": "/ship" }, "nth": 2,
          "fault": { "status": { "code": 429, "retry_after": { "seconds": 1 } } } },
        { "match": { "path_contains": "/rating" }, "fault": { "latency": { "ms": 200 } } },
    ]))?;
    let _host = world.serve()?;
    let orders = world.confirm_orders(3)?;
    world.wait_until(&orders, &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 3);
    Ok(())
}

#[test]
fn a_wrong_odoo_key_is_named_and_nothing_is_lost() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let key = std::fs::read_to_string(world.file("odoo.key"))?;
    std::fs::write(world.file("odoo.key"), "0000000000000000000000000000000000000000")?;
    let doctor = world.wharf(&["doctor"])?;
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains("key"), "{}", text(&doctor.stdout));

    let mut host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    // The host has tried and says so; only then "nothing was bought" means something.
    wait_for_exception(&world, "erp-unreachable")?;
    assert!(host.running()?, "the server goes on:\n{}", host.tail());
    assert_eq!(world.bought()?.len(), 0);
    host.stop()?;

    std::fs::write(world.file("odoo.key"), key)?;
    let _host = world.serve()?;
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 1);
    Ok(())
}

#[test]
fn an_unreachable_odoo_is_named_and_nothing_is_lost() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let config = std::fs::read_to_string(world.file("wharf.toml"))?;
    let url = config.lines().find(|l| l.starts_with("url = ")).expect("Odoo's address").to_owned();
    // Port 9 of loopback: nobody listens there.
    world.edit_config(&url, "url = \"http://127.0.0.1:9\"")?;
    let doctor = world.wharf(&["doctor"])?;
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains("127.0.0.1:9"), "{}", text(&doctor.stdout));

    let mut host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    // The host has tried and says so; only then "nothing was bought" means something.
    wait_for_exception(&world, "erp-unreachable")?;
    assert!(host.running()?, "the server goes on:\n{}", host.tail());
    host.stop()?;

    std::fs::write(world.file("wharf.toml"), config)?;
    let _host = world.serve()?;
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(world.bought()?.len(), 1);
    Ok(())
}

#[test]
fn an_unknown_key_in_the_configuration_stops_the_start_and_is_named() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    world.edit_config("poll_seconds", "poll_secs")?;
    for command in ["serve", "migrate", "doctor"] {
        let output = world.wharf(&[command])?;
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = text(&output.stderr);
        assert!(said.contains("poll_secs") && said.contains("wharf.toml"), "{command}: {said}");
    }
    Ok(())
}

#[test]
fn what_is_no_adapter_stops_the_start_and_is_named() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    std::fs::create_dir(world.file("adapters"))?;
    std::fs::write(world.file("adapters/ups.wasm"), "this is not wasm")?;
    let config = std::fs::read_to_string(world.file("wharf.toml"))?;
    let line = config.lines().find(|l| l.starts_with("adapters_dir")).expect("the folder").to_owned();
    world.edit_config(&line, "adapters_dir = \"adapters\"")?;
    let output = world.wharf(&["serve"])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("not a WebAssembly component"), "{}", text(&output.stderr));
    Ok(())
}

#[test]
fn a_second_host_on_the_same_database_is_refused() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let mut first = world.serve()?;
    let second = std::process::Command::new(binary("wharf")?)
        .args(["serve", "--config"])
        .arg(world.file("wharf.toml"))
        .output()?;
    assert_eq!(second.status.code(), Some(1));
    assert!(first.running()?);
    assert_eq!(first.stop()?, Some(0));
    Ok(())
}

#[test]
fn the_api_wants_its_token() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let _host = world.serve()?;
    let config = std::fs::read_to_string(world.file("wharf.toml"))?;
    let listen = config.lines().find(|l| l.starts_with("listen")).and_then(|l| l.split('"').nth(1)).expect("address");
    let stranger = Http::new(&format!("http://{listen}"), Some("guess"));
    let (status, body) = stranger.ask("GET", "/api/v1/tenants/nordic/flows", None)?;
    assert_eq!(status, 401, "{body}");
    assert!(serde_json::from_str::<Value>(&body)?["code"].is_string(), "{body}");
    assert_eq!(stranger.ask("GET", "/healthz", None)?.0, 200);
    Ok(())
}
