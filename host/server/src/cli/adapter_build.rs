//! `wharf adapter build`

use std::path::PathBuf;

use wharf_sandbox::package::{self, BuildOptions};

use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The adapter's folder: `adapter.toml` and a Cargo package
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where `<name>.wasm` goes
    #[arg(long, default_value = "target/adapters")]
    out: PathBuf,
    /// Cargo's target folder for the guest
    #[arg(long)]
    target_dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let options = BuildOptions { dir: args.dir.clone(), out: args.out.clone(), target_dir: args.target_dir.clone() };
    let built = package::build(&options)?;
    let report = &built.report;
    say(format!(
        "{} {}  {}  {} bytes  {}",
        report.manifest.name,
        report.manifest.version,
        built.path.display(),
        report.bytes,
        report.digest
    ))?;
    for finding in &report.findings {
        say(format!("  {}: {}", finding.rule, finding.text))?;
    }
    Ok(0)
}
