use wharf_store::jobs;

use super::*;
use crate::testing::{House, actor, key};

const DAY: i64 = DAY_MS;

fn always() -> Schedule {
    serde_json::from_str(r#"{"every_seconds":3600}"#).expect("schedule")
}

async fn sweep(house: &House, when: Schedule) {
    let mut tx = house.db.begin().await.expect("begin");
    let job = jobs::NewJob::new(wharf_domain::ids::TenantId::host(), SWEEP, SWEEP, json!({}));
    jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
    tx.commit().await.expect("commit");
    let mut registry = house.registry();
    register(&mut registry, house.db.clone(), Keep::default(), when);
    house.drain_with(registry).await;
}

async fn done(house: &House) -> u64 {
    jobs::counts(&house.db).await.expect("counts").done
}

#[tokio::test]
async fn an_order_that_is_closed_goes_by_age_and_pulls_go_sooner() {
    let house = House::new().await;
    house.change("e1").await;
    house.drain().await;
    assert_eq!(house.flow().await.0, "closed");
    let all = done(&house).await;
    let of_flow =
        jobs::for_flow(&house.db, &crate::order_release::examples::tenant(), &key()).await.expect("jobs").len();
    house.clock.advance(3 * DAY);
    sweep(&house, always()).await;
    assert_eq!(done(&house).await, of_flow as u64 + 1, "of {all}: pulls are gone; the sweep itself is new");
    house.clock.advance(30 * DAY);
    sweep(&house, always()).await;
    assert_eq!(done(&house).await, 1, "the sweep itself");
    assert_eq!(house.flow().await.0, "closed", "the flow stays");
    house.at_rest().await;
}

#[tokio::test]
async fn an_order_that_is_open_keeps_its_jobs_however_old() {
    let house = House::new().await;
    house.outside.erp().attach_faults = vec![crate::testing::fault(FaultKind::Forbidden)];
    house.change("e1").await;
    house.drain().await;
    assert_ne!(house.flow().await.0, "closed");
    let before =
        jobs::for_flow(&house.db, &crate::order_release::examples::tenant(), &key()).await.expect("jobs").len();
    house.clock.advance(400 * DAY);
    sweep(&house, always()).await;
    let after = jobs::for_flow(&house.db, &crate::order_release::examples::tenant(), &key()).await.expect("jobs").len();
    assert!(after >= before, "{after} of {before}");
}

/// Finished jobs of no flow, more than two batches of them.
async fn many_old(house: &House) -> u64 {
    let count = u64::from(wharf_store::retention::BATCH) * 2 + 500;
    let tenant = wharf_domain::ids::TenantId::host();
    let mut tx = house.db.begin().await.expect("begin");
    for _ in 0..count {
        let job = jobs::NewJob::unordered(tenant.clone(), "quick", json!({}));
        jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
    }
    tx.commit().await.expect("commit");
    let mut claimer = jobs::Claimer::new("w", 60_000);
    loop {
        let claimed = claimer.claim(&house.db, 500, 500).await.expect("claim");
        if claimed.is_empty() {
            return count;
        }
        let mut tx = house.db.begin().await.expect("begin");
        jobs::finish_done(&mut tx, &claimed.iter().collect::<Vec<_>>()).await.expect("done");
        tx.commit().await.expect("commit");
    }
}

#[tokio::test]
async fn a_sweep_stops_when_its_window_closes() {
    let house = House::new().await;
    let all = many_old(&house).await;
    assert_eq!(done(&house).await, all);
    house.clock.advance(400 * DAY);
    // It is a Wednesday evening: the window closed while the first batch was removed.
    let nights = r#"{"every_seconds":3600,"window":{"from":"01:00","to":"04:00"}}"#;
    sweep(&house, serde_json::from_str(nights).expect("schedule")).await;
    let batch = u64::from(wharf_store::retention::BATCH);
    assert_eq!(done(&house).await, all - batch + 1, "one batch is gone, and the sweep itself is done");
    sweep(&house, always()).await;
    assert_eq!(done(&house).await, 2, "both sweeps are left");
}

#[test]
fn days_that_would_remove_what_is_new_are_refused() {
    for (keep, name) in [
        (Keep { jobs_days: 0, ..Keep::default() }, "jobs_days"),
        (Keep { ticks_days: 1, ..Keep::default() }, "ticks_days"),
    ] {
        let refused = keep.check().expect_err(name);
        assert!(refused.contains(name) && refused.contains("use at least"), "{refused}");
    }
    Keep::default().check().expect("the defaults");
}
