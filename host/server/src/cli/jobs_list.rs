//! `wharf jobs list`

use clap::ValueEnum;
use serde_json::Value;

use super::api_client::{Host, moment, query, table, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose jobs; `wharf` is the host's own work
    #[arg(long)]
    tenant: String,
    /// Only jobs in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only jobs of this kind, e.g. `carrier.create-shipment`
    #[arg(long)]
    kind: Option<String>,
    /// At most so many, 1 to 500
    #[arg(long, default_value = "50")]
    limit: u32,
    /// The job the page before ended with
    #[arg(long)]
    after: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Waiting,
    Queued,
    Ready,
    Running,
    Done,
    Parked,
    Cancelled,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let state = args.state.and_then(|state| state.to_possible_value()).map(|value| value.get_name().to_owned());
    let fields = [
        ("state", state),
        ("kind", args.kind.clone()),
        ("limit", Some(args.limit.to_string())),
        ("after", args.after.clone()),
    ];
    let answer = args.host.client()?.get(&format!("/api/v1/tenants/{}/jobs{}", args.tenant, query(&fields)))?;
    if args.host.json {
        say(&answer)?;
        return Ok(0);
    }
    let rows: Vec<_> = answer["jobs"].as_array().into_iter().flatten().map(row).collect();
    say(table(&["JOB", "STATE", "KIND", "LANE", "ATTEMPT", "CHANGED", "FAULT"], &rows))?;
    if let Some(next) = answer["next"].as_str() {
        say(format!("more: --after {next}"))?;
    }
    Ok(0)
}

fn row(job: &Value) -> Vec<String> {
    let state = if job["holds_lane"] == true { "parked, holds its lane".to_owned() } else { text(&job["state"]) };
    vec![
        text(&job["id"]),
        state,
        text(&job["kind"]),
        text(&job["lane"]),
        format!("{}/{}", job["attempt"], job["max_attempts"]),
        moment(&job["updated_at"]),
        text(&job["fault"]["code"]),
    ]
}
