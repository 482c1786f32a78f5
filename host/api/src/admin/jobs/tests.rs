use serde_json::json;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::JobId;
use wharf_store::jobs::{self, Finish, JobState, NewJob};

use crate::testing::{House, actor, tenant};

const JOBS: &str = "/api/v1/tenants/nordic/jobs";

fn new(kind: &str) -> NewJob {
    NewJob::new(tenant(), format!("lane-{kind}"), kind, json!({ "for": kind }))
}

async fn enqueued(house: &House, job: &NewJob) -> JobId {
    let mut tx = house.db.begin().await.expect("begin");
    let id = jobs::enqueue(&mut tx, &actor(), job).await.expect("enqueue").id;
    tx.commit().await.expect("commit");
    id
}

async fn parked(house: &House, job: &NewJob) -> JobId {
    let id = enqueued(house, job).await;
    let claimed = jobs::claim(&house.db, "w", 1_000, 9).await.expect("claim");
    let mine = claimed.iter().find(|job| job.id == id).expect("ready");
    let fault = Fault::new(FaultKind::InvalidInput, "test.refused", "no luck", Blame::Partner);
    let mut tx = house.db.begin().await.expect("begin");
    jobs::finish(&mut tx, &actor(), mine, &Finish::Park { fault }).await.expect("park");
    tx.commit().await.expect("commit");
    id
}

async fn state(house: &House, id: &JobId) -> JobState {
    jobs::get(&house.db, id).await.expect("get").expect("there").state
}

#[tokio::test]
async fn jobs_are_counted_by_state() {
    let house = House::new().await;
    house.pull().await;
    let answer = house.get("/api/v1/jobs/counts").await;
    assert_eq!(answer.status, 200);
    let counts = json!({
        "waiting": 0, "queued": 0, "ready": 1, "running": 0, "done": 0, "parked": 0, "cancelled": 0
    });
    assert_eq!(answer.body, counts);
    let answer = house.get("/api/v1/queue").await;
    assert_eq!((&answer.body["counts"], &answer.body["busiest"][0]["pending"]), (&counts, &json!(1)));
    assert_eq!(answer.body["oldest_ready"], 1_700_000_000_000_i64);
}

#[tokio::test]
async fn a_tenants_jobs_are_listed_page_by_page_and_narrowed() {
    let house = House::new().await;
    for kind in ["a", "b", "c"] {
        enqueued(&house, &new(kind)).await;
        house.clock.advance(1);
    }
    parked(&house, &new("p")).await;
    let kinds = |body: &serde_json::Value| -> Vec<String> {
        let rows = body["jobs"].as_array().expect("jobs");
        rows.iter().map(|job| job["kind"].as_str().expect("kind").to_owned()).collect()
    };
    let first = house.get(&format!("{JOBS}?limit=3")).await;
    assert_eq!(kinds(&first.body), ["p", "c", "b"]);
    let next = first.body["next"].as_str().expect("more");
    let second = house.get(&format!("{JOBS}?limit=3&after={next}")).await;
    assert_eq!((kinds(&second.body), second.body.get("next")), (vec!["a".to_owned()], None));
    assert_eq!(kinds(&house.get(&format!("{JOBS}?state=parked")).await.body), ["p"]);
    assert_eq!(kinds(&house.get(&format!("{JOBS}?kind=b")).await.body), ["b"]);
    for query in ["limit=0", "limit=501", "state=lost", "after=42", "what=1"] {
        let answer = house.get(&format!("{JOBS}?{query}")).await;
        assert_eq!((answer.status, answer.code()), (400, "bad-query"), "{query}");
    }
    assert_eq!(kinds(&house.get("/api/v1/tenants/silent/jobs").await.body), Vec::<String>::new());
}

#[tokio::test]
async fn a_job_is_shown_with_its_attempts_and_effects() {
    let house = House::new().await;
    house.flow("42").await;
    house.told("42", "x").await;
    house.effect("42").await;
    let id = house.jobs().await[0].id;
    let answer = house.get(&format!("{JOBS}/{id}")).await;
    assert_eq!((answer.status, &answer.body["job"]["id"]), (200, &json!(id)));
    assert_eq!(answer.body["job"]["holds_lane"], false);
    assert_eq!(answer.body["attempts"][0]["outcome"], "retry");
    assert_eq!(answer.body["effects"][0]["route"], "POST /shipments");
}

