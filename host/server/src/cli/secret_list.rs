//! `wharf secret list`

use serde_json::Value;

use super::api_client::{Host, moment, table, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose secrets
    #[arg(long)]
    tenant: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let answer = args.host.client()?.get(&format!("/api/v1/tenants/{}/secrets", args.tenant))?;
    if args.host.json {
        say(&answer)?;
    } else {
        let rows: Vec<_> = answer["secrets"].as_array().into_iter().flatten().flat_map(rows).collect();
        say(table(&["CONNECTION", "SLOT", "TYPE", "VERSION", "STAGE", "SINCE", "UNTIL", "LAST USED"], &rows))?;
    }
    Ok(0)
}

/// A line for each version, and one for a slot without any.
fn rows(slot: &Value) -> Vec<Vec<String>> {
    let name = || vec![text(&slot["connection"]), text(&slot["slot"]), text(&slot["kind"])];
    let versions: Vec<&Value> = slot["versions"].as_array().into_iter().flatten().collect();
    let mut rows = Vec::new();
    if versions.iter().all(|version| version["stage"] != "current") {
        let from = match slot["from"].as_str() {
            Some("configuration") => "of the configuration",
            _ => "no value",
        };
        let mut row = name();
        row.extend(["-", from, "-", "-", "-"].map(str::to_owned));
        rows.push(row);
    }
    for version in versions {
        let mut row = name();
        row.extend([
            text(&version["version"]),
            text(&version["stage"]),
            moment(&version["stage_since"]),
            moment(&version["valid_until"]),
            moment(&version["used_at"]),
        ]);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slot_shows_its_versions_or_where_its_value_is() {
        let version = json!({ "version": 3, "stage": "current", "stage_since": 0, "valid_until": null });
        let slot =
            json!({ "connection": "acme", "slot": "key", "kind": "basic", "from": "vault", "versions": [version] });
        let line = ["acme", "key", "basic", "3", "current", "1970-01-01T00:00:00Z", "-", "-"];
        assert_eq!(rows(&slot), [line.map(str::to_owned)]);
        for (from, told) in [("configuration", "of the configuration"), ("none", "no value")] {
            let slot = json!({ "connection": "acme", "slot": "key", "from": from, "versions": [] });
            assert_eq!(rows(&slot)[0][4], told);
        }
    }
}
