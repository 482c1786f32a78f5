//! The life of an effect, its keys, and who may move it.

use serde_json::json;
use wharf_domain::effect::EffectState::{
    self, Abandoned, Compensated, Intent, Parked, Reconciling, Rejected, Resend, ResolvedHappened, Sending, Succeeded,
    Uncertain,
};
use wharf_domain::fault::{Blame, FaultKind};

use super::*;
use crate::jobs::{self, Job, NewJob};
use crate::testing::{House, actor, both, tenant};

const ALL: [EffectState; 11] = [
    Intent,
    Sending,
    Succeeded,
    Rejected,
    Uncertain,
    Reconciling,
    Parked,
    ResolvedHappened,
    Resend,
    Abandoned,
    Compensated,
];
pub(super) const LEASE: i64 = 10_000;

/// A job that is running, in a lane of its own.
pub(super) async fn running(house: &House, lane: &str) -> Job {
    let mut tx = house.db.begin().await.expect("begin");
    jobs::enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), lane, "k", json!({}))).await.expect("enqueue");
    tx.commit().await.expect("commit");
    claim(house).await
}

pub(super) async fn claim(house: &House) -> Job {
    jobs::claim(&house.db, "w", LEASE, 1).await.expect("claim").remove(0)
}

pub(super) fn connection() -> ConnectionId {
    ConnectionId::parse("acme").expect("connection")
}

pub(super) fn label() -> BusinessKey {
    BusinessKey { effect_type: "buy-label".to_owned(), key: "label:order/1/1".to_owned() }
}

pub(super) fn new(job: &Job, step_key: &str, business: Option<BusinessKey>) -> NewEffect {
    NewEffect {
        tenant: tenant("t"),
        connection: connection(),
        adapter_digest: Some(Digest::of(b"adapter")),
        job: job.id,
        flow: Some(FlowKey::new("order", "1")),
        step_key: step_key.to_owned(),
        business,
        route: "POST /ship".to_owned(),
        class: EffectClass::Lookup,
        lookup: true,
        account_ref: Some(Digest::of(b"account")),
        request_digest: Digest::of(b"request"),
        fence: job.fence,
        attempt: job.attempt,
    }
}

pub(super) async fn opened(house: &House, new: &NewEffect) -> Opened {
    let mut tx = house.db.begin().await.expect("begin");
    let opened = open(&mut tx, &actor(), new).await.expect("open");
    tx.commit().await.expect("commit");
    opened
}

pub(super) async fn moved(
    house: &House,
    id: &EffectId,
    from: EffectState,
    to: EffectState,
    mut change: Change,
) -> Result<EffectRow, StoreError> {
    let mut tx = house.db.begin().await?;
    if to == Sending && change.send_deadline.is_none() {
        change.send_deadline = Some(tx.now().plus(LEASE / 2));
    }
    let row = advance(&mut tx, &actor(), id, from, to, &change).await?;
    tx.commit().await?;
    Ok(row)
}

pub(super) fn by(job: &Job) -> Change {
    Change::by(job.id, job.fence)
}

both! {
    async fn a_step_is_opened_once_and_a_business_key_once_over_all_jobs(house) {
        let (first, second) = (running(&house, "a").await, running(&house, "b").await);
        let Opened::New(row) = opened(&house, &new(&first, "1:POST /ship", Some(label()))).await else { panic!("new") };
        assert_eq!(row.state, Intent);
        assert_eq!(opened(&house, &new(&first, "1:POST /ship", Some(label()))).await, Opened::Existing(row.clone()));
        assert_eq!(opened(&house, &new(&second, "1:POST /ship", Some(label()))).await, Opened::Existing(row.clone()));
        assert!(matches!(opened(&house, &new(&first, "2:POST /ship", None)).await, Opened::New(_)));
        assert!(matches!(opened(&house, &new(&second, "1:POST /ship", None)).await, Opened::New(_)));

        let stored = by_business(&house.db, &tenant("t"), &connection(), &label()).await.expect("read");
        assert_eq!(stored.as_ref(), Some(&row));
        assert_eq!(by_business(&house.db, &tenant("u"), &connection(), &label()).await.expect("read"), None);
        assert_eq!(by_step(&house.db, &first.id, "1:POST /ship").await.expect("read"), Some(row));
        assert_eq!(for_job(&house.db, &first.id).await.expect("rows").len(), 2);
        assert_eq!(for_flow(&house.db, &tenant("t"), &FlowKey::new("order", "1")).await.expect("rows").len(), 3);
    }
}

both! {
    async fn an_open_that_is_rolled_back_leaves_no_trace(house) {
        let job = running(&house, "a").await;
        let mut tx = house.db.begin().await.expect("begin");
        let Opened::New(row) = open(&mut tx, &actor(), &new(&job, "1", Some(label()))).await.expect("open") else {
            panic!("new")
        };
        drop(tx);
        assert_eq!(get(&house.db, &row.id).await.expect("get"), None);
        assert!(history(&house.db, &row.id).await.expect("history").is_empty());
        assert!(matches!(opened(&house, &new(&job, "1", Some(label()))).await, Opened::New(_)));
    }
}

