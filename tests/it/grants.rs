//! What an adapter may do is what somebody stands for: a file that is replaced by one that asks for more changes nothing
//! until a person said so.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use wharf_domain::ids::Digest;
use wharf_domain::manifest::{Manifest, Route};
use wharf_sandbox::manifest;
use wharf_scratch_postgres::Server;
use wharf_tests::{Settings, World};

use crate::guest::repo;

const PATIENCE: Duration = Duration::from_secs(60);

/// The shipped adapter, and the folder a test puts it in.
struct Shelf {
    file: PathBuf,
    shipped: Vec<u8>,
}

impl Shelf {
    /// From now on the world's adapters are in a folder of its own.
    fn of(world: &World) -> anyhow::Result<Self> {
        let shipped = std::fs::read(repo().join("target/adapters/ups.wasm"))?;
        let config = std::fs::read_to_string(world.file("wharf.toml"))?;
        let line = config.lines().find(|line| line.starts_with("adapters_dir")).expect("the folder").to_owned();
        world.edit_config(&line, "adapters_dir = \"adapters\"")?;
        std::fs::create_dir(world.file("adapters"))?;
        Ok(Self { file: world.file("adapters/ups.wasm"), shipped })
    }

    /// Puts a version there; gives its digest.
    fn put(&self, version: &str, change: impl FnOnce(&mut Manifest)) -> anyhow::Result<String> {
        let mut asks = manifest::read(&self.shipped)?;
        asks.version = version.to_owned();
        change(&mut asks);
        let bytes = manifest::embed(&manifest::without(&self.shipped)?, &asks)?;
        std::fs::write(&self.file, &bytes)?;
        Ok(Digest::of(&bytes).to_string())
    }
}

/// Asks for another request.
fn more(asks: &mut Manifest) {
    let other = asks.routes[0].clone();
    asks.routes.push(Route {
        path: "/api/paperless/*/upload".to_owned(),
        reason: "uploads papers".to_owned(),
        ..other
    });
}

/// The adapter that bought an order's label.
fn bought_by(world: &World, order: i64) -> anyhow::Result<String> {
    let timeline = world.timeline(order)?;
    let mut effects = timeline["effects"].as_array().into_iter().flatten().map(|effect| &effect["effect"]);
    let label = effects.find(|effect| effect["effect_type"] == "buy-label").expect("a purchase");
    Ok(label["adapter_digest"].as_str().expect("a digest").to_owned())
}

fn buy(world: &World) -> anyhow::Result<String> {
    let order = world.confirm_orders(1)?[0];
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    bought_by(world, order)
}

/// Exit code and what was said.
fn wharf(world: &World, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let output = world.wharf(words)?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// What `wharf grant list` says about the connection, as JSON.
fn standing(world: &World) -> anyhow::Result<Value> {
    let listed: Value = serde_json::from_slice(&world.wharf(&["grant", "list", "--json"])?.stdout)?;
    Ok(listed["grants"][0].clone())
}

fn replaced(postgres: Option<String>) -> anyhow::Result<()> {
    let world = World::new(&Settings { postgres, ..Settings::default() })?;
    let shelf = Shelf::of(&world)?;
    let first = shelf.put("1.0.0", |_| {})?;
    let mut host = world.serve()?;
    assert_eq!(buy(&world)?, first);
    let now = standing(&world)?;
    assert_eq!(
        (&now["accepted"]["version"], &now["accepted"]["decided_by"]),
        (&1.into(), &"host:configuration".into())
    );
    host.stop()?;

    let wider = shelf.put("2.0.0", more)?;
    let (_, doctor) = wharf(&world, &["doctor"])?;
    assert!(doctor.contains("will ask for more than was accepted"), "{doctor}");
    let mut host = world.serve()?;
    assert_eq!(buy(&world)?, first, "the old version keeps serving");
    let (_, status) = wharf(&world, &["status"])?;
    assert!(status.contains("wharf grant show nordic/ups --version 2"), "{status}");
    let (_, shown) = wharf(&world, &["grant", "show", "nordic/ups"])?;
    assert!(shown.contains("/api/paperless/*/upload") && shown.contains("new data read"), "{shown}");
    let (code, said) = wharf(&world, &["grant", "accept", "nordic/ups", "--version", "1", "--why", "by accident"])?;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) =
        wharf(&world, &["grant", "accept", "nordic/ups", "--version", "2", "--why", "papers are needed"])?;
    assert_eq!(code, Some(0), "{said}");
    let asked = Instant::now();
    while buy(&world)? != wider {
        assert!(asked.elapsed() < PATIENCE, "it was accepted and does not serve:\n{}", host.tail());
    }
    host.stop()?;

    let narrower = shelf.put("3.0.0", |_| {})?;
    let mut host = world.serve()?;
    assert_eq!(buy(&world)?, narrower, "the same or less goes through by itself");
    let now = standing(&world)?;
    assert_eq!((&now["accepted"]["version"], &now["open"]), (&3.into(), &Value::Null), "{now:#}");
    host.stop()?;
    Ok(())
}

