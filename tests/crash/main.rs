//! The real server is killed (`kill -9`) fifty times between sending a purchase and recording its answer, and twenty
//! times more at any moment. At the end every order has one label at the carrier and one of everything in Odoo.

#![expect(clippy::print_stdout, reason = "helpers of tests speak as tests do")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use wharf_scratch_postgres::Server;
use wharf_tests::{Settings, World};

/// Kills at a random moment of the time the carrier takes to answer, or just after it.
const AIMED: usize = 50;
/// Kills at a random moment of an order's whole life.
const BLIND: usize = 20;
const ANSWER_MS: u64 = 120;

mod disk;
mod memory;

/// No accepted job is lost and no label is bought twice, with the shipped adapter in its sandbox.
#[test]
fn p1_p2_seventy_kills_buy_one_label_per_order_on_sqlite() -> anyhow::Result<()> {
    seventy_kills(None)
}

/// No accepted job is lost and no label is bought twice, with the shipped adapter in its sandbox.
#[test]
fn p1_p2_seventy_kills_buy_one_label_per_order_on_postgresql() -> anyhow::Result<()> {
    let server = Server::start(&wharf_scratch_postgres::Settings::durable())?;
    let database = server.database()?;
    seventy_kills(Some(database.url()))
}

fn seventy_kills(postgres: Option<String>) -> anyhow::Result<()> {
    let seed: u64 = std::process::id().into();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let settings = Settings { read_after_write_ms: 300, settle_seconds: 1, postgres, ..Settings::default() };
    let world = World::new(&settings)?;
    // The carrier acts at once and answers late, so that a kill often falls between the effect and its record; some
    // answers are lost altogether.
    world.carrier_script(&json!([
        { "match": { "path_contains": "/ship" }, "fault": { "latency": { "ms": ANSWER_MS } } },
        { "match": { "path_contains": "/ship" }, "probability": 0.1, "fault": "answer_lost_after_effect" },
    ]))?;

    let mut orders = Vec::new();
    for kill in 0..AIMED + BLIND {
        let mut host = world.serve()?;
        let before = world.bought()?.len();
        orders.extend(world.confirm_orders(1)?);
        let aimed = kill < AIMED;
        let started = Instant::now();
        while aimed && world.bought()?.len() == before && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let moment = if aimed { random.random_range(0..ANSWER_MS + 20) } else { random.random_range(10..600) };
        std::thread::sleep(Duration::from_millis(moment));
        assert!(host.running()?, "kill {kill}: the host ended by itself:\n{}", host.tail());
        host.kill()?;
    }

    let mut host = world.serve()?;
    world.wait_until(&orders, &["closed"], Duration::from_secs(120))?;
    let mut doubted = 0;
    for order in &orders {
        let effects = world.timeline(*order)?["effects"].clone();
        let purchase =
            effects.as_array().into_iter().flatten().find(|e| e["effect"]["effect_type"] == "buy-label").cloned();
        let history = purchase.map(|p| p["history"].clone()).unwrap_or_default();
        doubted += usize::from(history.as_array().into_iter().flatten().any(|step| step["to"] == "uncertain"));
    }
    assert!(doubted > AIMED / 2, "only {doubted} kills fell between sending and recording: the test proves too little");
    assert_eq!(host.stop()?, Some(0), "a graceful stop after all that:\n{}", host.tail());

    let mut per_reference: BTreeMap<String, usize> = BTreeMap::new();
    for shipment in world.bought()? {
        *per_reference.entry(shipment["reference"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = per_reference.iter().filter(|(_, n)| **n != 1).collect();
    assert!(twice.is_empty(), "bought more than once: {twice:?}");
    assert_eq!(per_reference.len(), orders.len(), "one label per order");

    for order in &orders {
        let domain = json!([["sale_id", "=", order], ["picking_type_code", "=", "outgoing"]]);
        let pickings = world.odoo_rows("stock.picking", &domain, &["carrier_tracking_ref"])?;
        assert_eq!(pickings.len(), 1, "order {order}");
        assert!(pickings[0]["carrier_tracking_ref"].is_string(), "order {order}: {}", pickings[0]);
        let on_picking = json!([["res_model", "=", "stock.picking"], ["res_id", "=", pickings[0]["id"]]]);
        assert_eq!(world.odoo_rows("ir.attachment", &on_picking, &["name"])?.len(), 1, "one label on order {order}");
        let notes =
            json!([["model", "=", "stock.picking"], ["res_id", "=", pickings[0]["id"]], ["body", "like", "1Z"]]);
        assert_eq!(world.odoo_rows("mail.message", &notes, &["body"])?.len(), 1, "one note on order {order}");
    }
    let (orders, labels) = (orders.len(), per_reference.len());
    let kills = AIMED + BLIND;
    println!("kills {kills} · orders {orders} · in doubt {doubted} · labels {labels} · twice 0");
    Ok(())
}
