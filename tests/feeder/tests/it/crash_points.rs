//! The table of crash points: the host dies at each one while it works on an order of each class, on both databases;
//! the next host goes on, and the partner has seen what the table says.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::json;
use wharf_feeder::check::{Known, Standing};
use wharf_feeder::fate::Point;
use wharf_feeder::history::{self, Line};
use wharf_feeder::order::Class;
use wharf_feeder::proxy::Proxy;
use wharf_feeder::siege::{Camp, Database};
use wharf_scratch_postgres::{Server, Settings};

const CLASSES: [Class; 4] = [Class::Lookup, Class::Keyed, Class::Natural, Class::Once];

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What the table promises of the order a host died over: effects at the partner, and where its job ends.
fn promised(point: Point, class: Class) -> (usize, Standing) {
    match (point, class) {
        // Nobody can prove that nothing was sent: at most once, and a person sees it.
        (Point::BeforeConnect | Point::PartWritten, Class::Once) => (0, Standing::Parked),
        (Point::Asked | Point::Answered | Point::NoSpace, Class::Once) => (1, Standing::Parked),
        // The absolute value is set again.
        (Point::Asked | Point::Answered | Point::NoSpace, Class::Natural) => (2, Standing::Done),
        _ => (1, Standing::Done),
    }
}

async fn die(database: Database, point: Point, class: Class) -> Result<()> {
    // Every answer takes longer than a request needs to be surely with the partner.
    let script = match point {
        Point::Asked => json!([{ "fault": { "latency": { "ms": 400 } } }]),
        // Without an answer there is a lookup.
        Point::LookupStarted | Point::FoundNotCommitted => {
            json!([{ "match": { "method": "POST" }, "fault": "answer_lost_after_effect" }])
        }
        _ => json!([]),
    };
    let camp = Camp::pitch(Path::new(env!("CARGO_BIN_EXE_wharf-feeder")), database, 1, &script).await?;
    let mut command = camp.command("a");
    command.args(["--lanes", "3", "--only", &name(class), "--die-at", &name(point)]);
    let mut host = camp.start("a", command)?;
    let began = Instant::now();
    while host.running()? {
        ensure!(began.elapsed() < Duration::from_secs(20), "it did not die");
        std::thread::sleep(Duration::from_millis(5));
    }
    camp.see_through("a")?;
    let facts = camp.facts().await?;
    let lines = history::read(&camp.file("history"), None)?;
    let died = lines.iter().find_map(|line| match line {
        Line::Died { order, .. } => Some(order.clone()),
        _ => None,
    });
    // The end of a job is the queue's, which knows nothing of orders: the verdict on all of them stands for it.
    if let Some(order) = died.context("it died without a word")? {
        let Known { effects, jobs, .. } = facts.orders.get(&order).context("an order nobody offered")?;
        let (most, ends) = promised(point, class);
        ensure!(*jobs == [ends], "`{order}` ended as {jobs:?} and not {ends:?}");
        ensure!(effects.len() == most, "the partner saw `{order}` {} times and not {most}", effects.len());
    } else {
        ensure!(point == Point::FinishCommitted, "it does not say over which order it died");
    }
    camp.verdict().await?;
    Ok(())
}

async fn table(inside: bool, database: impl Fn() -> Result<Database>) -> Result<()> {
    for point in Point::value_variants().iter().filter(|point| point.inside().is_some() == inside) {
        for class in CLASSES {
            let looks_up = matches!(point, Point::LookupStarted | Point::FoundNotCommitted);
            if looks_up && class != Class::Lookup {
                continue;
            }
            let shown = format!("{} with {}", name(*point), name(class));
            die(database()?, *point, class).await.context(shown)?;
        }
    }
    Ok(())
}

/// No label is bought twice, whatever the moment of death.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_cp_table_on_sqlite() -> Result<()> {
    table(false, || Ok(Database::Sqlite)).await
}

/// No label is bought twice, whatever the moment of death.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_cp_table_on_postgresql() -> Result<()> {
    let server = Server::start(&Settings::durable())?;
    table(false, || Database::postgres(&server)).await
}

/// No label is bought twice, wherever the request was cut (points 7 and 8, and 9 with the whole of it).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_cp_07_08_09_a_request_is_cut_after_exactly_so_many_bytes() -> Result<()> {
    for class in CLASSES {
        // Nothing, a byte, the head without its end, all of it: a request here has between 190 and 230 bytes.
        for bytes in [0, 1, 100, 180, 100_000] {
            let mut camp =
                Camp::pitch(Path::new(env!("CARGO_BIN_EXE_wharf-feeder")), Database::Sqlite, 1, &json!([])).await?;
            let port = camp.twin.base_url.rsplit_once(':').context("a port")?.1.parse()?;
            let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], port))).await?;
            proxy.cut_after(Some(bytes));
            camp.partner = format!("http://127.0.0.1:{}", proxy.port);
            let mut command = camp.command("a");
            command.args(["--lanes", "3", "--only", &name(class)]);
            let mut host = camp.start("a", command)?;
            std::thread::sleep(Duration::from_millis(300));
            proxy.cut_after(None);
            std::thread::sleep(Duration::from_millis(300));
            ensure!(host.stop()? == Some(0), "{}", host.tail());
            camp.see_through("a")?;
            let report = camp.verdict().await.with_context(|| format!("{class:?} cut after {bytes} bytes"))?;
            ensure!(report.done > 0, "{class:?} cut after {bytes} bytes: {report:?}");
            // The host cannot tell how far a byte came that has left it. A label that was cut off three times is given
            // up, too: the verdict has held that against the number of its sends.
            let doubtful = class == Class::Once && bytes < 100_000;
            let given_up = class == Class::Lookup && bytes < 100_000;
            ensure!((report.parked > 0) == doubtful || given_up, "{class:?} cut after {bytes} bytes: {report:?}");
        }
    }
    Ok(())
}

/// The same at the points inside the host's own transactions.
#[cfg(feature = "failpoints")]
mod inside {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn cp_table_inside_the_host_on_sqlite() -> Result<()> {
        table(true, || Ok(Database::Sqlite)).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn cp_table_inside_the_host_on_postgresql() -> Result<()> {
        let server = Server::start(&Settings::durable())?;
        table(true, || Database::postgres(&server)).await
    }
}
