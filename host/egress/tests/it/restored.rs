//! After a backup was restored: what the ledger has forgotten is looked up before anything is sent, or waits for an
//! operator.

use serde_json::json;
use wharf_domain::ctx::Actor;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::{FaultKind, Retry};
use wharf_egress::ledger::{Absent, Standing};
use wharf_store::effects::{self, Reconciled};

use crate::house::{House, LEASE_MS, grant, post, tenant};
use crate::partner::{Act, Partner, answer};

fn operator() -> Actor {
    Actor::User("ana".to_owned())
}

async fn restore(house: &House) {
    let mut tx = house.db.begin().await.expect("begin");
    effects::hold_after_restore(&mut tx, &operator(), house.db.now()).await.expect("held");
    tx.commit().await.expect("commit");
}

async fn lift(house: &House) {
    let mut tx = house.db.begin().await.expect("begin");
    effects::lift(&mut tx, &operator(), &tenant(), "looked at the carrier").await.expect("lift").expect("was held");
    tx.commit().await.expect("commit");
}

/// A backup restored stays honest: what it does not know is asked for, and nothing is bought a second time.
#[tokio::test]
async fn p10_what_was_bought_after_the_backup_is_found_and_not_bought_again() {
    // The ledger knows nothing: the label was bought after the backup.
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let grant = grant(&partner.url);
    restore(&house).await;
    let job = house.job().await;
    let (ctx, ledger) = (house.ctx(&job), house.ledger());
    let fault = house.send(&grant, &ctx, post(&grant, "/find", "{}")).await.expect_err("look first");
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::OutcomeUnknown, "egress.outcome-unknown"));
    let Ok(Standing::Uncertain { effect }) = ledger.standing(&ctx, "acme").await else { panic!("not in doubt") };
    let row = ledger.reconcile_start(&ctx, &effect).await.expect("look");
    ledger.found(&ctx, &row, json!({ "tracking": "1Z" })).await.expect("found");
    let standing = ledger.standing(&ctx, "acme").await.expect("standing");
    assert!(matches!(standing, Standing::Outcome { .. }), "{standing:?}");
    assert_eq!(partner.connections(), 0);
    let report = effects::report(&house.db, &tenant()).await.expect("report");
    assert_eq!((report.held, report.effects[0].became), (true, Reconciled::Relearned));
}

#[tokio::test]
async fn what_two_lookups_do_not_find_after_a_restore_is_sent() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
    let grant = grant(&partner.url);
    // Written down before the backup, and sent after it as far as anybody knows.
    let job = house.job().await;
    let denied = crate::house::grant(&Partner::absent().await);
    house.send(&denied, &house.ctx(&job), post(&denied, "/find", "{}")).await.expect_err("nobody there");
    assert_eq!(house.state(&job.id).await, EffectState::Intent);
    restore(&house).await;
    for wait in [0, LEASE_MS, 2_000] {
        house.clock.advance(wait);
        let job = house.next_attempt().await;
        let (ctx, ledger) = (house.ctx(&job), house.ledger());
        house.send(&denied, &ctx, post(&denied, "/find", "{}")).await.expect_err("not yet");
        let Ok(Standing::Uncertain { effect }) = ledger.standing(&ctx, "acme").await else { panic!("not in doubt") };
        let row = ledger.reconcile_start(&ctx, &effect).await.expect("look");
        let absent = ledger.absent(&ctx, &row).await.expect("absent");
        assert_eq!(absent == Absent::Resend, wait == 2_000, "{absent:?}");
    }
    let row = house.effect(&job.id).await;
    assert_eq!((row.state, row.reconcile_first), (EffectState::Intent, false));
    assert_eq!(partner.connections(), 0);
    let job = house.next_attempt().await;
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/find", "{}")).await.expect_err("another endpoint");
    assert_eq!(fault.code, "egress.changed-since-lookup");
}

#[tokio::test]
async fn what_cannot_be_looked_up_after_a_restore_waits_for_the_lift() {
    for path in ["/buy", "/keyed"] {
        let (house, partner) = (House::new().await, Partner::plays(vec![answer(201, "{}")]).await);
        let grant = grant(&partner.url);
        restore(&house).await;
        let job = house.job().await;
        let ctx = house.ctx(&job);
        for _ in 0..2 {
            let fault = house.send(&grant, &ctx, post(&grant, path, "{}")).await.expect_err("held");
            assert_eq!(
                (fault.code.as_str(), fault.retry),
                ("egress.restore-hold", Retry::Later { after_ms: Some(60_000) })
            );
            assert!(fault.message.contains("lift the hold of tenant `nordic`"), "{fault}");
            let standing = house.ledger().standing(&ctx, "acme").await.expect("standing");
            assert!(matches!(standing, Standing::Held { .. }), "{standing:?}");
        }
        assert_eq!(partner.connections(), 0);
        lift(&house).await;
        house.send(&grant, &ctx, post(&grant, path, "{}")).await.expect("lifted");
        assert_eq!((partner.connections(), house.state(&job.id).await), (1, EffectState::Succeeded));
    }
}

#[tokio::test]
async fn a_harmless_repeat_and_what_has_no_business_key_are_not_held() {
    let (house, partner) = (House::new().await, Partner::plays(vec![Act::Close, answer(200, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let mut ctx = house.ctx(&job);
    ctx.business = None;
    house.send(&grant, &ctx, post(&grant, "/void", "{}")).await.expect_err("lost");
    restore(&house).await;
    house.send(&grant, &ctx, post(&grant, "/void", "{}")).await.expect("again");
    assert!(!house.effect(&job.id).await.reconcile_first);
    let other = house.job().await;
    let mut ctx = house.ctx(&other);
    ctx.business = None;
    house.send(&grant, &ctx, post(&grant, "/once", "{}")).await.expect("no key");
}
