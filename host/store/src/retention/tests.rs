use serde_json::json;
use wharf_domain::effect::{EffectClass, EffectState};
use wharf_domain::ids::{ConnectionId, Digest, FlowKey, JobId};

use super::*;
use crate::effects::{self, Change, NewEffect};
use crate::flows::{self, FlowRow};
use crate::inbox::{self, NewEvent};
use crate::jobs::{self, Finish, Job, NewJob};
use crate::testing::{House, actor, both, tenant};
use crate::{audit, schedules, tapes};

const DAY: i64 = 86_400_000;

fn order(id: &str) -> FlowKey {
    FlowKey::new("order", id)
}

async fn running(house: &House, flow: Option<FlowKey>) -> Job {
    let mut tx = house.db.begin().await.expect("begin");
    let job = NewJob { flow, ..NewJob::unordered(tenant("t"), "kind", json!({})) };
    jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
    tx.commit().await.expect("commit");
    jobs::claim(&house.db, "w", 1_000, 1).await.expect("claim").remove(0)
}

async fn end(house: &House, job: &Job, finish: &Finish) {
    let mut tx = house.db.begin().await.expect("begin");
    jobs::finish(&mut tx, &actor(), job, finish).await.expect("finish");
    tx.commit().await.expect("commit");
}

/// A finished job with a snoozed attempt before its last one.
async fn done(house: &House, flow: Option<FlowKey>) -> JobId {
    let job = running(house, flow).await;
    end(house, &job, &Finish::Snooze { until: house.db.now(), reason: "so".to_owned() }).await;
    let job = jobs::claim(&house.db, "w", 1_000, 1).await.expect("claim").remove(0);
    end(house, &job, &Finish::Done).await;
    job.id
}

async fn flow(house: &House, id: &str, status: &str) {
    let mut tx = house.db.begin().await.expect("begin");
    let row = FlowRow::fresh(tenant("t"), "order-release", order(id), tx.now());
    flows::save(&mut tx, &actor(), &FlowRow { status: status.to_owned(), ..row }).await.expect("save");
    let event = NewEvent {
        tenant: tenant("t"),
        source: "odoo".to_owned(),
        key: format!("e{id}"),
        kind: "order-changed".to_owned(),
        flow: Some(order(id)),
        body: json!({}),
    };
    inbox::accept(&mut tx, &actor(), &event).await.expect("accept");
    tx.commit().await.expect("commit");
}

/// A tape and an effect of the job, which ends in `state`.
async fn acted(house: &House, job: &Job, step: &str, state: EffectState) {
    let mut tx = house.db.begin().await.expect("begin");
    tapes::append(&mut tx, &actor(), &tenant("t"), &job.id, &json!({})).await.expect("tape");
    let new = NewEffect {
        tenant: tenant("t"),
        connection: ConnectionId::parse("acme").expect("connection"),
        adapter_digest: None,
        job: job.id,
        flow: None,
        step_key: step.to_owned(),
        business: None,
        route: "POST /x".to_owned(),
        class: EffectClass::Once,
        lookup: false,
        account_ref: None,
        request_digest: Digest::of(b"x"),
        fence: job.fence,
        attempt: 0,
    };
    let id = effects::open(&mut tx, &actor(), &new).await.expect("open").row().id;
    let by = Change { send_deadline: Some(tx.now()), ..Change::by(job.id, job.fence) };
    effects::advance(&mut tx, &actor(), &id, EffectState::Intent, EffectState::Sending, &by).await.expect("sending");
    effects::advance(&mut tx, &actor(), &id, EffectState::Sending, state, &by).await.expect("advance");
    tx.commit().await.expect("commit");
}

/// Sweeps everything older than a day, to its end; how much was removed.
async fn swept(house: &House, what: Old) -> u64 {
    let before = house.db.now().plus(-DAY);
    let (mut removed, mut from) = (0, None);
    loop {
        let swept = sweep(&house.db, what, before, &["closed", "cancelled"], from).await.expect("sweep");
        removed += swept.removed;
        match swept.next {
            None => return removed,
            next => from = next,
        }
    }
}

async fn there(house: &House, job: &JobId) -> bool {
    let attempts = jobs::attempts(&house.db, job).await.expect("attempts");
    let there = jobs::get(&house.db, job).await.expect("get").is_some();
    assert_eq!(there, !attempts.is_empty(), "a job goes with its attempts");
    there
}