both! {
    async fn every_pair_of_states_is_allowed_or_refused_as_the_domain_says(house) {
        let job = running(&house, "a").await;
        let row = opened(&house, &new(&job, "1", None)).await.row().clone();
        for from in ALL {
            for to in ALL {
                let mut tx = house.db.begin().await.expect("begin");
                query("UPDATE effect SET state = $1").bind(from.as_str()).execute(tx.conn()).await.expect("put");
                tx.commit().await.expect("commit");
                let before = history(&house.db, &row.id).await.expect("history").len();
                let result = moved(&house, &row.id, from, to, by(&job)).await;
                let steps = history(&house.db, &row.id).await.expect("history");
                if from.may_become(to) {
                    assert_eq!(result.expect("allowed").state, to);
                    let last = steps.last().expect("step");
                    assert_eq!((steps.len(), last.from, last.to), (before + 1, Some(from), to));
                } else {
                    assert!(matches!(result, Err(StoreError::Forbidden { .. })), "{from:?} to {to:?}: {result:?}");
                    assert_eq!(steps.len(), before);
                }
            }
        }
    }
}

both! {
    async fn a_label_bought_after_a_lost_answer_tells_its_whole_life(house) {
        let job = running(&house, "a").await;
        let id = opened(&house, &new(&job, "1", Some(label()))).await.row().id;
        let deadline = house.db.now().plus(500);
        let send = Change { attempt: Some(1), send_deadline: Some(deadline), ..by(&job) };
        let row = moved(&house, &id, Intent, Sending, send).await.expect("sending");
        assert_eq!((row.send_deadline, row.fence), (Some(deadline), job.fence));
        let fault = Fault::new(FaultKind::OutcomeUnknown, "egress.reset", "reset", Blame::Partner);
        let lost = Change { fault: Some(fault.clone()), ..by(&job) };
        moved(&house, &id, Sending, Uncertain, lost).await.expect("uncertain");
        moved(&house, &id, Uncertain, Reconciling, by(&job)).await.expect("reconciling");
        let absent = Change { absent_since: Some(house.db.now()), note: Some("not found yet".to_owned()), ..by(&job) };
        let row = moved(&house, &id, Reconciling, Uncertain, absent).await.expect("again");
        assert_eq!(row.absent_since, Some(house.db.now()));
        moved(&house, &id, Uncertain, Reconciling, by(&job)).await.expect("reconciling");
        let found = Change { outcome: Some(json!({ "tracking": "1Z" })), ..by(&job) };
        moved(&house, &id, Reconciling, Succeeded, found).await.expect("found");

        let row = get(&house.db, &id).await.expect("get").expect("some");
        assert_eq!((row.state, row.outcome, row.fault), (Succeeded, Some(json!({ "tracking": "1Z" })), Some(fault)));
        let steps = history(&house.db, &id).await.expect("history");
        let states: Vec<_> = steps.iter().map(|step| step.to).collect();
        assert_eq!(states, [Intent, Sending, Uncertain, Reconciling, Uncertain, Reconciling, Succeeded]);
        assert_eq!((steps[0].from, steps[4].note.as_deref()), (None, Some("not found yet")));
        let audit = audit::for_object(&house.db, &tenant("t"), &object(&id)).await.expect("audit");
        let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, ["effect.opened", "effect.succeeded"]);
    }
}

both! {
    async fn a_new_send_forgets_the_answer_of_the_one_before(house) {
        let job = running(&house, "a").await;
        let id = opened(&house, &new(&job, "1", None)).await.row().id;
        moved(&house, &id, Intent, Sending, by(&job)).await.expect("sending");
        let refused = Change { response: Some(json!({ "status": 400 })), absent_since: Some(house.db.now()), ..by(&job) };
        moved(&house, &id, Sending, Rejected, refused).await.expect("rejected");
        let corrected = Change { request_digest: Some(Digest::of(b"corrected")), ..by(&job) };
        let row = moved(&house, &id, Rejected, Intent, corrected).await.expect("intent");
        assert_eq!(row.response, Some(json!({ "status": 400 })));
        let row = moved(&house, &id, Intent, Sending, by(&job)).await.expect("sending");
        assert_eq!((row.response, row.absent_since, row.request_digest), (None, None, Digest::of(b"corrected")));
    }
}

