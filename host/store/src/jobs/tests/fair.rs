//! Whose turn it is: weights, limits, urgent work, and lanes that stop.

use serde_json::json;

use super::{LEASE, actor, claimed, end, fault, places, put, seed};
use crate::error::StoreError;
use crate::jobs::{Claimer, Finish, JobState, MOST_DEPTH, NewJob, Share, claim, enqueue, enqueue_unordered, get};
use crate::jobs::{replay, set_share};
use crate::testing::{House, both, tenant};

async fn share(house: &House, of: &str, share: Share) {
    let mut tx = house.db.begin().await.expect("begin");
    set_share(&mut tx, &actor(), &tenant(of), share).await.expect("share");
    tx.commit().await.expect("commit");
}

async fn add(house: &House, of: &str, count: usize) {
    let jobs: Vec<NewJob> = (0..count).map(|place| NewJob::unordered(tenant(of), "kind", json!(place))).collect();
    let mut tx = house.db.begin().await.expect("begin");
    assert_eq!(enqueue_unordered(&mut tx, &actor(), &jobs).await.expect("enqueue").len(), count);
    tx.commit().await.expect("commit");
}

both! {
    /// A flood of one tenant delays nobody else: the next claim serves both.
    async fn a_tenant_with_one_job_is_not_behind_one_with_thousands(house) {
        add(&house, "flood", 2_000).await;
        let mut claimer = Claimer::new("w", LEASE);
        claimer.claim(&house.db, 8, 8).await.expect("claim");
        add(&house, "small", 1).await;
        let jobs = claimer.claim(&house.db, 8, 8).await.expect("claim");
        let small = jobs.iter().position(|job| job.tenant == tenant("small"));
        assert!(small.is_some_and(|place| place < 2), "{small:?}");
        assert_eq!(jobs.len(), 8, "what is left of the turn goes to who has work");
    }

    async fn the_circle_goes_on_where_it_stopped(house) {
        for of in ["a", "b", "c", "d", "e"] {
            add(&house, of, 3).await;
        }
        let mut claimer = Claimer::new("w", LEASE);
        let mut served = Vec::new();
        for _ in 0..4 {
            let jobs = claimer.claim(&house.db, 3, 3).await.expect("claim");
            served.push(jobs.iter().map(|job| job.tenant.to_string()).collect::<String>());
        }
        assert_eq!(served, ["abc", "ade", "bcd", "abe"]);
    }

    async fn a_tenant_of_three_times_the_weight_gets_three_times_as_much(house) {
        share(&house, "big", Share { weight: 3, max_running: None }).await;
        add(&house, "big", 50).await;
        add(&house, "small", 50).await;
        let jobs = claim(&house.db, "w", LEASE, 40).await.expect("claim");
        let big = jobs.iter().filter(|job| job.tenant == tenant("big")).count();
        assert_eq!((big, jobs.len()), (30, 40));
    }

    async fn a_limit_of_running_jobs_holds_over_all_workers(house) {
        share(&house, "t", Share { weight: 1, max_running: Some(3) }).await;
        add(&house, "t", 10).await;
        add(&house, "u", 4).await;
        let first = claim(&house.db, "w1", LEASE, 2).await.expect("claim");
        assert_eq!(first.len(), 2);
        let second = claim(&house.db, "w2", LEASE, 10).await.expect("claim");
        let (of_t, of_u): (Vec<_>, Vec<_>) = second.iter().partition(|job| job.tenant == tenant("t"));
        let running = of_t.len() + first.iter().filter(|job| job.tenant == tenant("t")).count();
        assert_eq!((running, of_u.len() + first.len() + of_t.len() - running), (3, 4));
        let done = first.iter().chain(&second).find(|job| job.tenant == tenant("t")).expect("one of t");
        end(&house, done, Finish::Done).await.expect("done");
        assert_eq!(claimed(&house, 10).await.len(), 1, "the one that was freed");
    }

    async fn urgent_jobs_have_slots_nobody_else_gets(house) {
        add(&house, "flood", 20).await;
        let urgent = NewJob { urgent: true, ..NewJob::unordered(tenant("t"), "kind", json!("urgent")) };
        let mut claimer = Claimer::new("w", LEASE);
        assert_eq!(claimer.claim(&house.db, 8, 6).await.expect("claim").len(), 6, "two slots stay free");
        put(&house.db, &urgent).await;
        let jobs = claimer.claim(&house.db, 2, 0).await.expect("claim");
        assert_eq!((jobs.len(), jobs[0].urgent, &jobs[0].payload), (1, true, &json!("urgent")));
    }

    async fn a_job_becomes_urgent_shortly_before_its_deadline(house) {
        let deadline = Some(house.db.now().plus(3_600_000));
        put(&house.db, &NewJob { deadline, ..NewJob::unordered(tenant("t"), "kind", json!("ship")) }).await;
        let mut claimer = Claimer::new("w", LEASE);
        assert!(claimer.claim(&house.db, 1, 0).await.expect("claim").is_empty(), "there is an hour left");
        house.clock.advance(1_800_000);
        let jobs = claimer.claim(&house.db, 1, 0).await.expect("claim");
        assert_eq!((jobs.len(), jobs[0].urgent), (1, true));
    }

    async fn a_strict_job_that_parks_stops_its_lane_until_a_person_decides(house) {
        let strict = NewJob { strict: true, ..NewJob::new(tenant("t"), "a", "kind", json!(0)) };
        let first = put(&house.db, &strict).await.id;
        put(&house.db, &NewJob::new(tenant("t"), "a", "kind", json!(1))).await;
        let job = claimed(&house, 9).await.remove(0);
        end(&house, &job, Finish::Park { fault: fault() }).await.expect("park");
        assert!(claimed(&house, 9).await.is_empty(), "the lane stands still");
        assert_eq!(get(&house.db, &first).await.expect("get").expect("some").state, JobState::Parked);
        let mut tx = house.db.begin().await.expect("begin");
        replay(&mut tx, &actor(), &first).await.expect("replay");
        tx.commit().await.expect("commit");
        let again = claimed(&house, 9).await.remove(0);
        assert_eq!(again.id, first);
        end(&house, &again, Finish::Done).await.expect("done");
        assert_eq!(places(&claimed(&house, 9).await), [1]);
    }

    /// The row is there and names what is wrong, so that its worker can park it.
    async fn a_payload_that_is_no_json_is_claimed_with_the_reason(house) {
        seed(&house, &["t/a"]).await;
        house.run("UPDATE job SET payload = '{\"order\":'").await.expect("damage");
        let job = claimed(&house, 9).await.remove(0);
        assert_eq!(job.payload, json!("{\"order\":"));
        assert!(job.unreadable.as_ref().is_some_and(|reason| reason.contains("EOF")), "{:?}", job.unreadable);
    }

    async fn jobs_that_cause_jobs_end_somewhere(house) {
        let mut tx = house.db.begin().await.expect("begin");
        let deep = |depth| NewJob { depth, ..NewJob::unordered(tenant("t"), "kind", json!({})) };
        enqueue(&mut tx, &actor(), &deep(MOST_DEPTH)).await.expect("deep");
        let refused = enqueue(&mut tx, &actor(), &deep(MOST_DEPTH + 1)).await.expect_err("too deep");
        assert!(refused.to_string().contains("break the chain"), "{refused}");
        let refused = enqueue_unordered(&mut tx, &actor(), &[deep(MOST_DEPTH + 1)]).await.expect_err("too deep");
        assert!(matches!(refused, StoreError::TooDeep { .. }), "{refused}");
        let laned = NewJob::new(tenant("t"), "a", "kind", json!({}));
        let refused = enqueue_unordered(&mut tx, &actor(), &[laned]).await.expect_err("it has a lane");
        assert!(matches!(refused, StoreError::NotUnordered { .. }), "{refused}");
    }
}
