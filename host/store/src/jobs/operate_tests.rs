//! What a person does with jobs, and what the queue refuses to take.

use serde_json::json;
use wharf_domain::effect::{EffectClass, EffectState};
use wharf_domain::exception as codes;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, Digest, FlowKey, JobId};

use super::*;
use crate::effects::{self, Change, NewEffect};
use crate::error::StoreError;
use crate::sql::query;
use crate::testing::{House, START, actor, both, tenant};
use crate::{audit, exceptions};

async fn enqueued(house: &House, job: &NewJob) -> Result<Enqueued, StoreError> {
    let mut tx = house.db.begin().await?;
    let enqueued = enqueue(&mut tx, &actor(), job).await?;
    tx.commit().await?;
    Ok(enqueued)
}

fn new(lane: &str) -> NewJob {
    NewJob::new(tenant("t"), lane, "kind", json!({ "lane": lane }))
}

async fn claimed(house: &House) -> Vec<Job> {
    claim(&house.db, "w", 1_000, 99).await.expect("claim")
}

async fn ended(house: &House, job: &Job, how: Finish) {
    let mut tx = house.db.begin().await.expect("begin");
    finish(&mut tx, &actor(), job, &how).await.expect("finish");
    tx.commit().await.expect("commit");
}

fn fault(code: &str) -> Fault {
    Fault::new(FaultKind::Transient, code, "no luck", Blame::Partner)
}

/// A job that was claimed and parked.
async fn parked(house: &House, job: &NewJob, code: &str) -> JobId {
    let id = enqueued(house, job).await.expect("enqueue").id;
    let claimed = claimed(house).await;
    let job = claimed.iter().find(|job| job.id == id).expect("it is the only one that is ready");
    ended(house, job, Finish::Park { fault: fault(code) }).await;
    id
}

async fn state(house: &House, id: &JobId) -> JobState {
    get(&house.db, id).await.expect("get").expect("an accepted job is there").state
}

async fn called_off(house: &House, id: &JobId) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    call_off(&mut tx, &actor(), id).await?;
    tx.commit().await
}

both! {
    async fn a_source_may_have_so_many_jobs_waiting_and_others_go_on(house) {
        let mut tx = house.db.begin().await.expect("begin");
        query(MANY).bind(i64::from(MOST_PENDING) - 1).execute(tx.conn()).await.expect("many");
        tx.commit().await.expect("commit");
        let from = |source: Option<&str>| NewJob { source: source.map(str::to_owned), ..new("one") };
        enqueued(&house, &from(Some("acme"))).await.expect("the last one that fits");
        let refused = enqueued(&house, &from(Some("acme"))).await.expect_err("too many");
        assert!(matches!(refused, StoreError::Crowded { most: MOST_PENDING, .. }), "{refused}");
        assert!(refused.to_string().contains("cancel some"), "{refused}");
        for other in [None, Some("other")] {
            enqueued(&house, &from(other)).await.expect("others");
        }
        let elsewhere = NewJob { tenant: tenant("u"), ..from(Some("acme")) };
        enqueued(&house, &elsewhere).await.expect("another tenant's connection of the same name");
        house.run("UPDATE job SET state = 'parked', head = 0 WHERE id = 'm1'").await.expect("park");
        enqueued(&house, &from(Some("acme"))).await.expect("what is parked does not count");
    }
}

const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
    INSERT INTO job (id, tenant, kind, payload, state, head, urgent, strict, priority, run_at, attempt, max_attempts, \
    fence, depth, actor, created_at, updated_at, source) \
    SELECT 'm' || CAST(i AS TEXT), 't', 'kind', '{}', 'ready', 1, 0, 0, 0, 0, 0, 1, 0, 0, 'host:test', 0, 0, 'acme' FROM n";

both! {
    async fn i7_a_stranger_gets_timers_of_a_minute_to_400_days_and_the_host_any(house) {
        const DAY: i64 = 86_400_000;
        let timer = |source: Option<&str>, ms: i64| NewJob {
            source: source.map(str::to_owned),
            run_at: Some(house.db.now().plus(ms)),
            ..new("timer")
        };
        for ms in [1, 59_999, 400 * DAY + 1] {
            let refused = enqueued(&house, &timer(Some("acme"), ms)).await.expect_err("out of range");
            assert!(matches!(refused, StoreError::Timer { .. }), "{ms}: {refused}");
            assert!(refused.to_string().contains("60 seconds to 400 days"), "{refused}");
            enqueued(&house, &timer(None, ms)).await.expect("the host's own");
        }
        for ms in [-5, 0, 60_000, 400 * DAY] {
            enqueued(&house, &timer(Some("acme"), ms)).await.expect("in range, or at once");
        }
    }
}

