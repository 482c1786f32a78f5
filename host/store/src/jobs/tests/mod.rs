mod fair;
mod race;

use serde_json::json;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::JobId;
use wharf_domain::time::Timestamp;

use super::*;
use crate::audit;
use crate::db::Db;
use crate::error::StoreError;
use crate::testing::{House, START, actor, both, tenant};

const LEASE: i64 = 1_000;

/// `tenant/lane` or `tenant/lane/priority`, each named by its place in the list.
async fn seed(house: &House, jobs: &[&str]) {
    for (place, text) in jobs.iter().enumerate() {
        let mut parts = text.split('/');
        let (of, lane) = (parts.next().expect("tenant"), parts.next().expect("lane"));
        let priority = parts.next().map_or(0, |text| text.parse().expect("priority"));
        let job = NewJob { priority, ..NewJob::new(tenant(of), lane, "kind", json!(place)) };
        let mut tx = house.db.begin().await.expect("begin");
        enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
        tx.commit().await.expect("commit");
    }
}

async fn claimed(house: &House, limit: u32) -> Vec<Job> {
    claim(&house.db, "w", LEASE, limit).await.expect("claim")
}

fn places(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.payload.as_u64().expect("place")).collect()
}

async fn beat(house: &House, job: &Job) -> bool {
    heartbeat(&house.db, &[job], LEASE).await.expect("beat") == [job.id]
}

async fn end(house: &House, job: &Job, how: Finish) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    finish(&mut tx, &actor(), job, &how).await?;
    tx.commit().await
}

fn fault() -> Fault {
    Fault::new(FaultKind::Transient, "test.fault", "no luck", Blame::Partner)
}

both! {
    async fn a_lane_gives_one_job_at_a_time_in_order(house) {
        seed(&house, &["t/a", "t/a", "t/b", "t/a"]).await;
        let first = claimed(&house, 9).await;
        assert_eq!(places(&first), [0, 2]);
        assert_eq!(places(&claimed(&house, 9).await), [] as [u64; 0]);
        end(&house, &first[0], Finish::Done).await.expect("done");
        assert_eq!(places(&claimed(&house, 9).await), [1]);
    }
}

both! {
    async fn tenants_take_turns_and_priority_counts_within_a_turn(house) {
        seed(&house, &["t/1", "t/2", "t/3/7", "t/4", "u/1", "v/1/3"]).await;
        assert_eq!(places(&claimed(&house, 9).await), [2, 5, 4, 0, 1, 3]);
    }
}

both! {
    async fn a_job_that_waits_for_its_next_attempt_keeps_its_lane_and_a_parked_one_does_not(house) {
        seed(&house, &["t/a", "t/a", "t/a"]).await;
        let first = claimed(&house, 9).await.remove(0);
        let at = house.db.now().plus(500);
        end(&house, &first, Finish::Retry { at, fault: fault() }).await.expect("retry");
        assert!(claimed(&house, 9).await.is_empty());
        house.clock.advance(500);
        let again = claimed(&house, 9).await.remove(0);
        assert_eq!((again.id, again.attempt, again.fence), (first.id, 2, 2));
        end(&house, &again, Finish::Park { fault: fault() }).await.expect("park");
        assert_eq!(places(&claimed(&house, 9).await), [1]);

        // Replayed, it comes before the third, but not beside the second.
        let mut tx = house.db.begin().await.expect("begin");
        replay(&mut tx, &actor(), &first.id).await.expect("replay");
        tx.commit().await.expect("commit");
        assert!(claimed(&house, 9).await.is_empty());
        house.clock.advance(LEASE);
        let second = claimed(&house, 9).await.remove(0);
        assert_eq!(places(std::slice::from_ref(&second)), [1], "the lost lease first");
        end(&house, &second, Finish::Done).await.expect("done");
        let replayed = claimed(&house, 9).await.remove(0);
        assert_eq!((replayed.id, replayed.attempt, replayed.fence), (first.id, 1, 3));
    }
}

both! {
    async fn a_lost_lease_goes_to_the_next_worker_and_the_first_one_is_refused(house) {
        seed(&house, &["t/a"]).await;
        let first = claimed(&house, 1).await.remove(0);
        house.clock.advance(LEASE - 1);
        assert!(beat(&house, &first).await);
        house.clock.advance(LEASE - 1);
        assert!(claimed(&house, 1).await.is_empty(), "the heartbeat moved the lease on");
        house.clock.advance(1);
        let second = claim(&house.db, "w2", LEASE, 1).await.expect("claim").remove(0);
        assert_eq!((second.id, second.fence, second.attempt), (first.id, first.fence + 1, 2));
        assert!(!beat(&house, &first).await);
        let late = end(&house, &first, Finish::Done).await.expect_err("late");
        assert!(matches!(late, StoreError::LostLease { job } if job == first.id), "{late}");
        end(&house, &second, Finish::Done).await.expect("done");
        let twice = end(&house, &second, Finish::Done).await.expect_err("twice");
        assert!(matches!(twice, StoreError::LostLease { .. }), "{twice}");
        let attempts = attempts(&house.db, &first.id).await.expect("attempts");
        let outcomes: Vec<_> =
            attempts.iter().map(|row| (row.worker.as_str(), row.outcome.as_deref().expect("ended"))).collect();
        assert_eq!(outcomes, [("w", "lost"), ("w2", "done")]);
    }
}

