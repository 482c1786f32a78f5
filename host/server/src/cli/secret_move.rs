//! `wharf secret promote|delete|shred|rekey`: what is done with values that were handed in.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::api_client::Host;
use super::{Outcome, say, wrong_use};

#[derive(Debug, clap::Args)]
pub(crate) struct About {
    #[command(flatten)]
    host: Host,
    /// Whose secret
    #[arg(long)]
    tenant: String,
    /// The connection it is for
    #[arg(long)]
    connection: String,
    /// The slot, as `wharf secret list` names it
    #[arg(long)]
    slot: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Promotion {
    #[command(flatten)]
    about: About,
    /// How long the value before it stays usable, in hours; absent: as configured
    #[arg(long)]
    overlap_hours: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shredding {
    #[command(flatten)]
    host: Host,
    /// Whose secrets
    #[arg(long)]
    tenant: String,
    /// Why, for the audit: one line
    #[arg(long)]
    note: String,
    /// You are sure: this cannot be undone
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rekeying {
    #[command(flatten)]
    host: Host,
}

pub(crate) fn promote(args: &Promotion) -> Outcome {
    let overlap = args.overlap_hours.map(|hours| hours.saturating_mul(3_600));
    let path = format!("{}/promote", path(&args.about));
    let answer = args.about.host.client()?.post(&path, &json!({ "overlap_seconds": overlap }))?;
    let text = format!("secret {} version {} is used from now on", name(&args.about), answer["version"]);
    tell(&args.about.host, &answer, text)
}

pub(crate) fn delete(args: &About) -> Outcome {
    let answer = args.host.client()?.delete(&path(args))?;
    tell(&args.host, &answer, format!("secret {} is forgotten, with {} versions", name(args), answer["versions"]))
}

pub(crate) fn shred(args: &Shredding) -> Outcome {
    if !args.yes {
        let text = format!("this destroys every sealed secret of tenant `{}` for good; say --yes", args.tenant);
        return Err(wrong_use(anyhow!(text)));
    }
    let path = format!("/api/v1/tenants/{}/secrets/shred", args.tenant);
    let answer = args.host.client()?.post(&path, &json!({ "tenant": args.tenant, "note": args.note }))?;
    let text = format!(
        "the key of tenant {} is destroyed, and {} versions with it; a backup from before still has it under the vault's \
         key: change that too, with wharf secret rekey, and destroy the old one",
        args.tenant, answer["versions"]
    );
    tell(&args.host, &answer, text)
}

pub(crate) fn rekey(args: &Rekeying) -> Outcome {
    let answer = args.host.client()?.post("/api/v1/vault/rekey", &json!({}))?;
    let text = format!("{} tenants' keys were wrapped anew; `vault.old_key` is not needed any more", answer["tenants"]);
    tell(&args.host, &answer, text)
}

fn tell(host: &Host, answer: &Value, text: String) -> Outcome {
    if host.json {
        say(answer)?
    } else {
        say(text)?
    }
    Ok(0)
}

fn path(about: &About) -> String {
    format!("/api/v1/tenants/{}/secrets/{}/{}", about.tenant, about.connection, about.slot)
}

fn name(about: &About) -> String {
    format!("{}/{}", about.connection, about.slot)
}
