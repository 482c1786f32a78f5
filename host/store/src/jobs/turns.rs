//! Whose turn it is: tenants in a circle, each by its weight.
//!
//! The circle is walked with an index, from the tenant served last: the number of waiting jobs does not matter, and of
//! the tenants only those that are served.

use std::collections::BTreeMap;

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;

use crate::audit;
use crate::db::Tx;
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Text, query};

/// How much of the workers a tenant gets when all want some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// 1 to 100: twice the weight, twice the jobs per turn.
    pub weight: u32,
    /// No more jobs of the tenant run at once, over all hosts; at least 1. Absent: no limit of its own.
    pub max_running: Option<u32>,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: 1, max_running: None }
    }
}

/// Sets a tenant's share, for all hosts, from the next claim on. Leaves an audit row when it changes.
pub async fn set_share(tx: &mut Tx, actor: &Actor, tenant: &TenantId, share: Share) -> Result<(), StoreError> {
    let changed = query(
        "INSERT INTO tenant_share (tenant, weight, max_running) VALUES ($1, $2, $3) ON CONFLICT (tenant) DO UPDATE \
         SET weight = excluded.weight, max_running = excluded.max_running \
         WHERE tenant_share.weight <> excluded.weight \
         OR COALESCE(tenant_share.max_running, 0) <> COALESCE(excluded.max_running, 0)",
    )
    .bind(tenant.as_str())
    .bind(i64::from(share.weight.clamp(1, 100)))
    .bind(share.max_running.map(|most| i64::from(most.max(1))))
    .execute(tx.conn())
    .await?;
    if changed == 1 {
        let detail = value!({ "weight": share.weight, "max_running": share.max_running });
        audit::append(tx, actor, tenant, "tenant.share-set", &format!("tenant/{tenant}"), &detail).await?;
    }
    Ok(())
}

/// The next tenants with a ready job after `$1`, in the order of their names; at most `$2`.
static CIRCLE: Text = Text::new(
    "WITH RECURSIVE turn(tenant, n) AS ( \
       SELECT (SELECT MIN(tenant) FROM job WHERE state = 'ready' AND urgent = $3 AND tenant > $1), CAST(1 AS BIGINT) \
       UNION ALL \
       SELECT (SELECT MIN(tenant) FROM job WHERE state = 'ready' AND urgent = $3 AND tenant > turn.tenant), n + 1 \
       FROM turn WHERE turn.tenant IS NOT NULL AND n < $2 \
     ) SELECT tenant FROM turn WHERE tenant IS NOT NULL",
);

/// Up to `most` tenants with ready jobs, the one after `last` first, all the way round.
pub(super) async fn next_tenants(
    tx: &mut Tx,
    last: &str,
    most: usize,
    urgent: bool,
) -> Result<Vec<String>, StoreError> {
    let mut tenants = after(tx, last, most, urgent).await?;
    if tenants.len() < most && !last.is_empty() {
        let from_start = after(tx, "", most - tenants.len(), urgent).await?;
        tenants.extend(from_start.into_iter().take_while(|tenant| tenant.as_str() <= last));
    }
    Ok(tenants)
}

async fn after(tx: &mut Tx, last: &str, most: usize, urgent: bool) -> Result<Vec<String>, StoreError> {
    let rows = query(&CIRCLE)
        .bind(last)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .bind(i64::from(urgent))
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| Cols(row).text("tenant")).collect()
}

/// Held until the transaction ends, so that two hosts together keep a tenant's limit. A tenant another host is just
/// claiming for is left out.
static LIMITED: Text = Text::new(
    "SELECT tenant, weight, max_running FROM tenant_share WHERE tenant IN (SELECT e.value ->> 0 FROM {each}) {skip_locked}",
);

const RUNNING: &str = "SELECT tenant, COUNT(*) AS jobs FROM job WHERE state = 'running' GROUP BY tenant";

