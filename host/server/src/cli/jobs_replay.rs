//! `wharf jobs replay`

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::api_client::{Host, table, text};
use super::{Failure, Outcome, say, wrong_use};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose jobs
    #[arg(long)]
    tenant: String,
    /// One parked job; absent: all that fit
    #[arg(conflicts_with_all = ["kind", "code", "flow", "parked_from", "parked_until", "limit", "yes"])]
    id: Option<String>,
    /// File with the JSON the job is to work on instead, or `-` for standard input
    #[arg(long, requires = "id")]
    payload: Option<PathBuf>,
    /// Only jobs of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only jobs parked with this fault, e.g. `queue.bad-payload`
    #[arg(long)]
    code: Option<String>,
    /// Only jobs of this flow, e.g. `order/42`
    #[arg(long)]
    flow: Option<String>,
    /// Only jobs parked at this moment or later, e.g. `2026-11-27T08:00:00Z`
    #[arg(long)]
    parked_from: Option<jiff::Timestamp>,
    /// Only jobs parked before this moment
    #[arg(long)]
    parked_until: Option<jiff::Timestamp>,
    /// At most so many, 1 to 10000
    #[arg(long)]
    limit: Option<u32>,
    /// Does it; without this, the jobs that fit are only shown with what they would do
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.id {
        Some(id) => one(args, id),
        None => many(args),
    }
}

fn one(args: &Args, id: &str) -> Outcome {
    let body = match &args.payload {
        Some(file) => json!({ "payload": payload(file)? }),
        None => json!({}),
    };
    let answer = args.host.client()?.post(&format!("/api/v1/tenants/{}/jobs/{id}/replay", args.tenant), &body)?;
    if args.host.json {
        say(&answer)?;
    } else {
        say(format!("job {id} runs again"))?;
    }
    Ok(0)
}

fn payload(file: &Path) -> Result<Value, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?
    };
    serde_json::from_str(&text).map_err(|e| wrong_use(anyhow!("`{}` is not JSON: {e}", file.display())))
}

fn many(args: &Args) -> Outcome {
    let mut filter = serde_json::Map::new();
    for (name, value) in [
        ("kind", args.kind.as_deref().map(Value::from)),
        ("code", args.code.as_deref().map(Value::from)),
        ("flow", args.flow.as_deref().map(Value::from)),
        ("parked_from", args.parked_from.map(|at| at.as_millisecond().into())),
        ("parked_until", args.parked_until.map(|at| at.as_millisecond().into())),
        ("limit", args.limit.map(Value::from)),
    ] {
        filter.extend(value.map(|value| (name.to_owned(), value)));
    }
    let body = json!({ "filter": filter, "dry_run": !args.yes });
    let answer = args.host.client()?.post(&format!("/api/v1/tenants/{}/jobs/replay", args.tenant), &body)?;
    if args.host.json {
        say(&answer)?;
        return Ok(0);
    }
    let jobs: Vec<&Value> = answer["jobs"].as_array().into_iter().flatten().collect();
    let rows: Vec<_> = jobs.iter().flat_map(|job| rows(job)).collect();
    say(table(&["JOB", "KIND", "FAULT", "EFFECT", "WOULD BE"], &rows))?;
    say(match (args.yes, jobs.len()) {
        (_, 0) => "no parked job fits".to_owned(),
        (true, count) => format!("{count} jobs run again"),
        (false, count) => format!("{count} jobs would run again; add --yes to do it"),
    })?;
    Ok(0)
}

/// One line for each effect, or one that says there was none.
fn rows(job: &Value) -> Vec<Vec<String>> {
    let line =
        |effect: String, would: String| vec![text(&job["job"]), text(&job["kind"]), text(&job["code"]), effect, would];
    let effects = job["effects"].as_array().map(Vec::as_slice).unwrap_or_default();
    if effects.is_empty() {
        return vec![line("none yet".to_owned(), "-".to_owned())];
    }
    let name = |effect: &Value| format!("{} {}", text(&effect["route"]), text(&effect["business_key"]));
    effects.iter().map(|effect| line(name(effect), text(&effect["would"]).replace('_', " "))).collect()
}