both! {
    async fn only_a_job_that_holds_its_lease_may_send(house) {
        let job = running(&house, "a").await;
        let id = opened(&house, &new(&job, "1", None)).await.row().id;
        for anonymous in [Change::default(), Change { fence: Some(job.fence), ..Change::default() }] {
            let refused = moved(&house, &id, Intent, Sending, anonymous).await.expect_err("nobody");
            assert!(matches!(refused, StoreError::LostLease { .. }), "{refused}");
        }
        house.clock.advance(LEASE);
        let refused = moved(&house, &id, Intent, Sending, by(&job)).await.expect_err("ran out");
        assert!(matches!(refused, StoreError::LostLease { job: lost } if lost == job.id), "{refused}");
        let again = claim(&house).await;
        moved(&house, &id, Intent, Sending, by(&job)).await.expect_err("an older fence");
        moved(&house, &id, Intent, Sending, by(&again)).await.expect("the new one");
    }
}

both! {
    async fn a_late_result_is_refused_even_when_the_state_looks_right(house) {
        let late = running(&house, "a").await;
        let id = opened(&house, &new(&late, "1", Some(label()))).await.row().id;
        moved(&house, &id, Intent, Sending, by(&late)).await.expect("sending");
        // The lease runs out while the first send is on its way; the next attempt finds a proof of absence and sends again.
        house.clock.advance(LEASE);
        let job = claim(&house).await;
        moved(&house, &id, Sending, Uncertain, by(&job)).await.expect("uncertain");
        moved(&house, &id, Uncertain, Intent, by(&job)).await.expect("intent");
        moved(&house, &id, Intent, Sending, by(&job)).await.expect("sending again");

        for to in [Succeeded, Rejected, Intent, Uncertain] {
            let refused = moved(&house, &id, Sending, to, by(&late)).await.expect_err("late");
            assert!(matches!(refused, StoreError::LostLease { .. }), "{to:?}: {refused}");
        }
        let mut tx = house.db.begin().await.expect("begin");
        evidence(&mut tx, &actor(), &id, "late answer 201").await.expect("evidence");
        tx.commit().await.expect("commit");
        let last = history(&house.db, &id).await.expect("history").pop().expect("row");
        assert_eq!((last.from, last.to, last.note.as_deref()), (Some(Sending), Sending, Some("late answer 201")));

        // Another job with the same fence number is not the sender either.
        let other = running(&house, "b").await;
        let impostor = Change::by(other.id, job.fence);
        moved(&house, &id, Sending, Succeeded, impostor).await.expect_err("not the sender");
        moved(&house, &id, Sending, Succeeded, by(&job)).await.expect("the sender");
        let moved_on = moved(&house, &id, Sending, Succeeded, by(&job)).await.expect_err("moved");
        assert!(matches!(moved_on, StoreError::Moved { now: Succeeded, .. }), "{moved_on}");
    }
}

both! {
    async fn a_released_key_may_be_used_again_and_an_open_question_keeps_it(house) {
        let job = running(&house, "a").await;
        let id = opened(&house, &new(&job, "1", Some(label()))).await.row().id;
        moved(&house, &id, Intent, Sending, by(&job)).await.expect("sending");
        let mut tx = house.db.begin().await.expect("begin");
        let refused = release(&mut tx, &actor(), &id).await.expect_err("on its way");
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
        drop(tx);
        moved(&house, &id, Sending, Succeeded, by(&job)).await.expect("succeeded");
        let mut tx = house.db.begin().await.expect("begin");
        set_outcome(&mut tx, &actor(), &id, &json!({ "tracking": "1Z" })).await.expect("outcome");
        release(&mut tx, &actor(), &id).await.expect("release");
        let row = release(&mut tx, &actor(), &id).await.expect("twice");
        tx.commit().await.expect("commit");
        assert_eq!((row.released_at, row.outcome), (Some(house.db.now()), Some(json!({ "tracking": "1Z" }))));
        assert_eq!(by_business(&house.db, &tenant("t"), &connection(), &label()).await.expect("read"), None);
        assert!(matches!(opened(&house, &new(&job, "2", Some(label()))).await, Opened::New(_)));
        let audit = audit::for_object(&house.db, &tenant("t"), &object(&id)).await.expect("audit");
        let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, ["effect.opened", "effect.succeeded", "effect.released"]);
    }
}

both! {
    async fn an_outcome_belongs_to_a_confirmed_effect(house) {
        let job = running(&house, "a").await;
        let id = opened(&house, &new(&job, "1", None)).await.row().id;
        let mut tx = house.db.begin().await.expect("begin");
        let refused = set_outcome(&mut tx, &actor(), &id, &json!({})).await.expect_err("not yet");
        assert!(matches!(refused, StoreError::Moved { now: Intent, .. }), "{refused}");
    }
}

both! {
    async fn history_is_never_rewritten(house) {
        let job = running(&house, "a").await;
        opened(&house, &new(&job, "1", None)).await;
        let mut tx = house.db.begin().await.expect("begin");
        let refused = query("UPDATE effect_history SET note = 'x'").execute(tx.conn()).await.expect_err("refused");
        assert!(refused.to_string().contains("never changed"), "{refused}");
    }
}
