//! `wharf effects show`

use serde_json::Value;

use super::api_client::{Host, moment, table, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose outside change
    #[arg(long)]
    tenant: String,
    /// The effect, as `wharf effects list` names it
    id: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let answer = args.host.client()?.get(&format!("/api/v1/tenants/{}/effects/{}", args.tenant, args.id))?;
    if args.host.json {
        say(&answer)?;
        return Ok(0);
    }
    let effect = &answer["effect"];
    for field in ["id", "state", "connection", "route", "class", "business_key", "flow", "job", "reference"] {
        say(format!("{field:<14}{}", text(&effect[field])))?;
    }
    if let (Some(amount), Some(currency)) = (effect["worth"]["amount"].as_str(), effect["worth"]["currency"].as_str()) {
        say(format!("{:<14}{amount} {currency}", "worth"))?;
    }
    if let Some(message) = effect["fault"]["message"].as_str() {
        say(format!("{:<14}{}: {message}", "fault", text(&effect["fault"]["code"])))?;
    }
    for field in ["outcome", "response", "late_response"] {
        if !effect[field].is_null() {
            say(format!("{field:<14}{}", effect[field]))?;
        }
    }
    let rows: Vec<_> = answer["history"].as_array().into_iter().flatten().map(step).collect();
    say(format!("\n{}", table(&["WHEN", "FROM", "TO", "BY", "WHY"], &rows)))?;
    Ok(0)
}

fn step(row: &Value) -> Vec<String> {
    vec![moment(&row["at"]), text(&row["from"]), text(&row["to"]), text(&row["actor"]), text(&row["note"])]
}
