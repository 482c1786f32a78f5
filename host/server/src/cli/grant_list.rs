//! `wharf grant list`

use serde_json::Value;

use super::adapter_inspect::clean;
use super::api_client::{Host, moment, table, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Of one tenant only
    #[arg(long)]
    tenant: Option<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut answer = args.host.client()?.get("/api/v1/grants")?;
    if let (Some(tenant), Some(grants)) = (&args.tenant, answer["grants"].as_array_mut()) {
        grants.retain(|grant| grant["tenant"] == tenant.as_str());
    }
    say(if args.host.json { answer.to_string() } else { listed(&answer["grants"]) })?;
    Ok(0)
}

/// One line per connection: what is in force, and what waits.
fn listed(grants: &Value) -> String {
    let row = |grant: &Value| {
        let (accepted, open) = (&grant["accepted"], &grant["open"]);
        vec![
            name(grant),
            text(&accepted["version"]),
            clean(&format!("{} {}", text(&accepted["adapter"]), text(&accepted["adapter_version"]))),
            moment(&accepted["decided_at"]),
            text(&accepted["decided_by"]),
            waits(open),
        ]
    };
    let rows: Vec<Vec<String>> = grants.as_array().into_iter().flatten().map(row).collect();
    table(&["GRANT", "VERSION", "ADAPTER", "SINCE", "BY", "WAITS"], &rows)
}

fn waits(open: &Value) -> String {
    if open.is_null() {
        return "-".to_owned();
    }
    format!("version {} {} ({})", text(&open["version"]), text(&open["state"]), text(&open["weight"]))
}

fn name(grant: &Value) -> String {
    format!("{}/{}", text(&grant["tenant"]), text(&grant["connection"]))
}

/// The connections somebody has to decide about, with the command for it; `None` when there is none.
pub(crate) fn waiting(grants: &Value) -> Option<String> {
    let open = grants.as_array().into_iter().flatten().filter(|grant| grant["open"]["state"] == "pending");
    let rows: Vec<Vec<String>> = open
        .map(|grant| {
            let (name, open) = (name(grant), &grant["open"]);
            let look = format!("wharf grant show {name} --version {}", text(&open["version"]));
            vec![name, moment(&open["created_at"]), text(&open["weight"]), look]
        })
        .collect();
    (!rows.is_empty()).then(|| table(&["GRANT", "SINCE", "ASKS", "LOOK AT IT"], &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_waits_is_told_with_the_command_that_shows_it() {
        let grants = json!([
            { "tenant": "t", "connection": "a", "accepted": { "version": 1, "adapter": "acme", "adapter_version": "1.0.0",
              "decided_at": 1_700_000_000_000_i64, "decided_by": "host:configuration" },
              "open": { "version": 2, "state": "pending", "weight": "wider-high", "created_at": 1_700_000_000_000_i64 } },
            { "tenant": "t", "connection": "b", "accepted": { "version": 4 },
              "open": { "version": 5, "state": "refused", "weight": "wider-low" } },
            { "tenant": "t", "connection": "c", "accepted": { "version": 1 }, "open": null },
        ]);
        let list = listed(&grants);
        let line =
            "t/a    1        acme 1.0.0  2023-11-14T22:13:20Z  host:configuration  version 2 pending (wider-high)";
        assert_eq!(list.lines().nth(1), Some(line), "{list}");
        assert!(list.lines().nth(3).is_some_and(|line| line.ends_with('-')), "{list}");
        let told = waiting(&grants).expect("one waits");
        assert_eq!(told.lines().count(), 2, "what was refused waits for nobody: {told}");
        assert!(told.contains("wharf grant show t/a --version 2"), "{told}");
        assert_eq!(waiting(&json!([])), None);
    }
}
