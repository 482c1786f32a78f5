//! The story of one order as the host's API tells it, line by line for a person: what arrived, which jobs ran, which
//! outside effects there were, what was bought and what Odoo was told.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::progress::say;

pub(crate) fn print(timeline: &Value) {
    for line in lines(timeline) {
        say(&line);
    }
}

/// How the carrier knows the order's labels, all generations.
pub(crate) fn references(timeline: &Value) -> Vec<&str> {
    let deliveries = timeline["flow"]["state"]["deliveries"].as_object();
    let labels = deliveries.into_iter().flat_map(|all| all.values()).flat_map(|delivery| list(&delivery["labels"]));
    labels.filter_map(|label| label["reference"].as_str()).collect()
}

/// What must be in the story of an order that got its label: the fact that began it, one purchase in the ledger under a
/// key of the business, the adapter that made it, and a label with number and hash.
pub(crate) fn check(timeline: &Value) -> Result<()> {
    ensure!(list(&timeline["events"]).count() > 0, "the timeline has no event");
    let bought: Vec<&Value> = rows(timeline, "effect")
        .filter(|effect| effect["effect_type"] == "buy-label" && !effect["business_key"].is_null())
        .collect();
    ensure!(bought.len() == 1, "the timeline has {} purchases with a business key", bought.len());
    let digest = bought[0]["adapter_digest"].as_str().unwrap_or_default();
    ensure!(digest.starts_with("sha256:"), "the purchase does not name the adapter that made it");
    let told = lines(timeline).join("\n");
    for word in ["tracking number", "label  ", "written to Odoo"] {
        ensure!(told.contains(word), "the timeline has no `{}`", word.trim());
    }
    Ok(())
}

/// Rows of the list `jobs` or `effects`. Each stands beside its attempts or its history.
fn rows<'t>(timeline: &'t Value, name: &'t str) -> impl Iterator<Item = &'t Value> {
    list(&timeline[format!("{name}s")]).map(move |story| story.get(name).filter(|row| row.is_object()).unwrap_or(story))
}

fn lines(timeline: &Value) -> Vec<String> {
    let mut told =
        vec![String::new(), format!("{}  {}", text(&timeline["flow"]["key"]), text(&timeline["flow"]["status"]))];
    told.extend(moments(timeline));
    told.extend(rows(timeline, "effect").flat_map(effect));
    let deliveries = timeline["flow"]["state"]["deliveries"].as_object();
    told.extend(deliveries.into_iter().flat_map(|all| all.values()).flat_map(delivery));
    told.extend(list(&timeline["exceptions"]).map(exception));
    told
}

/// Events and jobs in the order they came, with the milliseconds since the first.
fn moments(timeline: &Value) -> Vec<String> {
    let events = list(&timeline["events"]).map(|event| {
        let what = format!(
            "event   {:<20} from {}, key {}",
            text(&event["kind"]),
            text(&event["source"]),
            text(&event["key"])
        );
        (at(&event["received_at"]), what)
    });
    let jobs = rows(timeline, "job").map(|job| {
        let took = at(&job["finished_at"]).saturating_sub(at(&job["created_at"])).max(0);
        let attempts = job["attempt"].as_u64().unwrap_or_default();
        let again = if attempts == 1 { String::new() } else { format!(", {attempts} attempts") };
        let what = format!(
            "job     {:<24} {}{again}, {took} ms after it was asked for",
            text(&job["kind"]),
            text(&job["state"])
        );
        (at(&job["created_at"]), what)
    });
    let mut all: Vec<(i64, String)> = events.chain(jobs).collect();
    // Stable: an event stands before the jobs it caused in the same millisecond.
    all.sort_by_key(|(at, _)| *at);
    let first = all.first().map_or(0, |(at, _)| *at);
    all.into_iter().map(|(at, what)| format!("  {:>6} ms  {what}", at - first)).collect()
}

/// Only what the business calls an effect: it has a key of its own.
fn effect(effect: &Value) -> Vec<String> {
    let Some(key) = effect["business_key"].as_str() else { return Vec::new() };
    vec![
        format!("  effect {}  {}  {}", text(&effect["id"]), text(&effect["effect_type"]), text(&effect["state"])),
        format!("    key      {key}"),
        format!("    by       {} over {}", text(&effect["route"]), text(&effect["connection"])),
        format!("    adapter  {}", text(&effect["adapter_digest"])),
    ]
}

