//! The runner with a real database: orders, results that get lost, carriers that fail, and promises that break.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use wharf_domain::effect::{EffectClass, EffectState};
use wharf_domain::exception as codes;
use wharf_domain::fault::{FaultKind, Retry};
use wharf_domain::ids::{ConnectionId, Digest};
use wharf_domain::order::{Order, OrderState};
use wharf_domain::port::erp::ErpEventKind;
use wharf_queue::{Handler, Registry, Verdict};
use wharf_store::effects::{Change, NewEffect};
use wharf_store::jobs::{Job, JobState};
use wharf_store::{StoreError, Tx, audit, effects, flows, inbox, jobs};

use super::*;
use crate::order_release::{LabelStatus, State, examples};
use crate::testing::{House, LEASE, actor, fault, key, states};

const LABEL: &str = "label:order/42/WH/OUT/00007/1";

fn cancelled() -> Option<Order> {
    Some(Order { state: OrderState::Cancelled, deliveries: vec![], ..examples::order() })
}

fn resolved(code: &str, object: &str, action: &str) -> Event {
    let (code, object, action) = (code.to_owned(), object.to_owned(), action.to_owned());
    Event::Resolved { code, object, action, by: "kari".to_owned() }
}

#[tokio::test]
async fn an_order_becomes_a_label_a_write_back_and_a_closed_flow() {
    let house = House::new().await;
    house.change("e1").await;
    house.drain().await;
    let (status, state) = house.flow().await;
    assert_eq!(status, "closed");
    let bought = state.label("7", 1).expect("label").bought.clone().expect("bought");
    {
        let erp = house.outside.erp();
        assert_eq!(erp.shipping.len(), 1);
        assert_eq!(erp.shipping[0].tracking_reference, bought.tracking_number);
        assert_eq!(erp.attachments.values().next().expect("attachment").content_base64, "XlhBXlha");
        assert!(erp.notes.values().next().expect("note").contains(&bought.tracking_number));
        assert_eq!(erp.acknowledged, ["e1"]);
    }
    let ctx = house.outside.acme(|acme| acme.create_calls[0].clone());
    assert_eq!(ctx.business.expect("business key").key, LABEL);
    assert_eq!(ctx.deadline, house.db.now().plus(-100 + LEASE / 5 * 4), "a fifth of the lease is left");
    let trail = audit::for_object(&house.db, &examples::tenant(), "order/42").await.expect("audit");
    let bought = trail.iter().find(|row| row.action == "order-release.label-bought").expect("audit row");
    assert_eq!(
        bought.detail,
        json!({
            "from": "packed", "to": "labelled", "commands": ["set-shipping", "attach", "note"]
        })
    );
    house.at_rest().await;
}

#[tokio::test]
async fn the_same_event_ten_times_buys_one_label() {
    let house = House::new().await;
    for _ in 0..10 {
        house.change("e1").await;
        house.drain().await;
    }
    for number in 2..12 {
        house.change(&format!("e{number}")).await;
    }
    house.drain().await;
    assert_eq!(house.outside.acme(|acme| acme.create_calls.len()), 1);
    let events = inbox::for_flow(&house.db, &examples::tenant(), &key()).await.expect("inbox");
    assert_eq!(events.len(), 11, "the same fact is stored once");
    assert_eq!(house.jobs(ADVANCE).await.len(), 11, "and told once");
    assert_eq!(house.flow().await.0, "closed");
    house.at_rest().await;
}

/// Runs the handler, and loses its result the first time: as if the process had died before the commit.
struct Forgetful(Arc<dyn Handler>);

#[async_trait]
impl Handler for Forgetful {
    async fn run(&self, job: &Job) -> Verdict {
        self.0.run(job).await
    }
    async fn settle(&self, tx: &mut Tx, job: &Job, verdict: &Verdict) -> Result<(), StoreError> {
        self.0.settle(tx, job, verdict).await?;
        if job.fence == 1 { Err(StoreError::Full) } else { Ok(()) }
    }
}

