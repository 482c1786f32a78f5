//! Budgets that hold over all hosts: so much of something per window of time, for one connection.
//!
//! Windows are whole multiples of their length since 1970, so hosts agree on them; at the change of a window twice the
//! budget may go in a short time.

use wharf_domain::ctx::Actor;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::time::Timestamp;

use crate::db::Tx;
use crate::error::StoreError;
use crate::sql::query;

/// Which budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetKey {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    /// e.g. `odoo-writes`.
    pub name: &'static str,
}

/// How much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub most: u32,
    /// The window's length in milliseconds; at least 1 counts.
    pub window_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Granted,
    /// It would be over the limit and nothing was taken; a new window begins at `until`.
    Refused {
        until: Timestamp,
    },
}

/// Takes `amount` out of the window's budget, all of it or nothing. It is never given back.
pub async fn take(tx: &mut Tx, actor: &Actor, key: &BudgetKey, amount: u32, limit: Limit) -> Result<Taken, StoreError> {
    let now = tx.now().millis();
    let window_ms = limit.window_ms.max(1);
    let window = now - now.rem_euclid(window_ms);
    let refused = Taken::Refused { until: Timestamp::from_millis(window.saturating_add(window_ms)) };
    if amount > limit.most {
        return Ok(refused);
    }
    let done = query(
        "INSERT INTO budget (tenant, connection, name, window_start, used, actor, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, connection, name) DO UPDATE SET \
         used = excluded.used + CASE WHEN budget.window_start = excluded.window_start THEN budget.used ELSE 0 END, \
         window_start = excluded.window_start, actor = excluded.actor, updated_at = excluded.updated_at \
         WHERE budget.window_start <> excluded.window_start OR budget.used + excluded.used <= $8",
    )
    .bind(key.tenant.as_str())
    .bind(key.connection.as_str())
    .bind(key.name)
    .bind(window)
    .bind(i64::from(amount))
    .bind(actor.to_string())
    .bind(now)
    .bind(i64::from(limit.most))
    .execute(tx.conn())
    .await?;
    Ok(if done == 1 { Taken::Granted } else { refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, actor, both, tenant};

    const LIMIT: Limit = Limit { most: 10, window_ms: 1_000 };

    async fn take_of(house: &House, connection: &str, amount: u32) -> Taken {
        let connection = ConnectionId::parse(connection).expect("connection");
        let key = BudgetKey { tenant: tenant("t"), connection, name: "writes" };
        let mut tx = house.db.begin().await.expect("begin");
        let taken = take(&mut tx, &actor(), &key, amount, LIMIT).await.expect("take");
        tx.commit().await.expect("commit");
        taken
    }

    both! {
        async fn a_window_has_its_budget_and_the_next_one_a_new_one(house) {
            let now = house.db.now().millis();
            let until = Timestamp::from_millis(now - now.rem_euclid(1_000) + 1_000);
            assert_eq!(take_of(&house, "acme", 11).await, Taken::Refused { until }, "more than there ever is");
            assert_eq!(take_of(&house, "acme", 6).await, Taken::Granted);
            assert_eq!(take_of(&house, "acme", 5).await, Taken::Refused { until });
            assert_eq!(take_of(&house, "acme", 4).await, Taken::Granted, "a refusal took nothing");
            assert_eq!(take_of(&house, "other", 10).await, Taken::Granted, "another connection has its own");
            house.clock.advance(1_000);
            assert_eq!(take_of(&house, "acme", 10).await, Taken::Granted);
            let next = Timestamp::from_millis(until.millis() + 1_000);
            assert_eq!(take_of(&house, "acme", 1).await, Taken::Refused { until: next });
        }
    }
}