#[tokio::test]
async fn a_job_of_another_tenant_does_not_exist() {
    let house = House::new().await;
    let id = parked(&house, &new("p")).await;
    for path in [
        format!("/api/v1/tenants/silent/jobs/{id}"),
        format!("{JOBS}/42"),
        format!("{JOBS}/00000000-0000-0000-0000-000000000000"),
    ] {
        let answer = house.get(&path).await;
        assert_eq!((answer.status, answer.code()), (404, "unknown-job"), "{path}");
        for act in ["replay", "cancel"] {
            let answer = house.post(&format!("{path}/{act}"), "{}").await;
            assert_eq!((answer.status, answer.code()), (404, "unknown-job"), "{path}/{act}");
        }
    }
    let many = r#"{"filter":{},"dry_run":false}"#;
    assert_eq!(house.post("/api/v1/tenants/silent/jobs/replay", many).await.body["jobs"], json!([]));
    assert_eq!(state(&house, &id).await, JobState::Parked);
}

#[tokio::test]
async fn a_parked_job_is_replayed_once_with_another_payload_when_it_needs_one() {
    let house = House::new().await;
    let id = parked(&house, &new("p")).await;
    let path = format!("{JOBS}/{id}/replay");
    let answer = house.post(&path, r#"{"paylod":1}"#).await;
    assert_eq!((answer.status, answer.code()), (400, "bad-body"), "a typing error replays nothing");
    assert_eq!(house.post(&path, r#"{"payload":{"for":"better"}}"#).await.status, 202);
    let answer = house.post(&path, "{}").await;
    assert_eq!((answer.status, answer.code()), (409, "not-possible"), "it is not parked any more");
    let row = jobs::get(&house.db, &id).await.expect("get").expect("there");
    assert_eq!((row.state, row.payload), (JobState::Ready, json!({ "for": "better" })));
}

#[tokio::test]
async fn many_are_replayed_by_filter_after_a_look_and_twice_is_once() {
    let house = House::new().await;
    let first = parked(&house, &new("a")).await;
    let second = parked(&house, &new("b")).await;
    let path = format!("{JOBS}/replay");
    let looked = house.post(&path, r#"{"filter":{"code":"test.refused"},"dry_run":true}"#).await;
    assert_eq!((looked.status, &looked.body["dry_run"]), (200, &json!(true)));
    let told: Vec<_> = looked.body["jobs"].as_array().expect("jobs").iter().map(|job| &job["job"]).collect();
    assert_eq!(told, [&json!(first), &json!(second)]);
    assert_eq!(state(&house, &first).await, JobState::Parked, "a look changes nothing");
    let done = house.post(&path, r#"{"filter":{"kind":"b"},"dry_run":false}"#).await;
    assert_eq!((done.status, &done.body["jobs"][0]["job"]), (202, &json!(second)));
    let again = house.post(&path, r#"{"filter":{"kind":"b"},"dry_run":false}"#).await;
    assert_eq!(again.body["jobs"], json!([]));
    assert_eq!([state(&house, &first).await, state(&house, &second).await], [JobState::Parked, JobState::Ready]);
    for body in [
        r#"{"filter":{}}"#,
        r#"{"dry_run":true}"#,
        r#"{"filter":{"limit":10001},"dry_run":true}"#,
        r#"{"filter":{"limit":0},"dry_run":true}"#,
        r#"{"filter":{"sort":1},"dry_run":true}"#,
    ] {
        let answer = house.post(&path, body).await;
        assert_eq!((answer.status, answer.code()), (400, "bad-body"), "{body}");
    }
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_and_a_running_one_is_not() {
    let house = House::new().await;
    let id = enqueued(&house, &new("a")).await;
    let path = format!("{JOBS}/{id}/cancel");
    assert_eq!(house.post(&path, "{}").await.status, 202);
    let claimed = jobs::claim(&house.db, "w", 1_000, 1).await.expect("claim");
    assert_eq!(claimed[0].cancelled_by.as_deref(), Some("user:admin"));
    let answer = house.post(&path, "{}").await;
    assert_eq!((answer.status, answer.code()), (409, "not-possible"));
}

#[tokio::test]
async fn dead_letters_are_counted_by_tenant_and_kind_with_the_age_of_the_oldest() {
    let house = House::new().await;
    parked(&house, &NewJob { strict: true, ..new("a") }).await;
    house.clock.advance(1_000);
    parked(&house, &NewJob { lane: None, ..new("a") }).await;
    let letters = json!({ "dead_letters": [
        { "tenant": "nordic", "kind": "a", "jobs": 2, "oldest": 1_700_000_000_000_i64, "holding_lanes": 1 }
    ]});
    assert_eq!(house.get("/api/v1/dead-letters").await.body, letters);
    assert_eq!(house.get("/api/v1/tenants/nordic/dead-letters").await.body, letters);
    assert_eq!(house.get("/api/v1/tenants/silent/dead-letters").await.body, json!({ "dead_letters": [] }));
    let parked = house.get(&format!("{JOBS}?state=parked")).await;
    assert_eq!(parked.body["jobs"][1]["holds_lane"], true);
}
