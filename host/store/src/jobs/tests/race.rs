//! Many at once: enqueuing into lanes while others finish them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{actor, tenant};
use crate::error::StoreError;
use crate::jobs::{Claimer, Finish, Job, NewJob, enqueue, finish};
use crate::testing::House;

const FEEDERS: u64 = 4;
const WORKERS: u64 = 3;
const EACH: u64 = 60;
const LANES: u64 = 3;

/// Every feeder numbers its jobs; those of one feeder in one lane must come in order.
async fn feed(house: Arc<House>, feeder: u64) {
    for number in 0..EACH {
        let job = NewJob::new(tenant("t"), format!("lane-{}", number % LANES), "kind", json!([feeder, number]));
        loop {
            let mut tx = house.db.begin().await.expect("begin");
            match enqueue(&mut tx, &actor(), &job).await {
                Ok(_) => break tx.commit().await.expect("commit"),
                Err(StoreError::Conflict) => {}
                Err(err) => panic!("{err}"),
            }
        }
    }
}

async fn finish_one(house: &House, job: &Job) {
    loop {
        let mut tx = house.db.begin().await.expect("begin");
        match finish(&mut tx, &actor(), job, &Finish::Done).await {
            Ok(()) => break tx.commit().await.expect("commit"),
            Err(StoreError::Conflict) => {}
            Err(err) => panic!("{err}"),
        }
    }
}

/// What was claimed, with the number of its claim: a job of a lane is claimed after the one before it was finished.
async fn work(house: Arc<House>, worker: u64, left: Arc<AtomicU64>, claims: Arc<AtomicU64>) -> Vec<(u64, Job)> {
    let mut claimer = Claimer::new(format!("w{worker}"), 60_000);
    let mut done = Vec::new();
    let mut idle = 0;
    while left.load(Ordering::SeqCst) > 0 {
        let jobs = match claimer.claim(&house.db, 2, 2).await {
            Ok(jobs) => jobs,
            Err(StoreError::Conflict) => continue,
            Err(err) => panic!("{err}"),
        };
        idle = if jobs.is_empty() { idle + 1 } else { 0 };
        assert!(idle < 2_000, "a lane stands still");
        if jobs.is_empty() {
            // Others are at work; this only keeps an idle worker from taking their time.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let jobs: Vec<_> = jobs.into_iter().map(|job| (claims.fetch_add(1, Ordering::SeqCst), job)).collect();
        for (claim, job) in jobs {
            finish_one(&house, &job).await;
            left.fetch_sub(1, Ordering::SeqCst);
            done.push((claim, job));
        }
    }
    done
}

async fn no_lane_stalls(house: House) {
    let (house, left) = (Arc::new(house), Arc::new(AtomicU64::new(FEEDERS * EACH)));
    let claims = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for feeder in 0..FEEDERS {
        let house = house.clone();
        tasks.spawn(async move {
            feed(house, feeder).await;
            Vec::new()
        });
    }
    for worker in 0..WORKERS {
        tasks.spawn(work(house.clone(), worker, left.clone(), claims.clone()));
    }
    let mut done: Vec<(u64, Job)> = tasks.join_all().await.into_iter().flatten().collect();
    done.sort_by_key(|(claim, _)| *claim);
    assert_eq!(done.len() as u64, FEEDERS * EACH);
    let mut last: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for (_, job) in done {
        let [feeder, number] = serde_json::from_value::<[u64; 2]>(job.payload).expect("payload");
        let key = (job.lane.expect("lane"), feeder);
        let before = last.insert(key, number);
        assert!(before.is_none_or(|before| before < number), "feeder {feeder} came out of order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lane_stalls_while_many_add_and_finish_on_sqlite() {
    no_lane_stalls(House::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lane_stalls_while_many_add_and_finish_on_postgres() {
    no_lane_stalls(House::postgres().await).await;
}