/// How many jobs each tenant may get now, in the order given; tenants that may have none are left out. `all` has the
/// shares this worker knows of.
pub(super) async fn rooms(
    tx: &mut Tx,
    tenants: Vec<String>,
    all: &BTreeMap<String, Share>,
) -> Result<Vec<Turn>, StoreError> {
    let limited = |tenant: &String| all.get(tenant).is_some_and(|share| share.max_running.is_some());
    if !tenants.iter().any(limited) {
        let weight = |tenant: &String| all.get(tenant).map_or(1, |share| share.weight as usize);
        return Ok(tenants
            .into_iter()
            .map(|tenant| Turn { weight: weight(&tenant), room: usize::MAX, tenant })
            .collect());
    }
    let asked: Vec<_> = tenants.iter().filter(|tenant| limited(tenant)).map(|tenant| value!([tenant])).collect();
    let mut room = BTreeMap::new();
    for row in &query(&LIMITED).bind(json(&asked)?).fetch_all(tx.conn()).await? {
        let cols = Cols(row);
        let most: Option<i64> = cols.opt_int("max_running")?;
        room.insert(cols.text("tenant")?, most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0)));
    }
    for row in &query(RUNNING).fetch_all(tx.conn()).await? {
        if let Some(room) = room.get_mut(&Cols(row).text("tenant")?) {
            *room = room.saturating_sub(Cols(row).count("jobs")?);
        }
    }
    Ok(tenants
        .into_iter()
        .filter_map(|tenant| {
            let weight = all.get(&tenant).map_or(1, |share| share.weight as usize);
            let room = if limited(&tenant) { room.get(&tenant).copied().unwrap_or(0) } else { usize::MAX };
            (room > 0).then_some(Turn { tenant, weight, room })
        })
        .collect())
}

/// A tenant whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) tenant: String,
    pub(super) weight: usize,
    /// At most so many.
    pub(super) room: usize,
}

/// How many jobs each of them is offered, when there are `limit` workers for all: in proportion to the weights, never
/// more than its room, and at least one as long as there are workers.
pub(super) fn offers(turns: &[Turn], limit: usize) -> Vec<usize> {
    let mut offers = vec![0_usize; turns.len()];
    let mut left = limit;
    while left > 0 {
        let before = left;
        let open: usize =
            turns.iter().zip(&offers).filter(|(turn, got)| **got < turn.room).map(|(t, _)| t.weight).sum();
        if open == 0 {
            break;
        }
        let per_weight = (left / open).max(1);
        for (turn, got) in turns.iter().zip(&mut offers) {
            let more = (per_weight * turn.weight).min(turn.room - *got).min(left);
            *got += more;
            left -= more;
        }
        if left == before {
            break;
        }
    }
    offers
}

pub(super) async fn shares(tx: &mut Tx) -> Result<BTreeMap<String, Share>, StoreError> {
    let rows = query("SELECT tenant, weight, max_running FROM tenant_share").fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            let max_running = cols.opt_int("max_running")?.and_then(|most| u32::try_from(most).ok());
            Ok((cols.text("tenant")?, Share { weight: cols.count("weight")?, max_running }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(weight: usize, room: usize) -> Turn {
        Turn { tenant: "t".to_owned(), weight, room }
    }

    #[test]
    fn workers_are_offered_by_weight_and_never_beyond_the_room() {
        let free = usize::MAX;
        for (turns, limit, offered) in [
            (vec![turn(1, free), turn(1, free)], 8, vec![4, 4]),
            (vec![turn(3, free), turn(1, free)], 8, vec![6, 2]),
            (vec![turn(1, 1), turn(1, free)], 8, vec![1, 7]),
            (vec![turn(1, 1), turn(1, 2)], 8, vec![1, 2]),
            (vec![turn(5, free), turn(1, free), turn(1, free)], 3, vec![3, 0, 0]),
            (vec![turn(1, free); 4], 2, vec![1, 1, 0, 0]),
            (vec![], 8, vec![]),
        ] {
            assert_eq!(offers(&turns, limit), offered, "{turns:?}");
        }
    }
}
