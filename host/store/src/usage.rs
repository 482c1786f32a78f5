//! What a connection did: told from tapes, the ledger and the audit, so it reaches as far back as each of them is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_domain::time::Timestamp;

use crate::db::Db;
use crate::error::StoreError;
use crate::grants::GrantAt;
use crate::row::Cols;
use crate::sql::{Query, Text, query};

/// More rows than this are not looked at; then [`Usage::cut`] says so.
const MOST: i64 = 100_000;

/// Requests of one kind, as they were sent: the path without its query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    pub method: String,
    pub path: String,
    pub calls: u64,
}

/// Outside changes of one route and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// Method and path template, e.g. `POST /ship`.
    pub route: String,
    pub effect: Option<String>,
    pub state: String,
    pub count: u64,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    pub capability: String,
    pub rule: String,
    /// e.g. a host; never a value.
    pub target: String,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub since: Timestamp,
    /// The tenant's oldest tape that is kept: requests before it are not known. Absent: there is none.
    pub taped_since: Option<Timestamp>,
    /// To the origins that were asked about.
    pub calls: Vec<Calls>,
    pub effects: Vec<Effects>,
    pub denied: Vec<Denied>,
    /// Bytes of key-value storage in use now.
    pub kv_bytes: u64,
    /// Files left in drop folders.
    pub files: u64,
    /// There was more than could be looked at.
    pub cut: bool,
}

static CALLS: Text = Text::new(
    "SELECT {tape_method} AS method, {tape_uri} AS uri FROM tape WHERE tenant = $1 AND at >= $2 \
     ORDER BY seq DESC LIMIT $3",
);

/// What a connection did since a moment, and which requests of the tenant went to `origins`.
pub async fn of(db: &Db, at: &GrantAt, origins: &[String], since: Timestamp) -> Result<Usage, StoreError> {
    let (calls, calls_cut) = calls(db, at, origins, since).await?;
    let (denied, denied_cut) = denied(db, at, since).await?;
    let oldest = query("SELECT MIN(at) AS at FROM tape WHERE tenant = $1").bind(at.tenant.as_str());
    let kv =
        bound("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS n FROM kv WHERE tenant = $1 AND connection = $2", at);
    let files =
        bound("SELECT COUNT(*) AS n FROM folder_put WHERE tenant = $1 AND connection = $2 AND created_at >= $3", at);
    Ok(Usage {
        since,
        taped_since: Cols(&oldest.fetch_one(db.reader()).await?).opt_time("at")?,
        calls,
        effects: effects(db, at, since).await?,
        denied,
        kv_bytes: Cols(&kv.fetch_one(db.reader()).await?).count("n")?,
        files: Cols(&files.bind(since.millis()).fetch_one(db.reader()).await?).count("n")?,
        cut: calls_cut || denied_cut,
    })
}

fn bound(text: &'static str, at: &GrantAt) -> Query {
    query(text).bind(at.tenant.as_str()).bind(at.connection.as_str())
}

async fn calls(db: &Db, at: &GrantAt, origins: &[String], since: Timestamp) -> Result<(Vec<Calls>, bool), StoreError> {
    let rows = query(&CALLS).bind(at.tenant.as_str()).bind(since.millis()).bind(MOST).fetch_all(db.reader()).await?;
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in &rows {
        let (Some(method), Some(uri)) = (Cols(row).opt_text("method")?, Cols(row).opt_text("uri")?) else { continue };
        let path = origins.iter().find_map(|origin| uri.strip_prefix(origin.as_str()).filter(|p| p.starts_with('/')));
        if let Some(path) = path {
            let path = path.split(['?', '#']).next().unwrap_or(path).to_owned();
            *counts.entry((method, path)).or_default() += 1;
        }
    }
    let calls = counts.into_iter().map(|((method, path), calls)| Calls { method, path, calls }).collect();
    Ok((calls, rows.len() as i64 == MOST))
}

