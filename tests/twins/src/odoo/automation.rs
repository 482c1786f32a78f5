//! Automation rules: who is set off by a change, and the actions that follow, inside the same transaction.

use serde_json::{Value, json};

use super::db::Row;
use super::domain_filter::Domain;
use super::env::Env;
use super::errors::Result;
use super::{outbox, python, webhook};

const RULE: &str = "base.automation";
const ACTION: &str = "ir.actions.server";

/// What happened to the record.
#[derive(Clone, Copy)]
enum Change<'a> {
    Created,
    /// The row before.
    Written(&'a Row),
    /// One field changed in a way no single write shows.
    Again(&'a str),
    Deleted,
}

/// After a create (`None`) or a write over the row `before`.
pub(super) fn fire(env: &mut Env<'_>, model: &str, id: i64, before: Option<&Row>) -> Result<()> {
    run(env, model, id, before.map_or(Change::Created, Change::Written))
}

/// A stored computed field was computed again.
pub(super) fn fire_again(env: &mut Env<'_>, model: &str, id: i64, field: &str) -> Result<()> {
    run(env, model, id, Change::Again(field))
}

pub(super) fn fire_unlink(env: &mut Env<'_>, model: &str, id: i64) -> Result<()> {
    run(env, model, id, Change::Deleted)
}

fn run(env: &mut Env<'_>, model: &str, id: i64, change: Change<'_>) -> Result<()> {
    let Some(model_id) = env.model_id(model) else { return Ok(()) };
    let rules = env.db.having(RULE, "model_id", &json!(model_id)).unwrap_or_default();
    for rule in rules {
        if env.rules_at_work.contains(&(rule, id)) || !applies(env, rule, model, id, change)? {
            continue;
        }
        env.rules_at_work.push((rule, id));
        let name = env.text(RULE, rule, "name");
        let result = act(env, rule, model, id).map_err(|raised| raised.in_rule(rule, &name));
        env.rules_at_work.pop();
        result?;
    }
    Ok(())
}

fn applies(env: &mut Env<'_>, rule: i64, model: &str, id: i64, change: Change<'_>) -> Result<bool> {
    if !env.flag(RULE, rule, "active") {
        return Ok(false);
    }
    let trigger = env.text(RULE, rule, "trigger");
    let fits = match change {
        Change::Created => matches!(trigger.as_str(), "on_create" | "on_create_or_write" | "on_state_set"),
        Change::Written(_) | Change::Again(_) => {
            matches!(trigger.as_str(), "on_write" | "on_create_or_write" | "on_state_set")
        }
        Change::Deleted => trigger == "on_unlink",
    };
    if !fits || !watched(env, rule, model, id, &trigger, change) {
        return Ok(false);
    }
    if let Change::Written(before) = change {
        let domain = domain_of(env, rule, "filter_pre_domain", model)?;
        if domain != Domain::Constant(true) && !held_before(env, model, id, before, &domain) {
            return Ok(false);
        }
    }
    Ok(domain_of(env, rule, "filter_domain", model)?.holds(env, model, id))
}

/// With trigger fields, one of them must have another value than before; a new record counts as changed in all.
fn watched(env: &Env<'_>, rule: i64, model: &str, id: i64, trigger: &str, change: Change<'_>) -> bool {
    let mut fields: Vec<String> =
        env.many(RULE, rule, "trigger_field_ids").into_iter().map(|f| env.text("ir.model.fields", f, "name")).collect();
    if trigger == "on_state_set" {
        let Some(choice) = env.one(RULE, rule, "trg_selection_field_id") else { return false };
        let Some(field) = env.one("ir.model.fields.selection", choice, "field_id") else { return false };
        let field = env.text("ir.model.fields", field, "name");
        if env.value(model, id, &field) != env.value("ir.model.fields.selection", choice, "value") {
            return false;
        }
        fields = vec![field];
    }
    match change {
        Change::Written(before) if !fields.is_empty() => {
            let now = env.db.row(model, id);
            fields.iter().any(|field| now.and_then(|row| row.get(field)) != before.get(field))
        }
        Change::Again(field) => fields.is_empty() || fields.iter().any(|f| f == field),
        _ => true,
    }
}

fn domain_of(env: &Env<'_>, rule: i64, field: &str, model: &str) -> Result<Domain> {
    let text = env.text(RULE, rule, field);
    match python::literal(&text) {
        Some(domain) if !text.is_empty() => Domain::parse(env, model, &domain),
        _ => Ok(Domain::Constant(true)),
    }
}

/// The domain over the record as it was.
fn held_before(env: &mut Env<'_>, model: &str, id: i64, before: &Row, domain: &Domain) -> bool {
    let now = env.row(model, id);
    env.db.put(model, id, Some(before.clone()));
    let held = domain.holds(env, model, id);
    env.db.put(model, id, Some(now));
    held
}

fn act(env: &mut Env<'_>, rule: i64, model: &str, id: i64) -> Result<()> {
    for action in env.many(RULE, rule, "action_server_ids") {
        match env.text(ACTION, action, "state").as_str() {
            "webhook" => {
                let post = webhook::Post {
                    url: env.text(ACTION, action, "webhook_url"),
                    body: payload(env, action, model, id),
                };
                env.posts.push(post);
            }
            "code" => outbox::run(env, &env.text(ACTION, action, "code"), model, id)?,
            _ => {}
        }
    }
    Ok(())
}

/// The record in the middle of its transaction: bare ids, times with microseconds.
fn payload(env: &Env<'_>, action: i64, model: &str, id: i64) -> Value {
    let mut body = json!({
        "_action": format!("{}(#{action})", env.text(ACTION, action, "name")),
        "_id": id,
        "_model": model,
        "id": id,
    });
    for field in env.many(ACTION, action, "webhook_field_ids") {
        let name = env.text("ir.model.fields", field, "name");
        body[&name] = env.value(model, id, &name);
    }
    body
}
