//! Accounts at partners: one row each, which every host reads, changes and writes in a short transaction of its own.
//! What the state means is `wharf_domain::account`.

use serde::Serialize;
use serde_json::json as value;
use wharf_domain::account::{Account, Limits, View};
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json};
use crate::sql::{Row, Text, query};

/// How often a transaction that gave way to another one is begun again.
const MOST_TRIES: u32 = 5;

/// Whose account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountKey {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    /// Which account of the connection: the partner's origin.
    pub name: String,
}

/// An account as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountRow {
    pub connection: ConnectionId,
    pub name: String,
    /// As of the last call.
    pub limits: Limits,
    pub view: View,
    pub updated_at: Timestamp,
}

static READ: Text =
    Text::new("SELECT state, limits FROM account WHERE tenant = $1 AND connection = $2 AND name = $3 {for_update}");

/// Lets `change` ask the account or report to it, and keeps what it made of it. A breaker that opens or closes by that
/// leaves an audit row. `change` runs again when the transaction gave way to another one: it may touch nothing else.
pub async fn with<T>(
    db: &Db,
    actor: &Actor,
    key: &AccountKey,
    limits: &Limits,
    mut change: impl FnMut(&mut Account, Timestamp) -> T,
) -> Result<T, StoreError> {
    let mut tries = 1;
    loop {
        match once(db, actor, key, limits, &mut change).await {
            Err(StoreError::Conflict | StoreError::RolledBack) if tries < MOST_TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn once<T>(
    db: &Db,
    actor: &Actor,
    key: &AccountKey,
    limits: &Limits,
    change: &mut impl FnMut(&mut Account, Timestamp) -> T,
) -> Result<T, StoreError> {
    let mut tx = db.begin().await?;
    let limits = json(limits)?;
    let mut account: Account = match read(&mut tx, key).await? {
        Some(row) => Cols(&row).json("state")?,
        None => first(&mut tx, key, &limits).await?,
    };
    // The row is ours from here on: a time from before the wait for it would be older than the row.
    let now = db.now();
    let was = account.breaker();
    let told = change(&mut account, now);
    query(
        "UPDATE account SET state = $4, limits = $5, updated_at = $6 \
         WHERE tenant = $1 AND connection = $2 AND name = $3",
    )
    .bind(key.tenant.as_str())
    .bind(key.connection.as_str())
    .bind(&key.name)
    .bind(json(&account)?)
    .bind(limits)
    .bind(now.millis())
    .execute(tx.conn())
    .await?;
    let is = account.breaker();
    let turned = was.is_open() != is.is_open();
    if turned {
        let action = if is.is_open() { "account.breaker-opened" } else { "account.breaker-closed" };
        let detail = value!({ "account": key.name, "from": was, "to": is });
        audit::append(&mut tx, actor, &key.tenant, action, &format!("connection/{}", key.connection), &detail).await?;
    }
    tx.commit().await?;
    if turned {
        let (tenant, connection) = (&key.tenant, &key.connection);
        if is.is_open() {
            tracing::warn!(%tenant, %connection, "breaker of `{connection}` opened: the partner is down, calls wait");
        } else {
            tracing::info!(%tenant, %connection, "breaker of `{connection}` closed: the partner is back");
        }
    }
    Ok(told)
}

async fn read(tx: &mut Tx, key: &AccountKey) -> Result<Option<Row>, StoreError> {
    query(&READ).bind(key.tenant.as_str()).bind(key.connection.as_str()).bind(&key.name).fetch_optional(tx.conn()).await
}

/// The first to use an account makes its row. Of two that come together the second finds it.
async fn first(tx: &mut Tx, key: &AccountKey, limits: &str) -> Result<Account, StoreError> {
    let now = tx.now().millis();
    let account = Account::default();
    query(
        "INSERT INTO account (tenant, connection, name, state, limits, updated_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT DO NOTHING",
    )
    .bind(key.tenant.as_str())
    .bind(key.connection.as_str())
    .bind(&key.name)
    .bind(json(&account)?)
    .bind(limits)
    .bind(now)
    .execute(tx.conn())
    .await?;
    let row = read(tx, key).await?.ok_or(StoreError::NotFound { what: "account", id: key.name.clone() })?;
    Cols(&row).json("state")
}

/// One account; `None` when it was never used, or never had trouble at a partner that names no limit.
pub async fn get(db: &Db, key: &AccountKey) -> Result<Option<AccountRow>, StoreError> {
    let row = query(
        "SELECT connection, name, state, limits, updated_at FROM account \
         WHERE tenant = $1 AND connection = $2 AND name = $3",
    )
    .bind(key.tenant.as_str())
    .bind(key.connection.as_str())
    .bind(&key.name)
    .fetch_optional(db.reader())
    .await?;
    row.as_ref().map(|row| shown(row, db.now())).transpose()
}

/// The accounts of one tenant, by connection. Those without a row are not among them: see [`get`].
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<AccountRow>, StoreError> {
    let rows = query(
        "SELECT connection, name, state, limits, updated_at FROM account WHERE tenant = $1 ORDER BY connection, name",
    )
    .bind(tenant.as_str())
    .fetch_all(db.reader())
    .await?;
    let now = db.now();
    rows.iter().map(|row| shown(row, now)).collect()
}

fn shown(row: &Row, now: Timestamp) -> Result<AccountRow, StoreError> {
    let cols = Cols(row);
    let (account, limits): (Account, Limits) = (cols.json("state")?, cols.json("limits")?);
    Ok(AccountRow {
        connection: cols.parse("connection", |text| ConnectionId::parse(text))?,
        name: cols.text("name")?,
        view: account.view(&limits, now),
        limits,
        updated_at: cols.time("updated_at")?,
    })
}

#[cfg(test)]
mod tests {
    use wharf_domain::account::{Ask, Decision, Outcome, Permit};

    use super::*;
    use crate::testing::{House, actor, both, tenant};

    fn key() -> AccountKey {
        AccountKey {
            tenant: tenant("t"),
            connection: ConnectionId::parse("acme").expect("connection"),
            name: "https://acme.test".to_owned(),
        }
    }

    fn limits(text: &str) -> Limits {
        serde_json::from_str(text).expect("limits")
    }

    async fn ask(db: &Db, limits: &Limits) -> Decision {
        let ask = |account: &mut Account, now: Timestamp| {
            account.ask(limits, &Ask { urgent: false, promised: None, over_by: now.plus(1_000), roll: 0 }, now)
        };
        with(db, &actor(), &key(), limits, ask).await.expect("asked")
    }

    async fn report(db: &Db, limits: &Limits, permit: Permit, outcome: Outcome) {
        let report = |account: &mut Account, now| account.report(permit.clone(), outcome, now, 0);
        with(db, &actor(), &key(), limits, report).await.expect("reported");
    }

    both! {
        async fn hosts_that_ask_at_the_same_time_never_go_over_the_limit_together(house) {
            // A file has one host; its callers come together all the same.
            let other = house.open_again().await.unwrap_or_else(|_| house.db.clone());
            // A fifth is for urgent calls.
            for (text, allowed) in [
                (r#"{"buckets":[{"requests":7,"per_seconds":60}],"max_in_flight":100}"#, 6),
                (r#"{"max_in_flight":5}"#, 4),
            ] {
                house.run("DELETE FROM account").await.expect("as if never used");
                let limits = limits(text);
                let asks = (0..20).map(|n| if n % 2 == 0 { &house.db } else { &other }).map(|db| ask(db, &limits));
                let answers = futures::future::join_all(asks).await;
                let go = answers.iter().filter(|answer| matches!(answer, Decision::Go(_))).count();
                assert_eq!(go, allowed, "{text}");
            }
        }
    }

    both! {
        async fn what_one_host_hears_holds_for_the_other_and_after_a_restart(mut house) {
            let limits = Limits::default();
            let Decision::Go(permit) = ask(&house.db, &limits).await else { panic!("there is room") };
            report(&house.db, &limits, permit, Outcome::RateLimited { after_ms: Some(5_000) }).await;
            house.restart().await;
            let now = house.db.now();
            let Decision::Wait { until, .. } = ask(&house.db, &limits).await else { panic!("it is paused") };
            assert_eq!(until, now.plus(5_000));
            let rows = list(&house.db, &tenant("t")).await.expect("rows");
            assert_eq!((rows.len(), rows[0].view.blocked_until), (1, Some(now.plus(5_000))));
            assert_eq!(list(&house.db, &tenant("other")).await.expect("rows"), []);
        }
    }

    both! {
        async fn a_breaker_that_opens_and_closes_is_in_the_audit(house) {
            let limits = Limits::default();
            for _ in 0..20 {
                let Decision::Go(permit) = ask(&house.db, &limits).await else { panic!("closed") };
                report(&house.db, &limits, permit, Outcome::Outage { after_ms: None }).await;
            }
            house.clock.advance(5_000);
            let Decision::Go(probe) = ask(&house.db, &limits).await else { panic!("the probe goes") };
            report(&house.db, &limits, probe, Outcome::Answered).await;
            let rows = audit::for_object(&house.db, &tenant("t"), "connection/acme").await.expect("audit");
            let told: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.actor.as_str())).collect();
            assert_eq!(told, [("account.breaker-opened", "host:test"), ("account.breaker-closed", "host:test")]);
        }
    }
}
