//! What an answer of Odoo means for the caller. Decided by the error's `name`, never by the status alone: Odoo says
//! 500 both for a busy row and for a misspelt field.
//!
//! Every call is one transaction, so an error Odoo itself wrote proves that nothing changed. Its `debug` field is a
//! server traceback; it is dropped here and nobody behind this file can see it.

use serde::Deserialize;
use serde_json::Value;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind, Provider, Retry};

/// Longer texts of Odoo are cut.
const MAX_TEXT: usize = 400;

/// How to get a key that works. Used by every message about a refused key.
pub(crate) const KEY_REMEDY: &str = "make a new key with `wharf odoo setup`, or in Odoo as the bot user under \
                                     Preferences, Security, New API Key, and put it where `api_key` points";

/// The error object of JSON-2, and `error.data` of the session routes. `debug` is deliberately absent.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorBody {
    name: String,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    context: Value,
}

/// What a name means: kind, last part of the code, who must act.
fn by_name(name: &str, message: &str) -> (FaultKind, &'static str, Blame) {
    let (origin, last) = name.rsplit_once('.').unwrap_or(("", name));
    match (origin, last) {
        (_, "SerializationFailure" | "LockNotAvailable" | "DeadlockDetected" | "LockError" | "ConcurrencyError") => {
            (FaultKind::Transient, "busy", Blame::Odoo)
        }
        (_, "OperationalError" | "InterfaceError" | "PoolError" | "AdminShutdown" | "ServiceUnavailable") => {
            (FaultKind::Outage, "database-down", Blame::Odoo)
        }
        (_, "Unauthorized" | "AccessDenied") => (FaultKind::Unauthorized, "unauthorized", Blame::Operator),
        (_, "AccessError") => (FaultKind::Forbidden, "access-error", Blame::Operator),
        (_, "MissingError") => (FaultKind::NotFound, "missing", Blame::Odoo),
        (_, "UserError" | "RedirectWarning") => (FaultKind::BusinessRejected, "user-error", Blame::Odoo),
        (_, "ValidationError") => (FaultKind::BusinessRejected, "validation-error", Blame::Odoo),
        (_, "TooManyRequests") => (FaultKind::RateLimited, "rate-limited", Blame::Odoo),
        (_, "RequestEntityTooLarge") => (FaultKind::InvalidInput, "too-large", Blame::Host),
        ("werkzeug.exceptions", "NotFound") => (FaultKind::Unsupported, "no-such-model", Blame::Operator),
        ("builtins", "ValueError" | "KeyError") if message.starts_with("Invalid field") => {
            (FaultKind::Unsupported, "no-such-field", Blame::Operator)
        }
        ("werkzeug.exceptions" | "builtins", _) => (FaultKind::DataOutOfContract, "refused-call", Blame::Host),
        _ => (FaultKind::DataOutOfContract, "unknown-error", Blame::Odoo),
    }
}

/// The fault an error object is.
pub(crate) fn from_error(status: u16, error: &ErrorBody) -> Fault {
    let text = match &error.message {
        Value::String(text) => cut(text),
        _ => String::new(),
    };
    let (kind, code, blame) = by_name(&error.name, &text);
    let first = text.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut message = match code {
        "unauthorized" => format!("Odoo refused the API key ({first}); {KEY_REMEDY}"),
        "busy" => "Odoo's database is busy with the same records".to_owned(),
        "no-such-model" => format!("Odoo does not know what was asked for ({first}); install its module"),
        "no-such-field" => {
            format!(
                "Odoo lacks a field ({first}); install `stock_delivery` and `sale_stock`, then run `wharf odoo setup`"
            )
        }
        "access-error" => format!("Odoo denied it: {first}; `wharf odoo setup` gives the bot user what it needs"),
        _ => first.to_owned(),
    };
    let mut frames = Vec::new();
    let rule = &error.context["base_automation"]["name"];
    if let (Some("base_automation"), Value::String(rule)) = (error.context["exception_class"].as_str(), rule) {
        message = format!("automation rule `{}` failed: {message}", cut(rule));
        frames.push(format!("automation rule `{}`", cut(rule)));
    }
    let mut fault = Fault::new(kind, format!("odoo.{code}"), message, blame).with_provider(Provider {
        code: Some(error.name.clone()),
        http_status: Some(status),
        message: (!text.is_empty()).then_some(text),
        request_id: None,
    });
    fault.frames = frames;
    fault
}

/// The fault an answer is that carries no error object: HTML of Odoo's router, or of a proxy before it.
pub(crate) fn from_status(status: u16, retry_after: Option<&str>, database: &str) -> Fault {
    let (kind, code, blame, message) = match status {
        404 => (
            FaultKind::Unsupported,
            "no-database",
            Blame::Operator,
            format!("Odoo serves no database `{database}` here; correct `database` or `url` under [tenant.odoo]"),
        ),
        429 => {
            (FaultKind::RateLimited, "rate-limited", Blame::Odoo, "Odoo, or a proxy before it, limits the rate".into())
        }
        502..=504 => {
            (FaultKind::Outage, "down", Blame::Odoo, format!("Odoo is down behind its proxy (status {status})"))
        }
        _ => (
            FaultKind::DataOutOfContract,
            "not-odoo",
            Blame::Operator,
            format!("the answer with status {status} is not Odoo's; check `url` under [tenant.odoo]"),
        ),
    };
    let mut fault = Fault::new(kind, format!("odoo.{code}"), message, blame)
        .with_provider(Provider { http_status: Some(status), ..Provider::default() });
    if let (Retry::Later { .. }, Some(seconds)) =
        (fault.retry, retry_after.and_then(|text| text.trim().parse::<u64>().ok()))
    {
        fault.retry = Retry::Later { after_ms: Some(seconds.saturating_mul(1000)) };
    }
    fault
}

/// Odoo answered, but not in the shape this room knows.
pub(crate) fn unexpected(what: &str, detail: impl std::fmt::Display) -> Fault {
    let text = format!("Odoo's answer to `{what}` has another shape than expected: {}", cut(&detail.to_string()));
    Fault::new(FaultKind::DataOutOfContract, "odoo.unexpected-answer", text, Blame::Odoo)
}

/// Every write of this room may be repeated without a second effect, so a lost answer is not a reason to stop: the
/// same call again settles it. The ledger keeps the truth about the first one.
pub(crate) fn repeatable(mut fault: Fault) -> Fault {
    if fault.kind == FaultKind::OutcomeUnknown && matches!(fault.retry, Retry::Later { .. }) {
        fault.kind = FaultKind::Transient;
        fault.effect = EffectCertainty::None;
    }
    fault
}

/// What an adapter is told of a fault. Odoo's own words can name users, other records and other people's fields: of a
/// refusal by business rules the sentence is kept, of a missing right only the fact.
pub(crate) fn for_adapter(mut fault: Fault, model: &str) -> Fault {
    if fault.code == "odoo.access-error" {
        fault.message =
            format!("Odoo denied it to the bot user: it lacks a right on `{model}` or on what it refers to");
    }
    if fault.code == "odoo.unauthorized" {
        fault.message = "Odoo refused the host's key".to_owned();
    }
    if let Some((first, _)) = fault.message.split_once('\n') {
        // The further lines of a refusal name the user and their groups.
        fault.message = first.trim_end().to_owned();
    }
    if let Some(provider) = &mut fault.provider {
        provider.message = None;
    }
    fault.frames.clear();
    fault
}

pub(crate) fn cut(text: &str) -> String {
    text.trim().chars().take(MAX_TEXT).collect()
}
