//! Events by asking again and again what changed, for an Odoo where nobody may add the outbox.
//!
//! `write_date` is the START of the writing transaction, so a later commit can carry an older date. Each round
//! therefore reads again everything since the cursor minus an overlap and tells only what was not told before, by
//! model, record and write date. Deletions leave no trace and are not seen;
//! nor is a second change within the same second as one already told, as Odoo shows whole seconds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp as Moment, Unit};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_domain::fault::Fault;
use wharf_domain::port::erp::{ErpEvent, ErpEventKind};
use wharf_domain::time::Timestamp;

use crate::client::Operation;
use crate::fault::unexpected;
use crate::value::id;

/// Rows of one request.
const PAGE: usize = 200;
const PREFIX: &str = "poll:";

/// The watched models and how one changed record reads.
const WATCHED: [Watched; 2] = [
    Watched {
        model: "sale.order",
        domain: || vec![json!(["state", "in", ["sale", "cancel"]])],
        field: "state",
        event: |id, state| {
            let cancelled = state.as_str() == Some("cancel");
            Some((if cancelled { ErpEventKind::OrderCancelled } else { ErpEventKind::OrderConfirmed }, id))
        },
    },
    Watched {
        model: "stock.picking",
        domain: || vec![json!(["picking_type_code", "=", "outgoing"]), json!(["sale_id", "!=", false])],
        field: "sale_id",
        event: |_, order| Some((ErpEventKind::OrderChanged, id(order)?)),
    },
];

struct Watched {
    model: &'static str,
    /// The domain beside the date.
    domain: fn() -> Vec<Value>,
    /// Read beside the date; given to `event` with the record's id.
    field: &'static str,
    event: fn(i64, &Value) -> Option<(ErpEventKind, i64)>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: i64,
    write_date: String,
}

/// Where polling stands, one cursor per model. In memory only: a restart looks back and the host's inbox, which knows
/// the keys, drops what it has.
#[derive(Debug)]
pub(crate) struct Cursors {
    overlap: SignedDuration,
    models: BTreeMap<&'static str, Cursor>,
}

#[derive(Debug)]
struct Cursor {
    at: DateTime,
    /// Told and acknowledged, by key, with the write date: forgotten once the cursor is past the overlap.
    done: BTreeMap<String, DateTime>,
    /// Told and not yet acknowledged: the cursor waits for the oldest.
    open: BTreeMap<String, DateTime>,
}

impl Cursors {
    pub(crate) fn new(now: Timestamp, overlap_s: u32, look_back_s: u32) -> Self {
        let start = now.plus(-i64::from(look_back_s).saturating_mul(1000));
        let start = Moment::from_millisecond(start.millis()).unwrap_or(Moment::UNIX_EPOCH);
        let at = start.round(Unit::Second).unwrap_or(start).to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let cursor = || Cursor { at, done: BTreeMap::new(), open: BTreeMap::new() };
        let models = WATCHED.iter().map(|watched| (watched.model, cursor())).collect();
        Self { overlap: SignedDuration::from_secs(i64::from(overlap_s)), models }
    }

