//! Where a business key stands in every state, and the way out of not knowing.

use serde_json::{Value, json};
use wharf_domain::ctx::Actor;
use wharf_domain::effect::{EffectClass, EffectState};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, Digest};
use wharf_egress::ledger::{Absent, Standing};
use wharf_store::effects::{self, Change, EffectRow, NewEffect};
use wharf_store::jobs::Job;

use crate::house::{House, LEASE_MS, grant, label, post, tenant};
use crate::partner::{Act, Partner, answer};

/// An effect of the job in `intent`.
async fn intent(house: &House, job: &Job) -> EffectRow {
    let new = NewEffect {
        tenant: tenant(),
        connection: ConnectionId::parse("acme").expect("connection"),
        adapter_digest: None,
        job: job.id,
        flow: None,
        step_key: "1:POST /buy".to_owned(),
        business: Some(label()),
        route: "POST /buy".to_owned(),
        class: EffectClass::Lookup,
        lookup: true,
        account_ref: None,
        request_digest: Digest::of(b"x"),
        fence: job.fence,
        attempt: 0,
    };
    let mut tx = house.db.begin().await.expect("begin");
    let row = effects::open(&mut tx, &actor(), &new).await.expect("open").row().clone();
    tx.commit().await.expect("commit");
    row
}

/// Walks an effect through `path`.
async fn walk(house: &House, job: &Job, path: &[EffectState], answer: Option<Value>) -> EffectRow {
    let mut row = intent(house, job).await;
    for to in path {
        let mut tx = house.db.begin().await.expect("begin");
        let change = Change {
            send_deadline: (*to == EffectState::Sending).then_some(tx.now().plus(LEASE_MS / 2)),
            response: answer.clone().filter(|_| *to == EffectState::Succeeded),
            ..Change::by(job.id, job.fence)
        };
        row = effects::advance(&mut tx, &actor(), &row.id, row.state, *to, &change).await.expect("advance");
        tx.commit().await.expect("commit");
    }
    row
}

fn actor() -> Actor {
    Actor::Host("test".to_owned())
}

fn doubt() -> Fault {
    Fault::new(FaultKind::OutcomeUnknown, "acme.odd", "the answer is odd", Blame::Partner)
}

fn name(standing: &Standing) -> &'static str {
    match standing {
        Standing::Clear => "clear",
        Standing::Journaled { .. } => "journaled",
        Standing::Outcome { .. } => "outcome",
        Standing::Happened { .. } => "happened",
        Standing::Uncertain { .. } => "uncertain",
        Standing::Parked { .. } => "parked",
        Standing::InProgress { .. } => "in progress",
        Standing::Held { .. } => "held",
    }
}

#[tokio::test]
async fn every_state_has_its_standing() {
    use EffectState::{
        Abandoned, Intent, Parked, Reconciling, Rejected, Resend, ResolvedHappened, Sending, Succeeded, Uncertain,
    };
    let journal = json!({ "status": 201, "headers": [] });
    let table: [(&[EffectState], Option<Value>, &str, &str); 12] = [
        (&[], None, "clear", "clear"),
        (&[Sending], None, "in progress", "in progress"),
        (&[Sending, Intent], None, "clear", "clear"),
        (&[Sending, Rejected], None, "clear", "clear"),
        (&[Sending, Succeeded], Some(journal), "journaled", "journaled"),
        (&[Sending, Succeeded], None, "parked", "parked"),
        (&[Sending, Uncertain], None, "uncertain", "uncertain"),
        // A lookup of the same job is its own, and is simply begun again.
        (&[Sending, Uncertain, Reconciling], None, "uncertain", "in progress"),
        (&[Sending, Uncertain, Parked], None, "parked", "parked"),
        (&[Sending, Uncertain, Parked, Abandoned], None, "parked", "parked"),
        (&[Sending, Uncertain, Parked, Resend], None, "clear", "clear"),
        (&[Sending, Uncertain, Parked, ResolvedHappened], None, "happened", "happened"),
    ];
    for (path, response, own, others) in table {
        let house = House::new().await;
        let (job, other) = (house.job().await, house.job().await);
        walk(&house, &job, path, response).await;
        let seen = house.ledger().standing(&house.ctx(&other), "acme").await.expect("standing");
        assert_eq!(name(&seen), others, "another job after {path:?}");
        let seen = house.ledger().standing(&house.ctx(&job), "acme").await.expect("standing");
        assert_eq!(name(&seen), own, "the same job after {path:?}");
    }
}

#[tokio::test]
async fn a_key_nobody_used_and_a_call_without_a_key_are_clear() {
    let house = House::new().await;
    let job = house.job().await;
    let mut ctx = house.ctx(&job);
    assert_eq!(house.ledger().standing(&ctx, "acme").await, Ok(Standing::Clear));
    walk(&house, &job, &[EffectState::Sending], None).await;
    assert_eq!(house.ledger().standing(&ctx, "other").await, Ok(Standing::Clear), "another connection");
    ctx.business = None;
    assert_eq!(house.ledger().standing(&ctx, "acme").await, Ok(Standing::Clear));
}