fn delivery(delivery: &Value) -> Vec<String> {
    let mut told = vec![format!("  delivery {}  {}", text(&delivery["name"]), text(&delivery["stage"]))];
    for label in list(&delivery["labels"]) {
        let bought = &label["bought"];
        let total = &bought["total"];
        told.push(format!(
            "    tracking number  {}   service {}, {} {}",
            text(&bought["tracking_number"]),
            text(&label["choice"]["service"]),
            text(&total["amount"]),
            text(&total["currency"])
        ));
        told.extend(list(&bought["documents"]).map(|file| {
            format!(
                "    label            {}, {} bytes, sha256 {}",
                text(&file["format"]),
                file["size"],
                text(&file["sha256"])
            )
        }));
        told.extend(list(&label["steps"]).map(|step| {
            let what = match step["what"]["step"].as_str() {
                Some("shipping") => "carrier, tracking number and weight",
                Some("attach") => "the label as an attachment",
                Some("note") => "a line in the delivery's history",
                Some("void-note") => "a line in the delivery's history about the void",
                _ => "something else",
            };
            format!("    written to Odoo  {what}: {}", text(&step["status"]["is"]))
        }));
    }
    told
}

fn exception(exception: &Value) -> String {
    format!("  exception {} on {}: {}", text(&exception["code"]), text(&exception["object"]), text(&exception["cause"]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn at(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_of_every_generation_are_found() {
        let labels = json!([{ "reference": "r1" }, { "reference": "r2" }]);
        let flow = json!({ "flow": { "state": { "deliveries": { "46": { "labels": labels } } } } });
        assert_eq!(references(&flow), ["r1", "r2"]);
        assert!(references(&Value::Null).is_empty());
    }

    #[test]
    fn the_story_names_everything_a_person_asks_for() {
        let timeline = json!({
            "flow": { "key": "order/25", "status": "closed", "state": { "deliveries": { "46": {
                "name": "WH/OUT/00040", "stage": "closed", "labels": [{
                    "choice": { "connection": "acme", "service": "03" },
                    "bought": { "tracking_number": "1Z9", "total": { "amount": "12.40", "currency": "USD" },
                                "documents": [{ "format": "zpl", "size": 7, "sha256": "ab12" }] },
                    "steps": [{ "what": { "step": "shipping" }, "status": { "is": "done" } }],
                }],
            } } } },
            "events": [{ "kind": "order-confirmed", "source": "odoo", "key": "k1", "received_at": 1000 }],
            "jobs": [{
                "job": { "kind": "erp.attach", "state": "done", "attempt": 2, "created_at": 1010, "finished_at": 1050 },
                "attempts": [],
            }],
            "effects": [
                { "id": "e1", "effect_type": "buy-label", "state": "succeeded", "business_key": "label:order/25/x/1",
                  "route": "POST /ship", "connection": "acme", "adapter_digest": "sha256:77" },
                { "id": "e2", "business_key": null },
            ],
            "exceptions": [],
        });
        let expected = [
            "",
            "order/25  closed",
            "       0 ms  event   order-confirmed      from odoo, key k1",
            "      10 ms  job     erp.attach               done, 2 attempts, 40 ms after it was asked for",
            "  effect e1  buy-label  succeeded",
            "    key      label:order/25/x/1",
            "    by       POST /ship over acme",
            "    adapter  sha256:77",
            "  delivery WH/OUT/00040  closed",
            "    tracking number  1Z9   service 03, 12.40 USD",
            "    label            zpl, 7 bytes, sha256 ab12",
            "    written to Odoo  carrier, tracking number and weight: done",
        ];
        assert_eq!(lines(&timeline), expected);
        assert!(check(&timeline).is_ok());
        for missing in ["events", "effects", "flow"] {
            let mut poorer = timeline.clone();
            poorer[missing] = json!([]);
            assert!(check(&poorer).is_err(), "nobody misses `{missing}`");
        }
    }
}
