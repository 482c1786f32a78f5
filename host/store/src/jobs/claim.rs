//! Who works on what: leases.

use sqlx::sqlite::SqliteRow;
use wharf_domain::ids::JobId;
use wharf_domain::time::Timestamp;

use super::Job;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;

/// What may be claimed, the fairest first. A lease that ran out keeps its place at the head of its lane; a waiting job
/// is at the head when its lane has no lease and no older waiting job. Tenants take turns.
const CANDIDATES: &str = "WITH open AS ( \
       SELECT seq, tenant, priority FROM job WHERE state = 'running' AND lease_until <= $1 \
       UNION ALL \
       SELECT j.seq, j.tenant, j.priority FROM job j WHERE j.state = 'ready' AND j.run_at <= $1 \
         AND NOT EXISTS (SELECT 1 FROM job held WHERE held.tenant = j.tenant AND held.lane = j.lane \
                         AND held.state = 'running') \
         AND NOT EXISTS (SELECT 1 FROM job older WHERE older.tenant = j.tenant AND older.lane = j.lane \
                         AND older.state = 'ready' AND older.seq < j.seq) \
     ), turns AS ( \
       SELECT seq, priority, row_number() OVER (PARTITION BY tenant ORDER BY priority DESC, seq) AS turn FROM open \
     ) SELECT seq FROM turns ORDER BY turn, priority DESC, seq LIMIT $2";

const TAKE: &str = "UPDATE job SET state = 'running', fence = fence + 1, attempt = attempt + 1, worker = $2, \
     lease_until = $3, updated_at = $4 WHERE seq = $1 RETURNING *";

/// Takes up to `limit` jobs for `worker` until now + `lease_ms`: jobs that are due, and jobs whose lease ran out. Each
/// starts a new attempt under a new fence. Empty when there is nothing to do.
pub async fn claim(db: &Db, worker: &str, lease_ms: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let candidates: Vec<i64> =
        sqlx::query_scalar(CANDIDATES).bind(now.millis()).bind(i64::from(limit)).fetch_all(tx.conn()).await?;
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let mut jobs = Vec::with_capacity(candidates.len());
    for seq in candidates {
        let row = sqlx::query(TAKE)
            .bind(seq)
            .bind(worker)
            .bind(now.plus(lease_ms).millis())
            .bind(now.millis())
            .fetch_one(tx.conn())
            .await?;
        let job = read(&row)?;
        start_attempt(&mut tx, &job, worker).await?;
        jobs.push(job);
    }
    tx.commit().await?;
    Ok(jobs)
}

/// An attempt without an end belongs to a worker that is gone.
async fn start_attempt(tx: &mut Tx, job: &Job, worker: &str) -> Result<(), StoreError> {
    let now = tx.now().millis();
    sqlx::query("UPDATE job_attempt SET finished_at = $2, outcome = 'lost' WHERE job = $1 AND finished_at IS NULL")
        .bind(job.id.to_string())
        .bind(now)
        .execute(tx.conn())
        .await?;
    sqlx::query(
        "INSERT INTO job_attempt (job, tenant, fence, attempt, worker, started_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(job.id.to_string())
    .bind(job.tenant.as_str())
    .bind(job.fence)
    .bind(i64::from(job.attempt))
    .bind(worker)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Moves the lease on to now + `lease_ms`. False when it was lost: stop working on the job.
pub async fn heartbeat(db: &Db, id: &JobId, fence: i64, lease_ms: i64) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    let until = tx.now().plus(lease_ms).millis();
    let kept = sqlx::query("UPDATE job SET lease_until = $3 WHERE id = $1 AND fence = $2 AND state = 'running'")
        .bind(id.to_string())
        .bind(fence)
        .bind(until)
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(kept.rows_affected() == 1)
}

/// Gives every lease of `worker` back, for a graceful stop: the jobs are ready again at once, their attempt is not
/// counted, and the fence moves so that a late result is refused. Returns how many.
pub async fn release(db: &Db, worker: &str) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let now = tx.now().millis();
    sqlx::query(
        "UPDATE job_attempt SET finished_at = $2, outcome = 'released' WHERE finished_at IS NULL AND job IN \
         (SELECT id FROM job WHERE state = 'running' AND worker = $1)",
    )
    .bind(worker)
    .bind(now)
    .execute(tx.conn())
    .await?;
    let released = sqlx::query(
        "UPDATE job SET state = 'ready', fence = fence + 1, attempt = attempt - 1, worker = NULL, lease_until = NULL, \
         run_at = $2, updated_at = $2 WHERE state = 'running' AND worker = $1",
    )
    .bind(worker)
    .bind(now)
    .execute(tx.conn())
    .await?;
    if released.rows_affected() > 0 {
        tx.mark_enqueued();
    }
    tx.commit().await?;
    Ok(released.rows_affected())
}

