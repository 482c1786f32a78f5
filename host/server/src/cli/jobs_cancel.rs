//! `wharf jobs cancel`

use serde_json::json;

use super::api_client::Host;
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// Whose job
    #[arg(long)]
    tenant: String,
    /// A job that waits or is parked
    id: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let path = format!("/api/v1/tenants/{}/jobs/{}/cancel", args.tenant, args.id);
    let answer = args.host.client()?.post(&path, &json!({}))?;
    if args.host.json {
        say(&answer)?;
    } else {
        say(format!("job {} is called off; it ends as soon as its lane comes to it", args.id))?;
    }
    Ok(0)
}
