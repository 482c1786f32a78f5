//! `wharf adapter trial`: an adapter's own examples against recorded exchanges, to see what it really asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wharf_domain::grant::{Capabilities, FolderGrant, MAX_RECORDS, OdooAccess, OdooGrant};
use wharf_domain::manifest::Manifest;
use wharf_sandbox::LocalServices;
use wharf_sandbox::roles::OPERATIONS;

use super::adapter_inspect::clean;
use super::offline::{Offline, Program};
use super::{Outcome, say, wrong_use};

mod learned;
mod watched;

use learned::Learned;
use watched::Watched;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The adapter file
    file: PathBuf,
    /// A folder of recordings, looked through to its ends, as `wharf adapter call --replay` takes them
    #[arg(long)]
    recordings: PathBuf,
    /// Prints the least it has to ask for, as a manifest says it
    #[arg(long, required = true)]
    learn: bool,
    /// Settings: a JSON or TOML file of the adapter's own keys
    #[arg(long)]
    config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Every example of the adapter is run once against every recording. What it asks for counts, whatever came of it. Requests
to Odoo and work in drop folders are not answered: what it would have asked after an answer is not seen.

What was not exercised is not proven unneeded: look at the last lines before you take anything out.";

pub(crate) async fn run(args: Args) -> Outcome {
    let program = Program::load(&args.file).await?;
    let manifest = &program.adapter.manifest;
    let mut recordings = Vec::new();
    find(&args.recordings, &mut recordings, 0).map_err(wrong_use)?;
    recordings.sort();
    if recordings.is_empty() {
        let text = format!("`{}` holds no file that ends in `.json`", args.recordings.display());
        return Err(wrong_use(anyhow::anyhow!(text)));
    }
    let examples = examples(manifest).map_err(wrong_use)?;
    let mut all = watched::Seen::default();
    let (mut answered, mut calls) = (0, 0);
    for recording in &recordings {
        for (operation, input) in &examples {
            calls += 1;
            let offline =
                Offline { replay: Some(recording.clone()), http: None, config: args.config.clone(), alike: true };
            answered += u32::from(attempt(&program, &offline, (operation, input.clone()), &mut all).await?);
        }
    }
    let learned = Learned::of(manifest, &all);
    say(format!(
        "# {} {}: {} examples, {} recordings, {answered} of {calls} calls found what they asked for",
        clean(&manifest.name),
        clean(&manifest.version),
        examples.len(),
        recordings.len()
    ))?;
    say(toml::to_string(&learned).context("the grant as TOML")?)?;
    say("# declared and not used here:")?;
    for line in &learned.unused {
        say(format!("#   {}", clean(line)))?;
    }
    if learned.unused.is_empty() {
        say("#   nothing")?;
    }
    Ok(0)
}

/// Runs one example against one recording; true when nothing it asked the partner for was missing.
async fn attempt(
    program: &Program,
    offline: &Offline,
    (operation, input): (&str, Value),
    all: &mut watched::Seen,
) -> Result<bool, super::Failure> {
    let (egress, clock) = offline.egress(&program.adapter.manifest)?;
    let watched = Arc::new(Watched::new(LocalServices::offline(egress, clock)));
    let mut bound = offline.bind(&program.adapter.manifest).map_err(wrong_use)?;
    bound.settings.capabilities = Arc::new(everything(&program.adapter.manifest));
    let invoked = program.invoke(bound, Arc::clone(&watched) as Arc<_>, operation, input).await;
    let seen = watched.take();
    let found = !seen.requests.is_empty()
        && !matches!(&invoked.result, Err(fault) if fault.code == "egress.no-recording")
        && !invoked.result.as_ref().is_ok_and(|value| value.to_string().contains("egress.no-recording"));
    all.add(seen);
    Ok(found)
}

/// Everything the manifest asks for, so that whatever it tries is seen.
fn everything(manifest: &Manifest) -> Capabilities {
    let models = manifest.odoo.iter().map(|request| OdooGrant {
        model: request.model.clone(),
        read: request.read.iter().cloned().collect(),
        write: request.write.iter().cloned().collect(),
        create: request.create,
        domain: request.domain.clone(),
        narrowed: None,
        max_records: request.max_records.unwrap_or(MAX_RECORDS),
    });
    let folders = manifest.folders.iter().map(|folder| FolderGrant {
        name: folder.name.clone(),
        // Nothing is there: offline no folder is opened.
        path: PathBuf::new(),
        read: folder.read,
        create: folder.create,
        archive: folder.archive,
        max_file_bytes: folder.max_file_bytes,
        max_bytes: folder.max_bytes,
        max_files: folder.max_files,
    });
    let odoo = OdooAccess { companies: vec![1], writes_per_hour: u32::MAX, models: models.collect() };
    Capabilities { odoo, folders: folders.collect() }
}

/// The adapter's own examples, with the operation each is for.
fn examples(manifest: &Manifest) -> Result<Vec<(String, Value)>> {
    let mut out = Vec::new();
    for (name, text) in &manifest.examples {
        let operation = name.split('/').next().unwrap_or(name).to_owned();
        if !OPERATIONS.contains(&operation.as_str()) {
            bail!("the adapter carries an example for `{}`, which is no operation", clean(&operation));
        }
        out.push((operation, serde_json::from_str(text).with_context(|| format!("example `{}`", clean(name)))?));
    }
    if out.is_empty() {
        bail!("the adapter carries no examples; add `[examples]` to its manifest and build it again");
    }
    Ok(out)
}

/// Folders inside folders are looked into no deeper than this: a link to a folder above must not go on for ever.
const DEEPEST: u32 = 8;

/// Every `.json` under a folder.
fn find(folder: &Path, out: &mut Vec<PathBuf>, depth: u32) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the folder `{}`", folder.display()))?.path();
        if path.is_dir() && depth < DEEPEST {
            find(&path, out, depth + 1)?;
        } else if path.extension().is_some_and(|end| end == "json") {
            out.push(path);
        }
    }
    Ok(())
}
