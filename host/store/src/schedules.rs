//! What ticks: how far each schedule has come, and every tick that was fired, once over all hosts.
//!
//! A ticker takes a schedule ([`take`]), works out what is due, and writes each tick ([`tick`]) in the transaction that
//! enqueues its job: with the tick stands the job, and a tick that stands is not fired again, whoever asks and whatever
//! the clocks say.

use serde::Serialize;
use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Row, Text, query};

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleRow {
    pub tenant: TenantId,
    /// Unique per tenant.
    pub name: String,
    /// Nominal time of the tick that was fired last. Before the first one: absent, or since when ticks count.
    pub last_tick: Option<Timestamp>,
    /// Nothing is fired until a person lets it go on.
    pub paused: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

static TAKE: Text = Text::new("SELECT * FROM schedule WHERE tenant = $1 AND name = $2 {for_update}");

/// Takes a schedule until the transaction ends: another host waits, and then sees what was fired. One that is new comes
/// into being with `first` as its last tick.
pub async fn take(
    tx: &mut Tx,
    tenant: &TenantId,
    name: &str,
    first: Option<Timestamp>,
) -> Result<ScheduleRow, StoreError> {
    let now = tx.now().millis();
    query(
        "INSERT INTO schedule (tenant, name, last_tick, paused, created_at, updated_at) VALUES ($1, $2, $3, 0, $4, $4) \
         ON CONFLICT (tenant, name) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(name)
    .bind(first.map(Timestamp::millis))
    .bind(now)
    .execute(tx.conn())
    .await?;
    read(&query(&TAKE).bind(tenant.as_str()).bind(name).fetch_one(tx.conn()).await?)
}

/// Writes a tick down as the last one fired. False when it was fired before: then enqueue nothing.
pub async fn tick(tx: &mut Tx, schedule: &ScheduleRow, at: Timestamp) -> Result<bool, StoreError> {
    let now = tx.now().millis();
    let fired = query(
        "INSERT INTO schedule_tick (tenant, schedule, tick, fired_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, schedule, tick) DO NOTHING",
    )
    .bind(schedule.tenant.as_str())
    .bind(&schedule.name)
    .bind(at.millis())
    .bind(now)
    .execute(tx.conn())
    .await?;
    query("UPDATE schedule SET last_tick = $3, updated_at = $4 WHERE tenant = $1 AND name = $2")
        .bind(schedule.tenant.as_str())
        .bind(&schedule.name)
        .bind(at.millis())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(fired == 1)
}

/// Stops a schedule, or lets it go on; what was missed meanwhile is made up for by its own rule. Leaves an audit row when
/// that changes something. Fails with [`StoreError::NotFound`] for one that never came into being.
pub async fn set_paused(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    name: &str,
    paused: bool,
) -> Result<ScheduleRow, StoreError> {
    let row = query(&TAKE).bind(tenant.as_str()).bind(name).fetch_optional(tx.conn()).await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound { what: "schedule", id: name.to_owned() });
    };
    let (before, now) = (read(&row)?, tx.now());
    if before.paused == paused {
        return Ok(before);
    }
    query("UPDATE schedule SET paused = $3, updated_at = $4 WHERE tenant = $1 AND name = $2")
        .bind(tenant.as_str())
        .bind(name)
        .bind(i64::from(paused))
        .bind(now.millis())
        .execute(tx.conn())
        .await?;
    let action = if paused { "schedule.paused" } else { "schedule.resumed" };
    let detail = value!({ "last_tick": before.last_tick });
    audit::append(tx, actor, tenant, action, &format!("schedule/{name}"), &detail).await?;
    Ok(ScheduleRow { paused, updated_at: now, ..before })
}

/// Every schedule of a tenant that has come into being, by name.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<ScheduleRow>, StoreError> {
    let rows = query("SELECT * FROM schedule WHERE tenant = $1 ORDER BY name")
        .bind(tenant.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// The ticks of a schedule that were fired and are still kept, newest first; at most `limit`.
pub async fn ticks(db: &Db, tenant: &TenantId, name: &str, limit: u32) -> Result<Vec<Timestamp>, StoreError> {
    let rows = query("SELECT tick FROM schedule_tick WHERE tenant = $1 AND schedule = $2 ORDER BY tick DESC LIMIT $3")
        .bind(tenant.as_str())
        .bind(name)
        .bind(i64::from(limit))
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(|row| Cols(row).time("tick")).collect()
}

fn read(row: &Row) -> Result<ScheduleRow, StoreError> {
    let cols = Cols(row);
    Ok(ScheduleRow {
        tenant: cols.tenant()?,
        name: cols.text("name")?,
        last_tick: cols.opt_time("last_tick")?,
        paused: cols.int("paused")? == 1,
        created_at: cols.time("created_at")?,
        updated_at: cols.time("updated_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, START, actor, both, tenant};

    async fn fired(house: &House, at: i64) -> bool {
        let mut tx = house.db.begin().await.expect("begin");
        let row = take(&mut tx, &tenant("t"), "pull", None).await.expect("take");
        let fresh = tick(&mut tx, &row, Timestamp::from_millis(at)).await.expect("tick");
        tx.commit().await.expect("commit");
        fresh
    }

    both! {
        async fn a_tick_is_fired_once_and_is_the_last_one_also_when_it_was_known(house) {
            let mut tx = house.db.begin().await.expect("begin");
            let born = take(&mut tx, &tenant("t"), "pull", Some(Timestamp::from_millis(5))).await.expect("take");
            assert_eq!((born.last_tick, born.paused), (Some(Timestamp::from_millis(5)), false));
            tx.commit().await.expect("commit");
            for (at, fresh) in [(10, true), (20, true), (10, false)] {
                assert_eq!(fired(&house, at).await, fresh, "{at}");
                let row = list(&house.db, &tenant("t")).await.expect("list").remove(0);
                assert_eq!(row.last_tick, Some(Timestamp::from_millis(at)), "first counts only for a new one");
            }
            let ticks = ticks(&house.db, &tenant("t"), "pull", 9).await.expect("ticks");
            assert_eq!(ticks, [Timestamp::from_millis(20), Timestamp::from_millis(10)]);
        }
    }

    both! {
        async fn a_tick_whose_job_was_not_stored_was_not_fired(house) {
            let mut tx = house.db.begin().await.expect("begin");
            let row = take(&mut tx, &tenant("t"), "pull", None).await.expect("take");
            assert!(tick(&mut tx, &row, Timestamp::from_millis(10)).await.expect("tick"));
            drop(tx);
            assert!(fired(&house, 10).await);
        }
    }

    both! {
        async fn a_pause_is_kept_and_told(house) {
            let refused = async |paused| {
                let mut tx = house.db.begin().await.expect("begin");
                let row = set_paused(&mut tx, &actor(), &tenant("t"), "pull", paused).await;
                tx.commit().await.expect("commit");
                row
            };
            assert!(matches!(refused(true).await, Err(StoreError::NotFound { what: "schedule", .. })));
            fired(&house, START).await;
            for paused in [true, true, false] {
                assert_eq!(refused(paused).await.expect("pause").paused, paused);
            }
            let audit = audit::for_object(&house.db, &tenant("t"), "schedule/pull").await.expect("audit");
            let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
            assert_eq!(actions, ["schedule.paused", "schedule.resumed"]);
        }
    }
}