/// Ends every lease of `worker` now, for a start after a crash: whoever held them is gone. Unlike [`release`], the
/// attempts stay counted, because one of them may be what killed the host. Returns how many.
pub async fn expire_leases(db: &Db, worker: &str) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let now = tx.now().millis();
    let expired = sqlx::query(
        "UPDATE job SET lease_until = $2, updated_at = $2 WHERE state = 'running' AND worker = $1 AND lease_until > $2",
    )
    .bind(worker)
    .bind(now)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(expired.rows_affected())
}

fn read(row: &SqliteRow) -> Result<Job, StoreError> {
    let cols = Cols(row);
    Ok(Job {
        id: cols.job("id")?,
        tenant: cols.tenant()?,
        lane: cols.text("lane")?,
        kind: cols.text("kind")?,
        payload: cols.json("payload")?,
        flow: cols.flow()?,
        attempt: cols.count("attempt")?,
        max_attempts: cols.count("max_attempts")?,
        fence: cols.int("fence")?,
        lease_until: cols.opt_time("lease_until")?.unwrap_or(Timestamp::from_millis(0)),
        deadline: cols.opt_time("deadline")?,
        created_at: cols.time("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_domain::fault::{Blame, Fault, FaultKind};

    use super::super::{Finish, JobState, NewJob, attempts, enqueue, finish, get, parked, replay};
    use super::*;
    use crate::testing::{House, actor, tenant};

    const LEASE: i64 = 1_000;

    /// `tenant/lane` or `tenant/lane/priority`, each named by its place in the list.
    async fn house_with(jobs: &[&str]) -> House {
        let house = House::new().await;
        for (place, text) in jobs.iter().enumerate() {
            let mut parts = text.split('/');
            let (of, lane) = (parts.next().expect("tenant"), parts.next().expect("lane"));
            let priority = parts.next().map_or(0, |text| text.parse().expect("priority"));
            let job = NewJob { priority, ..NewJob::new(tenant(of), lane, "kind", json!(place)) };
            let mut tx = house.db.begin().await.expect("begin");
            enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
            tx.commit().await.expect("commit");
        }
        house
    }

    async fn claimed(house: &House, limit: u32) -> Vec<Job> {
        claim(&house.db, "w", LEASE, limit).await.expect("claim")
    }

    fn places(jobs: &[Job]) -> Vec<u64> {
        jobs.iter().map(|job| job.payload.as_u64().expect("place")).collect()
    }

    async fn end(house: &House, job: &Job, how: Finish) -> Result<(), StoreError> {
        let mut tx = house.db.begin().await?;
        finish(&mut tx, &actor(), &job.id, job.fence, &how).await?;
        tx.commit().await
    }

    fn fault() -> Fault {
        Fault::new(FaultKind::Transient, "test.fault", "no luck", Blame::Partner)
    }

    #[tokio::test]
    async fn a_lane_gives_one_job_at_a_time_in_order() {
        let house = house_with(&["t/a", "t/a", "t/b", "t/a"]).await;
        let first = claimed(&house, 9).await;
        assert_eq!(places(&first), [0, 2]);
        assert_eq!(places(&claimed(&house, 9).await), [] as [u64; 0]);
        end(&house, &first[0], Finish::Done).await.expect("done");
        assert_eq!(places(&claimed(&house, 9).await), [1]);
    }

    #[tokio::test]
    async fn tenants_take_turns_and_priority_counts_within_a_turn() {
        let house = house_with(&["t/1", "t/2", "t/3/7", "t/4", "u/1", "v/1/3"]).await;
        assert_eq!(places(&claimed(&house, 9).await), [2, 5, 4, 0, 1, 3]);
    }

    #[tokio::test]
    async fn a_job_that_waits_for_its_next_attempt_keeps_its_lane_and_a_parked_one_does_not() {
        let house = house_with(&["t/a", "t/a", "t/a"]).await;
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

    #[tokio::test]
    async fn a_lost_lease_goes_to_the_next_worker_and_the_first_one_is_refused() {
        let house = house_with(&["t/a"]).await;
        let first = claimed(&house, 1).await.remove(0);
        house.clock.advance(LEASE - 1);
        assert!(heartbeat(&house.db, &first.id, first.fence, LEASE).await.expect("beat"));
        house.clock.advance(LEASE - 1);
        assert!(claimed(&house, 1).await.is_empty(), "the heartbeat moved the lease on");
        house.clock.advance(1);
        let second = claim(&house.db, "w2", LEASE, 1).await.expect("claim").remove(0);
        assert_eq!((second.id, second.fence, second.attempt), (first.id, first.fence + 1, 2));
        assert!(!heartbeat(&house.db, &first.id, first.fence, LEASE).await.expect("beat"));
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

    #[tokio::test]
    async fn a_release_gives_the_attempt_back_and_an_expiry_does_not() {
        let house = house_with(&["t/a", "t/b"]).await;
        let first = claimed(&house, 1).await.remove(0);
        let other = claim(&house.db, "w2", LEASE, 1).await.expect("claim").remove(0);
        assert_eq!(release(&house.db, "w").await.expect("release"), 1);
        let late = end(&house, &first, Finish::Done).await.expect_err("released");
        assert!(matches!(late, StoreError::LostLease { .. }), "{late}");
        let again = claimed(&house, 9).await;
        assert_eq!(places(&again), [0], "the other worker keeps its own");
        assert_eq!(again[0].attempt, 1);
        assert_eq!(expire_leases(&house.db, "w2").await.expect("expire"), 1);
        let taken = claimed(&house, 9).await.remove(0);
        assert_eq!((taken.id, taken.attempt), (other.id, 2));
    }

    #[tokio::test]
    async fn parked_jobs_tell_their_last_cause_and_keep_every_attempt() {
        let house = house_with(&["t/a"]).await;
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

    #[tokio::test]
    async fn a_restart_loses_nothing_and_takes_running_jobs_up_again() {
        let mut house = house_with(&["t/a", "t/b", "t/b"]).await;
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

    #[tokio::test]
    async fn a_claim_walks_indexes_and_never_the_whole_table() {
        let house = House::new().await;
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {CANDIDATES}")))
                .bind(0_i64)
                .bind(1_i64)
                .fetch_all(house.db.reader())
                .await
                .expect("plan");
        let plan: Vec<String> = plan.into_iter().map(|(_, _, _, step)| step).collect();
        let text = plan.join("\n");
        for index in ["job_lease (lease_until<?)", "job_ready (run_at<?)", "job_lane_lease", "job_lane (tenant=? AND"] {
            assert!(text.contains(index), "`{index}` is not used:\n{text}");
        }
        assert!(!plan.iter().any(|step| step == "SCAN job" || step == "SCAN j"), "{text}");
    }
}
