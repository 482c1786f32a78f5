//! Rights: an operation on a model is allowed by a record of `ir.model.access` for one of the user's groups. Users of
//! the group Settings may do everything with the models of the modules.

use serde_json::{Value, json};

use super::env::Env;
use super::errors::{Raised, Result};
use super::seed::GROUP_SYSTEM;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Write,
    Create,
    Unlink,
}

impl Right {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "create" => Some(Self::Create),
            "unlink" => Some(Self::Unlink),
            _ => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Read => "perm_read",
            Self::Write => "perm_write",
            Self::Create => "perm_create",
            Self::Unlink => "perm_unlink",
        }
    }

    /// As the error says it.
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "access",
            Self::Write => "modify",
            Self::Create => "create",
            Self::Unlink => "delete",
        }
    }
}

/// The user's groups with all they imply.
pub(super) fn groups(env: &Env<'_>, uid: i64) -> Vec<i64> {
    let mut all = env.many("res.users", uid, "group_ids");
    let mut at = 0;
    while let Some(group) = all.get(at).copied() {
        for implied in env.many("res.groups", group, "implied_ids") {
            if !all.contains(&implied) {
                all.push(implied);
            }
        }
        at += 1;
    }
    all
}

pub(super) fn may(env: &Env<'_>, model: &str, right: Right) -> bool {
    let groups = groups(env, env.uid);
    let manual = env.db.model(model).is_some_and(|m| m.manual);
    if groups.contains(&GROUP_SYSTEM) && !manual {
        return true;
    }
    grants(env, model, right).into_iter().any(|group| group.is_none_or(|g| groups.contains(&g)))
}

/// The groups a right is granted to; `None` stands for everybody.
fn grants(env: &Env<'_>, model: &str, right: Right) -> Vec<Option<i64>> {
    const MODEL: &str = "ir.model.access";
    let Some(id) = env.model_id(model) else { return Vec::new() };
    let rows = env.db.having(MODEL, "model_id", &json!(id)).unwrap_or_default();
    let granting = rows.into_iter().filter(|r| env.flag(MODEL, *r, "active") && env.flag(MODEL, *r, right.column()));
    granting.map(|r| env.one(MODEL, r, "group_id")).collect()
}

pub(super) fn check(env: &Env<'_>, model: &str, right: Right) -> Result<()> {
    if may(env, model, right) {
        return Ok(());
    }
    let label = env.db.model(model).map(|m| m.label.clone()).unwrap_or_default();
    let mut names: Vec<String> =
        grants(env, model, right).into_iter().flatten().map(|g| env.text("res.groups", g, "full_name")).collect();
    names.sort();
    let allowed = if names.is_empty() {
        "No group currently allows this operation.".to_owned()
    } else {
        let list: Vec<String> = names.iter().map(|n| format!("\t- {}", n.replace(" / ", "/"))).collect();
        format!("This operation is allowed for the following groups:\n{}", list.join("\n"))
    };
    Err(Raised::access(format!(
        "You are not allowed to {} '{label}' ({model}) records.\n\n{allowed}\n\nContact your administrator to request \
         access if necessary.",
        right.verb()
    )))
}

/// An attachment or a message belongs to a record, and so do the rights: to make or change one is to write the record.
pub(super) fn check_carrier(env: &Env<'_>, vals: &serde_json::Map<String, Value>, field: &str) -> Result<()> {
    match vals.get(field).and_then(Value::as_str) {
        Some(model) if env.db.model(model).is_some() => check(env, model, Right::Write),
        _ => Ok(()),
    }
}

/// A record rule: everybody sees his own keys.
pub(super) fn retain_own(env: &Env<'_>, model: &str, ids: &mut Vec<i64>) {
    if model == "res.users.apikeys" {
        ids.retain(|id| env.one(model, *id, "user_id") == Some(env.uid));
    }
}

/// The context may narrow the companies, not widen them.
pub(super) fn check_companies(env: &Env<'_>) -> Result<()> {
    let wanted = env.context.get("allowed_company_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    let own = env.many("res.users", env.uid, "company_ids");
    if wanted.iter().all(|c| c.as_i64().is_some_and(|c| own.contains(&c))) {
        return Ok(());
    }
    Err(Raised::access("Access to unauthorized or invalid companies."))
}
