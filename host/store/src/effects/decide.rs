//! What people decide about an effect nobody knows the outcome of. Each decision names its actor in the history and in
//! the audit, with the person's own words.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::EffectId;
use wharf_domain::money::Money;

use super::advance::{Change, advance, record, refused, release, store};
use super::{EffectRow, object, read};
use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;

/// It happened: a person found it at the partner under `reference`.
pub async fn resolve_happened(
    tx: &mut Tx,
    actor: &Actor,
    id: &EffectId,
    (reference, note): (&str, &str),
) -> Result<EffectRow, StoreError> {
    let row = for_a_person(tx, actor, id).await?;
    let change = Change { reference: Some(reference.to_owned()), ..said(note) };
    advance(tx, actor, id, row.state, EffectState::ResolvedHappened, &change).await
}

/// A person asks for a second send. Below `four_eyes_above` it may happen at once (`resend`); above it, in another
/// currency, or when nobody knows what the effect is worth, it stays parked until somebody else approves.
pub async fn ask_resend(
    tx: &mut Tx,
    actor: &Actor,
    id: &EffectId,
    (four_eyes_above, note): (Option<&Money>, &str),
) -> Result<EffectRow, StoreError> {
    let row = for_a_person(tx, actor, id).await?;
    if !needs_four_eyes(row.worth.as_ref(), four_eyes_above) {
        return advance(tx, actor, id, row.state, EffectState::Resend, &said(note)).await;
    }
    let next = EffectRow { resend_by: Some(actor.to_string()), updated_at: tx.now(), ..row };
    store(tx, &next, EffectState::Parked).await?;
    record(tx, actor, &next, Some(EffectState::Parked), Some(&format!("a second send was asked for: {note}"))).await?;
    let detail = value!({ "worth": next.worth, "note": note });
    audit::append(tx, actor, &next.tenant, "effect.resend-asked", &object(id), &detail).await?;
    Ok(next)
}

/// Another person approves the second send that was asked for.
///
/// # Errors
/// [`StoreError::Refused`] when nobody asked, or when the same person did.
pub async fn approve_resend(tx: &mut Tx, actor: &Actor, id: &EffectId, note: &str) -> Result<EffectRow, StoreError> {
    let row = found(tx, id).await?;
    match &row.resend_by {
        Some(asked) if row.state == EffectState::Parked => {
            if *asked == actor.to_string() {
                return Err(refused(&row, "whoever asked for a second send cannot approve it; another person has to"));
            }
            let change = said(&format!("asked for by {asked}, approved: {note}"));
            advance(tx, actor, id, EffectState::Parked, EffectState::Resend, &change).await
        }
        _ => Err(refused(&row, "nobody has asked for a second send; ask for it first")),
    }
}

/// A person gives up on it: it is never sent again under this effect.
pub async fn abandon(tx: &mut Tx, actor: &Actor, id: &EffectId, note: &str) -> Result<EffectRow, StoreError> {
    let row = for_a_person(tx, actor, id).await?;
    advance(tx, actor, id, row.state, EffectState::Abandoned, &said(note)).await
}

/// It was undone by another effect: `void` is a success at the same connection of the same tenant. Frees the business
/// key.
pub async fn compensate(
    tx: &mut Tx,
    actor: &Actor,
    id: &EffectId,
    (void, note): (&EffectId, &str),
) -> Result<EffectRow, StoreError> {
    let row = for_a_person(tx, actor, id).await?;
    let by = read::load(tx, void).await?.filter(|by| by.tenant == row.tenant);
    let Some(by) = by.filter(|_| void != id) else {
        return Err(StoreError::NotFound { what: "effect", id: void.to_string() });
    };
    if by.state != EffectState::Succeeded || by.connection != row.connection {
        return Err(refused(&by, "only a success at the same connection can have undone another effect"));
    }
    let change = Change { reference: Some(void.to_string()), ..said(note) };
    advance(tx, actor, id, row.state, EffectState::Compensated, &change).await?;
    release(tx, actor, id).await
}

/// Notes what an effect is worth, for whoever has to decide about it. Replaces an earlier figure.
pub async fn set_worth(tx: &mut Tx, actor: &Actor, id: &EffectId, worth: &Money) -> Result<EffectRow, StoreError> {
    let row = found(tx, id).await?;
    if row.worth.as_ref() == Some(worth) {
        return Ok(row);
    }
    let next = EffectRow { worth: Some(worth.clone()), ..row };
    store(tx, &next, next.state).await?;
    record(tx, actor, &next, Some(next.state), Some(&format!("worth {worth}"))).await?;
    Ok(next)
}