#[tokio::test]
async fn when_every_result_is_lost_once_there_is_still_one_label() {
    let house = House::new().await;
    let runner = house.runner();
    let mut registry = Registry::new();
    registry.register(ADVANCE, Arc::new(Forgetful(Arc::new(advance::Advance(runner.clone())))));
    registry.register(intake::PULL, Arc::new(Forgetful(Arc::new(intake::Pull(runner.clone())))));
    let command: Arc<dyn Handler> = Arc::new(Forgetful(Arc::new(command::Fulfil(runner))));
    for kind in COMMANDS {
        registry.register(kind, command.clone());
    }
    house.change("e1").await;
    house.drain_with(registry).await;
    let (calls, bought) = house.outside.acme(|acme| (acme.create_calls.len(), acme.bought.len()));
    assert_eq!((calls, bought), (2, 1), "asked twice under one business key, bought once");
    assert_eq!(house.flow().await.0, "closed");
    house.at_rest().await;
}

#[tokio::test]
async fn a_purchase_whose_worker_died_is_settled_by_the_next_process() {
    let mut house = House::new().await;
    house.change("e1").await;
    let mut registry = Registry::new();
    let runner = house.runner();
    registry.register(ADVANCE, Arc::new(advance::Advance(runner.clone())));
    registry.register(intake::PULL, Arc::new(intake::Pull(runner.clone())));
    for kind in [READ_ORDER, RATE] {
        registry.register(kind, Arc::new(command::Fulfil(runner.clone())));
    }
    // The last process stops right before the purchase ...
    registry.register(CREATE_SHIPMENT, Arc::new(Waiting));
    house.drain_with(registry).await;
    house.clock.advance(1_000);
    // ... the next one buys and dies before it can store the result.
    let claimed = jobs::claim(&house.db, "dying", LEASE, 1).await.expect("claim");
    assert_eq!(claimed[0].kind, CREATE_SHIPMENT);
    let verdict = command::Fulfil(house.runner()).run(&claimed[0]).await;
    assert!(matches!(verdict, Verdict::Done(_)), "{verdict:?}");
    house.restart().await;
    assert_eq!(house.flow().await.0, "packed");
    house.clock.advance(LEASE);
    house.drain().await;
    let (calls, bought) = house.outside.acme(|acme| (acme.create_calls.clone(), acme.bought.len()));
    assert_eq!((calls.len(), bought), (2, 1));
    assert!(calls[1].fence > calls[0].fence);
    assert_eq!(house.flow().await.0, "closed");
    house.at_rest().await;
}

/// Puts everything off.
struct Waiting;

#[async_trait]
impl Handler for Waiting {
    async fn run(&self, job: &Job) -> Verdict {
        Verdict::Snooze { until: job.created_at.plus(1_000), reason: "waiting".to_owned() }
    }
}

#[tokio::test]
async fn an_order_cancelled_while_its_label_is_in_flight_gets_it_voided() {
    let house = Arc::new(House::new().await);
    let inner = house.clone();
    house.outside.during_purchase(Box::new(move || {
        Box::pin(async move {
            inner.outside.erp().order = cancelled();
            inner.tell(Event::ErpChanged { kind: ErpEventKind::OrderCancelled }).await;
            // Another worker handles the cancellation meanwhile: its lanes do not wait for the purchase.
            inner.worker("other", inner.registry()).drain_once().await;
            assert_eq!(inner.flow().await.0, "cancelled");
            assert!(inner.flow().await.1.label("7", 1).expect("label").withdrawn);
        })
    }));
    house.change("e1").await;
    house.drain().await;
    let (status, state) = house.flow().await;
    let label = state.label("7", 1).expect("label");
    assert_eq!((status.as_str(), &label.status), ("cancelled", &LabelStatus::Voided {}));
    let voids = house.outside.acme(|acme| acme.voids.clone());
    assert_eq!(voids, [label.bought.as_ref().expect("bought").carrier_shipment_id.clone()]);
    assert!(house.outside.erp().shipping.is_empty(), "an unwanted label is not written back");
    house.at_rest().await;
}