both! {
    async fn one_transaction_enqueues_no_more_than_it_may(house) {
        let mut tx = house.db.begin().await.expect("begin");
        tx.limit_followers(2);
        for _ in 0..2 {
            enqueue(&mut tx, &actor(), &new("a")).await.expect("fits");
        }
        let refused = enqueue(&mut tx, &actor(), &new("a")).await.expect_err("one too many");
        assert!(matches!(refused, StoreError::TooManyFollow { most: 2 }), "{refused}");
    }
}

both! {
    async fn a_person_calls_a_waiting_job_off_and_a_worker_ends_it(house) {
        let later = NewJob { run_at: Some(house.db.now().plus(9_000)), coalesce_key: Some("k".to_owned()), ..new("a") };
        let first = enqueued(&house, &later).await.expect("enqueue").id;
        let second = enqueued(&house, &new("a")).await.expect("enqueue").id;
        assert!(claimed(&house).await.is_empty());
        called_off(&house, &second).await.expect("behind another");
        called_off(&house, &first).await.expect("waiting");
        called_off(&house, &first).await.expect("twice changes nothing");
        let wish = enqueued(&house, &later).await.expect("enqueue");
        assert!(!wish.coalesced, "a new wish is not lost with the old one");
        for id in [first, second] {
            let jobs = claimed(&house).await;
            assert_eq!((jobs[0].id, jobs[0].cancelled_by.as_deref(), jobs[0].urgent), (id, Some("host:test"), true));
            let running = called_off(&house, &id).await.expect_err("it runs");
            assert!(running.to_string().contains("wait until its attempt has ended"), "{running}");
            ended(&house, &jobs[0], Finish::Cancelled { reason: "called off".to_owned() }).await;
            let over = called_off(&house, &id).await.expect_err("over");
            assert!(matches!(over, StoreError::Refused { ref state, .. } if state == "cancelled"), "{over}");
        }
        assert_eq!(state(&house, &wish.id).await, JobState::Waiting);
        let nobody = JobId::mint(house.db.ids(), house.db.now());
        assert!(matches!(called_off(&house, &nobody).await, Err(StoreError::NotFound { .. })));
    }
}

both! {
    async fn a_strict_job_that_parks_shows_that_it_holds_its_lane_until_a_person_decides(house) {
        for decision in ["replay", "cancel"] {
            let lane = format!("lane-{decision}");
            let id = parked(&house, &NewJob { strict: true, ..new(&lane) }, "x").await;
            let behind = enqueued(&house, &new(&lane)).await.expect("enqueue").id;
            let row = get(&house.db, &id).await.expect("get").expect("row");
            assert_eq!((row.state, row.holds_lane), (JobState::Parked, true));
            assert_eq!(state(&house, &behind).await, JobState::Queued);
            let open = exceptions::open(&house.db, &tenant("t")).await.expect("open");
            let codes: Vec<_> = open.iter().map(|row| (row.code.as_str(), row.object.clone())).collect();
            assert_eq!(codes, [(codes::LANE_HELD, format!("job/{id}"))]);
            assert!(open[0].cause.contains(&lane), "{}", open[0].cause);

            let mut tx = house.db.begin().await.expect("begin");
            match decision {
                "replay" => replay(&mut tx, &actor(), &id).await.expect("replay"),
                _ => call_off(&mut tx, &actor(), &id).await.expect("cancel"),
            }
            tx.commit().await.expect("commit");
            assert!(exceptions::open(&house.db, &tenant("t")).await.expect("open").is_empty());
            assert!(!get(&house.db, &id).await.expect("get").expect("row").holds_lane);
            let jobs = claimed(&house).await;
            assert_eq!(jobs.len(), 1, "the decided one runs before what waited for it");
            assert_eq!((jobs[0].id, jobs[0].cancelled_by.is_some()), (id, decision == "cancel"));
            ended(&house, &jobs[0], Finish::Done).await;
            let jobs = claimed(&house).await;
            assert_eq!(jobs[0].id, behind);
            ended(&house, &jobs[0], Finish::Done).await;
        }
    }
}

