//! `wharf effects list`

use serde_json::Value;

use super::api_client::{Host, query, table, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose outside changes
    #[arg(long)]
    tenant: String,
    /// At most so many, 1 to 500
    #[arg(long, default_value = "100")]
    limit: u32,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let fields = [("limit", Some(args.limit.to_string()))];
    let answer = args.host.client()?.get(&format!("/api/v1/tenants/{}/effects{}", args.tenant, query(&fields)))?;
    if args.host.json {
        say(&answer)?;
        return Ok(0);
    }
    let rows: Vec<_> = answer["effects"].as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        say("nothing is in doubt")?;
        return Ok(0);
    }
    say(table(&["EFFECT", "STATE", "SINCE", "CONNECTION", "ROUTE", "KEY", "SENT"], &rows))?;
    say(format!("one in detail: wharf effects show --tenant {} EFFECT", args.tenant))?;
    Ok(0)
}

fn row(aged: &Value) -> Vec<String> {
    let effect = &aged["effect"];
    let state = match effect["resend_by"].as_str() {
        Some(by) => format!("{}, {by} asks to send again", text(&effect["state"])),
        None => text(&effect["state"]),
    };
    vec![
        text(&effect["id"]),
        state,
        age(aged["age_ms"].as_i64().unwrap_or(0)),
        text(&effect["connection"]),
        text(&effect["route"]),
        text(&effect["business_key"]),
        format!("{} times", effect["attempt"]),
    ]
}

/// A length of time in its largest unit.
fn age(ms: i64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_has_one_unit() {
        for (ms, text) in [(0, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (172_800_000, "2 d")]
        {
            assert_eq!(age(ms), text);
        }
    }
}