fn needs_four_eyes(worth: Option<&Money>, above: Option<&Money>) -> bool {
    match (worth, above) {
        (_, None) => false,
        (Some(worth), Some(above)) => worth.currency != above.currency || worth.amount > above.amount,
        (None, Some(_)) => true,
    }
}

/// A row a person may decide about, parked: one that is merely in doubt is parked first.
async fn for_a_person(tx: &mut Tx, actor: &Actor, id: &EffectId) -> Result<EffectRow, StoreError> {
    let row = found(tx, id).await?;
    match row.state {
        EffectState::Parked => Ok(row),
        EffectState::Uncertain => {
            let fault = row.fault.is_none().then(|| {
                Fault::new(FaultKind::OutcomeUnknown, "effect.taken-over", "a person took it over", Blame::Operator)
            });
            let change = Change { fault, ..said("a person takes it over") };
            advance(tx, actor, id, EffectState::Uncertain, EffectState::Parked, &change).await
        }
        EffectState::Sending | EffectState::Reconciling => {
            Err(refused(&row, "somebody is at work on it; wait until that has ended"))
        }
        _ => Err(refused(&row, "only an effect that is in doubt is for a person to decide")),
    }
}

async fn found(tx: &mut Tx, id: &EffectId) -> Result<EffectRow, StoreError> {
    let row = read::load(tx, id).await?;
    row.ok_or_else(|| StoreError::NotFound { what: "effect", id: id.to_string() })
}

fn said(note: &str) -> Change {
    Change { note: Some(note.to_owned()), ..Change::default() }
}

#[cfg(test)]
mod tests {
    use wharf_domain::effect::EffectState::{Intent, Parked, Resend, ResolvedHappened, Sending, Succeeded, Uncertain};

    use super::*;
    use crate::effects::tests::{by, label, moved, new, opened, running};
    use crate::effects::{by_business, get, history};
    use crate::testing::{House, both, tenant};

    fn user(name: &str) -> Actor {
        Actor::User(name.to_owned())
    }

    fn eur(amount: &str) -> Money {
        Money::parse(amount, "EUR").expect("money")
    }

    /// An effect nobody knows the outcome of.
    async fn doubtful(house: &House) -> EffectRow {
        let lane = format!("{}", house.db.ids().next(house.db.now()));
        let job = running(house, &lane).await;
        let id = opened(house, &new(&job, "1", Some(label()))).await.row().id;
        moved(house, &id, Intent, Sending, by(&job)).await.expect("sending");
        moved(house, &id, Sending, Uncertain, by(&job)).await.expect("uncertain")
    }

    macro_rules! act {
        ($house:expr, $name:ident $(, $arg:expr)*) => {{
            let mut tx = $house.db.begin().await.expect("begin");
            let result = $name(&mut tx $(, $arg)*).await;
            if result.is_ok() {
                tx.commit().await.expect("commit");
            }
            result
        }};
    }

    fn rule(result: Result<EffectRow, StoreError>) -> String {
        result.expect_err("refused").to_string()
    }

    both! {
        async fn what_a_person_found_is_the_outcome_and_says_who_said_so(house) {
            let id = doubtful(&house).await.id;
            let row = act!(house, resolve_happened, &user("ana"), &id, ("1Z9", "seen in the portal")).expect("resolved");
            assert_eq!((row.state, row.reference.as_deref()), (ResolvedHappened, Some("1Z9")));
            let steps = history(&house.db, &id).await.expect("history");
            let last = steps.last().expect("step");
            assert_eq!((last.actor.as_str(), last.note.as_deref()), ("user:ana", Some("seen in the portal")));
            let audit = audit::for_object(&house.db, &tenant("t"), &object(&id)).await.expect("audit");
            let line = audit.last().expect("line");
            assert_eq!((line.action.as_str(), line.actor.as_str()), ("effect.resolved-happened", "user:ana"));
            assert_eq!((&line.detail["reference"], &line.detail["note"]), (&value!("1Z9"), &value!("seen in the portal")));
            let again = rule(act!(house, abandon, &user("ana"), &id, "no"));
            assert!(again.contains("in doubt"), "{again}");
        }
    }

