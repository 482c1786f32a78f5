//! The real server is killed (`kill -9`) at random moments between sending and recording, fifty times. At the end every
//! order has one label at the carrier and one of everything in Odoo.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use wharf_tests::{Settings, World};

const KILLS: usize = 50;

#[test]
fn fifty_kills_between_sending_and_recording_buy_one_label_per_order() -> anyhow::Result<()> {
    let seed: u64 = std::process::id().into();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new(&Settings { read_after_write_ms: 300, settle_seconds: 1, ..Settings::default() })?;
    // The carrier acts at once and answers late, so that a kill often falls between the effect and its record; some
    // answers are lost altogether.
    world.carrier_script(&json!({ "seed": seed, "rules": [
        { "match": { "path_contains": "/ship" }, "fault": { "latency": { "ms": 120 } } },
        { "match": { "path_contains": "/ship" }, "probability": 0.1, "fault": "answer_lost_after_effect" },
    ]}))?;

    let mut orders = Vec::new();
    for kill in 0..KILLS {
        let mut host = world.serve()?;
        orders.extend(world.confirm_orders(1)?);
        std::thread::sleep(Duration::from_millis(random.random_range(10..600)));
        assert!(host.running()?, "kill {kill}: the host ended by itself:\n{}", host.tail());
        host.kill()?;
    }

    let mut host = world.serve()?;
    world.wait_until(&orders, &["closed"], Duration::from_secs(120))?;
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
    println!("kills {KILLS} · orders {} · labels {} · twice 0", orders.len(), per_reference.len());
    Ok(())
}
