//! Work items for people. The same problem with the same object is one item, however often it is seen.

use serde::Serialize;
use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::exception::{NewException, Severity};
use wharf_domain::ids::{ExceptionId, FlowKey, TenantId};
use wharf_domain::time::Timestamp;

use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::{Cols, json, name};
use crate::sql::{Row, Text, query};

/// A work item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExceptionRow {
    pub id: ExceptionId,
    pub tenant: TenantId,
    pub flow: Option<FlowKey>,
    pub code: String,
    pub severity: Severity,
    pub object: String,
    pub owner_role: String,
    pub cause: String,
    pub actions: Vec<String>,
    /// How often it was raised while open; at least 1.
    pub seen: u32,
    pub raised_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// Absent while it is open.
    pub resolution: Option<Resolution>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolution {
    pub at: Timestamp,
    pub by: String,
    pub action: String,
    pub note: String,
}

/// Opens a work item. When one of the same code and object is open, that one is counted up and told the newest cause;
/// a severity never falls. Returns its id either way.
pub async fn raise(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    flow: Option<&FlowKey>,
    new: &NewException,
) -> Result<ExceptionId, StoreError> {
    let id = ExceptionId::mint(tx.ids(), tx.now());
    if insert(tx, actor, &id, tenant, flow, new).await? {
        let detail = value!({ "exception": id.to_string(), "code": new.code, "cause": new.cause });
        audit::append(tx, actor, tenant, "exception.raised", &new.object, &detail).await?;
        return Ok(id);
    }
    // Locked: a severity that two raise at once does not fall.
    let Some(open) = open_one(tx, tenant, new).await? else {
        return Err(StoreError::Conflict);
    };
    query("UPDATE exception SET seen = seen + 1, last_seen_at = $2, cause = $3, severity = $4 WHERE id = $1")
        .bind(open.id.to_string())
        .bind(tx.now().millis())
        .bind(&new.cause)
        .bind(name(&new.severity.max(open.severity))?)
        .execute(tx.conn())
        .await?;
    Ok(open.id)
}

/// False when one of the same code and object is open.
async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    id: &ExceptionId,
    tenant: &TenantId,
    flow: Option<&FlowKey>,
    new: &NewException,
) -> Result<bool, StoreError> {
    let now = tx.now();
    let inserted = query(
        "INSERT INTO exception (id, tenant, flow, code, severity, object, owner_role, cause, actions, seen, \
         raised_by, raised_at, last_seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $11) \
         ON CONFLICT (tenant, code, object) WHERE resolved_at IS NULL DO NOTHING",
    )
    .bind(id.to_string())
    .bind(tenant.as_str())
    .bind(flow.map(FlowKey::as_str))
    .bind(&new.code)
    .bind(name(&new.severity)?)
    .bind(&new.object)
    .bind(&new.owner_role)
    .bind(&new.cause)
    .bind(json(&new.actions)?)
    .bind(actor.to_string())
    .bind(now.millis())
    .execute(tx.conn())
    .await?;
    Ok(inserted == 1)
}

/// Closes a work item with the action that was chosen. Fails when it does not exist or is closed already.
pub async fn resolve(
    tx: &mut Tx,
    actor: &Actor,
    id: &ExceptionId,
    action: &str,
    note: &str,
) -> Result<ExceptionRow, StoreError> {
    let now = tx.now().millis();
    let row = query(
        "UPDATE exception SET resolved_at = $2, resolved_by = $3, resolution = $4, note = $5 \
         WHERE id = $1 AND resolved_at IS NULL RETURNING *",
    )
    .bind(id.to_string())
    .bind(now)
    .bind(actor.to_string())
    .bind(action)
    .bind(note)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound { what: "open exception", id: id.to_string() });
    };
    let row = read(&row)?;
    let detail = value!({ "exception": id.to_string(), "code": row.code, "action": action, "note": note });
    audit::append(tx, actor, &row.tenant, "exception.resolved", &row.object, &detail).await?;
    Ok(row)
}

/// Closes the open work item of this code and object, if there is one.
pub async fn settle(
    tx: &mut Tx,
    actor: &Actor,
    tenant: &TenantId,
    (code, object): (&str, &str),
    action: &str,
) -> Result<(), StoreError> {
    let row = query(&OPEN).bind(tenant.as_str()).bind(code).bind(object).fetch_optional(tx.conn()).await?;
    if let Some(row) = row {
        resolve(tx, actor, &read(&row)?.id, action, "").await?;
    }
    Ok(())
}

/// What is open, the gravest and oldest first.
pub async fn open(db: &Db, tenant: &TenantId) -> Result<Vec<ExceptionRow>, StoreError> {
    let rows = query("SELECT * FROM exception WHERE tenant = $1 AND resolved_at IS NULL ORDER BY raised_at, id")
        .bind(tenant.as_str())
        .fetch_all(db.reader())
        .await?;
    let mut rows = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.severity));
    Ok(rows)
}