#[tokio::test]
async fn a_label_not_bought_yet_is_not_bought_after_a_cancellation() {
    let house = House::new().await;
    let outage = fault(FaultKind::Outage).with_retry(Retry::Later { after_ms: Some(900) });
    house.outside.acme(|acme| acme.create_faults = vec![outage]);
    house.change("e1").await;
    house.drain().await;
    assert_eq!(states(&house.jobs(CREATE_SHIPMENT).await), [JobState::Waiting], "it waits for the carrier");
    house.outside.erp().order = cancelled();
    house.change("e2").await;
    house.drain().await;
    assert_eq!(house.flow().await.0, "cancelled", "a cancellation does not wait for the carrier");
    house.clock.advance(1_000);
    house.drain().await;
    assert_eq!(states(&house.jobs(CREATE_SHIPMENT).await), [JobState::Cancelled]);
    assert_eq!(house.outside.acme(|acme| (acme.create_calls.len(), acme.bought.len())), (1, 0));
    assert_eq!(house.flow().await.1.label("7", 1).expect("label").status, LabelStatus::NotBought {});
    house.at_rest().await;
}

#[tokio::test]
async fn an_uncertain_purchase_waits_parks_and_is_looked_at_again() {
    let house = House::new().await;
    let wait = fault(FaultKind::OutcomeUnknown).with_retry(Retry::Later { after_ms: Some(30_000) });
    house.outside.acme(|acme| acme.create_faults = vec![wait, fault(FaultKind::OutcomeUnknown)]);
    house.change("e1").await;
    house.drain().await;
    let waiting = house.jobs(CREATE_SHIPMENT).await;
    assert_eq!((waiting[0].state, waiting[0].attempt), (JobState::Waiting, 0), "waiting for a lookup is no attempt");
    assert_eq!(house.open().await, Vec::<String>::new());

    house.clock.advance(30_000);
    house.drain().await;
    assert_eq!(states(&house.jobs(CREATE_SHIPMENT).await), [JobState::Parked]);
    assert_eq!(house.open().await, [codes::LABEL_UNKNOWN]);
    assert_eq!(house.flow().await.0, "held");

    let open = wharf_store::exceptions::open(&house.db, &examples::tenant()).await.expect("open").remove(0);
    let mut tx = house.db.begin().await.expect("begin");
    choose(&mut tx, &actor(), &open, "look-again").await.expect("choose");
    tx.commit().await.expect("commit");
    house.drain().await;
    assert_eq!(house.flow().await.0, "closed");
    assert_eq!(house.open().await, Vec::<String>::new());
    assert_eq!(house.outside.acme(|acme| acme.bought.len()), 1);
    house.at_rest().await;
}

#[tokio::test]
async fn a_refusal_is_not_believed_when_the_ledger_says_that_a_byte_left() {
    let house = House::new().await;
    let refused = fault(FaultKind::BusinessRejected);
    house.outside.acme(|acme| acme.create_faults = vec![refused.clone(), refused]);
    let db = house.db.clone();
    house.outside.during_purchase(Box::new(move || Box::pin(async move { sending(&db).await })));
    house.change("e1").await;
    house.drain().await;
    assert_eq!(house.open().await, [codes::LABEL_UNKNOWN]);

    let house = House::new().await;
    house.outside.acme(|acme| acme.create_faults = vec![fault(FaultKind::BusinessRejected)]);
    house.change("e1").await;
    house.drain().await;
    assert_eq!(house.open().await, [codes::LABEL_FAILED], "without such a row it is a plain refusal");
}

