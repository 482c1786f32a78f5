//! What a worker refuses to do, and what it ends without doing.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::ctx::Actor;
use wharf_store::jobs::{self, Job, JobState, NewJob};
use wharf_store::{StoreError, Tx};

use crate::decide::refusal;
use crate::handler::{Handler, Verdict};
use crate::testing::{House, Scripted, claimed, job, tenant};

/// Every job of it is followed by so many others.
struct Prolific(usize);

#[async_trait]
impl Handler for Prolific {
    async fn run(&self, _job: &Job) -> Verdict {
        Verdict::Done(Value::Null)
    }

    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        if let Verdict::Done(_) = verdict {
            for _ in 0..self.0 {
                let next = NewJob { depth: job.depth + 1, ..NewJob::unordered(tenant(), "none", json!({})) };
                jobs::enqueue(tx, &Actor::Host("test".to_owned()), &next).await?;
            }
        }
        Ok(())
    }
}

async fn counts(house: &House) -> (u64, u64) {
    let counts = jobs::counts(&house.db).await.expect("counts");
    (counts.total(), counts.parked)
}

#[tokio::test]
async fn i6_a_job_that_wants_more_than_100_to_follow_parks_at_once_and_none_of_them_is_there() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    house.worker("w", &Arc::new(Prolific(101))).drain_once().await;
    let row = house.row(&id).await;
    assert_eq!((row.state, row.attempt), (JobState::Parked, 1), "a limit refuses again whatever is retried");
    let fault = row.fault.expect("told why");
    wharf_attack::assert_as_written("I6", &fault.code);
    assert!(fault.message.contains("more than 100 others"), "{}", fault.message);
    assert_eq!(counts(&house).await, (1, 1));
}

#[tokio::test]
async fn i6_a_chain_of_jobs_that_feeds_on_itself_parks_when_it_is_too_deep() {
    let house = House::new().await;
    let id = house.enqueue(NewJob { depth: jobs::MOST_DEPTH, ..job("a", json!({})) }).await;
    house.worker("w", &Arc::new(Prolific(1))).drain_once().await;
    let row = house.row(&id).await;
    assert_eq!(row.state, JobState::Parked);
    assert!(row.fault.expect("told why").message.contains("break the chain"));
}

#[tokio::test]
async fn a_job_a_person_called_off_is_not_run_and_its_handler_hears_of_it() {
    let house = House::new().await;
    let id = house.enqueue(job("a", json!({}))).await;
    let mut tx = house.db.begin().await.expect("begin");
    jobs::call_off(&mut tx, &Actor::User("kari".to_owned()), &id).await.expect("call off");
    tx.commit().await.expect("commit");
    let handler = Scripted::new([]);
    house.worker("w", &handler).drain_once().await;
    assert!(handler.ran.lock().expect("lock").is_empty());
    assert_eq!(*handler.told.lock().expect("lock"), [Verdict::Cancelled("called off by user:kari".to_owned())]);
    assert_eq!((house.row(&id).await.state, house.settled(&id).await), (JobState::Cancelled, 1));
}

#[test]
fn a_payload_that_is_no_json_is_refused_with_the_command_that_mends_it() {
    let broken = Job { unreadable: Some("expected value".to_owned()), ..claimed(1, None) };
    let fault = refusal(&broken, broken.created_at).expect("refused");
    assert_eq!(fault.code, "queue.bad-payload");
    let remedy = format!("wharf jobs replay --tenant t {} --payload <file>", broken.id);
    assert!(fault.message.contains(&remedy), "{}", fault.message);
}