both! {
    async fn a_parked_job_gets_another_payload_and_the_audit_keeps_the_digest_of_both(house) {
        let id = parked(&house, &new("a"), "queue.bad-payload").await;
        house.run("UPDATE job SET payload = '{broken'").await.expect("damage");
        let mut tx = house.db.begin().await.expect("begin");
        mend(&mut tx, &actor(), &id, &json!({ "mended": true })).await.expect("mend");
        replay(&mut tx, &actor(), &id).await.expect("replay");
        let refused = mend(&mut tx, &actor(), &id, &json!(1)).await.expect_err("not parked any more");
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
        tx.commit().await.expect("commit");
        let job = claimed(&house).await.remove(0);
        assert_eq!((job.payload, job.unreadable), (json!({ "mended": true }), None));
        let audit = audit::for_object(&house.db, &tenant("t"), &format!("job/{id}")).await.expect("audit");
        let mended = audit.iter().find(|row| row.action == "job.mended").expect("told");
        let digests = json!({ "before": Digest::of(b"{broken"), "after": Digest::of(br#"{"mended":true}"#) });
        assert_eq!(mended.detail, digests);
    }
}

both! {
    async fn parked_jobs_are_found_by_what_they_are_and_why_and_when(house) {
        let flow = Some(FlowKey::new("order", "1"));
        let a = parked(&house, &NewJob { flow: flow.clone(), ..new("a") }, "x").await;
        house.clock.advance(10);
        let b = parked(&house, &NewJob { kind: "other".to_owned(), ..new("b") }, "y").await;
        house.clock.advance(10);
        let c = parked(&house, &new("c"), "x").await;
        parked(&house, &NewJob { tenant: tenant("u"), ..new("a") }, "x").await;
        let all = Filter { limit: 99, ..Filter::default() };
        let at = |ms: i64| Some(Timestamp::from_millis(START + ms));
        for (filter, found) in [
            (all.clone(), vec![a, b, c]),
            (Filter { limit: 2, ..all.clone() }, vec![a, b]),
            (Filter { limit: 0, ..all.clone() }, vec![]),
            (Filter { kind: Some("other".to_owned()), ..all.clone() }, vec![b]),
            (Filter { code: Some("x".to_owned()), ..all.clone() }, vec![a, c]),
            (Filter { flow, ..all.clone() }, vec![a]),
            (Filter { parked_from: at(10), ..all.clone() }, vec![b, c]),
            (Filter { parked_until: at(10), ..all.clone() }, vec![a]),
            (Filter { parked_from: at(10), parked_until: at(20), code: Some("x".to_owned()), ..all }, vec![]),
        ] {
            let rows = find_parked(&house.db, &tenant("t"), &filter).await.expect("find");
            assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), found, "{filter:?}");
        }
    }
}

both! {
    /// Replay: one, many by filter, or a dead letter; replaying twice has one effect.
    async fn the_same_list_twice_brings_nothing_back_twice(house) {
        let ids = [parked(&house, &new("a"), "x").await, parked(&house, &new("b"), "x").await];
        let nobody = JobId::mint(house.db.ids(), house.db.now());
        let list = [ids[0], nobody, ids[1]];
        assert_eq!(replay_many(&house.db, &actor(), &list).await.expect("replay"), ids);
        assert_eq!(replay_many(&house.db, &actor(), &list).await.expect("again"), []);
        let jobs = claimed(&house).await;
        assert_eq!(jobs.iter().map(|job| (job.id, job.attempt)).collect::<Vec<_>>(), [(ids[0], 1), (ids[1], 1)]);
        assert!(claimed(&house).await.is_empty());
    }
}

/// An effect of a job that runs, in `state`.
async fn effect(house: &House, job: &Job, class: EffectClass, state: EffectState) {
    let new = NewEffect {
        tenant: tenant("t"),
        connection: ConnectionId::parse("acme").expect("connection"),
        adapter_digest: None,
        job: job.id,
        flow: None,
        step_key: format!("{class:?} {state:?}"),
        business: None,
        route: format!("{} {}", serde_json::to_value(class).expect("class"), state.as_str()),
        class,
        lookup: class == EffectClass::Lookup,
        account_ref: None,
        request_digest: Digest::of(b"x"),
        fence: job.fence,
        attempt: 0,
    };
    let mut tx = house.db.begin().await.expect("begin");
    let id = effects::open(&mut tx, &actor(), &new).await.expect("open").row().id;
    let send_deadline = Some(tx.now());
    let by = Change { response: Some(json!({})), send_deadline, ..Change::by(job.id, job.fence) };
    let mut at = EffectState::Intent;
    for to in [EffectState::Sending, state].into_iter().filter(|_| state != EffectState::Intent) {
        if to != at {
            effects::advance(&mut tx, &actor(), &id, at, to, &by).await.expect("advance");
            at = to;
        }
    }
    tx.commit().await.expect("commit");
}

both! {
    async fn a_dry_run_tells_what_becomes_of_every_effect_and_changes_nothing(house) {
        use EffectClass::{Lookup, Natural, Once};
        use EffectState::{Intent, Rejected, Sending, Succeeded, Uncertain};
        use Foreseen::{AnsweredFromJournal, LeftParked, LookedUp, Sent};
        let id = enqueued(&house, &new("a")).await.expect("enqueue").id;
        let job = claimed(&house).await.remove(0);
        let cases = [
            (Once, Succeeded, AnsweredFromJournal),
            (Once, Intent, Sent),
            (Once, Rejected, Sent),
            (Natural, Uncertain, Sent),
            (Lookup, Uncertain, LookedUp),
            (Lookup, Sending, LookedUp),
            (Once, Uncertain, LeftParked),
        ];
        for (class, state, _) in cases {
            effect(&house, &job, class, state).await;
        }
        ended(&house, &job, Finish::Park { fault: fault("x") }).await;
        let fresh = parked(&house, &new("b"), "y").await;
        let filter = Filter { limit: 9, ..Filter::default() };
        for _ in 0..2 {
            let planned = plan(&house.db, &tenant("t"), &filter).await.expect("plan");
            assert_eq!(planned.iter().map(|job| job.job).collect::<Vec<_>>(), [id, fresh]);
            let told: Vec<_> = planned[0].effects.iter().map(|row| (row.class, row.state, row.would)).collect();
            assert_eq!(told, cases);
            assert_eq!((planned[0].code.as_deref(), planned[1].effects.len()), (Some("x"), 0));
        }
        assert_eq!(state(&house, &id).await, JobState::Parked);
    }
}

both! {
    async fn a_tenants_jobs_are_listed_newest_first_page_by_page(house) {
        let mut ids = Vec::new();
        for lane in ["a", "b", "c", "d"] {
            ids.push(enqueued(&house, &new(lane)).await.expect("enqueue").id);
            house.clock.advance(1);
        }
        enqueued(&house, &NewJob { tenant: tenant("u"), ..new("a") }).await.expect("another's");
        let jobs = claim(&house.db, "w", 1_000, 1).await.expect("claim");
        ended(&house, &jobs[0], Finish::Done).await;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = Page { limit: 2, after, ..Page::default() };
            let rows = list(&house.db, &tenant("t"), &page).await.expect("list");
            after = rows.last().map(|row| row.id);
            seen.extend(rows.iter().map(|row| row.id));
            if rows.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ids.iter().rev().copied().collect::<Vec<_>>());
        for (state, kind, count) in [
            (Some(JobState::Done), None, 1),
            (Some(JobState::Ready), None, 3),
            (Some(JobState::Ready), Some("kind"), 3),
            (None, Some("other"), 0),
        ] {
            let page = Page { state, kind: kind.map(str::to_owned), limit: 9, ..Page::default() };
            assert_eq!(list(&house.db, &tenant("t"), &page).await.expect("list").len(), count, "{page:?}");
        }
    }
}