/// A ledger row of the label's purchase, left in `sending`.
async fn sending(db: &Db) {
    let tenant = examples::tenant();
    let job = jobs::for_flow(db, &tenant, &key()).await.expect("jobs").pop().expect("job");
    let mut tx = db.begin().await.expect("begin");
    let effect = NewEffect {
        tenant,
        connection: examples::acme(),
        adapter_digest: None,
        job: job.id,
        flow: Some(key()),
        step_key: "1:POST /shipments".to_owned(),
        business: Some(wharf_domain::effect::BusinessKey {
            effect_type: "buy-label".to_owned(),
            key: LABEL.to_owned(),
        }),
        route: "POST /shipments".to_owned(),
        class: EffectClass::Lookup,
        lookup: false,
        account_ref: None,
        request_digest: Digest::of(b"request"),
        fence: 1,
        attempt: 1,
    };
    let opened = effects::open(&mut tx, &actor(), &effect).await.expect("open");
    let (intent, sending) = (EffectState::Intent, EffectState::Sending);
    let change = Change { send_deadline: Some(tx.now()), ..Change::by(job.id, job.fence) };
    effects::advance(&mut tx, &actor(), &opened.row().id, intent, sending, &change).await.expect("advance");
    tx.commit().await.expect("commit");
}

#[tokio::test]
async fn a_carrier_that_cannot_price_gives_way_to_the_next() {
    let house = House::new().await;
    let bolt = ConnectionId::parse("bolt").expect("connection");
    house.outside.set_policy(Some(Policy::of(vec![bolt.clone(), examples::acme()])));
    let outage = fault(FaultKind::Outage);
    house.outside.carrier(&bolt, |carrier| carrier.rate_faults = vec![outage; 3]);
    house.change("e1").await;
    house.drain().await;
    assert_eq!(house.outside.acme(|acme| acme.bought.len()), 1);
    assert_eq!(house.flow().await.0, "closed");
    let rates = states(&house.jobs(RATE).await);
    assert_eq!(rates, [JobState::Parked, JobState::Done], "three attempts, then the other carrier");
}

#[tokio::test]
async fn a_write_back_that_fails_keeps_the_label_for_the_next_try() {
    let house = House::new().await;
    house.outside.erp().attach_faults = vec![fault(FaultKind::Forbidden)];
    house.change("e1").await;
    house.drain().await;
    assert_eq!(
        (house.flow().await.0.as_str(), house.open().await),
        ("labelled", vec![codes::WRITE_BACK_FAILED.into()])
    );
    house.tell(resolved(codes::WRITE_BACK_FAILED, "order/42/WH/OUT/00007", "retry")).await;
    house.drain().await;
    assert_eq!(house.flow().await.0, "closed");
    assert_eq!(house.outside.erp().attachments.len(), 1);
    house.at_rest().await;
}

#[tokio::test]
async fn a_broken_promise_stops_the_flow_before_anything_is_done() {
    let house = House::new().await;
    house.change("e1").await;
    house.drain().await;
    damage(&house, |state| {
        state.deliveries.get_mut("7").expect("delivery").labels[0].proof.lines.clear();
    })
    .await;
    let before = house.jobs(READ_ORDER).await.len();
    house.change("e2").await;
    house.drain().await;
    assert_eq!(house.flow().await.0, STOPPED);
    assert_eq!(house.open().await, [codes::INVARIANT_BROKEN]);
    house.change("e3").await;
    house.drain().await;
    house.clock.advance(60_000);
    house.drain().await;
    assert_eq!(house.flow().await.0, STOPPED);
    assert_eq!(house.jobs(READ_ORDER).await.len(), before, "nothing is executed");
    let waits = |state: &JobState| matches!(state, JobState::Waiting | JobState::Queued);
    let waiting = states(&house.jobs(ADVANCE).await).into_iter().filter(waits);
    assert_eq!(waiting.count(), 2, "nothing is forgotten: neither the event that stopped it nor the next one");

    damage(&house, |state| {
        let delivery = state.order.as_ref().expect("order").deliveries[0].clone();
        let proof = wharf_domain::order::AllocationProof::from_reservation("odoo", &delivery);
        state.deliveries.get_mut("7").expect("delivery").labels[0].proof = proof;
    })
    .await;
    house.tell(resolved(codes::INVARIANT_BROKEN, "order/42", "resume")).await;
    house.drain().await;
    assert!(house.jobs(READ_ORDER).await.len() > before);
    house.clock.advance(60_000);
    house.drain().await;
    assert_eq!((house.flow().await.0.as_str(), house.open().await), ("closed", vec![]));
    house.at_rest().await;
}