/// Every work item of one flow, open or not, oldest first.
pub async fn for_flow(db: &Db, tenant: &TenantId, flow: &FlowKey) -> Result<Vec<ExceptionRow>, StoreError> {
    let rows = query("SELECT * FROM exception WHERE tenant = $1 AND flow = $2 ORDER BY raised_at, id")
        .bind(tenant.as_str())
        .bind(flow.as_str())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

static OPEN: Text = Text::new(
    "SELECT * FROM exception WHERE tenant = $1 AND code = $2 AND object = $3 AND resolved_at IS NULL {for_update}",
);

async fn open_one(tx: &mut Tx, tenant: &TenantId, new: &NewException) -> Result<Option<ExceptionRow>, StoreError> {
    let row = query(&OPEN).bind(tenant.as_str()).bind(&new.code).bind(&new.object).fetch_optional(tx.conn()).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<ExceptionRow, StoreError> {
    let cols = Cols(row);
    let resolution = match cols.opt_time("resolved_at")? {
        None => None,
        Some(at) => Some(Resolution {
            at,
            by: cols.text("resolved_by")?,
            action: cols.text("resolution")?,
            note: cols.text("note")?,
        }),
    };
    Ok(ExceptionRow {
        id: cols.parse("id", ExceptionId::parse)?,
        tenant: cols.tenant()?,
        flow: cols.flow()?,
        code: cols.text("code")?,
        severity: cols.name("severity")?,
        object: cols.text("object")?,
        owner_role: cols.text("owner_role")?,
        cause: cols.text("cause")?,
        actions: cols.json("actions")?,
        seen: cols.count("seen")?,
        raised_at: cols.time("raised_at")?,
        last_seen_at: cols.time("last_seen_at")?,
        resolution,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, START, actor, both, tenant};

    fn new(code: &str, severity: Severity, cause: &str) -> NewException {
        NewException {
            code: code.to_owned(),
            severity,
            object: "order/1".to_owned(),
            owner_role: "operations".to_owned(),
            cause: cause.to_owned(),
            actions: vec!["retry".to_owned(), "cancel".to_owned()],
        }
    }

    async fn raised(house: &House, new: &NewException) -> ExceptionId {
        let mut tx = house.db.begin().await.expect("begin");
        let flow = FlowKey::new("order", "1");
        let id = raise(&mut tx, &actor(), &tenant("t"), Some(&flow), new).await.expect("raise");
        tx.commit().await.expect("commit");
        id
    }

    both! {
        async fn the_same_problem_is_one_open_item_and_a_new_one_after_it_was_resolved(house) {
            let first = raised(&house, &new("label-failed", Severity::Critical, "no answer")).await;
            house.clock.advance(5);
            assert_eq!(raised(&house, &new("label-failed", Severity::Info, "refused")).await, first);
            let minor = raised(&house, &new("address-invalid", Severity::Warning, "no street")).await;

            let rows = open(&house.db, &tenant("t")).await.expect("open");
            let seen: Vec<_> = rows.iter().map(|row| (row.id, row.seen, row.severity)).collect();
            assert_eq!(seen, [(first, 2, Severity::Critical), (minor, 1, Severity::Warning)]);
            assert_eq!((rows[0].cause.as_str(), rows[0].last_seen_at.millis()), ("refused", START + 5));
            assert!(open(&house.db, &tenant("u")).await.expect("open").is_empty());

            let mut tx = house.db.begin().await.expect("begin");
            let ana = Actor::User("ana".to_owned());
            resolve(&mut tx, &ana, &first, "retry", "called them").await.expect("resolve");
            let again = resolve(&mut tx, &ana, &first, "retry", "").await.expect_err("closed");
            assert!(matches!(again, StoreError::NotFound { .. }), "{again}");
            tx.commit().await.expect("commit");
            let second = raised(&house, &new("label-failed", Severity::Critical, "no answer")).await;
            assert_ne!(second, first);

            let flow = FlowKey::new("order", "1");
            let rows = for_flow(&house.db, &tenant("t"), &flow).await.expect("rows");
            assert_eq!(rows.len(), 3);
            let resolution = rows[0].resolution.as_ref().expect("resolved");
            assert_eq!((resolution.by.as_str(), resolution.action.as_str()), ("user:ana", "retry"));
            let audit = audit::for_object(&house.db, &tenant("t"), "order/1").await.expect("audit");
            let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
            assert_eq!(actions, ["exception.raised", "exception.raised", "exception.resolved", "exception.raised"]);
        }
    }
}