#[test]
fn p19_an_adapter_that_asks_for_more_serves_when_a_person_said_so_on_sqlite() -> anyhow::Result<()> {
    replaced(None)
}

#[test]
fn p19_an_adapter_that_asks_for_more_serves_when_a_person_said_so_on_postgresql() -> anyhow::Result<()> {
    let server = Server::start(&wharf_scratch_postgres::Settings::durable())?;
    replaced(Some(server.database()?.url()))
}

/// Two programs on one database: both go on with what was accepted while the rest waits, and both serve it afterwards,
/// whichever of them was told.
#[test]
fn p19_two_hosts_of_one_database_agree_on_what_was_accepted() -> anyhow::Result<()> {
    let server = Server::start(&wharf_scratch_postgres::Settings::durable())?;
    let database = server.database()?;
    let world = World::new(&Settings { postgres: Some(database.url()), ..Settings::default() })?;
    let shelf = Shelf::of(&world)?;
    let first = shelf.put("1.0.0", |_| {})?;
    let (mut told, mut other) = (world.serve()?, world.serve_beside()?);
    assert_eq!(buy(&world)?, first);
    told.stop()?;
    other.stop()?;
    let wider = shelf.put("2.0.0", more)?;
    let (mut told, mut other) = (world.serve()?, world.serve_beside()?);
    for host in [&told, &other] {
        let log = host.tail();
        assert!(log.contains(&first) && !log.contains(&wider), "it goes on with what was accepted:\n{log}");
    }
    assert_eq!(standing(&world)?["open"]["version"], 2, "one version waits, and not one for each host");
    let (code, said) =
        wharf(&world, &["grant", "accept", "nordic/ups", "--version", "2", "--why", "papers are needed"])?;
    assert_eq!(code, Some(0), "{said}");
    let asked = Instant::now();
    for host in [&told, &other] {
        while !host.tail().contains(&wider) {
            assert!(asked.elapsed() < PATIENCE, "it was accepted and does not serve:\n{}", host.tail());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert_eq!(buy(&world)?, wider);
    other.stop()?;
    told.stop()?;
    Ok(())
}

/// Every job that waits, with its attempts.
fn waiting(world: &World) -> anyhow::Result<Vec<Value>> {
    let jobs = world.api().json("GET", "/api/v1/tenants/nordic/jobs?state=waiting", None)?;
    let ids = jobs["jobs"].as_array().into_iter().flatten().filter_map(|job| job["id"].as_str());
    ids.map(|id| world.api().json("GET", &format!("/api/v1/tenants/nordic/jobs/{id}"), None)).collect()
}

/// With the accepted file gone there is nothing to go on with: the work waits, says why, and uses up no attempt.
#[test]
fn p19_without_the_accepted_file_the_work_waits_for_a_person() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let shelf = Shelf::of(&world)?;
    shelf.put("1.0.0", |_| {})?;
    let mut host = world.serve()?;
    host.stop()?;
    std::fs::remove_dir_all(world.file("data/adapters"))?;
    let wider = shelf.put("2.0.0", more)?;
    let mut host = world.serve()?;
    let order = world.confirm_orders(1)?[0];
    let asked = Instant::now();
    loop {
        let jobs = waiting(&world)?;
        let says = |job: &Value| {
            let job = job.to_string();
            job.contains("is not served") && job.contains("wharf grant accept nordic/ups --version 2")
        };
        if jobs.iter().any(says) {
            break;
        }
        assert!(asked.elapsed() < PATIENCE, "nothing says what the order waits for: {jobs:?}\n{}", host.tail());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(world.bought()?.is_empty(), "nothing is bought meanwhile");
    let (code, said) = wharf(&world, &["grant", "accept", "nordic/ups", "--version", "2", "--why", "looked at it"])?;
    assert_eq!(code, Some(0), "{said}");
    world.wait_until(&[order], &["closed"], PATIENCE)?;
    assert_eq!(bought_by(&world, order)?, wider);
    host.stop()?;
    Ok(())
}

/// What an operator takes away is gone at once; what is given back is asked about, and a refusal is remembered.
#[test]
fn p19_a_configuration_that_gives_more_waits_too() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let (loose, tight) = ("config = { account_number", "limits = { max_in_flight = 2 }\nconfig = { account_number");
    world.serve()?.stop()?;
    world.edit_config(loose, tight)?;
    world.serve()?.stop()?;
    let mut host = world.serve()?;
    let now = standing(&world)?;
    assert_eq!((&now["accepted"]["version"], &now["open"]), (&2.into(), &Value::Null), "tighter is not wider: {now:#}");
    host.stop()?;
    world.edit_config(tight, loose)?;
    let mut host = world.serve()?;
    buy(&world)?;
    assert_eq!(standing(&world)?["open"]["weight"], "wider-low");
    let (code, said) = wharf(&world, &["grant", "refuse", "nordic/ups", "--version", "3", "--why", "two are enough"])?;
    assert_eq!(code, Some(0), "{said}");
    host.stop()?;
    let mut host = world.serve()?;
    let now = standing(&world)?;
    assert_eq!((&now["open"]["version"], &now["open"]["state"]), (&3.into(), &"refused".into()), "{now:#}");
    host.stop()?;
    Ok(())
}

#[test]
fn what_a_connection_was_granted_and_used_is_shown_beside_its_file() -> anyhow::Result<()> {
    let world = World::new(&Settings::default())?;
    let file = repo().join("target/adapters/ups.wasm").display().to_string();
    let mut host = world.serve()?;
    buy(&world)?;
    let inspect = ["adapter", "inspect", &file, "--connection", "nordic/ups"];
    let (code, said) = wharf(&world, &inspect)?;
    assert_eq!(code, Some(0), "{said}");
    let line = |start: &str| said.lines().find(|line| line.contains(start)).unwrap_or_default().to_owned();
    assert!(line("POST /api/shipments/*/ship").contains("1 call: 1 succeeded"), "{said}");
    assert!(line("DELETE /api/shipments").contains("nothing"), "{said}");
    assert!(line("memory of a call: ").contains(" %) at most, in "), "{said}");
    assert!(said.contains("warning unused-grant: http DELETE /api/shipments/*/void/cancel/*"), "{said}");
    let (_, said) = wharf(&world, &[inspect.as_slice(), &["--sarif"]].concat())?;
    let log: Value = serde_json::from_str(&said)?;
    let results = log.pointer("/runs/0/results").and_then(Value::as_array).expect("results");
    assert!(results.iter().any(|result| result["ruleId"] == "unused-grant" && result["level"] == "warning"), "{log:#}");
    host.stop()?;
    Ok(())
}
