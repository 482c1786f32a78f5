//! What is wrong with a tenant's Odoo, and what to do about it. Used by the doctor; changes nothing.

use jiff::civil::DateTime;
use serde_json::{Value, json};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::{Egress, Request};

use crate::client::{Client, Operation};
use crate::fault::KEY_REMEDY;
use crate::{EventSource, OUTBOX_MODEL, OdooConfig, json2, routes};

/// The version this room was tried on.
const TRIED: i64 = 19;
/// A key that ends sooner is worth a warning.
const KEY_DAYS: i64 = 14;
/// More waiting events than this mean that nobody reads them.
const BACKLOG: i64 = 10_000;

/// Rights daily work needs and `has_access` can tell.
const RIGHTS: [(&str, &str); 6] = [
    ("sale.order", "read"),
    ("sale.order.line", "read"),
    ("stock.picking", "read"),
    ("stock.picking", "write"),
    ("stock.move", "read"),
    ("stock.package", "read"),
];

/// Fields of `stock.picking` that come with a module.
const FIELDS: [(&str, &str); 2] = [("carrier_tracking_ref", "stock_delivery"), ("sale_id", "sale_stock")];

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Fine,
    Warning,
    /// Orders cannot be released until it is remedied.
    Problem,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// Stable: `unreachable`, `not-odoo`, `version`, `key`, `database`, `company`, `rights`, `modules`, `outbox`,
    /// `key-expiry`, `failed`.
    pub code: &'static str,
    /// Lower-case fragment without a final dot.
    pub text: String,
    /// What to do; absent on a fine one.
    pub remedy: Option<String>,
}

impl Finding {
    fn fine(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Fine, code, text: text.into(), remedy: None }
    }
    fn warning(code: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, code, text: text.into(), remedy: Some(remedy.into()) }
    }
    fn problem(code: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Problem, code, text: text.into(), remedy: Some(remedy.into()) }
    }
}

/// Looks at one tenant's Odoo: reachable, version, key, database, company, rights, modules, outbox, end of the key.
/// Stops at the first finding that makes the rest unknowable. Takes at most 20 s.
pub async fn probe(egress: Egress, clock: &dyn Clock, config: &OdooConfig) -> Vec<Finding> {
    let client = Client::new(egress, config, routes::daily());
    let ctx = context(config, clock.now().plus(20_000));
    let mut calls = client.operation(&ctx);
    let mut findings = Vec::new();
    let (finding, reached) = version(&mut calls, client.origin()).await;
    findings.push(finding);
    if !reached {
        return findings;
    }
    if let Err(fault) = calls.call("res.users", "context_get", json!({})).await {
        findings.push(refused(&fault));
        return findings;
    }
    findings.push(Finding::fine("key", format!("the key works in database `{}`", client.database())));
    if config.company.is_some() {
        // Odoo judges the company only when a record rule asks for it.
        let search = json!({"domain": [["id", "=", 0]], "fields": ["id"]});
        if let Err(fault) = calls.call("sale.order", "search_read", search).await {
            findings.push(refused(&fault));
            return findings;
        }
    }
    findings.push(rights(&mut calls).await);
    findings.push(modules(&mut calls).await);
    findings.push(outbox(&mut calls, config.events).await);
    findings.push(key_end(&mut calls, clock.now()).await);
    findings
}

/// The context of calls made for a person at the command line, outside any job.
pub(crate) fn context(config: &OdooConfig, deadline: Timestamp) -> CallCtx {
    CallCtx {
        tenant: config.tenant.clone(),
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline,
        urgent: true,
        promised: None,
    }
}

/// True when an Odoo answered.
async fn version(calls: &mut Operation<'_>, origin: &str) -> (Finding, bool) {
    let url = format!("{origin}{}", routes::VERSION);
    let request = Request { method: "GET".to_owned(), url, headers: Vec::new(), body: None, timeout_ms: Some(10_000) };
    let response = match calls.send(request).await {
        Ok(response) => response,
        Err(fault) => {
            let remedy = "check that Odoo runs, `url` under [tenant.odoo], and `allow_private_address` for a local one";
            let text = format!("`{origin}` cannot be reached: {}", fault.message);
            return (Finding::problem("unreachable", text, remedy), false);
        }
    };
    let answer = json2::answer("json/version", "", &response).ok();
    let major = answer.as_ref().and_then(|json| json["version_info"].get(0)).and_then(Value::as_i64);
    let Some((answer, major)) = answer.zip(major) else {
        let text = format!("`{origin}` answers with status {}, but not as an Odoo 19 or later", response.status);
        return (Finding::problem("not-odoo", text, "check `url` under [tenant.odoo]; JSON-2 needs Odoo 19"), false);
    };
    let name = answer["version"].as_str().unwrap_or("?").to_owned();
    let finding = match major {
        TRIED => Finding::fine("version", format!("Odoo {name}")),
        older if older < TRIED => {
            return (Finding::problem("version", format!("Odoo {name} has no JSON-2"), "upgrade to Odoo 19"), false);
        }
        _ => Finding::warning(
            "version",
            format!("Odoo {name} is newer than what this was tried on"),
            "try with test orders first",
        ),
    };
    (finding, true)
}