    /// The domain's date: as far back as a late commit can still appear.
    fn since(&self, model: &str) -> Option<String> {
        let cursor = self.models.get(model)?;
        let since = cursor.at.checked_sub(self.overlap).unwrap_or(cursor.at);
        Some(since.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    fn acknowledged(&self, model: &str, key: &str) -> bool {
        self.models.get(model).is_some_and(|cursor| cursor.done.contains_key(key))
    }

    fn told(&mut self, key: &str) {
        if let Some((model, date)) = parts(key)
            && let Some(cursor) = self.models.get_mut(model)
        {
            cursor.open.insert(key.to_owned(), date);
        }
    }

    /// Moves the cursors up to the newest acknowledged date, but not past an event somebody still holds.
    pub(crate) fn acknowledge(&mut self, events: &[ErpEvent]) {
        for key in events.iter().map(|event| event.key.as_str()) {
            if let Some((model, date)) = parts(key)
                && let Some(cursor) = self.models.get_mut(model)
            {
                cursor.open.remove(key);
                cursor.done.insert(key.to_owned(), date);
            }
        }
        for cursor in self.models.values_mut() {
            let newest = cursor.done.values().max().copied().unwrap_or(cursor.at);
            let oldest_open = cursor.open.values().min().copied().unwrap_or(newest);
            cursor.at = cursor.at.max(newest.min(oldest_open));
            let kept_since = cursor.at.checked_sub(self.overlap).unwrap_or(cursor.at);
            cursor.done.retain(|_, date| *date >= kept_since);
        }
    }
}

/// The model and the write date in a key.
fn parts(key: &str) -> Option<(&str, DateTime)> {
    let mut parts = key.strip_prefix(PREFIX)?.splitn(3, ':');
    let (model, _id, date) = (parts.next()?, parts.next()?, parts.next()?);
    Some((model, date.parse().ok()?))
}

fn key(model: &str, row: &Row) -> String {
    format!("{PREFIX}{model}:{}:{}", row.id, row.write_date.replace(' ', "T"))
}

fn arguments(watched: &Watched, since: &str, offset: usize) -> Value {
    let mut domain = vec![json!(["write_date", ">=", since])];
    domain.extend((watched.domain)());
    let fields = ["write_date", watched.field];
    json!({"domain": domain, "fields": fields, "order": "write_date, id", "limit": PAGE, "offset": offset})
}

/// The next `limit` events, oldest first over all models.
pub(crate) async fn pending(
    calls: &mut Operation<'_>,
    cursors: &Mutex<Cursors>,
    limit: u32,
) -> Result<Vec<ErpEvent>, Fault> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Sorted by date, then model, then record.
    let mut found: BTreeMap<(String, usize, i64), ErpEvent> = BTreeMap::new();
    for (index, watched) in WATCHED.iter().enumerate() {
        let Some(since) = lock(cursors).since(watched.model) else { continue };
        let (mut offset, mut fresh) = (0, 0);
        loop {
            let answer = calls.call(watched.model, "search_read", arguments(watched, &since, offset)).await?;
            let Value::Array(rows) = answer else { return Err(unexpected(watched.model, "it is not a list")) };
            let count = rows.len();
            for json in rows {
                let row = Row::deserialize(&json).map_err(|err| unexpected(watched.model, err))?;
                let key = key(watched.model, &row);
                let Some((kind, order)) = (watched.event)(row.id, &json[watched.field]) else { continue };
                if !lock(cursors).acknowledged(watched.model, &key) {
                    fresh += 1;
                    let event = ErpEvent { key, kind, order: order.to_string(), receipt: None };
                    found.insert((row.write_date, index, row.id), event);
                }
            }
            offset += count;
            if count < PAGE || fresh >= limit {
                break;
            }
        }
    }
    let events: Vec<ErpEvent> = found.into_values().take(limit).collect();
    let mut cursors = lock(cursors);
    for event in &events {
        cursors.told(&event.key);
    }
    Ok(events)
}

pub(crate) fn lock(cursors: &Mutex<Cursors>) -> MutexGuard<'_, Cursors> {
    cursors.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_410_000_000; // 2026-11-23T05:00:00Z

    fn event(model: &str, id: i64, date: &str) -> ErpEvent {
        let row: Row = serde_json::from_value(json!({"id": id, "write_date": date, "state": "sale"})).expect("row");
        ErpEvent { key: key(model, &row), kind: ErpEventKind::OrderConfirmed, order: id.to_string(), receipt: None }
    }

    #[test]
    fn the_first_round_looks_back_and_later_ones_overlap() {
        let mut cursors = Cursors::new(Timestamp::from_millis(NOW), 180, 3600);
        assert_eq!(cursors.since("sale.order").as_deref(), Some("2026-11-23 03:57:00"));
        let first = event("sale.order", 26, "2026-11-23 05:10:00");
        cursors.told(&first.key);
        cursors.acknowledge(std::slice::from_ref(&first));
        assert_eq!(cursors.since("sale.order").as_deref(), Some("2026-11-23 05:07:00"));
        assert_eq!(cursors.since("stock.picking").as_deref(), Some("2026-11-23 03:57:00"), "each model has its own");
        assert!(cursors.acknowledged("sale.order", &first.key));
        let again = event("sale.order", 26, "2026-11-23 05:10:01");
        assert!(!cursors.acknowledged("sale.order", &again.key), "a later write is another fact");
    }

    #[test]
    fn an_event_nobody_acknowledged_holds_the_cursor() {
        let mut cursors = Cursors::new(Timestamp::from_millis(NOW), 60, 60);
        let old = event("sale.order", 1, "2026-11-23 05:01:00");
        let new = event("sale.order", 2, "2026-11-23 06:00:00");
        for event in [&old, &new] {
            cursors.told(&event.key);
        }
        cursors.acknowledge(std::slice::from_ref(&new));
        assert_eq!(cursors.since("sale.order").as_deref(), Some("2026-11-23 05:00:00"));
        cursors.acknowledge(std::slice::from_ref(&old));
        assert_eq!(cursors.since("sale.order").as_deref(), Some("2026-11-23 05:59:00"));
        assert!(!cursors.acknowledged("sale.order", &old.key), "past the overlap nobody asks again");
    }

    #[test]
    fn a_receipt_of_the_outbox_moves_no_cursor() {
        let mut cursors = Cursors::new(Timestamp::from_millis(NOW), 60, 60);
        let before = cursors.since("sale.order");
        let strange = ErpEvent { key: "outbox:1:1".into(), ..event("sale.order", 1, "2026-11-23 06:00:00") };
        cursors.acknowledge(&[strange]);
        assert_eq!(cursors.since("sale.order"), before);
    }
}
