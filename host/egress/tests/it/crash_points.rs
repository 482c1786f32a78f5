//! The process dies at each numbered point of a request's life, on both engines: how often the partner is called over
//! both lives, and what the ledger says at the end.
//!
//! A death is a panic at the point, or the request dropped; then everything is opened anew after the lease has run out.
//! Crash points are global: run these alone, `cargo test -p wharf-egress --features failpoints --test it crash_points`.

use std::collections::BTreeSet;
use std::sync::Arc;

use fail::FailScenario;
use serde_json::json;
use tokio::task::JoinSet;
use wharf_domain::effect::EffectState::{self, Intent, Sending, Succeeded, Uncertain};
use wharf_domain::fault::Fault;
use wharf_egress::ledger::Standing;
use wharf_egress::{Grant, Response, Steps};
use wharf_store::jobs::Job;

use crate::house::{House, grant, post};
use crate::partner::{Act, Partner, answer};

/// Runs each test once per engine, one at a time.
macro_rules! both {
    ($($(#[doc = $doc:literal])* async fn $name:ident($house:pat_param) $body:block)+) => {
        $(mod $name {
            use super::*;

            $(#[doc = $doc])*
            async fn check($house: House) $body

            #[tokio::test]
            async fn sqlite() {
                let scenario = FailScenario::setup();
                Box::pin(check(House::new().await)).await;
                scenario.teardown();
            }

            #[tokio::test]
            async fn postgres() {
                let scenario = FailScenario::setup();
                Box::pin(check(House::postgres().await)).await;
                scenario.teardown();
            }
        })+
    };
}

const PATHS: [&str; 3] = ["/buy", "/find", "/keyed"];

/// One purchase over two lives.
struct Purchase {
    house: House,
    partner: Partner,
    grant: Arc<Grant>,
    job: Job,
    path: &'static str,
}

impl Purchase {
    async fn new(house: House, path: &'static str, acts: Vec<Act>) -> Self {
        let partner = Partner::plays(acts).await;
        let (grant, job) = (Arc::new(grant(&partner.url)), house.job().await);
        Self { house, partner, grant, job, path }
    }

    async fn send(&self) -> Result<Response, Fault> {
        self.house.send(&self.grant, &self.house.ctx(&self.job), post(&self.grant, self.path, "{}")).await
    }

    /// Sends, and dies at the point.
    async fn dies_at(&self, point: &str, action: &str) {
        fail::cfg(point, action).expect("a crash point");
        let (door, grant, ctx) = (self.house.door.clone(), self.grant.clone(), self.house.ctx(&self.job));
        let request = post(&grant, self.path, "{}");
        let mut life = JoinSet::new();
        life.spawn(async move { door.send(&grant, &ctx, &mut Steps::default(), request).await.map(|_| ()) });
        let end = life.join_next().await.expect("an end");
        assert!(end.expect_err("dead").is_panic(), "{point}");
        fail::remove(point);
    }

    async fn next_life(&mut self) {
        self.house.restart().await;
        self.job = self.house.claim().await;
    }

    /// The next life: what the partner was called in both, and where the effect stands.
    async fn ends(&mut self, calls: u32, state: EffectState) {
        self.next_life().await;
        let sent = self.send().await;
        assert_eq!(sent.is_ok(), state == Succeeded, "{}: {sent:?}", self.path);
        assert_eq!(self.partner.connections(), calls, "{}", self.path);
        assert_eq!(self.house.state(&self.job.id).await, state, "{}", self.path);
        let seen = self.partner.seen();
        let keys: BTreeSet<_> = seen.iter().filter_map(|seen| seen.header("idempotency-key")).collect();
        assert!(keys.len() <= 1, "one effect has one key: {keys:?}");
    }
}

/// A house of the same engine for each path.
async fn each(first: House, check: impl AsyncFn(House, &'static str)) {
    let postgres = first.is_postgres();
    check(first, PATHS[0]).await;
    for path in &PATHS[1..] {
        let house = if postgres { House::postgres().await } else { House::new().await };
        check(house, path).await;
    }
}

fn bought() -> Act {
    answer(201, "{\"id\":1}")
}

both! {
    /// 3: nothing happened.
    async fn cp03_intent_not_committed(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp03_intent_not_committed", "panic").await;
            purchase.ends(1, Succeeded).await;
        }).await;
    }

    /// 4: the intent is found again by its key.
    async fn cp04_commit_in_doubt(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            fail::cfg("cp04_commit_in_doubt", "return").expect("a crash point");
            let fault = purchase.send().await.expect_err("in doubt");
            assert!(fault.retryable(), "{fault}");
            fail::remove("cp04_commit_in_doubt");
            assert_eq!(purchase.house.state(&purchase.job.id).await, Intent);
            purchase.ends(1, Succeeded).await;
        }).await;
    }

    /// 5: an intent was never sent.
    async fn cp05_intent_committed(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp05_intent_committed", "panic").await;
            assert_eq!(purchase.house.state(&purchase.job.id).await, Intent);
            purchase.ends(1, Succeeded).await;
        }).await;
    }

    /// 6: nobody can prove that no byte left; only a key makes a second send harmless.
    async fn cp06_sending_committed(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp06_sending_committed", "panic").await;
            assert_eq!(purchase.house.state(&purchase.job.id).await, Sending);
            match path {
                "/keyed" => purchase.ends(1, Succeeded).await,
                _ => purchase.ends(0, Uncertain).await,
            }
        }).await;
    }

    /// 6, and the process lives: it is written down as being sent, the answer to that commit never came, and so nothing
    /// was sent. The next attempt of the same process knows; the next process does not.
    async fn cp06_sending_in_doubt(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            fail::cfg("cp06_sending_in_doubt", "1*return").expect("a crash point");
            purchase.send().await.expect_err("in doubt");
            fail::remove("cp06_sending_in_doubt");
            assert_eq!(purchase.house.state(&purchase.job.id).await, Sending, "{path}");
            purchase.job = purchase.house.next_attempt().await;
            purchase.send().await.expect("nothing was sent before");
            assert_eq!(purchase.partner.connections(), 1, "{path}");
            assert_eq!(purchase.house.state(&purchase.job.id).await, Succeeded, "{path}");
        }).await;
        let mut purchase = Purchase::new(House::new().await, "/buy", vec![bought()]).await;
        fail::cfg("cp06_sending_in_doubt", "1*return").expect("a crash point");
        purchase.send().await.expect_err("in doubt");
        fail::remove("cp06_sending_in_doubt");
        purchase.ends(0, Uncertain).await;
    }

    /// 7: the process lives and knows that nothing was sent.
    async fn cp07_connect_failed(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            let there = std::mem::replace(&mut purchase.grant, Arc::new(grant(&Partner::absent().await)));
            let fault = purchase.send().await.expect_err("nobody there");
            assert!(fault.retryable(), "{fault}");
            assert_eq!(purchase.house.state(&purchase.job.id).await, Intent);
            purchase.grant = there;
            purchase.ends(1, Succeeded).await;
        }).await;
    }

    /// 8: a part of the request is on its way.
    async fn cp08_part_written(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp08_part_written", "1*return->panic").await;
            assert_eq!(purchase.house.state(&purchase.job.id).await, Sending);
            match path {
                "/keyed" => purchase.ends(2, Succeeded).await,
                _ => purchase.ends(1, Uncertain).await,
            }
            let whole = purchase.partner.seen().len();
            assert_eq!(whole, usize::from(path == "/keyed"), "half a request has no effect");
        }).await;
    }

    /// 9: sent, and the answer never seen.
    async fn cp09_answer_lost(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![Act::Hang, bought()]).await;
            tokio::select! {
                _ = purchase.send() => panic!("it hangs"),
                () = purchase.partner.has_seen(1) => {}
            }
            match path {
                "/keyed" => purchase.ends(2, Succeeded).await,
                _ => purchase.ends(1, Uncertain).await,
            }
        }).await;
    }

    /// 10: the answer was seen and not stored.
    async fn cp10_answer_received(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp10_answer_received", "panic").await;
            match path {
                "/keyed" => purchase.ends(2, Succeeded).await,
                _ => purchase.ends(1, Uncertain).await,
            }
        }).await;
    }

    /// 11: stored, and the adapter not told: it is answered from the journal.
    async fn cp11_outcome_committed(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp11_outcome_committed", "panic").await;
            purchase.ends(1, Succeeded).await;
        }).await;
    }

    /// 14: the lease is lost while the request is on its way; its late success settles the effect.
    async fn cp14_lease_lost_while_sending(house) {
        each(house, async |house, path| {
            let held = Act::Held(b"HTTP/1.1 201 X\r\ncontent-length: 2\r\n\r\n{}".to_vec());
            let mut purchase = Purchase::new(house, path, vec![held]).await;
            let late = {
                let overtaken = async {
                    purchase.partner.has_seen(1).await;
                    let next = purchase.house.next_attempt().await;
                    let ctx = purchase.house.ctx(&next);
                    purchase.house.ledger().standing(&ctx, "acme").await.expect("taken over");
                    purchase.partner.release.notify_one();
                };
                let (late, ()) = tokio::join!(purchase.send(), overtaken);
                late
            };
            assert_eq!(late.expect_err("refused").code, "egress.unrecorded");
            purchase.ends(1, Succeeded).await;
        }).await;
    }

    /// 15: dying inside a lookup loses nothing: it is done again.
    async fn cp15_reconcile(house) {
        let mut purchase = Purchase::new(house, "/find", vec![Act::Close]).await;
        purchase.send().await.expect_err("lost");
        for point in ["cp15_reconcile_started", "cp15_found_not_committed"] {
            fail::cfg(point, "panic").expect("a crash point");
            let (ledger, ctx) = (purchase.house.ledger().clone(), purchase.house.ctx(&purchase.job));
            let mut life = JoinSet::new();
            life.spawn(async move {
                let Ok(Standing::Uncertain { effect }) = ledger.standing(&ctx, "acme").await else { return };
                if let Ok(row) = ledger.reconcile_start(&ctx, &effect).await {
                    let _ = ledger.found(&ctx, &row, json!(1)).await;
                }
            });
            let end = life.join_next().await.expect("an end");
            assert!(end.expect_err("dead").is_panic(), "{point}");
            fail::remove(point);
            assert_eq!(purchase.house.state(&purchase.job.id).await, EffectState::Reconciling);
            purchase.next_life().await;
        }
        let (ledger, ctx) = (purchase.house.ledger(), purchase.house.ctx(&purchase.job));
        let Ok(Standing::Uncertain { effect }) = ledger.standing(&ctx, "acme").await else { panic!("not uncertain") };
        let row = ledger.reconcile_start(&ctx, &effect).await.expect("again");
        assert_eq!(ledger.found(&ctx, &row, json!(1)).await.expect("found").state, Succeeded);
        assert_eq!(purchase.partner.connections(), 1);
    }

    /// 18: the grant is gone when the intent is to be sent.
    async fn cp18_grant_revoked(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            purchase.dies_at("cp05_intent_committed", "panic").await;
            let mut less = grant(&purchase.partner.url);
            less.routes.retain(|route| route.path != path);
            purchase.grant = Arc::new(less);
            purchase.next_life().await;
            let fault = purchase.send().await.expect_err("denied");
            assert_eq!((fault.code.as_str(), fault.retryable()), ("egress.route-not-granted", false));
            assert_eq!((purchase.partner.connections(), purchase.house.state(&purchase.job.id).await), (0, Intent));
        }).await;
    }

    /// 20: the disk is full when the answer is to be stored.
    async fn cp20_disk_full(house) {
        each(house, async |house, path| {
            let mut purchase = Purchase::new(house, path, vec![bought()]).await;
            fail::cfg("cp20_disk_full", "return").expect("a crash point");
            let fault = purchase.send().await.expect_err("not stored");
            assert_eq!(fault.code, "egress.unrecorded");
            fail::remove("cp20_disk_full");
            assert_eq!(purchase.house.state(&purchase.job.id).await, Sending);
            match path {
                "/keyed" => purchase.ends(2, Succeeded).await,
                _ => purchase.ends(1, Uncertain).await,
            }
        }).await;
    }
}