    both! {
        async fn a_second_send_needs_four_eyes_above_the_limit_or_when_nobody_knows_the_worth(house) {
            let limit = eur("500.00");
            for (worth, at_once) in [
                (Some(eur("500")), true),
                (Some(eur("500.01")), false),
                (Some(Money::parse("1", "USD").expect("money")), false),
                (None, false),
            ] {
                let id = doubtful(&house).await.id;
                if let Some(worth) = &worth {
                    act!(house, set_worth, &user("ana"), &id, worth).expect("worth");
                }
                let row = act!(house, ask_resend, &user("ana"), &id, (Some(&limit), "not there")).expect("asked");
                assert_eq!(row.state == Resend, at_once, "{worth:?}");
                if !at_once {
                    assert_eq!((row.state, row.resend_by.as_deref()), (Parked, Some("user:ana")));
                    let same = rule(act!(house, approve_resend, &user("ana"), &id, "yes"));
                    assert!(same.contains("another person"), "{same}");
                    let row = act!(house, approve_resend, &user("bob"), &id, "yes").expect("approved");
                    assert_eq!((row.state, row.resend_by), (Resend, None));
                }
                let late = rule(act!(house, approve_resend, &user("bob"), &id, "yes"));
                assert!(late.contains("nobody has asked"), "{late}");
                let audit = audit::for_object(&house.db, &tenant("t"), &object(&id)).await.expect("audit");
                assert_eq!(audit.iter().any(|line| line.action == "effect.resend-asked"), !at_once);
                assert_eq!(audit.last().map(|line| line.action.as_str()), Some("effect.resend"));
                act!(house, abandon_and_free, &id).expect("free");
            }
        }
    }

    /// Makes room for the next effect of the same key.
    async fn abandon_and_free(tx: &mut Tx, id: &EffectId) -> Result<EffectRow, StoreError> {
        let change = Change::default();
        advance(tx, &user("ana"), id, Resend, EffectState::Abandoned, &change).await?;
        release(tx, &user("ana"), id).await
    }

    both! {
        async fn without_a_limit_one_person_is_enough(house) {
            let id = doubtful(&house).await.id;
            let row = act!(house, ask_resend, &user("ana"), &id, (None, "not there")).expect("asked");
            assert_eq!(row.state, Resend);
        }
    }

    both! {
        async fn a_decision_forgets_that_a_second_send_was_asked_for(house) {
            let id = doubtful(&house).await.id;
            act!(house, ask_resend, &user("ana"), &id, (Some(&eur("1")), "not there")).expect("asked");
            act!(house, abandon, &user("bob"), &id, "never mind").expect("abandoned");
            assert_eq!(get(&house.db, &id).await.expect("get").expect("some").resend_by, None);
        }
    }

    both! {
        async fn only_a_success_at_the_same_connection_undoes_an_effect(house) {
            let id = doubtful(&house).await.id;
            let job = running(&house, "b").await;
            let void = opened(&house, &new(&job, "1", None)).await.row().id;
            let early = rule(act!(house, compensate, &user("ana"), &id, (&void, "voided")));
            assert!(early.contains("only a success"), "{early}");
            moved(&house, &void, Intent, Sending, by(&job)).await.expect("sending");
            moved(&house, &void, Sending, Succeeded, by(&job)).await.expect("voided");
            let itself = rule(act!(house, compensate, &user("ana"), &id, (&id, "voided")));
            assert!(itself.contains("does not exist"), "{itself}");
            let row = act!(house, compensate, &user("ana"), &id, (&void, "voided")).expect("compensated");
            assert_eq!((row.state, row.reference), (EffectState::Compensated, Some(void.to_string())));
            let free = by_business(&house.db, &tenant("t"), &row.connection, &label()).await.expect("read");
            assert_eq!(free, None);
        }
    }

    both! {
        async fn nobody_decides_about_what_is_being_worked_on(house) {
            let job = running(&house, "a").await;
            let id = opened(&house, &new(&job, "1", Some(label()))).await.row().id;
            moved(&house, &id, Intent, Sending, by(&job)).await.expect("sending");
            let busy = rule(act!(house, abandon, &user("ana"), &id, "no"));
            assert!(busy.contains("at work"), "{busy}");
        }
    }
}