both! {
    async fn the_overview_names_what_waits_longest_and_for_whom(house) {
        let empty = overview(&house.db, 9).await.expect("overview");
        assert_eq!((empty.oldest_ready, empty.busiest.len()), (None, 0));
        parked(&house, &NewJob { strict: true, ..new("p") }, "x").await;
        house.clock.advance(5);
        parked(&house, &NewJob { tenant: tenant("u"), ..new("p") }, "x").await;
        let since = house.db.now();
        enqueued(&house, &new("a")).await.expect("enqueue");
        house.clock.advance(5);
        enqueued(&house, &new("b")).await.expect("enqueue");
        let told = overview(&house.db, 9).await.expect("overview");
        assert_eq!((told.counts.ready, told.counts.parked, told.oldest_ready), (2, 2, Some(since)));
        let load = |row: &TenantLoad| (row.tenant.to_string(), row.pending, row.running, row.parked);
        let loads: Vec<_> = told.busiest.iter().map(load).collect();
        assert_eq!(loads, [("t".to_owned(), 2, 0, 1), ("u".to_owned(), 0, 0, 1)]);
        assert_eq!(overview(&house.db, 1).await.expect("overview").busiest.len(), 1);
        let letters = dead_letters(&house.db, None).await.expect("letters");
        let told: Vec<_> = letters.iter().map(|row| (row.oldest.millis() - START, row.jobs, row.holding_lanes)).collect();
        assert_eq!(told, [(0, 1, 1), (5, 1, 0)]);
        assert_eq!(dead_letters(&house.db, Some(&tenant("u"))).await.expect("letters").len(), 1);
    }
}