/// Why the key's first call failed: each cause has its own words.
fn refused(fault: &Fault) -> Finding {
    match fault.code.as_str() {
        "odoo.unauthorized" => Finding::problem("key", "Odoo refuses the API key", KEY_REMEDY),
        "odoo.no-database" => {
            Finding::problem("database", fault.message.clone(), "correct `database` under [tenant.odoo]")
        }
        "odoo.access-error" if fault.message.contains("companies") => Finding::problem(
            "company",
            "the key's user may not work in the configured company",
            "correct `company` under [tenant.odoo], or give the bot user that company in Odoo",
        ),
        code if code.starts_with("egress.") => {
            Finding::problem("unreachable", fault.message.clone(), "check the network between this host and Odoo")
        }
        _ => failed("the key could not be tried", fault),
    }
}

fn failed(what: &str, fault: &Fault) -> Finding {
    Finding::problem("failed", format!("{what}: {fault}"), "repair what the message names and look again")
}

async fn rights(calls: &mut Operation<'_>) -> Finding {
    let mut missing = Vec::new();
    for (model, operation) in RIGHTS {
        match calls.call(model, "has_access", json!({"ids": [], "operation": operation})).await {
            Ok(Value::Bool(true)) => {}
            Ok(_) => missing.push(format!("{operation} `{model}`")),
            Err(fault) if fault.code == "odoo.access-error" => missing.push(format!("{operation} `{model}`")),
            Err(fault) => return failed(&format!("the right to {operation} `{model}` is not known"), &fault),
        }
    }
    if missing.is_empty() {
        return Finding::fine("rights", "the bot user has the rights it needs");
    }
    let text = format!("the bot user may not {}", missing.join(", "));
    Finding::problem("rights", text, "run `wharf odoo setup` again, or give the user the group `Wharf bot`")
}

async fn modules(calls: &mut Operation<'_>) -> Finding {
    let names = FIELDS.map(|(field, _)| field);
    let fields =
        match calls.call("stock.picking", "fields_get", json!({"allfields": names, "attributes": ["type"]})).await {
            Ok(fields) => fields,
            Err(fault) => return failed("the fields of deliveries are not known", &fault),
        };
    let missing: Vec<&str> =
        FIELDS.iter().filter(|(field, _)| fields.get(field).is_none()).map(|(_, module)| *module).collect();
    if missing.is_empty() {
        return Finding::fine("modules", "sale, stock and delivery are installed");
    }
    let list = missing.join("`, `");
    Finding::problem("modules", format!("Odoo lacks `{list}`"), format!("install `{list}` in Odoo under Apps"))
}

async fn outbox(calls: &mut Operation<'_>, events: EventSource) -> Finding {
    let remedy = "run `wharf odoo setup` with an administrator's key, or set `events = \"poll\"` under [tenant.odoo]";
    let wanted = events == EventSource::Outbox;
    match calls.call(OUTBOX_MODEL, "search_count", json!({"domain": []})).await {
        Ok(count) => match count.as_i64().unwrap_or(0) {
            many if wanted && many > BACKLOG => Finding::warning(
                "outbox",
                format!("{many} events wait in the outbox"),
                "see that the host runs and reads them",
            ),
            _ if !wanted => {
                let text = "the outbox is there, but events are polled";
                Finding::warning(
                    "outbox",
                    text,
                    "set `events = \"outbox\"`, or switch the rules named Wharf off in Odoo",
                )
            }
            count => Finding::fine("outbox", format!("the outbox is there, {count} events wait")),
        },
        Err(_) if !wanted => Finding::fine("outbox", "events are polled; there is no outbox"),
        Err(fault) if fault.code == "odoo.no-such-model" => Finding::problem("outbox", "there is no outbox", remedy),
        Err(fault) if fault.code == "odoo.access-error" => {
            Finding::problem("outbox", "the bot user may not read the outbox", remedy)
        }
        Err(fault) => failed("the outbox could not be read", &fault),
    }
}

/// A user's own keys; which of them is in use cannot be told, so the last to end counts.
async fn key_end(calls: &mut Operation<'_>, now: Timestamp) -> Finding {
    let search = json!({"domain": [], "fields": ["name", "expiration_date"]});
    let rows = match calls.call("res.users.apikeys", "search_read", search).await {
        Ok(Value::Array(rows)) => rows,
        Ok(_) | Err(_) => return Finding::fine("key-expiry", "when the key ends is not known"),
    };
    match last_end(&rows, now) {
        None => Finding::fine("key-expiry", "the key has no end"),
        Some(days) if days < KEY_DAYS => {
            Finding::warning("key-expiry", format!("the key ends in {days} days"), format!("before that, {KEY_REMEDY}"))
        }
        Some(days) => Finding::fine("key-expiry", format!("the key ends in {days} days")),
    }
}

/// Whole days until the last of the keys ends; `None` when one has no end, or when there is none to see.
pub(crate) fn last_end(rows: &[Value], now: Timestamp) -> Option<i64> {
    let mut last: Option<i64> = None;
    for row in rows {
        let end: DateTime = row["expiration_date"].as_str()?.replace(' ', "T").parse().ok()?;
        let end = end.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
        let days = Timestamp::from_millis(end).since(now).div_euclid(86_400_000);
        last = Some(last.map_or(days, |known| known.max(days)));
    }
    last
}

#[cfg(test)]
mod tests;