both! {
    async fn jobs_and_facts_of_a_flow_stay_until_it_is_closed(house) {
        flow(&house, "1", "held").await;
        flow(&house, "2", "closed").await;
        let (live, over) = (done(&house, Some(order("1"))).await, done(&house, Some(order("2"))).await);
        let orphan = done(&house, Some(order("3"))).await;
        assert_eq!((swept(&house, Old::FlowJobs).await, swept(&house, Old::Events).await), (0, 0), "not old yet");
        house.clock.advance(2 * DAY);
        let young = done(&house, Some(order("2"))).await;
        assert_eq!((swept(&house, Old::FlowJobs).await, swept(&house, Old::Events).await), (2, 1));
        assert_eq!(swept(&house, Old::FlowJobs).await, 0);
        let still = [there(&house, &live).await, there(&house, &over).await, there(&house, &orphan).await];
        assert_eq!(still, [true, false, false]);
        assert!(there(&house, &young).await);
        assert_eq!(inbox::for_flow(&house.db, &tenant("t"), &order("1")).await.expect("events").len(), 1);
        assert_eq!(inbox::for_flow(&house.db, &tenant("t"), &order("2")).await.expect("events").len(), 0);
        let story = audit::for_object(&house.db, &tenant("t"), "order/2").await.expect("audit");
        assert_eq!(story.len(), 1, "the audit is never removed");
    }
}

both! {
    async fn a_job_and_its_tapes_stay_while_an_effect_of_it_is_in_doubt(house) {
        let mut kept = Vec::new();
        for (step, state) in [("1", EffectState::Succeeded), ("2", EffectState::Uncertain)] {
            let job = running(&house, None).await;
            acted(&house, &job, step, state).await;
            end(&house, &job, &Finish::Done).await;
            kept.push(job.id);
        }
        // Given up on, and nobody has decided: not over.
        let parked = running(&house, None).await;
        acted(&house, &parked, "3", EffectState::Rejected).await;
        let fault = wharf_domain::fault::Fault::new(
            wharf_domain::fault::FaultKind::Transient,
            "x",
            "x",
            wharf_domain::fault::Blame::Host,
        );
        end(&house, &parked, &Finish::Park { fault }).await;
        house.clock.advance(2 * DAY);
        assert_eq!((swept(&house, Old::QuickJobs).await, swept(&house, Old::Tapes).await), (1, 1));
        assert!(!there(&house, &kept[0]).await);
        for job in [&kept[1], &parked.id] {
            assert!(jobs::get(&house.db, job).await.expect("get").is_some());
            assert_eq!(tapes::for_job(&house.db, &tenant("t"), job).await.expect("tapes").len(), 1);
        }
        assert_eq!(effects::for_job(&house.db, &kept[0]).await.expect("effects").len(), 1, "effects stay");
    }
}

both! {
    async fn what_is_old_goes_in_batches_and_what_stays_is_passed_once(house) {
        // More than two batches of rows that stay, then one that goes: all at the same moment.
        for (text, from, to) in [(INSERT_DONE, 0, 2_100), (INSERT_DONE_CLOSED, 2_100, 2_101)] {
            let mut tx = house.db.begin().await.expect("begin");
            for number in from..to {
                query(text).bind(format!("id{number:05}")).bind(i64::from(number)).execute(tx.conn()).await.expect("row");
            }
            tx.commit().await.expect("commit");
        }
        flow(&house, "1", "held").await;
        let before = house.db.now();
        let (mut from, mut removed) = (None, Vec::new());
        for _ in 0..3 {
            let swept = sweep(&house.db, Old::FlowJobs, before, &["closed"], from).await.expect("sweep");
            removed.push(swept.removed);
            from = swept.next;
        }
        assert_eq!((removed, from), (vec![0, 0, 1], None));
    }
}

const INSERT_DONE: &str = "INSERT INTO job_done (id, seq, tenant, kind, payload, flow, state, priority, run_at, attempt, \
    max_attempts, fence, depth, actor, created_at, finished_at) \
    VALUES ($1, $2, 't', 'kind', '{}', 'order/1', 'done', 0, 0, 1, 1, 1, 0, 'host:test', 0, 0)";
const INSERT_DONE_CLOSED: &str = "INSERT INTO job_done (id, seq, tenant, kind, payload, flow, state, priority, run_at, \
    attempt, max_attempts, fence, depth, actor, created_at, finished_at) \
    VALUES ($1, $2, 't', 'kind', '{}', 'order/9', 'done', 0, 0, 1, 1, 1, 0, 'host:test', 0, 0)";

both! {
    async fn old_ticks_go_except_the_last_of_a_schedule(house) {
        for at in [1_000, 2_000, 3_000] {
            let mut tx = house.db.begin().await.expect("begin");
            let row = schedules::take(&mut tx, &tenant("t"), "pull", None).await.expect("take");
            assert!(schedules::tick(&mut tx, &row, Timestamp::from_millis(at)).await.expect("tick"));
            tx.commit().await.expect("commit");
        }
        house.clock.advance(2 * DAY);
        assert_eq!(swept(&house, Old::Ticks).await, 2);
        let left = schedules::ticks(&house.db, &tenant("t"), "pull", 9).await.expect("ticks");
        assert_eq!(left, [Timestamp::from_millis(3_000)]);
    }
}
