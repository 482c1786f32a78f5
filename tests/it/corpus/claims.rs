//! Rows about what a guest says and leaves behind: a purchase that never was, memory another one had, labels of figures.

use std::collections::BTreeSet;

use serde_json::json;
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::effect::BusinessKey;
use wharf_domain::fault::{Blame, FaultKind, Retry};
use wharf_domain::port::carrier::Carrier;
use wharf_store::jobs::{self, NewJob};

use super::arena::{Arena, ctx, small, tenant};
use super::echo::hidden;

#[tokio::test]
async fn i9_a_purchase_nobody_has_seen_is_not_believed() {
    let arena = Arena::new(small()).await;
    let rogue = arena.rogue("t").await;
    let mut tx = arena.db.begin().await.expect("begin");
    let new = NewJob::new(tenant("t"), "lane", "test", json!({}));
    jobs::enqueue(&mut tx, &Actor::Host("test".to_owned()), &new).await.expect("enqueue");
    tx.commit().await.expect("commit");
    let job = jobs::claim(&arena.db, "w", 60_000, 1).await.expect("claim").remove(0);
    let business = Some(BusinessKey { effect_type: "buy-label".to_owned(), key: "order/1".to_owned() });
    let ctx = CallCtx { job: Some(job.id), fence: job.fence, business, ..ctx(&tenant("t")) };
    let address = json!({ "name": "A", "lines": ["1"], "locality": "B", "country": "DE" });
    let request = serde_json::from_value(json!({
        "reference": "R-1", "service": "03", "ship_from": address, "ship_to": address,
        "parcels": [{ "reference": "1", "weight_g": 1 }],
    }));
    let fault = rogue.connection.create_shipment(&ctx, &request.expect("a request")).await.expect_err("a claim");
    arena.as_written("I9", &fault.code, "t", "rogue").await;
    assert_eq!((fault.kind, fault.blame, fault.retry), (FaultKind::OutcomeUnknown, Blame::Guest, Retry::Never));
}

/// The slots a tenant's guest has filled are the ones the next tenant's guest runs in.
#[tokio::test]
async fn f10_nothing_of_another_tenant_is_left_in_memory() {
    let arena =
        Arena::new(wharf_sandbox::Limits { cpu_ms: 5_000, concurrent_calls: 1, tenant_calls: 1, ..small() }).await;
    let (one, other) = (arena.rogue("one").await, arena.rogue("other").await);
    let mark = hidden("what the first tenant knows");
    let hunt = json!({ "do": "hunt", "hidden": [mark] });
    for bytes in [1_000, 100_000, 8 << 20] {
        let fill = json!({ "do": "fill", "hidden": mark, "bytes": bytes });
        let own = one.told(&json!([fill, hunt])).await.expect("served");
        assert_eq!(own[1], json!([true]), "the guest finds what is there");
        assert_eq!(other.told(&json!([hunt])).await.expect("served"), [json!([false])], "after {bytes} bytes");
        assert_eq!(one.told(&json!([hunt])).await.expect("served"), [json!([false])], "nor its own");
    }
    wharf_attack::assert_as_written("F10", "none");
}

/// A thousand hosts, headers, keys and messages of a guest's own making: the figures have as many labels as the host has
/// rules.
#[tokio::test]
async fn j2_a_guest_makes_no_labels() {
    let arena = Arena::new(wharf_sandbox::Limits { http_requests: 5_000, cpu_ms: 5_000, ..small() }).await;
    let rogue = arena.rogue("t").await;
    for round in 0..20 {
        let steps: Vec<_> = (0..50)
            .flat_map(|n| {
                let (url, name) = (format!("http://h{round}x{n}.test/"), format!("x-{round}-{n}"));
                let large = json!({ "do": "kv-set", "key": name, "bytes": 70_000 });
                [json!({ "do": "http", "method": "GET", "url": url }), large]
            })
            .collect();
        rogue.told(&json!(steps)).await.expect("refused one by one");
    }
    for n in 0..4 {
        rogue.ends(&json!([{ "do": "panic", "message": format!("message {n}") }])).await;
    }
    let counts = arena.services.counts();
    let labels: BTreeSet<_> = counts.keys().map(|(counter, label)| format!("{counter} {label}")).collect();
    let all = ["adapter_traps_total trap.panic", "denials_total http,host-not-granted", "limit_hits_total kv"];
    assert_eq!(labels, all.map(str::to_owned).into(), "{counts:?}");
    assert_eq!(arena.count("denials_total", "http,host-not-granted"), 1_000);
    wharf_attack::assert_as_written("J2", "labels");
}
