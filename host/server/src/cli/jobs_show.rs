//! `wharf jobs show`

use serde_json::Value;

use super::api_client::{Host, moment, table, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose job
    #[arg(long)]
    tenant: String,
    /// The job
    id: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let answer = args.host.client()?.get(&format!("/api/v1/tenants/{}/jobs/{}", args.tenant, args.id))?;
    if args.host.json {
        say(&answer)?;
        return Ok(0);
    }
    let job = &answer["job"];
    for field in ["id", "kind", "state", "holds_lane", "lane", "flow", "depth"] {
        say(format!("{field:<12}{}", text(&job[field])))?;
    }
    for field in ["created_at", "run_at", "updated_at", "deadline", "finished_at"] {
        say(format!("{field:<12}{}", moment(&job[field])))?;
    }
    say(format!("{:<12}{}", "payload", job["payload"]))?;
    if let Some(message) = job["fault"]["message"].as_str() {
        say(format!("{:<12}{}: {message}", "fault", text(&job["fault"]["code"])))?;
    }
    let rows: Vec<_> = answer["attempts"].as_array().into_iter().flatten().map(attempt).collect();
    say(format!("\n{}", table(&["ATTEMPT", "STARTED", "ENDED", "OUTCOME", "WHY"], &rows)))?;
    let rows: Vec<_> = answer["effects"].as_array().into_iter().flatten().map(effect).collect();
    if !rows.is_empty() {
        say(format!("\n{}", table(&["EFFECT", "STATE", "CONNECTION", "ROUTE", "KEY"], &rows)))?;
    }
    Ok(0)
}

fn attempt(row: &Value) -> Vec<String> {
    let why = if row["fault"].is_null() { text(&row["reason"]) } else { text(&row["fault"]["message"]) };
    vec![text(&row["attempt"]), moment(&row["started_at"]), moment(&row["finished_at"]), text(&row["outcome"]), why]
}

fn effect(row: &Value) -> Vec<String> {
    ["id", "state", "connection", "route", "business_key"].iter().map(|field| text(&row[*field])).collect()
}
