//! Defaults of automation rules and their actions.

use serde_json::{Value, json};

use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::records::Vals;

pub(in crate::odoo) fn prepare(env: &mut Env<'_>, model: &str, vals: &mut Vals) -> Result<()> {
    if model == "base.automation" {
        let count = env.db.ids(model).len();
        vals.entry("webhook_uuid").or_insert(json!(format!("00000000-0000-4000-8000-{count:012}")));
        return Ok(());
    }
    let webhook = vals.get("state") == Some(&json!("webhook"));
    if webhook && vals.get("webhook_url").and_then(Value::as_str).unwrap_or_default().is_empty() {
        return Err(Raised::user(
            "I'll be happy to send a webhook for you, but you really need to give me a URL to reach out to...",
        ));
    }
    Ok(())
}
