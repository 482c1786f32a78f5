//! An adapter that asks for one place after the other is looking for something. Places are counted whether they were
//! granted or not; more than [`MOST`] within an hour are a line of the audit, once an hour.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use url::Url;
use wharf_domain::ids::TenantId;
use wharf_domain::time::Timestamp;
use wharf_store::{Db, StoreError, audit};

use crate::Grant;
use crate::tape::actor;

/// Places within an hour that nobody is told of. A connection has one.
const MOST: usize = 20;
/// Places that are remembered of one connection; the oldest go first.
const REMEMBERED: usize = 64;
const HOUR_MS: i64 = 3_600_000;
/// Characters of a name in the audit.
const SHOWN: usize = 100;

/// What each connection asked for lately, as this host saw it.
#[derive(Default)]
pub(crate) struct Scans(Mutex<HashMap<(TenantId, String), Places>>);

#[derive(Default)]
struct Places {
    /// Host and port, and when they were asked for last.
    seen: HashMap<String, Timestamp>,
    told: Option<Timestamp>,
}

impl Scans {
    /// Notes a request, and writes it down when it is the one too many. What is no URL names no place.
    pub(crate) async fn note(&self, db: &Db, grant: &Grant, url: &str, now: Timestamp) -> Result<(), StoreError> {
        let Some(place) = place(url) else { return Ok(()) };
        let newest: String = place.chars().take(SHOWN).collect();
        let Some(places) = self.count(grant, place, now) else { return Ok(()) };
        let detail = json!({ "places": places, "within_minutes": HOUR_MS / 60_000, "newest": newest });
        let mut tx = db.begin().await?;
        let object = format!("connection/{}", grant.connection);
        audit::append(&mut tx, &actor(), &grant.tenant, "egress.scan", &object, &detail).await?;
        tx.commit().await
    }

    /// How many places it were, when somebody is to be told.
    fn count(&self, grant: &Grant, place: String, now: Timestamp) -> Option<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = all.entry((grant.tenant.clone(), grant.connection.clone())).or_default();
        mine.seen.retain(|_, at| now.since(*at) < HOUR_MS);
        mine.seen.insert(place, now);
        if mine.seen.len() > REMEMBERED
            && let Some(oldest) = mine.seen.iter().min_by_key(|(_, at)| **at).map(|(place, _)| place.clone())
        {
            mine.seen.remove(&oldest);
        }
        let lately = mine.told.is_some_and(|told| now.since(told) < HOUR_MS);
        if mine.seen.len() <= MOST || lately {
            return None;
        }
        mine.told = Some(now);
        Some(mine.seen.len())
    }
}

/// As the policy reads it; control characters are gone.
fn place(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}
