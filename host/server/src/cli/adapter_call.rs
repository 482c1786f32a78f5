//! `wharf adapter call`: one operation of one adapter file, without a server, a database or Odoo.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use wharf_domain::manifest::Manifest;
use wharf_sandbox::LocalServices;
use wharf_sandbox::roles::{INPUT, Invoked, OPERATIONS};

use super::offline::{Offline, Program};
use super::{FAULT, Failure, Outcome, WRONG_USE, say, wrong_use};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The adapter file
    file: PathBuf,
    /// The operation as `interface.function`, e.g. `tracking.track`
    operation: String,
    /// The operation's input as JSON; `-` is standard input; absent takes the adapter's own example
    #[arg(long)]
    input: Option<PathBuf>,
    /// Settings: a JSON or TOML file of the adapter's own keys, or a `wharf.toml` with a connection of this adapter
    #[arg(long)]
    config: Option<PathBuf>,
    /// Answers requests from a recording instead of the network
    #[arg(long, conflicts_with = "http")]
    replay: Option<PathBuf>,
    /// Sends requests to this origin, e.g. a simulator on loopback
    #[arg(long)]
    http: Option<String>,
    /// One line of JSON instead of indented JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
A recording is {\"exchanges\":[{\"request\":{\"method\",\"uri\",\"headers\",\"body\"},\"response\":{\"status\",\"headers\",\"body\"}}]};
requests are matched by method and path, in order; without --input a request also takes a recorded one of the same
route of the manifest, and of several examples the first one the recording answers is taken. A JSON file without `exchanges` is taken as the body of one 200 answer.
Without --replay and --http every request is refused.

Exit codes: 0 the operation succeeded, 3 it answered with a fault, 2 wrong use, 1 anything else.";

pub(crate) async fn run(args: Args) -> Outcome {
    if !OPERATIONS.contains(&args.operation.as_str()) {
        let known = OPERATIONS.join(", ");
        return Err(wrong_use(anyhow::anyhow!("there is no operation `{}`; known are {known}", args.operation)));
    }
    let program = Program::load(&args.file).await?;
    let inputs = inputs(&args, &program.adapter.manifest).map_err(wrong_use)?;
    let offline = Offline {
        replay: args.replay.clone(),
        http: args.http.clone(),
        config: args.config.clone(),
        // The adapter's own example cannot know the recorded numbers.
        alike: args.input.is_none(),
    };
    let mut invoked = None;
    for input in inputs {
        let done = attempt(&program, &offline, &args.operation, input).await?;
        let missed = matches!(&done.result, Err(fault) if fault.code == "egress.no-recording");
        // The first example the recording answers; when it answers none, the first one says what is missing.
        if !missed || invoked.is_none() {
            invoked = Some(done);
        }
        if !missed {
            break;
        }
    }
    let invoked = invoked.ok_or_else(|| wrong_use(anyhow::anyhow!("`{}` needs --input", args.operation)))?;
    let (mut answer, code) = match invoked.result {
        Ok(value) => (json!({ "ok": value }), 0),
        Err(fault) => {
            let retryable = fault.retryable();
            let mut fault = serde_json::to_value(&fault)?;
            fault["retryable"] = Value::Bool(retryable);
            // What does not fit never reached the adapter: that is the caller's mistake.
            let code = if fault["code"] == INPUT { WRONG_USE } else { FAULT };
            (json!({ "fault": fault }), code)
        }
    };
    answer["requests"] = Value::Array(invoked.requests);
    if !invoked.log.is_empty() {
        answer["log"] = json!(invoked.log);
    }
    say(if args.json { answer.to_string() } else { serde_json::to_string_pretty(&answer)? })?;
    Ok(code)
}

/// Runs the operation once, from a fresh recording.
async fn attempt(program: &Program, offline: &Offline, operation: &str, input: Value) -> Result<Invoked, Failure> {
    let (egress, clock) = offline.egress(&program.adapter.manifest)?;
    let services = Arc::new(LocalServices::offline(egress, clock));
    let bound = offline.bind(&program.adapter.manifest).map_err(wrong_use)?;
    Ok(program.invoke(bound, services, operation, input).await)
}

/// The given input; without one every example of the operation, `name` before `name/variant`.
fn inputs(args: &Args, manifest: &Manifest) -> Result<Vec<Value>> {
    let text = match &args.input {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read the input `{}`", path.display()))?
        }
        None => return examples(args, manifest),
    };
    let place = args.input.as_ref().map_or_else(String::new, |p| p.display().to_string());
    let value = serde_json::from_str(&text).with_context(|| format!("the input `{place}` is not JSON"))?;
    Ok(vec![value])
}

fn examples(args: &Args, manifest: &Manifest) -> Result<Vec<Value>> {
    let of_it = |name: &String| name.split('/').next() == Some(args.operation.as_str());
    let texts: Vec<&str> = manifest.examples.iter().filter(|(name, _)| of_it(name)).map(|(_, t)| t.as_str()).collect();
    if texts.is_empty() && args.operation == "info.describe" {
        return Ok(vec![json!({})]);
    }
    if texts.is_empty() {
        bail!("`{}` needs --input: the adapter carries no example for it", args.operation);
    }
    texts.into_iter().map(|text| serde_json::from_str(text).context("the adapter's example is not JSON")).collect()
}