/// Changes the stored state behind the flow's back.
async fn damage(house: &House, change: impl FnOnce(&mut State)) {
    let mut tx = house.db.begin().await.expect("begin");
    let row = flows::load(&mut tx, &examples::tenant(), order_release::KIND, &key()).await.expect("load");
    let mut row = row.expect("flow");
    let mut state: State = serde_json::from_value(row.state).expect("state");
    change(&mut state);
    row.state = serde_json::to_value(&state).expect("state");
    flows::save(&mut tx, &actor(), &row).await.expect("save");
    tx.commit().await.expect("commit");
}

#[tokio::test]
async fn a_label_that_arrives_while_the_flow_is_stopped_is_not_forgotten() {
    let house = Arc::new(House::new().await);
    let inner = house.clone();
    let proof = Arc::new(std::sync::Mutex::new(None));
    let kept = proof.clone();
    house.outside.during_purchase(Box::new(move || {
        Box::pin(async move {
            damage(&inner, |state| {
                let label = &mut state.deliveries.get_mut("7").expect("delivery").labels[0];
                *kept.lock().expect("proof") = Some(std::mem::take(&mut label.proof.lines));
            })
            .await;
            inner.tell(Event::ErpChanged { kind: ErpEventKind::OrderChanged }).await;
            inner.worker("other", inner.registry()).drain_once().await;
        })
    }));
    house.change("e1").await;
    house.drain().await;
    assert_eq!((house.flow().await.0.as_str(), house.outside.acme(|acme| acme.bought.len())), (STOPPED, 1));
    let lines = proof.lock().expect("proof").take().expect("damaged");
    damage(&house, |state| state.deliveries.get_mut("7").expect("delivery").labels[0].proof.lines = lines).await;
    house.tell(resolved(codes::INVARIANT_BROKEN, "order/42", "resume")).await;
    house.drain().await;
    house.clock.advance(60_000);
    house.drain().await;
    assert_eq!(house.flow().await.0, "closed");
    assert_eq!(house.outside.erp().attachments.len(), 1);
    house.at_rest().await;
}

#[tokio::test]
async fn a_stopped_flow_buys_nothing() {
    let house = House::new().await;
    let outage = fault(FaultKind::Outage).with_retry(Retry::Later { after_ms: Some(900) });
    house.outside.acme(|acme| acme.create_faults = vec![outage]);
    house.change("e1").await;
    house.drain().await;
    damage(&house, |state| {
        state.deliveries.get_mut("7").expect("delivery").labels[0].proof.lines.clear();
    })
    .await;
    house.change("e2").await;
    house.drain().await;
    house.clock.advance(1_000);
    house.drain().await;
    assert_eq!(house.outside.acme(|acme| acme.create_calls.len()), 1);
    assert_eq!(states(&house.jobs(CREATE_SHIPMENT).await), [JobState::Waiting]);
}

#[tokio::test]
async fn a_tenant_without_order_release_starts_nothing_and_finishes_what_is_under_way() {
    let house = House::new().await;
    house.change("e1").await;
    let hooked = house.outside.clone();
    let off = move || async move { hooked.set_policy(None) };
    house.outside.during_purchase(Box::new(move || Box::pin(off())));
    house.drain().await;
    assert_eq!(house.flow().await.0, "closed", "the label that was on its way is written back");
    house.change("e2").await;
    house.drain().await;
    assert_eq!(house.outside.erp().acknowledged, ["e1"]);
    house.at_rest().await;
}

