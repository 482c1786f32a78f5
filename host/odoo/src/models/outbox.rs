//! The outbox model that `setup` makes: one row per change, written in the transaction of the change.

use serde::Deserialize;
use serde_json::{Value, json};
use wharf_domain::fault::Fault;
use wharf_domain::port::erp::{ErpEvent, ErpEventKind};

use crate::fault::unexpected;

/// Fields beside `id`: name, type, label.
pub(crate) const FIELDS: [(&str, &str, &str); 3] =
    [("x_event", "char", "Event"), ("x_order_id", "integer", "Sales order"), ("x_company_id", "integer", "Company")];

/// Texts of `x_event`; the part after `order.` is the order's new state.
pub(crate) const CONFIRMED: &str = "order.sale";
pub(crate) const CANCELLED: &str = "order.cancel";
pub(crate) const DELIVERY: &str = "delivery";
pub(crate) const RESERVATION: &str = "reservation";

const RECEIPT: &str = "outbox:";

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    id: i64,
    x_event: Value,
    x_order_id: i64,
}

/// Arguments of `search_read`. Rows without an order are nobody's and must not fill the page.
pub(crate) fn arguments(limit: u32) -> Value {
    json!({"domain": [["x_order_id", ">", 0]], "fields": ["x_event", "x_order_id"], "order": "id", "limit": limit})
}

pub(crate) fn parse(answer: Value) -> Result<Vec<Row>, Fault> {
    serde_json::from_value(answer).map_err(|err| unexpected("x_wharf_outbox.search_read", err))
}

/// Rows of one order and one kind are one event: one confirmation writes a row per move and step.
///
/// The key is the newest row and how many there are. Rows are only added, also late ones with a lower id by a
/// transaction that took long, and an acknowledgement removes all of an event at once; so an equal key means equal
/// rows, and no row can vanish under a key that was seen before.
pub(crate) fn collapse(rows: &[Row]) -> Vec<ErpEvent> {
    let mut groups: Vec<(ErpEventKind, i64, Vec<i64>)> = Vec::new();
    for row in rows {
        let kind = match row.x_event.as_str() {
            Some(CONFIRMED) => ErpEventKind::OrderConfirmed,
            Some(CANCELLED) => ErpEventKind::OrderCancelled,
            _ => ErpEventKind::OrderChanged,
        };
        match groups.iter_mut().find(|(known, order, _)| (*known, *order) == (kind, row.x_order_id)) {
            Some((_, _, ids)) => ids.push(row.id),
            None => groups.push((kind, row.x_order_id, vec![row.id])),
        }
    }
    groups.into_iter().map(|(kind, order, ids)| event(kind, order, &ids)).collect()
}

fn event(kind: ErpEventKind, order: i64, ids: &[i64]) -> ErpEvent {
    let newest = ids.iter().max().copied().unwrap_or_default();
    let list: Vec<String> = ids.iter().map(i64::to_string).collect();
    ErpEvent {
        key: format!("{RECEIPT}{newest}:{}", ids.len()),
        kind,
        order: order.to_string(),
        receipt: Some(format!("{RECEIPT}{}", list.join(","))),
    }
}

/// The rows behind acknowledged events. Receipts of another source are not ours and are passed over.
pub(crate) fn rows_of(events: &[ErpEvent]) -> Vec<i64> {
    let receipts = events.iter().filter_map(|event| event.receipt.as_deref()?.strip_prefix(RECEIPT));
    receipts.flat_map(|list| list.split(',')).filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(list: &[(i64, &str, i64)]) -> Vec<Row> {
        list.iter().map(|(id, event, order)| Row { id: *id, x_event: json!(event), x_order_id: *order }).collect()
    }

    #[test]
    fn one_confirmation_is_two_events_however_many_rows() {
        let events = collapse(&rows(&[
            (1, "order.sale", 26),
            (2, "reservation", 26),
            (3, "order.sale", 27),
            (4, "delivery", 26),
        ]));
        let told: Vec<_> = events.iter().map(|e| (e.key.as_str(), e.kind, e.order.as_str())).collect();
        assert_eq!(
            told,
            [
                ("outbox:1:1", ErpEventKind::OrderConfirmed, "26"),
                ("outbox:4:2", ErpEventKind::OrderChanged, "26"),
                ("outbox:3:1", ErpEventKind::OrderConfirmed, "27"),
            ]
        );
        assert_eq!(rows_of(&events), [1, 2, 4, 3]);
    }

    #[test]
    fn a_row_that_commits_late_makes_another_key() {
        let before = collapse(&rows(&[(1, "delivery", 26), (3, "delivery", 26)]));
        let after = collapse(&rows(&[(1, "delivery", 26), (2, "delivery", 26), (3, "delivery", 26)]));
        assert_ne!(before[0].key, after[0].key);
        assert_eq!(collapse(&rows(&[(1, "delivery", 26), (3, "delivery", 26)])), before);
    }

    #[test]
    fn receipts_of_another_source_are_passed_over() {
        let polled =
            ErpEvent { key: "poll".into(), kind: ErpEventKind::OrderChanged, order: "1".into(), receipt: None };
        let strange = ErpEvent { receipt: Some("x:1".into()), ..polled.clone() };
        assert!(rows_of(&[polled, strange]).is_empty());
    }
}
