//! `wharf effects happened|resend|approve|abandon|compensate`: what a person decides about an outside change nobody
//! knows the outcome of.

use serde_json::{Value, json};

use super::api_client::{Host, text};
use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct About {
    #[command(flatten)]
    host: Host,
    /// Whose outside change
    #[arg(long)]
    tenant: String,
    /// Why, for the audit: one line
    #[arg(long)]
    note: String,
    /// The effect, as `wharf effects list` names it
    id: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Happened {
    #[command(flatten)]
    about: About,
    /// What the partner calls it, e.g. the tracking number
    #[arg(long)]
    reference: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compensated {
    #[command(flatten)]
    about: About,
    /// The effect that undid it
    #[arg(long)]
    void: String,
}

pub(crate) fn happened(args: &Happened) -> Outcome {
    decide(&args.about, "resolve-happened", json!({ "reference": args.reference }))
}

pub(crate) fn resend(args: &About) -> Outcome {
    decide(args, "resend", json!({}))
}

pub(crate) fn approve(args: &About) -> Outcome {
    decide(args, "resend/approve", json!({}))
}

pub(crate) fn abandon(args: &About) -> Outcome {
    decide(args, "abandon", json!({}))
}

pub(crate) fn compensate(args: &Compensated) -> Outcome {
    decide(&args.about, "compensate", json!({ "void": args.void }))
}

fn decide(about: &About, what: &str, mut body: Value) -> Outcome {
    body["note"] = about.note.clone().into();
    let path = format!("/api/v1/tenants/{}/effects/{}/{what}", about.tenant, about.id);
    let answer = about.host.client()?.post(&path, &body)?;
    if about.host.json {
        say(&answer)?;
    } else {
        say(sentence(&about.id, &answer))?;
    }
    Ok(0)
}

fn sentence(id: &str, answer: &Value) -> String {
    let effect = &answer["effect"];
    if let (Some(by), Some("parked")) = (effect["resend_by"].as_str(), effect["state"].as_str()) {
        return format!(
            "`{by}` asks to send effect {id} again; somebody else has to say yes: wharf effects approve --tenant {} {id}",
            text(&effect["tenant"])
        );
    }
    let flow = if answer["flow_told"] == true { "; its flow goes on" } else { "; no flow waits for it" };
    format!("effect {id} is {}{flow}", text(&effect["state"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_told_with_what_comes_next() {
        let answer = json!({ "effect": { "state": "abandoned", "resend_by": null }, "flow_told": true });
        assert_eq!(sentence("7", &answer), "effect 7 is abandoned; its flow goes on");
        let answer = json!({ "effect": { "state": "parked", "resend_by": "user:ana", "tenant": "nordic" } });
        assert!(sentence("7", &answer).ends_with("wharf effects approve --tenant nordic 7"));
    }
}
