//! What Odoo must have before the host can work with it, made over the API with an administrator's key: the outbox, the
//! rules that fill it, a bot user who may do only what this room does, and that user's key.
//!
//! Every record has an external id under `__wharf__`, so setup can be repeated: what is there and right is kept, what
//! is there and differs is put right, what is missing is made. Nothing is ever deleted.
//!
//! The rules run inside the user's transaction, and an error in a rule undoes the user's work. So each is one line that
//! inserts one row into a table without constraints, and does nothing when the table is gone. The wake-up is a rule of
//! its own, on orders only: Odoo calls it after the commit but lets the user wait for it, at most a second an order.

mod bot;
mod item;
mod key;
mod outbox;
mod rights;
mod rules;

use secrecy::SecretString;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::time::Clock;
use wharf_egress::Egress;

use crate::client::Client;
use crate::probe::context;
use crate::{OdooConfig, routes};

/// Setup may take this long in all.
const PATIENCE_MS: i64 = 300_000;

/// What setup is to make beside the fixed things.
pub struct SetupRequest {
    /// Where Odoo knocks when an order was confirmed or cancelled, with the token in it; absent: no wake-up is made,
    /// and one made before is left alone.
    pub webhook_url: Option<SecretString>,
    /// Absent: `wharf-<tenant>`.
    pub bot_login: Option<String>,
    /// Fresh random text of at least 20 characters. The bot's password while its key is made; nobody needs it again.
    pub bot_password: SecretString,
    /// The bot's key so far; kept when it still works for at least 14 days.
    pub current_key: Option<SecretString>,
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Created,
    /// It was there and differed.
    Updated,
    Kept,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// e.g. `rule: confirmed and cancelled orders`.
    pub what: String,
    pub change: Change,
}

/// What setup did. No `Debug`: it may hold a key.
pub struct SetupReport {
    pub items: Vec<Item>,
    pub bot_login: String,
    /// A new key of the bot, valid for at most 90 days; absent when the current one was kept.
    pub new_key: Option<SecretString>,
}

/// Makes everything, in an order in which a failure in the middle harms nobody: rules come last.
///
/// `config.api_key` is an administrator's. `config.company` narrows rules and bot to one company; two tenants in one
/// database need different companies, else they take each other's events.
///
/// # Errors
/// The first call that fails; what was made before it stays and is found by the next run.
pub async fn setup(
    egress: Egress,
    clock: &dyn Clock,
    config: &OdooConfig,
    request: &SetupRequest,
) -> Result<SetupReport, Fault> {
    let ctx = context(config, clock.now().plus(PATIENCE_MS));
    // The administrator works in his own companies; the tenant's company is a value here, not a scope.
    let admin = OdooConfig { company: None, ..config.clone() };
    let client = Client::new(egress.clone(), &admin, routes::setup());
    let mut calls = client.operation(&ctx);
    let mut report = Vec::new();
    let login = request.bot_login.clone().unwrap_or_else(|| format!("wharf-{}", config.tenant));

    let outbox = outbox::ensure(&mut calls, &mut report).await.map_err(administrator)?;
    let group = rights::ensure(&mut calls, &mut report, outbox).await.map_err(administrator)?;
    let bot = bot::ensure(&mut calls, &mut report, config, &login, group).await?;
    let maker = key::Maker { egress, clock, config, bot, login: &login };
    let new_key = maker.ensure(&mut calls, &ctx, request).await?;
    let change = if new_key.is_some() { Change::Created } else { Change::Kept };
    report.push(Item { what: "the bot user's API key".to_owned(), change });
    rules::ensure(&mut calls, &mut report, config, request.webhook_url.as_ref()).await?;
    Ok(SetupReport { items: report, bot_login: login, new_key })
}

/// The first calls already need all rights: say so where the key has too few.
fn administrator(fault: Fault) -> Fault {
    if fault.kind != FaultKind::Forbidden {
        return fault;
    }
    let text = "setup needs the key of a user with the role Administrator (Settings); the bot user's key is not enough";
    Fault::new(FaultKind::Forbidden, fault.code, text, Blame::Operator)
}
