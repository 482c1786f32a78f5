//! `wharf grant accept|refuse`: a person's word about one version.

use serde_json::json;

use super::adapter_inspect::clean;
use super::api_client::{Host, text};
use super::grant_show::Grant;
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// The connection as `TENANT/CONNECTION`
    grant: Grant,
    /// The version you looked at; another one is not decided about
    #[arg(long)]
    version: i64,
    /// Why, for the audit: one line
    #[arg(long)]
    why: String,
}

pub(crate) fn accept(args: &Args) -> Outcome {
    decide(args, "accept")
}

pub(crate) fn refuse(args: &Args) -> Outcome {
    decide(args, "refuse")
}

fn decide(args: &Args, what: &str) -> Outcome {
    let path = format!("{}/{}/{what}", args.grant.path(), args.version);
    let answer = args.host.client()?.post(&path, &json!({ "why": args.why }))?;
    if args.host.json {
        say(&answer)?;
        return Ok(0);
    }
    let (grant, row) = (&args.grant, &answer["grant"]);
    let adapter = format!("{} {}", clean(&text(&row["adapter"])), clean(&text(&row["adapter_version"])));
    say(match what {
        "accept" => format!(
            "version {} of grant {grant} is accepted; hosts that started with {adapter} go on with it within seconds",
            args.version
        ),
        _ => format!("version {} of grant {grant} is refused; what was accepted before goes on", args.version),
    })?;
    Ok(0)
}
