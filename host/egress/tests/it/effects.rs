//! What the ledger says after each way a request can end.

use wharf_domain::effect::EffectState;
use wharf_domain::fault::{Blame, EffectCertainty, FaultKind, Retry};
use wharf_egress::{Request, Steps};

use crate::house::{House, get, grant, post};
use crate::partner::{Act, Partner, answer};

#[tokio::test]
async fn a_connection_that_never_was_leaves_the_intent_and_may_be_tried_again() {
    let house = House::new().await;
    let job = house.job().await;
    let absent = grant(&Partner::absent().await);
    let fault = house.send(&absent, &house.ctx(&job), post(&absent, "/buy", "{}")).await.expect_err("absent");
    assert_eq!((fault.kind.clone(), fault.code.as_str()), (FaultKind::Transient, "egress.connect"));
    assert_eq!((fault.effect, fault.retryable(), fault.blame), (EffectCertainty::None, true, Blame::Partner));
    let row = house.effect(&job.id).await;
    assert_eq!((row.state, row.attempt), (EffectState::Intent, 1));

    let partner = Partner::plays(vec![answer(201, "{\"id\":7}")]).await;
    let live = grant(&partner.url);
    let response = house.send(&live, &house.ctx(&job), post(&live, "/buy", "{}")).await.expect("bought");
    assert_eq!((response.status, &response.body[..]), (201, b"{\"id\":7}".as_slice()));
    let row = house.effect(&job.id).await;
    assert_eq!((row.state, row.attempt), (EffectState::Succeeded, 2));
}

#[tokio::test]
async fn a_name_that_does_not_exist_leaves_the_intent() {
    let house = House::new().await;
    let job = house.job().await;
    // RFC 6761: `.invalid` never resolves.
    let grant = grant("http://partner.invalid");
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect_err("no name");
    assert_eq!((fault.code.as_str(), fault.retryable()), ("egress.dns", true));
    assert_eq!(house.state(&job.id).await, EffectState::Intent);
}

#[tokio::test]
async fn a_lost_answer_is_uncertain_and_nothing_is_sent_again() {
    let house = House::new().await;
    for path in ["/find", "/once"] {
        let partner = Partner::plays(vec![Act::Close]).await;
        let (grant, job) = (grant(&partner.url), house.job().await);
        let ctx = house.ctx(&job);
        let fault = house.send(&grant, &ctx, post(&grant, path, "{}")).await.expect_err("lost");
        assert_eq!((fault.kind, fault.effect), (FaultKind::OutcomeUnknown, EffectCertainty::Maybe), "{path}");
        assert_eq!((fault.retry, fault.code.as_str()), (Retry::Reconcile, "egress.reset"));
        assert_eq!(fault.frames, [format!("POST {path}")]);
        assert_eq!(house.state(&job.id).await, EffectState::Uncertain);

        let again = house.send(&grant, &ctx, post(&grant, path, "{}")).await.expect_err("again");
        assert_eq!((again.kind, again.code.as_str()), (FaultKind::OutcomeUnknown, "egress.outcome-unknown"));
        assert_eq!(again.retry, Retry::Reconcile);
        assert_eq!((partner.connections(), partner.seen().len()), (1, 1), "{path}");
        assert_eq!(house.state(&job.id).await, EffectState::Uncertain);
        // The next attempt of the job knows no more.
        let next = house.next_attempt().await;
        house.send(&grant, &house.ctx(&next), post(&grant, path, "{}")).await.expect_err("next");
        assert_eq!(partner.connections(), 1);
        jobs_done(&house, &next).await;
    }
}

async fn jobs_done(house: &House, job: &wharf_store::jobs::Job) {
    let mut tx = house.db.begin().await.expect("begin");
    let actor = wharf_domain::ctx::Actor::Host("test".to_owned());
    wharf_store::jobs::finish(&mut tx, &actor, job, &wharf_store::jobs::Finish::Done).await.expect("finish");
    tx.commit().await.expect("commit");
}

#[tokio::test]
async fn answers_are_handed_over_and_the_ledger_says_what_they_prove() {
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec();
    let empty = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    for (act, status, state) in [
        (answer(201, "{}"), 201, EffectState::Succeeded),
        (answer(206, "[]"), 206, EffectState::Succeeded),
        (Act::Raw(empty), 204, EffectState::Succeeded),
        (answer(200, ""), 200, EffectState::Uncertain),
        (answer(500, "oops"), 500, EffectState::Uncertain),
        (answer(503, ""), 503, EffectState::Uncertain),
        (answer(429, "slow down"), 429, EffectState::Uncertain),
        (answer(408, ""), 408, EffectState::Uncertain),
        (answer(409, "{}"), 409, EffectState::Uncertain),
        (Act::Raw(redirect), 302, EffectState::Uncertain),
        (answer(400, "{}"), 400, EffectState::Rejected),
        (answer(401, "{}"), 401, EffectState::Rejected),
        (answer(404, ""), 404, EffectState::Rejected),
        (answer(422, "{\"error\":1}"), 422, EffectState::Rejected),
    ] {
        let (house, partner) = (House::new().await, Partner::plays(vec![act]).await);
        let (grant, job) = (grant(&partner.url), house.job().await);
        let response = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect("handed over");
        assert_eq!((response.status, house.state(&job.id).await), (status, state), "{status}");
        assert_eq!(partner.lines(), ["POST /buy"], "no redirect is followed, nothing is repeated");
        let row = house.effect(&job.id).await;
        assert_eq!(row.response.is_some(), state == EffectState::Succeeded, "only a success is journaled");
        let said = row.fault.and_then(|fault| fault.provider).and_then(|provider| provider.http_status);
        assert_eq!(said, (state != EffectState::Succeeded).then_some(status));
        assert_eq!(house.tape(&job.id).await.len(), 1);
    }
}

