//! Any order of sends, losses, lookups, late answers, decisions and restores, against a model of one effect.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use wharf_domain::effect::EffectState::{
    self, Compensated, Intent, Parked, Reconciling, Rejected, Resend, ResolvedHappened, Sending, Succeeded, Uncertain,
};

use super::tests::{LEASE, by, claim, label, new, opened, running};
use super::*;
use crate::jobs::Job;
use crate::testing::{House, actor, tenant};

#[derive(Debug, Clone, Copy)]
enum Op {
    /// The lease runs out, and the next attempt of the job has it.
    NextAttempt,
    /// The holder of the lease moves it on.
    Move(EffectState),
    /// Somebody whose lease is gone tries the same.
    Zombie(EffectState),
    LateAnswer,
    SettleLate,
    Resolve,
    AskResend,
    Abandon,
    Restore,
    Lift,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let states = prop::sample::select(vec![Intent, Sending, Succeeded, Rejected, Uncertain, Reconciling, Parked]);
    let one = prop_oneof![
        2 => Just(Op::NextAttempt),
        10 => states.clone().prop_map(Op::Move),
        3 => states.prop_map(Op::Zombie),
        2 => Just(Op::LateAnswer),
        2 => Just(Op::SettleLate),
        1 => Just(Op::Resolve),
        2 => Just(Op::AskResend),
        1 => Just(Op::Abandon),
        1 => Just(Op::Restore),
        1 => Just(Op::Lift),
    ];
    prop::collection::vec(one, 1..40)
}

/// What is known without looking at the table.
struct Model {
    state: EffectState,
    held: bool,
    restored: bool,
    late: bool,
    /// The holder sent it last; otherwise an earlier attempt did.
    own_send: bool,
}

impl Model {
    /// May the holder of the lease do this now?
    fn allows(&self, to: EffectState) -> bool {
        let held_back = self.held && (to == Sending || (self.state == Rejected && to == Intent));
        let own = self.state != Sending || to == Uncertain || self.own_send;
        self.state.may_become(to) && !held_back && own
    }

    fn moved(&mut self, to: EffectState) {
        self.held &= matches!(to, Uncertain | Reconciling | Parked);
        self.late &= to != Sending;
        self.own_send = to == Sending || (self.own_send && self.state == Sending);
        self.state = to;
    }

    /// May a person decide about it now?
    fn for_a_person(&self) -> bool {
        matches!(self.state, Uncertain | Parked)
    }
}

async fn run(house: &House, ops: &[Op]) -> Result<(), TestCaseError> {
    let first = running(house, "a").await;
    let mut job = first.clone();
    let id = opened(house, &new(&job, "1", Some(label()))).await.row().id;
    let mut model = Model { state: Intent, held: false, restored: false, late: false, own_send: false };
    for op in ops {
        step(house, &id, (&first, &mut job), &mut model, *op).await?;
        let row = get(&house.db, &id).await.expect("get").expect("some");
        prop_assert_eq!((row.state, row.reconcile_first), (model.state, model.held), "{:?}", op);
        prop_assert_eq!(row.late_response.is_some(), model.late, "{:?}", op);
    }
    let steps = history(&house.db, &id).await.expect("history");
    let chained = steps.windows(2).all(|two| two[1].from == Some(two[0].to));
    prop_assert!(chained, "the history is one life: {:?}", steps);
    Ok(())
}

async fn step(
    house: &House,
    id: &EffectId,
    (first, job): (&Job, &mut Job),
    model: &mut Model,
    op: Op,
) -> Result<(), TestCaseError> {
    let mut tx = house.db.begin().await.expect("begin");
    let change = |job: &Job, at: Timestamp| Change { send_deadline: Some(at.plus(LEASE / 2)), ..by(job) };
    let now = tx.now();
    let (result, allowed) = match op {
        Op::NextAttempt => {
            drop(tx);
            house.clock.advance(LEASE);
            *job = claim(house).await;
            model.own_send = false;
            return Ok(());
        }
        Op::Move(to) => {
            let allowed = model.allows(to);
            let result = advance(&mut tx, &actor(), id, model.state, to, &change(job, now)).await.map(|_| ());
            if allowed {
                model.moved(to);
            }
            (result, allowed)
        }
        Op::Zombie(to) => {
            if first.fence == job.fence || (model.state, to) != (Intent, Sending) && model.state != Sending {
                return Ok(());
            }
            // Only a send that the row still tells of as its own could be concluded; this one is older.
            let result = advance(&mut tx, &actor(), id, model.state, to, &change(first, now)).await.map(|_| ());
            if model.state == Sending && get(&house.db, id).await.expect("get").expect("some").fence == first.fence {
                let allowed = model.state.may_become(to);
                if allowed {
                    model.moved(to);
                }
                (result, allowed)
            } else {
                (result, false)
            }
        }
        Op::LateAnswer => {
            let row = read::load(&mut tx, id).await.expect("load").expect("some");
            let late = late_answer(&mut tx, &actor(), id, (row.attempt, &json!({ "status": 201 })), "late").await;
            if !model.state.settled() {
                if model.state == Intent {
                    model.moved(Uncertain);
                }
                model.late = true;
            }
            (late.map(|_| ()), true)
        }
        Op::SettleLate => {
            let row = read::load(&mut tx, id).await.expect("load").expect("some");
            let settled = settle_late(&mut tx, &actor(), row).await;
            if model.late && matches!(model.state, Uncertain | Reconciling | Parked) {
                model.moved(Succeeded);
                model.late = false;
            }
            (settled.map(|_| ()), true)
        }
        Op::Resolve | Op::AskResend | Op::Abandon => {
            let (result, to) = match op {
                Op::Resolve => (resolve_happened(&mut tx, &actor(), id, ("1Z", "seen")).await, ResolvedHappened),
                Op::Abandon => (abandon(&mut tx, &actor(), id, "no").await, EffectState::Abandoned),
                _ => (ask_resend(&mut tx, &actor(), id, (None, "not there")).await, Resend),
            };
            let allowed = model.for_a_person();
            if allowed {
                model.moved(to);
            }
            (result.map(|_| ()), allowed)
        }
        Op::Restore => {
            let held = hold_after_restore(&mut tx, &actor(), now).await;
            model.held |= matches!(model.state, Intent | Sending | Rejected | Uncertain | Reconciling | Resend);
            model.restored = true;
            (held.map(|_| ()), true)
        }
        Op::Lift => {
            let lifted = lift(&mut tx, &actor(), &tenant("t"), "looked").await;
            if matches!(lifted, Ok(Some(_))) {
                prop_assert!(model.restored);
                model.held = false;
                model.restored = false;
            }
            (lifted.map(|_| ()), true)
        }
    };
    prop_assert_eq!(result.is_ok(), allowed, "{:?} in {:?}: {:?}", op, model.state, result);
    prop_assert!(model.state != Compensated);
    if allowed {
        tx.commit().await.expect("commit");
    }
    Ok(())
}

fn check(cases: u32, house: impl AsyncFn() -> House) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&ops(), |ops| {
        runtime.block_on(async {
            let house = house().await;
            run(&house, &ops).await
        })
    });
    if let Err(err) = tried {
        panic!("{err}");
    }
}

#[test]
fn any_life_of_an_effect_keeps_the_rules_on_sqlite() {
    check(64, async || House::new().await);
}

#[test]
fn any_life_of_an_effect_keeps_the_rules_on_postgres() {
    check(8, async || House::postgres().await);
}
