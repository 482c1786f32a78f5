//! Gathering what the checker decides on: the history's folder, the database, the partner's ledger.

use std::path::Path;

use anyhow::{Context, Result};
use wharf_domain::effect::EffectState;
use wharf_domain::ids::TenantId;
use wharf_store::effects::HistoryRow;
use wharf_store::jobs::{self, JobState};
use wharf_store::{Db, audit, effects};
use wharf_twins::parcel::Call;

use crate::check::{Facts, Known, Standing};
use crate::feed::flow;
use crate::history::{self, Line};
use crate::work::{FOLLOW_UP, ORDER, SETTLED};

/// Everything that is known; no host may be working.
pub async fn gather(history: &Path, db: &Db, ledger: Vec<Call>) -> Result<Facts> {
    let mut facts = Facts::default();
    tell(&mut facts, &history::read(history, None)?);
    let mut jobs_seen = 0;
    for (name, known) in &mut facts.orders {
        jobs_seen += look_up(db, name, known).await.with_context(|| format!("failed to look `{name}` up"))?;
    }
    let kept = jobs::counts(db).await?.total();
    if kept != jobs_seen {
        facts.strangers.push(format!("{} of the {kept} jobs", kept.abs_diff(jobs_seen)));
    }
    for call in ledger.into_iter().filter(|call| call.effect) {
        match facts.orders.get_mut(&call.reference) {
            Some(known) => known.effects.push(call.n),
            None => facts.strangers.push(format!("the {:?} under `{}`", call.route, call.reference)),
        }
    }
    Ok(facts)
}

/// Orders first: another host may have worked on one, and its lines are read before those of the host that offered it.
fn tell(facts: &mut Facts, lines: &[Line]) {
    for line in lines {
        if let Line::Invoke { order } | Line::Ok { order } | Line::Fail { order, .. } | Line::Info { order, .. } = line
        {
            let known = facts.orders.entry(order.name()).or_insert_with(|| Known::new(order.clone()));
            known.accepted |= matches!(line, Line::Ok { .. });
        }
    }
    for line in lines {
        let (Line::Send { order, fence } | Line::Heard { order, fence, .. }) = line else { continue };
        match facts.orders.get_mut(order) {
            Some(known) => {
                let heard = known.sends.entry(*fence).or_insert(None);
                if let Line::Heard { said, .. } = line {
                    *heard = Some(*said);
                }
            }
            None => facts.strangers.push(format!("a call for `{order}`")),
        }
    }
}

/// The fence of the last send, when nobody under it wrote down how that ended: the next row is another attempt's, or says
/// that the send was found left behind (which it does under the fence that left it).
fn left_sending(history: &[HistoryRow]) -> Option<i64> {
    let sent = history.iter().rposition(|row| row.to == EffectState::Sending)?;
    let (fence, next) = (history[sent].fence, history.get(sent + 1)?);
    let found = format!("left in `sending` by fence {fence}; nobody knows");
    let is_found = next.to == EffectState::Uncertain && next.note.as_ref().is_some_and(|note| note.starts_with(&found));
    (next.fence != fence || is_found).then_some(fence)
}

/// Fills in what the database holds; returns how many jobs that is.
async fn look_up(db: &Db, name: &str, known: &mut Known) -> Result<u64> {
    let tenant = TenantId::parse(known.order.tenant())?;
    let flow = flow(&known.order);
    let mut count = 0;
    for job in jobs::for_flow(db, &tenant, &flow).await? {
        let standing = match job.state {
            JobState::Done => Standing::Done,
            JobState::Parked => Standing::Parked,
            JobState::Cancelled => Standing::Cancelled,
            JobState::Waiting | JobState::Queued | JobState::Ready | JobState::Running => Standing::Waiting,
        };
        match job.kind.as_str() {
            ORDER => known.jobs.push(standing),
            FOLLOW_UP => known.follow_ups.push(standing),
            other => anyhow::bail!("a job of kind `{other}`"),
        }
        count += 1;
    }
    let results = audit::for_object(db, &tenant, &format!("order/{name}")).await?;
    known.results = results.into_iter().filter(|row| row.action == SETTLED).map(|row| row.seq).collect();
    for effect in effects::for_flow(db, &tenant, &flow).await? {
        known.recorded |= effect.state == EffectState::Succeeded;
        if effect.state == EffectState::Parked {
            known.held = true;
            known.left_sending = left_sending(&effects::history(db, &effect.id).await?);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use wharf_domain::time::Timestamp;

    use super::*;

    fn rows(rows: &[(EffectState, i64, &str)]) -> Vec<HistoryRow> {
        let row = |(to, fence, note): &(EffectState, i64, &str)| HistoryRow {
            seq: 0,
            at: Timestamp::from_millis(0),
            from: None,
            to: *to,
            actor: String::new(),
            fence: *fence,
            note: Some((*note).to_owned()),
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_send_that_others_found_left_behind_was_not_written_down_by_its_own_host() {
        use EffectState::{Intent, Parked, Sending, Uncertain};
        let sent = [(Intent, 1, "opened"), (Sending, 1, "sending")];
        let told = [(Uncertain, 1, "outcome unknown"), (Parked, 2, "parked")];
        let found = "left in `sending` by fence 1; nobody knows whether a byte left";
        assert_eq!(left_sending(&rows(&[&sent[..], &told].concat())), None);
        assert_eq!(
            left_sending(&rows(&[&sent[..], &[(Uncertain, 1, found), (Parked, 2, "parked")]].concat())),
            Some(1)
        );
        assert_eq!(left_sending(&rows(&[&sent[..], &[(Uncertain, 2, "the outcome is in doubt")]].concat())), Some(1));
        assert_eq!(left_sending(&rows(&sent)), None, "nothing came after it");
    }
}
