//! `wharf status`

use serde_json::{Value, json};

use super::api_client::{Host, moment, table, text};
use super::{Outcome, grant_list, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    let queue = client.get("/api/v1/queue")?;
    let letters = client.get("/api/v1/dead-letters")?;
    let grants = client.get("/api/v1/grants")?;
    if args.host.json {
        say(json!({ "queue": queue, "dead_letters": letters["dead_letters"], "grants": grants["grants"] }))?;
        return Ok(0);
    }
    let counts = &queue["counts"];
    let states = ["waiting", "queued", "ready", "running", "parked", "done", "cancelled"];
    say(table(
        &states.map(str::to_uppercase).each_ref().map(String::as_str),
        &[states.map(|s| text(&counts[s])).to_vec()],
    ))?;
    say(format!("longest ready since: {}", moment(&queue["oldest_ready"])))?;
    say(format!("\n{}", rows(&queue["busiest"], &["tenant", "pending", "running", "parked"])))?;
    let letters = rows(&letters["dead_letters"], &["tenant", "kind", "jobs", "oldest", "holding_lanes"]);
    say(format!("\nParked, for a person to decide:\n{letters}"))?;
    if let Some(waiting) = grant_list::waiting(&grants["grants"]) {
        say(format!("\nAsk for more than was accepted, and wait for a person's word:\n{waiting}"))?;
    }
    Ok(0)
}

/// The named fields of every element.
fn rows(list: &Value, fields: &[&str]) -> String {
    let cell = |row: &Value, field: &str| if field == "oldest" { moment(&row[field]) } else { text(&row[field]) };
    let rows: Vec<Vec<String>> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| fields.iter().map(|field| cell(row, field)).collect())
        .collect();
    let headings: Vec<String> = fields.iter().map(|field| field.replace('_', " ").to_uppercase()).collect();
    table(&headings.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}
