//! Backlogs that drain by themselves, and calls that wait.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_domain::account::Limits;
use wharf_store::{accounts, audit, jobs};

use crate::house::{House, JOBS, LANES, Place, tenant};
use crate::partner::Partner;

/// Sixty a second, at most three of them back to back.
const PER_SECOND: usize = 60;
/// Longer than the breaker stays open at first: one probe finds the partner down.
const OUTAGE: Duration = Duration::from_millis(5_500);
/// Waiting for longer than this is a failure.
const PATIENCE: Duration = Duration::from_secs(90);

fn limited() -> Limits {
    let text = format!(r#"{{"buckets":[{{"requests":{PER_SECOND},"per_seconds":1,"burst":3}}]}}"#);
    serde_json::from_str(&text).expect("limits")
}

async fn drains(place: Place, limits: Limits) {
    let rate = limits.buckets.first().map(|bucket| bucket.requests.get() as usize);
    let partner = Partner::down_after(40, OUTAGE).await;
    let house = House::new(place, &partner.url, &limits).await;
    house.enqueue().await;
    let worker = house.work();
    house.all_done(PATIENCE).await;
    worker.stop().await;

    let seen = partner.seen();
    let failed: Vec<_> = seen.iter().filter(|call| !call.answered).collect();
    let (from, to) = (failed[0].at, failed[failed.len() - 1].at);
    // Twenty open the breaker, sixteen may be under way with them, then one probe at a time.
    assert!(failed.len() <= 20 + 16 + 4, "{} calls into the outage", failed.len());

    let mut burned = 0;
    for id in house.ids().await {
        let attempts = jobs::attempts(&house.db, &id).await.expect("attempts");
        burned += attempts.iter().filter(|attempt| attempt.outcome.as_deref() == Some("retry")).count();
        let bad = attempts
            .iter()
            .find(|attempt| !["retry", "snooze", "done"].contains(&attempt.outcome.as_deref().unwrap_or("")));
        assert_eq!(bad, None);
    }
    assert_eq!(burned, failed.len(), "an attempt is burned by a call that failed, and by nothing else");

    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for call in seen.iter().filter(|call| call.answered) {
        let number = next.entry(call.lane).or_default();
        assert_eq!(call.number, *number, "lane {}", call.lane);
        *number += 1;
    }
    assert!(next.len() == LANES && next.values().all(|count| *count == JOBS / LANES), "every job once: {next:?}");

    let back: Vec<_> = seen.iter().filter(|call| call.answered && call.at > to).map(|call| call.at).collect();
    // What left a second apart may arrive a little closer.
    let most = back
        .iter()
        .map(|from| {
            back.iter().filter(|at| **at >= *from && at.duration_since(*from) < Duration::from_millis(900)).count()
        })
        .max()
        .unwrap_or(0);
    if let Some(rate) = rate {
        assert!(most <= rate, "{most} calls within 900 ms");
    }

    let rows = accounts::list(&house.db, &tenant()).await.expect("accounts");
    assert_eq!(rows.len(), 1);
    let told = audit::for_object(&house.db, &tenant(), "connection/acme").await.expect("audit");
    let told: Vec<_> = told.iter().map(|row| row.action.as_str()).collect();
    assert_eq!((told.first(), told.last()), (Some(&"account.breaker-opened"), Some(&"account.breaker-closed")));
    println!(
        "{} calls into an outage of {:.1} s, back after {:.1} s, the rest in {:.1} s, at most {most} in 900 ms",
        failed.len(),
        to.duration_since(from).as_secs_f64(),
        back[0].duration_since(from).as_secs_f64(),
        back[back.len() - 1].duration_since(back[0]).as_secs_f64(),
    );
}

/// An outage drains by itself: no attempt burned while the breaker is open, no thundering, all done, order kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_an_outage_drains_by_itself_on_sqlite() {
    Box::pin(drains(Place::file(), limited())).await;
}

/// The same with two hosts on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_an_outage_drains_by_itself_on_postgres() {
    Box::pin(drains(Place::server().await, limited())).await;
}

/// A partner that names no limit is counted in memory, and found down all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_an_outage_of_a_partner_without_limits_drains_by_itself() {
    Box::pin(drains(Place::file(), Limits::default())).await;
}

/// A call of several requests at a partner that allows one a second gets through at its first attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_has_begun_waits_where_it_is() {
    let partner = Partner::down_after(usize::MAX, Duration::ZERO).await;
    let limits = serde_json::from_str(r#"{"buckets":[{"requests":1,"per_seconds":1}]}"#).expect("limits");
    let house = House::new(Place::file(), &partner.url, &limits).await;
    let job = house.enqueue_one("three requests", 3).await;
    let worker = house.work();
    house.done(&job, PATIENCE).await;
    worker.stop().await;
    let attempts = jobs::attempts(&house.db, &job).await.expect("attempts");
    assert_eq!((attempts.len(), partner.seen().len()), (1, 3));
    let seen = partner.seen();
    assert!(seen[2].at.duration_since(seen[0].at) >= Duration::from_millis(1_800));
}
