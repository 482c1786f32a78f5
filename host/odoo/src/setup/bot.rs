//! The bot user.

use serde_json::{Value, json};
use wharf_domain::fault::{Blame, Fault, FaultKind};

use super::Item;
use super::item::{Cell, Entry, Wanted, ensure as ensure_item};
use super::rights::ids;
use crate::OdooConfig;
use crate::client::Operation;
use crate::fault::unexpected;
use crate::load::MODULE;
use crate::value::id;

/// Gives the user's id. In the tenant's company, or in all of the administrator's when the tenant has none.
pub(super) async fn ensure(
    calls: &mut Operation<'_>,
    report: &mut Vec<Item>,
    config: &OdooConfig,
    login: &str,
    group: i64,
) -> Result<i64, Fault> {
    let name = format!("bot_{}", config.tenant);
    not_taken(calls, login, &name).await?;
    let (company, companies) = match config.company {
        Some(company) => (company, vec![company]),
        None => administrator_companies(calls).await?,
    };
    let record = Wanted {
        model: "res.users",
        name,
        cells: vec![
            ("name", Cell::Label(format!("Wharf ({})", config.tenant))),
            ("login", Cell::Text(login.to_owned())),
            ("company_id", Cell::One(company)),
            ("company_ids", Cell::Many(companies)),
            ("group_ids", Cell::Many(vec![group])),
            ("active", Cell::Flag(true)),
        ],
    };
    ensure_item(calls, report, Entry { what: format!("user: `{login}`"), record, child: None }).await
}

/// Somebody's own user must not become the bot.
async fn not_taken(calls: &mut Operation<'_>, login: &str, name: &str) -> Result<(), Fault> {
    let search = json!({"domain": [["login", "=", login]], "fields": ["id"], "context": {"active_test": false}});
    let users = calls.call("res.users", "search_read", search).await?;
    let Some(user) = users.get(0).and_then(|row| row["id"].as_i64()) else { return Ok(()) };
    let domain = json!([["module", "=", MODULE], ["name", "=", name], ["res_id", "=", user]]);
    let ours = calls.call("ir.model.data", "search_read", json!({"domain": domain, "fields": ["id"]})).await?;
    if ours.get(0).is_some() {
        return Ok(());
    }
    let text = format!("the user `{login}` exists and was not made by setup; choose another login for the bot");
    Err(Fault::new(FaultKind::AlreadyExists, "odoo.login-taken", text, Blame::Operator))
}

async fn administrator_companies(calls: &mut Operation<'_>) -> Result<(i64, Vec<i64>), Fault> {
    let context = calls.call("res.users", "context_get", json!({})).await?;
    let read = json!({"ids": [context["uid"]], "fields": ["company_id", "company_ids"]});
    let answer = calls.call("res.users", "read", read).await?;
    let row = answer.get(0).unwrap_or(&Value::Null);
    match (id(&row["company_id"]), ids(&row["company_ids"])) {
        (Some(company), companies) if !companies.is_empty() => Ok((company, companies)),
        _ => Err(unexpected("res.users.read", "the administrator has no company")),
    }
}