#[tokio::test]
async fn what_a_dead_process_left_in_sending_is_uncertain() {
    let house = House::new().await;
    let job = house.job().await;
    let row = walk(&house, &job, &[EffectState::Sending], None).await;
    let next = house.next_attempt().await;
    let standing = house.ledger().standing(&house.ctx(&next), "acme").await.expect("standing");
    assert!(matches!(standing, Standing::Uncertain { .. }), "an older fence: {standing:?}");
    let history = effects::history(&house.db, &row.id).await.expect("history");
    let note = history.last().and_then(|step| step.note.clone()).unwrap_or_default();
    assert!(note.contains("left in `sending` by fence"), "{note}");

    let house = House::new().await;
    let (job, other) = (house.job().await, house.job().await);
    walk(&house, &job, &[EffectState::Sending], None).await;
    house.clock.advance(LEASE_MS / 2);
    let standing = house.ledger().standing(&house.ctx(&other), "acme").await.expect("standing");
    assert_eq!(name(&standing), "in progress", "until the very deadline");
    house.clock.advance(1);
    let standing = house.ledger().standing(&house.ctx(&other), "acme").await.expect("standing");
    assert_eq!(name(&standing), "uncertain", "past the send deadline");
    assert_eq!(house.effect(&job.id).await.job, job.id, "looking does not take it over");
}

#[tokio::test]
async fn a_lookup_that_finds_it_gives_everybody_the_outcome() {
    let house = House::new().await;
    let (job, other) = (house.job().await, house.job().await);
    let row = walk(&house, &job, &[EffectState::Sending, EffectState::Uncertain], None).await;
    let (ledger, ctx) = (house.ledger(), house.ctx(&other));
    let row = ledger.reconcile_start(&ctx, &row).await.expect("start");
    assert_eq!((row.state, row.job), (EffectState::Reconciling, other.id));
    let fault = ledger.reconcile_start(&ctx, &row).await.expect_err("twice");
    assert_eq!((fault.code.as_str(), fault.retryable()), ("egress.in-progress", true));
    ledger.found(&ctx, &row, json!({ "tracking": "1Z" })).await.expect("found");
    for who in [&job, &other] {
        match ledger.standing(&house.ctx(who), "acme").await.expect("standing") {
            Standing::Outcome { value, .. } => assert_eq!(value, json!({ "tracking": "1Z" })),
            standing => panic!("{standing:?}"),
        }
    }
}

/// One lookup that finds nothing.
async fn look(house: &House, job: &Job) -> Absent {
    let (ledger, ctx) = (house.ledger(), house.ctx(job));
    let row = ledger.reconcile_start(&ctx, &house.effect(&job.id).await).await.expect("start");
    ledger.absent(&ctx, &row).await.expect("absent")
}