both! {
    async fn a_release_gives_the_attempt_back_and_an_expiry_does_not(house) {
        seed(&house, &["t/a", "t/b"]).await;
        let first = claimed(&house, 1).await.remove(0);
        let other = claim(&house.db, "w2", LEASE, 1).await.expect("claim").remove(0);
        assert_eq!(release(&house.db, "w", &[]).await.expect("release"), 1);
        let late = end(&house, &first, Finish::Done).await.expect_err("released");
        assert!(matches!(late, StoreError::LostLease { .. }), "{late}");
        let again = claimed(&house, 9).await;
        assert_eq!(places(&again), [0], "the other worker keeps its own");
        assert_eq!(again[0].attempt, 1);
        assert_eq!(expire_leases(&house.db, "w2").await.expect("expire"), 1);
        let taken = claimed(&house, 9).await.remove(0);
        assert_eq!((taken.id, taken.attempt), (other.id, 2));
    }
}

both! {
    async fn parked_jobs_tell_their_last_cause_and_keep_every_attempt(house) {
        seed(&house, &["t/a"]).await;
        let job = claimed(&house, 1).await.remove(0);
        let at = house.db.now();
        end(&house, &job, Finish::Retry { at, fault: fault() }).await.expect("retry");
        let job = claimed(&house, 1).await.remove(0);
        end(&house, &job, Finish::Park { fault: Fault { message: "still none".to_owned(), ..fault() } })
            .await
            .expect("park");
        let rows = parked(&house.db, &tenant("t")).await.expect("parked");
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].fault.as_ref().expect("fault").message, "still none");
        assert_eq!((rows[0].state, rows[0].lease_until, rows[0].worker.clone()), (JobState::Parked, None, None));
        let messages: Vec<_> = attempts(&house.db, &job.id)
            .await
            .expect("attempts")
            .into_iter()
            .map(|row| row.fault.expect("fault").message)
            .collect();
        assert_eq!(messages, ["no luck", "still none"]);
        let audit = crate::audit::for_object(&house.db, &tenant("t"), &format!("job/{}", job.id)).await.expect("audit");
        assert_eq!((audit[0].action.as_str(), &audit[0].detail["code"]), ("job.parked", &json!("test.fault")));
    }
}

both! {
    async fn a_restart_loses_nothing_and_takes_running_jobs_up_again(mut house) {
        seed(&house, &["t/a", "t/b", "t/b"]).await;
        let jobs = claimed(&house, 9).await;
        end(&house, &jobs[0], Finish::Done).await.expect("done");
        house.restart().await;
        assert!(claimed(&house, 9).await.is_empty(), "the lease is still good");
        assert_eq!(expire_leases(&house.db, "w").await.expect("expire"), 1);
        let again = claimed(&house, 9).await;
        assert_eq!(places(&again), [1]);
        end(&house, &again[0], Finish::Done).await.expect("done");
        assert_eq!(places(&claimed(&house, 9).await), [2]);
        let row = get(&house.db, &jobs[0].id).await.expect("get").expect("some");
        assert_eq!(row.state, JobState::Done);
    }
}

both! {
    async fn a_snooze_gives_the_attempt_back(house) {
        let mut tx = house.db.begin().await.expect("begin");
        enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), "a", "k", json!({}))).await.expect("enqueue");
        tx.commit().await.expect("commit");
        for round in 1..=3 {
            let job = claim(&house.db, "w", 1_000, 1).await.expect("claim").remove(0);
            assert_eq!((job.attempt, job.fence), (1, round));
            let until = house.db.now().plus(10);
            let mut tx = house.db.begin().await.expect("begin");
            let snooze = Finish::Snooze { until, reason: "closed".to_owned() };
            finish(&mut tx, &actor(), &job, &snooze).await.expect("finish");
            tx.commit().await.expect("commit");
            let row = get(&house.db, &job.id).await.expect("get").expect("some");
            assert_eq!((row.state, row.attempt, row.run_at), (JobState::Waiting, 0, until));
            let last = attempts(&house.db, &job.id).await.expect("attempts").pop().expect("one");
            assert_eq!((last.outcome.as_deref(), last.reason.as_deref()), (Some("snooze"), Some("closed")));
            house.clock.advance(10);
        }
    }
}

