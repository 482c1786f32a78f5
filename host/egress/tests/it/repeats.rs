//! The same step again: after a crash, in another job, with another request, at the same time.

use wharf_domain::effect::EffectState;
use wharf_domain::fault::{Blame, EffectCertainty, FaultKind, Retry};
use wharf_domain::time::Clock as _;
use wharf_egress::Steps;
use wharf_egress::ledger::Standing;
use wharf_store::effects;

use crate::house::{House, LEASE_MS, get, grant, post};
use crate::partner::{Act, Partner, answer};

#[tokio::test]
async fn a_step_that_succeeded_is_answered_from_the_journal() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{\"id\":1}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let first = house.send(&grant, &house.ctx(&job), post(&grant, "/once", "{\"a\":1}")).await.expect("first");
    let job = house.next_attempt().await;
    let mut steps = Steps::default();
    let mut traced = post(&grant, "/once", "{\"a\":1}");
    traced.headers.push(("x-trace".to_owned(), "another".to_owned()));
    let again = house.door.send(&grant, &house.ctx(&job), &mut steps, traced).await.expect("again");
    assert_eq!(first, again);
    assert!(steps.requests.is_empty(), "nothing was sent");
    assert_eq!(partner.connections(), 1);
}

#[tokio::test]
async fn steps_are_told_apart_by_their_place_in_the_call() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    for _ in 0..2 {
        let (ctx, mut steps) = (house.ctx(&job), Steps::default());
        house.door.send(&grant, &ctx, &mut steps, post(&grant, "/once", "{}")).await.expect("one");
        house.door.send(&grant, &ctx, &mut steps, get(&grant, "/get/1")).await.expect("a read");
        house.door.send(&grant, &ctx, &mut steps, post(&grant, "/once", "{}")).await.expect("two");
    }
    let rows = effects::for_job(&house.db, &job.id).await.expect("rows");
    let mut keys: Vec<_> = rows.iter().map(|row| row.step_key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["1:POST /once", "2:POST /once"]);
    assert_eq!(partner.lines(), ["POST /once", "GET /get/1", "POST /once", "GET /get/1"]);
}

#[tokio::test]
async fn i11_another_request_under_the_same_step_sends_nothing() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    house.send(&grant, &house.ctx(&job), post(&grant, "/once", "{\"a\":1}")).await.expect("first");
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/once", "{\"a\":2}")).await.expect_err("another");
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Conflict, "egress.replay-mismatch"));
    assert_eq!((fault.retry, fault.effect), (Retry::Never, EffectCertainty::Done), "the job parks");
    assert_eq!((partner.connections(), house.state(&job.id).await), (1, EffectState::Succeeded));
}

#[tokio::test]
async fn two_jobs_with_one_business_key_buy_once() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{\"id\":1}")]).await);
    let (grant, one, two) = (grant(&partner.url), house.job().await, house.job().await);
    let first = house.send(&grant, &house.ctx(&one), post(&grant, "/buy", "{}")).await.expect("one");
    let second = house.send(&grant, &house.ctx(&two), post(&grant, "/buy", "{}")).await.expect("two");
    assert_eq!(first, second);
    let fault = house.send(&grant, &house.ctx(&two), post(&grant, "/buy", "{\"b\":1}")).await.expect_err("other");
    assert_eq!(fault.code, "egress.replay-mismatch");
    assert_eq!(partner.connections(), 1);
    // The key binds the route that uses it and no other.
    house.send(&grant, &house.ctx(&two), post(&grant, "/once", "{}")).await.expect("once");
    assert_eq!(partner.lines(), ["POST /buy", "POST /once"]);
}

#[tokio::test]
async fn the_second_job_does_not_send_while_the_first_is_at_it() {
    let (house, partner) =
        (House::new().await, Partner::plays(vec![Act::Held(b"HTTP/1.1 204 X\r\n\r\n".to_vec())]).await);
    let (grant, one, two) = (grant(&partner.url), house.job().await, house.job().await);
    let (first, second) = (house.ctx(&one), house.ctx(&two));
    let both = async {
        partner.has_seen(1).await;
        let fault = house.send(&grant, &second, post(&grant, "/buy", "{}")).await.expect_err("busy");
        partner.release.notify_one();
        fault
    };
    let (sent, fault) = tokio::join!(house.send(&grant, &first, post(&grant, "/buy", "{}")), both);
    assert_eq!((fault.kind.clone(), fault.code.as_str()), (FaultKind::Conflict, "egress.in-progress"));
    assert!(fault.retryable(), "it may ask again");
    assert_eq!((sent.expect("sent").status, partner.connections()), (204, 1));
}