/// With several hosts the file of one of them may know better; and who switches it on again finds what came meanwhile.
#[tokio::test]
async fn an_event_waits_while_order_release_is_switched_off() {
    let house = House::new().await;
    house.change("e1").await;
    house.drain().await;
    house.outside.set_policy(None);
    house.tell(Event::ErpChanged { kind: ErpEventKind::OrderCancelled }).await;
    house.drain().await;
    let waiting = house.jobs(ADVANCE).await.into_iter().filter(|job| job.state != JobState::Done).count();
    assert_eq!(waiting, 1, "it is neither applied nor forgotten");
    house.outside.set_policy(Some(examples::policy()));
    house.clock.advance(60_000);
    house.drain().await;
    house.at_rest().await;
    assert!(house.jobs(ADVANCE).await.iter().all(|job| job.state == JobState::Done));
}

#[tokio::test]
async fn an_event_nobody_can_read_is_parked_and_a_person_is_told() {
    let house = House::new().await;
    let mut tx = house.db.begin().await.expect("begin");
    let payload = json!({ "flow": order_release::KIND, "event": { "event": "from-the-future" } });
    let job = NewJob { flow: Some(key()), ..NewJob::new(examples::tenant(), "order/42", ADVANCE, payload) };
    jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
    tx.commit().await.expect("commit");
    house.drain().await;
    assert_eq!(states(&house.jobs(ADVANCE).await), [JobState::Parked]);
    assert_eq!(house.open().await, [codes::PAYLOAD_UNREADABLE]);

    let open = wharf_store::exceptions::open(&house.db, &examples::tenant()).await.expect("open").remove(0);
    let mut tx = house.db.begin().await.expect("begin");
    let refused = choose(&mut tx, &actor(), &open, "resume").await.expect_err("not an action of it");
    assert_eq!(refused.to_string(), "`resume` is not an action of this exception; use one of: replay, cancel");
    choose(&mut tx, &actor(), &open, "replay").await.expect("replay");
    tx.commit().await.expect("commit");
    assert_eq!(states(&house.jobs(ADVANCE).await), [JobState::Ready]);
    assert_eq!(house.open().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_starts_over_in_depth_and_a_chain_within_the_host_does_not() {
    let house = House::new().await;
    house.change("e1").await;
    house.drain().await;
    assert_eq!(house.flow().await.0, "closed");
    let rows = jobs::for_flow(&house.db, &examples::tenant(), &key()).await.expect("jobs");
    assert!(rows.len() > 6, "a whole order: {}", rows.len());
    for row in rows {
        let from_outside = row.kind == ADVANCE;
        assert_eq!(row.depth, u32::from(!from_outside), "{}", row.kind);
    }
}

#[tokio::test]
async fn a_person_who_cancels_a_waiting_purchase_is_heard_by_its_flow() {
    let house = House::new().await;
    let outage = fault(FaultKind::Outage).with_retry(Retry::Later { after_ms: Some(60_000) });
    house.outside.acme(|acme| acme.create_faults = vec![outage]);
    house.change("e1").await;
    house.drain().await;
    let waiting = house.jobs(CREATE_SHIPMENT).await.remove(0);
    assert_eq!(waiting.state, JobState::Waiting);
    let mut tx = house.db.begin().await.expect("begin");
    jobs::call_off(&mut tx, &actor(), &waiting.id).await.expect("call off");
    tx.commit().await.expect("commit");
    house.drain().await;
    let purchases = house.jobs(CREATE_SHIPMENT).await;
    assert_eq!((purchases[0].id, purchases[0].state), (waiting.id, JobState::Cancelled));
    let (_, state) = house.flow().await;
    let label = state.deliveries.values().next().expect("delivery").labels.first().expect("label").clone();
    assert_ne!(label.status, LabelStatus::Asked {}, "the flow waits for it no more");
}