both! {
    async fn a_finish_that_is_rolled_back_did_not_happen(house) {
        let mut tx = house.db.begin().await.expect("begin");
        enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), "a", "k", json!({}))).await.expect("enqueue");
        tx.commit().await.expect("commit");
        let job = claim(&house.db, "w", 1_000, 1).await.expect("claim").remove(0);
        let mut tx = house.db.begin().await.expect("begin");
        finish(&mut tx, &actor(), &job, &Finish::Done).await.expect("finish");
        drop(tx);
        let row = get(&house.db, &job.id).await.expect("get").expect("some");
        assert_eq!((row.state, row.lease_until.map(Timestamp::millis)), (JobState::Running, Some(START + 1_000)));
        let mut tx = house.db.begin().await.expect("begin");
        let gone = Finish::Cancelled { reason: "no order".to_owned() };
        finish(&mut tx, &actor(), &job, &gone).await.expect("finish");
        tx.commit().await.expect("commit");
        let row = get(&house.db, &job.id).await.expect("get").expect("some");
        assert_eq!((row.state, row.finished_at.map(Timestamp::millis)), (JobState::Cancelled, Some(START)));
    }
}

fn pull(run_at: i64, payload: u32) -> NewJob {
    NewJob {
        run_at: Some(Timestamp::from_millis(START + run_at)),
        coalesce_key: Some("pull".to_owned()),
        ..NewJob::new(tenant("t"), "pull", "erp.pull", json!(payload))
    }
}

async fn put(db: &Db, job: &NewJob) -> Enqueued {
    let mut tx = db.begin().await.expect("begin");
    let enqueued = enqueue(&mut tx, &actor(), job).await.expect("enqueue");
    tx.commit().await.expect("commit");
    enqueued
}

both! {
    async fn an_unstarted_job_of_the_same_key_takes_the_newest_payload(house) {
        let first = put(&house.db, &pull(50, 1)).await;
        assert!(!first.coalesced);
        let urgent = NewJob { priority: 5, ..pull(20, 2) };
        assert_eq!(put(&house.db, &urgent).await, Enqueued { id: first.id, coalesced: true });
        assert!(put(&house.db, &pull(90, 3)).await.coalesced);
        let other_tenant = NewJob { tenant: tenant("u"), ..pull(90, 9) };
        assert!(!put(&house.db, &other_tenant).await.coalesced);
        let row = get(&house.db, &first.id).await.expect("get").expect("some");
        assert_eq!((row.payload, row.run_at.millis() - START, row.priority), (json!(3), 20, 5));
    }
}

both! {
    async fn a_claimed_job_is_never_changed_by_a_later_one(house) {
        let first = put(&house.db, &pull(0, 1)).await;
        let claimed = claim(&house.db, "w", 1_000, 9).await.expect("claim");
        let second = put(&house.db, &pull(0, 2)).await;
        assert!(!second.coalesced);
        // Snoozed, the first waits again; it still is not the one that is coalesced into.
        let mut tx = house.db.begin().await.expect("begin");
        let snooze = Finish::Snooze { until: tx.now().plus(5), reason: "later".to_owned() };
        finish(&mut tx, &actor(), &claimed[0], &snooze).await.expect("finish");
        tx.commit().await.expect("commit");
        assert_eq!(put(&house.db, &pull(0, 3)).await.id, second.id);
        let row = get(&house.db, &first.id).await.expect("get").expect("some");
        assert_eq!(row.payload, json!(1));
    }
}

both! {
    async fn only_jobs_nobody_ever_claimed_are_cancelled(house) {
        let job = |lane: &str, kind: &str| NewJob::new(tenant("t"), lane, kind, json!({}));
        let started = put(&house.db, &job("a", "x")).await.id;
        claim(&house.db, "w", 1_000, 9).await.expect("claim");
        let waiting = [put(&house.db, &job("a", "x")).await.id, put(&house.db, &job("a", "x")).await.id];
        let spared = [put(&house.db, &job("a", "y")).await.id, put(&house.db, &job("b", "x")).await.id, started];
        let mut tx = house.db.begin().await.expect("begin");
        let cancelled = cancel_unstarted(&mut tx, &actor(), &tenant("t"), "a", Some("x")).await.expect("cancel");
        tx.commit().await.expect("commit");
        assert_eq!(cancelled, waiting);
        for id in spared {
            let row = get(&house.db, &id).await.expect("get").expect("some");
            assert_ne!(row.state, JobState::Cancelled);
        }
        let counts = counts(&house.db).await.expect("counts");
        assert_eq!(counts, Counts { queued: 1, ready: 1, running: 1, cancelled: 2, ..Counts::default() });
        let audit = audit::for_object(&house.db, &tenant("t"), &format!("job/{}", waiting[0])).await.expect("audit");
        assert_eq!(audit[0].action, "job.cancelled");
    }
}

both! {
    async fn only_a_parked_job_can_be_replayed(house) {
        let id = put(&house.db, &pull(0, 1)).await.id;
        let mut tx = house.db.begin().await.expect("begin");
        let refused = replay(&mut tx, &actor(), &id).await.expect_err("ready");
        assert_eq!(refused.to_string(), format!("the job `{id}` is ready: only a parked job can be replayed"));
        let nobody = JobId::mint(tx.ids(), tx.now());
        let refused = replay(&mut tx, &actor(), &nobody).await.expect_err("absent");
        assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
    }
}