#[tokio::test]
async fn a_manifest_may_say_what_proves_nothing() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(404, ""), answer(409, "")]).await);
    let mut grant = grant(&partner.url);
    for route in &mut grant.routes {
        route.proves_no_effect = Some(vec![409]);
    }
    let job = house.job().await;
    house.send(&grant, &house.ctx(&job), post(&grant, "/once", "{}")).await.expect("404");
    assert_eq!(house.state(&job.id).await, EffectState::Uncertain, "404 is not on the list");
    let job = house.job().await;
    house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect("409");
    assert_eq!(house.state(&job.id).await, EffectState::Rejected);
}

#[tokio::test]
async fn a_broken_answer_is_no_answer() {
    for (name, act) in [
        ("egress.reset", Act::Raw(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"half\":".to_vec())),
        ("egress.reset", Act::Raw(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello".to_vec())),
        ("egress.reset", Act::Raw(b"HTTP/1.1 201 Created\r\ncontent-".to_vec())),
        ("egress.protocol", Act::Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec())),
        (
            "egress.protocol",
            Act::Raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec()),
        ),
        ("egress.timeout", Act::Hang),
        ("egress.timeout", Act::Drip),
    ] {
        let (house, partner) = (House::new().await, Partner::plays(vec![act]).await);
        let (grant, job) = (grant(&partner.url), house.job().await);
        let hurry = |request: Request| Request { timeout_ms: Some(300), ..request };
        let fault = house.send(&grant, &house.ctx(&job), hurry(post(&grant, "/find", "{}"))).await.expect_err("broken");
        assert_eq!((fault.code.as_str(), fault.effect), (name, EffectCertainty::Maybe));
        assert_eq!(fault.kind, FaultKind::OutcomeUnknown, "{name}");
        assert_eq!(house.state(&job.id).await, EffectState::Uncertain, "{name}");
        let fault = house.send(&grant, &house.ctx(&job), hurry(get(&grant, "/get/1"))).await.expect_err("broken");
        assert_eq!((fault.kind.clone(), fault.effect), (FaultKind::Transient, EffectCertainty::None), "{name}");
        assert!(fault.retryable());
    }
}

#[tokio::test]
async fn a_read_leaves_no_row_and_needs_no_job() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(500, "x"), answer(200, "[]")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let mut ctx = house.ctx(&job);
    assert_eq!(house.send(&grant, &ctx, post(&grant, "/rate", "{}")).await.expect("500").status, 500);
    assert_eq!(house.send(&grant, &ctx, get(&grant, "/get/1?a=b")).await.expect("200").status, 200);
    assert!(wharf_store::effects::for_job(&house.db, &job.id).await.expect("rows").is_empty());
    assert_eq!(house.tape(&job.id).await.len(), 2, "but it is on the tape");
    assert_eq!(partner.lines(), ["POST /rate", "GET /get/1?a=b"]);
    ctx.job = None;
    house.send(&grant, &ctx, get(&grant, "/get/1")).await.expect("without a job");
    house.send(&grant, &ctx, post(&grant, "/void", "{}")).await.expect("natural is harmless");
    let fault = house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("an effect needs a job");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.effect-needs-job", Blame::Host));
    assert_eq!(partner.seen().len(), 4);
}

#[tokio::test]
async fn no_time_left_means_nothing_is_sent() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    house.clock.advance(crate::house::LEASE_MS);
    let fault = house.send(&grant, &ctx, post(&grant, "/buy", "{}")).await.expect_err("late");
    assert_eq!((fault.kind, fault.effect), (FaultKind::Deadline, EffectCertainty::None));
    assert_eq!(partner.connections(), 0);
}

#[tokio::test]
async fn one_call_makes_a_limited_number_of_requests() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let (mut grant, job) = (grant(&partner.url), house.job().await);
    grant.limits.max_requests = 2;
    let (ctx, mut steps) = (house.ctx(&job), Steps::default());
    for _ in 0..2 {
        house.door.send(&grant, &ctx, &mut steps, get(&grant, "/get/1")).await.expect("within");
    }
    let fault = house.door.send(&grant, &ctx, &mut steps, get(&grant, "/get/1")).await.expect_err("over");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.limit-requests", Blame::Guest));
    assert_eq!(partner.seen().len(), 2);
}