#[tokio::test]
async fn a_refused_request_may_be_corrected_under_the_same_key() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(422, "{}"), answer(201, "{}")]).await);
    let (grant, one, two) = (grant(&partner.url), house.job().await, house.job().await);
    house.send(&grant, &house.ctx(&one), post(&grant, "/buy", "{\"zip\":0}")).await.expect("refused");
    house.send(&grant, &house.ctx(&two), post(&grant, "/buy", "{\"zip\":1}")).await.expect("corrected");
    let row = house.effect(&two.id).await;
    assert_eq!((row.state, row.attempt), (EffectState::Succeeded, 2), "the second job took the effect over");
    let path: Vec<_> =
        effects::history(&house.db, &row.id).await.expect("history").iter().map(|step| step.to).collect();
    use EffectState::{Intent, Rejected, Sending, Succeeded};
    assert_eq!(path, [Intent, Sending, Rejected, Intent, Sending, Succeeded]);
}

#[tokio::test]
async fn a_natural_request_is_simply_sent_again() {
    let (house, partner) =
        (House::new().await, Partner::plays(vec![Act::Close, answer(500, ""), answer(200, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/void", "{}")).await.expect_err("lost");
    assert_eq!((fault.kind, fault.effect), (FaultKind::OutcomeUnknown, EffectCertainty::Maybe));
    assert_eq!(fault.retry, Retry::Later { after_ms: None }, "a repeat is harmless");
    let job = house.next_attempt().await;
    assert_eq!(house.send(&grant, &house.ctx(&job), post(&grant, "/void", "{}")).await.expect("500").status, 500);
    assert_eq!(house.send(&grant, &house.ctx(&job), post(&grant, "/void", "{}")).await.expect("200").status, 200);
    assert_eq!(house.send(&grant, &house.ctx(&job), post(&grant, "/void", "{}")).await.expect("journal").status, 200);
    assert_eq!((partner.connections(), house.effect(&job.id).await.attempt), (3, 3));
}

#[tokio::test]
async fn a_worker_that_died_while_sending_leaves_an_uncertain_effect() {
    let (house, partner) = (House::new().await, Partner::plays(vec![Act::Hang]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    tokio::select! {
        _ = house.send(&grant, &ctx, post(&grant, "/buy", "{}")) => panic!("it hangs"),
        () = partner.has_seen(1) => {}
    }
    assert_eq!(house.state(&job.id).await, EffectState::Sending);
    // The same attempt cannot know whether its own earlier request is still under way.
    let fault = house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("in progress");
    assert_eq!(fault.code, "egress.in-progress");
    let next = house.next_attempt().await;
    assert!(next.fence > job.fence);
    let fault = house.send(&grant, &house.ctx(&next), post(&grant, "/buy", "{}")).await.expect_err("unknown");
    assert_eq!(fault.code, "egress.outcome-unknown");
    assert_eq!((house.state(&job.id).await, partner.connections()), (EffectState::Uncertain, 1));
}

#[tokio::test]
async fn another_job_waits_for_the_send_deadline_of_a_dead_one() {
    let (house, partner) = (House::new().await, Partner::plays(vec![Act::Hang]).await);
    let (grant, dead, other) = (grant(&partner.url), house.job().await, house.job().await);
    let ctx = house.ctx(&dead);
    tokio::select! {
        _ = house.send(&grant, &ctx, post(&grant, "/buy", "{}")) => panic!("it hangs"),
        () = partner.has_seen(1) => {}
    }
    let ask = async || {
        let fault = house.send(&grant, &house.ctx(&other), post(&grant, "/buy", "{}")).await.expect_err("no");
        fault.code
    };
    assert_eq!(ask().await, "egress.in-progress");
    house.clock.advance(LEASE_MS / 2 + 1);
    assert_eq!(ask().await, "egress.outcome-unknown");
    assert_eq!(house.state(&dead.id).await, EffectState::Uncertain);
}

#[tokio::test]
async fn the_answer_to_a_worker_that_lost_its_lease_is_kept_as_evidence() {
    let held = Act::Held(b"HTTP/1.1 201 X\r\ncontent-length: 2\r\n\r\n{}".to_vec());
    let (house, partner) = (House::new().await, Partner::plays(vec![held]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    let overtaken = async {
        partner.has_seen(1).await;
        let next = house.next_attempt().await;
        house.send(&grant, &house.ctx(&next), post(&grant, "/buy", "{}")).await.expect_err("unknown");
        partner.release.notify_one();
    };
    let (late, ()) = tokio::join!(house.send(&grant, &ctx, post(&grant, "/buy", "{}")), overtaken);
    let fault = late.expect_err("late");
    assert_eq!((fault.code.as_str(), fault.effect), ("egress.unrecorded", EffectCertainty::Maybe));
    let row = house.effect(&job.id).await;
    assert_eq!(row.state, EffectState::Uncertain);
    let notes: Vec<String> =
        effects::history(&house.db, &row.id).await.expect("history").into_iter().filter_map(|step| step.note).collect();
    assert!(notes.iter().any(|note| note.contains("came late: status 201")), "{notes:?}");
    assert_eq!((partner.connections(), house.tape(&job.id).await.len()), (1, 1));
}

/// A success that came late settles the effect: the next attempt gets it from the journal.
#[tokio::test]
async fn cp14_late_success_settles_the_effect() {
    for path in ["/buy", "/find", "/keyed"] {
        let held = Act::Held(b"HTTP/1.1 201 X\r\ncontent-length: 8\r\n\r\n{\"id\":1}".to_vec());
        let (house, partner) = (House::new().await, Partner::plays(vec![held]).await);
        let (grant, job) = (grant(&partner.url), house.job().await);
        let ctx = house.ctx(&job);
        let overtaken = async {
            partner.has_seen(1).await;
            let next = house.next_attempt().await;
            let standing = house.ledger().standing(&house.ctx(&next), "acme").await.expect("standing");
            assert!(matches!(standing, Standing::Uncertain { .. }), "{standing:?}");
            partner.release.notify_one();
            next
        };
        let (late, next) = tokio::join!(house.send(&grant, &ctx, post(&grant, path, "{}")), overtaken);
        assert_eq!(late.expect_err("late").code, "egress.unrecorded");
        assert!(house.effect(&job.id).await.late_response.is_some());
        let answer = house.send(&grant, &house.ctx(&next), post(&grant, path, "{}")).await.expect("from the journal");
        assert_eq!((answer.status, &answer.body[..]), (201, b"{\"id\":1}".as_slice()));
        let row = house.effect(&job.id).await;
        assert_eq!((row.state, row.late_response, partner.connections()), (EffectState::Succeeded, None, 1));
        // Doubted by the adapter, it does not come back by the same answer.
        let doubt = wharf_domain::fault::Fault::new(FaultKind::OutcomeUnknown, "x", "odd", Blame::Guest);
        let row = house.effect(&row.job).await;
        house.ledger().mark_uncertain(&house.ctx(&next), &row, &doubt).await.expect("doubt");
        let standing = house.ledger().standing(&house.ctx(&next), "acme").await.expect("standing");
        assert!(matches!(standing, Standing::Uncertain { .. }), "{standing:?}");
    }
}

/// No byte of a request can leave when another worker may have the job: a send that would outlast its lease is refused.
#[tokio::test]
async fn cp14_no_send_outlasts_its_lease() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let mut ctx = house.ctx(&job);
    // A context that forgot the lease: nearly all of it is gone.
    house.clock.advance(LEASE_MS - 3_000);
    ctx.deadline = house.clock.now().plus(10_000);
    let fault = house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("too long");
    assert_eq!((fault.code.as_str(), fault.effect), ("egress.lease-lost", EffectCertainty::None));
    assert!(fault.retryable(), "the next attempt has a whole lease");
    assert_eq!((partner.connections(), house.state(&job.id).await), (0, EffectState::Intent));
    ctx.deadline = house.clock.now().plus(2_000);
    house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect("it fits");
}

#[tokio::test]
async fn a_worker_without_its_lease_sends_nothing() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let (grant, old) = (grant(&partner.url), house.job().await);
    house.next_attempt().await;
    let fault = house.send(&grant, &house.ctx(&old), post(&grant, "/buy", "{}")).await.expect_err("lost");
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Cancelled, "egress.lease-lost"));
    assert_eq!((partner.connections(), house.state(&old.id).await), (0, EffectState::Intent));
}