#[tokio::test]
async fn absence_needs_two_lookups_the_settle_delay_apart_after_the_last_byte() {
    let (house, partner) = (House::new().await, Partner::plays(vec![Act::Close, Act::Close, Act::Close]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    for round in 1..=2 {
        house.send(&grant, &ctx, post(&grant, "/find", "{}")).await.expect_err("lost");
        let quiet = house.effect(&job.id).await.send_deadline.expect("a deadline");
        assert_eq!(look(&house, &job).await, Absent::WaitUntil(quiet), "the carrier may still be at work");
        house.clock.advance(quiet.since(house.db.now()));
        let until = quiet.plus(2_000);
        assert_eq!(look(&house, &job).await, Absent::WaitUntil(until), "round {round}: the first that counts");
        house.clock.advance(1_999);
        assert_eq!(look(&house, &job).await, Absent::WaitUntil(until), "too soon to agree");
        assert_eq!(house.state(&job.id).await, EffectState::Uncertain);
        house.send(&grant, &ctx, post(&grant, "/find", "{}")).await.expect_err("still unknown");
        house.clock.advance(1);
        assert_eq!(look(&house, &job).await, Absent::Resend);
        assert_eq!(house.ledger().standing(&ctx, "acme").await, Ok(Standing::Clear));
        assert_eq!(partner.connections(), round);
    }
    // A carrier that forgets every time is not asked a fourth time.
    house.send(&grant, &ctx, post(&grant, "/find", "{}")).await.expect_err("lost again");
    house.clock.advance(house.effect(&job.id).await.send_deadline.expect("a deadline").since(house.db.now()));
    for _ in 0..3 {
        house.clock.advance(2_000);
        assert_eq!(look(&house, &job).await, Absent::Unbelievable);
    }
    assert_eq!(house.state(&job.id).await, EffectState::Uncertain);
    assert_eq!(partner.connections(), 3);
}

#[tokio::test]
async fn a_complete_answer_that_proves_nothing_needs_no_waiting_for_the_last_byte() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(500, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    house.send(&grant, &house.ctx(&job), post(&grant, "/find", "{}")).await.expect("handed over");
    let until = house.db.now().plus(2_000);
    assert_eq!(look(&house, &job).await, Absent::WaitUntil(until));
    house.clock.advance(2_000);
    assert_eq!(look(&house, &job).await, Absent::Resend);
}

#[tokio::test]
async fn a_success_that_a_lookup_denies_is_never_sent_again() {
    let house = House::new().await;
    let job = house.job().await;
    let journal = json!({ "status": 201, "headers": [] });
    let row = walk(&house, &job, &[EffectState::Sending, EffectState::Succeeded], Some(journal)).await;
    house.ledger().mark_uncertain(&house.ctx(&job), &row, &doubt()).await.expect("the guest cannot use it");
    for _ in 0..3 {
        house.clock.advance(LEASE_MS);
        let job = house.next_attempt().await;
        assert_eq!(look(&house, &job).await, Absent::Unbelievable);
    }
}

#[tokio::test]
async fn after_a_lookup_only_the_very_same_request_is_sent_again() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(500, "{}"), answer(201, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    house.send(&grant, &ctx, post(&grant, "/find", "{\"account\":1}")).await.expect("handed over");
    look(&house, &job).await;
    house.clock.advance(2_000);
    assert_eq!(look(&house, &job).await, Absent::Resend);
    let fault = house.send(&grant, &ctx, post(&grant, "/find", "{\"account\":2}")).await.expect_err("another account");
    assert_eq!((fault.kind.clone(), fault.code.as_str()), (FaultKind::OutcomeUnknown, "egress.changed-since-lookup"));
    assert!(!fault.retryable());
    assert_eq!(partner.connections(), 1);
    house.send(&grant, &ctx, post(&grant, "/find", "{\"account\":1}")).await.expect("the same is sent");
}

#[tokio::test]
async fn what_nobody_can_tell_is_parked_and_stays_so() {
    let (house, partner) = (House::new().await, Partner::plays(vec![Act::Close]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let (ledger, ctx) = (house.ledger(), house.ctx(&job));
    house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("lost");
    let row = house.effect(&job.id).await;
    let row = ledger.park(&ctx, &row, &doubt()).await.expect("park");
    assert_eq!(row.fault.map(|fault| fault.code).as_deref(), Some("acme.odd"));
    let row = house.effect(&job.id).await;
    ledger.park(&ctx, &row, &doubt()).await.expect("again");
    assert_eq!(name(&ledger.standing(&ctx, "acme").await.expect("standing")), "parked");
    let fault = house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("parked");
    assert_eq!((fault.kind.clone(), fault.code.as_str()), (FaultKind::OutcomeUnknown, "egress.parked"));
    assert!(!fault.retryable());
    assert_eq!(partner.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_meant_nothing_can_be_doubted_and_an_outcome_saved() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let (ledger, ctx) = (house.ledger(), house.ctx(&job));
    house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect("bought");
    let Standing::Journaled { effect } = ledger.standing(&ctx, "acme").await.expect("standing") else {
        panic!("not journaled");
    };
    let row = ledger.mark_uncertain(&ctx, &effect, &doubt()).await.expect("doubt");
    assert_eq!(row.state, EffectState::Uncertain);
    house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("not answered from the journal");
    let row = ledger.reconcile_start(&ctx, &row).await.expect("start");
    let row = ledger.mark_uncertain(&ctx, &row, &doubt()).await.expect("the lookup could not tell");
    let row = ledger.reconcile_start(&ctx, &row).await.expect("start");
    let row = ledger.found(&ctx, &row, json!(1)).await.expect("found");
    ledger.save_outcome(&row, &json!(2)).await.expect("saved");
    match ledger.standing(&ctx, "acme").await.expect("standing") {
        Standing::Outcome { value, effect } => assert_eq!((value, effect.id), (json!(2), row.id)),
        standing => panic!("{standing:?}"),
    }
}

#[tokio::test]
async fn a_released_key_may_be_used_again() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let (grant, one, two) = (grant(&partner.url), house.job().await, house.job().await);
    let ledger = house.ledger();
    house.send(&grant, &house.ctx(&one), post(&grant, "/buy", "{}")).await.expect("bought");
    let row = house.effect(&one.id).await;
    ledger.release(&row.id).await.expect("released");
    ledger.release(&row.id).await.expect("again");
    assert_eq!(ledger.standing(&house.ctx(&two), "acme").await, Ok(Standing::Clear));
    house.send(&grant, &house.ctx(&two), post(&grant, "/buy", "{}")).await.expect("bought again");
    assert_eq!(partner.connections(), 2);
}