async fn effects(db: &Db, at: &GrantAt, since: Timestamp) -> Result<Vec<Effects>, StoreError> {
    let text = "SELECT route, effect_type, state, COUNT(*) AS n FROM effect \
                WHERE tenant = $1 AND connection = $2 AND created_at >= $3 \
                GROUP BY route, effect_type, state ORDER BY route, effect_type, state";
    let rows = bound(text, at).bind(since.millis()).fetch_all(db.reader()).await?;
    rows.iter()
        .map(|row| {
            let cols = Cols(row);
            Ok(Effects {
                route: cols.text("route")?,
                effect: cols.opt_text("effect_type")?,
                state: cols.text("state")?,
                count: cols.count("n")?,
            })
        })
        .collect()
}

async fn denied(db: &Db, at: &GrantAt, since: Timestamp) -> Result<(Vec<Denied>, bool), StoreError> {
    let text = "SELECT detail FROM audit WHERE tenant = $1 AND object = $2 AND action = 'adapter.denied' AND at >= $3 \
                ORDER BY seq DESC LIMIT $4";
    let object = format!("connection/{}", at.connection);
    let rows = query(text).bind(at.tenant.as_str()).bind(object).bind(since.millis()).bind(MOST);
    let rows = rows.fetch_all(db.reader()).await?;
    let mut counts: BTreeMap<[String; 3], u64> = BTreeMap::new();
    for row in &rows {
        let detail: Value = Cols(row).json("detail")?;
        let part = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
        *counts.entry(["capability", "rule", "target"].map(part)).or_default() += detail["count"].as_u64().unwrap_or(1);
    }
    let one = |([capability, rule, target], count): ([String; 3], u64)| Denied { capability, rule, target, count };
    Ok((counts.into_iter().map(one).collect(), rows.len() as i64 == MOST))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_domain::ids::{ConnectionId, JobId};

    use super::*;
    use crate::testing::{House, START, actor, both, tenant};
    use crate::{audit, tapes};

    both! {
        async fn what_a_connection_did_is_told_from_tapes_ledger_and_audit(house) {
            let at = GrantAt { tenant: tenant("t"), connection: ConnectionId::parse("acme").expect("connection") };
            let origins = ["https://api.acme.example".to_owned()];
            let since = Timestamp::from_millis(START);
            let nothing = of(&house.db, &at, &origins, since).await.expect("usage");
            assert_eq!((nothing.calls.len(), nothing.taped_since, nothing.cut), (0, None, false));
            let job = JobId::mint(house.db.ids(), house.db.now());
            let mut tx = house.db.begin().await.expect("begin");
            for uri in [
                "https://api.acme.example/track/1?key=v",
                "https://api.acme.example/track/1",
                "https://api.acme.example.evil.example/track/1",
                "https://erp.example/json/2/x",
            ] {
                let exchange = json!({ "request": { "method": "GET", "uri": uri }, "response": { "body": "a\u{0}b" } });
                tapes::append(&mut tx, &actor(), &at.tenant, &job, &exchange).await.expect("tape");
            }
            for (object, count) in [("connection/acme", 3), ("connection/acme", 2), ("connection/other", 9)] {
                let detail = json!({ "capability": "http", "rule": "port", "target": "x", "count": count });
                audit::append(&mut tx, &actor(), &at.tenant, "adapter.denied", object, &detail).await.expect("audit");
            }
            tx.commit().await.expect("commit");
            house.run(
                "INSERT INTO effect (id, tenant, connection, job, step_key, route, class, state, request_digest, fence, \
                 attempt, effect_type, created_at, updated_at) VALUES ('f1', 't', 'acme', 'j', 's', 'POST /ship', 'once', \
                 'succeeded', 'd', 3, 1, 'buy-label', 1700000000000, 1700000000000)",
            ).await.expect("effect");
            let usage = of(&house.db, &at, &origins, since).await.expect("usage");
            let path = "/track/1".to_owned();
            assert_eq!(usage.calls, [Calls { method: "GET".to_owned(), path, calls: 2 }]);
            assert_eq!((usage.denied[0].count, usage.denied.len()), (5, 1));
            assert_eq!((usage.effects[0].route.as_str(), usage.effects[0].count), ("POST /ship", 1));
            let later = of(&house.db, &at, &origins, since.plus(1)).await.expect("usage");
            assert_eq!((later.calls.len(), later.denied.len(), later.effects.len()), (0, 0, 0));
            assert_eq!(later.taped_since, Some(since), "what is kept does not depend on what is asked");
        }
    }
}
