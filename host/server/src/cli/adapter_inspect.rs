//! `wharf adapter inspect`

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use wharf_domain::grant::MAX_RECORDS;
use wharf_domain::manifest::OdooRequest;
use wharf_sandbox::forges;
use wharf_sandbox::inspect::{self, Report};

use super::{Outcome, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The adapter file
    file: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read `{}`", args.file.display()))?;
    let report = inspect::report(&bytes).with_context(|| format!("`{}` is not an adapter", args.file.display()))?;
    if args.json {
        say(serde_json::to_string_pretty(&report)?)?;
    } else {
        say(text(&report)?.trim_end())?;
    }
    Ok(0)
}

/// Printable without characters that make a line look like another one: most of what is shown here was written by the
/// publisher.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if forges(c) { ' ' } else { c }).collect()
}

/// What it asks of the tenant's Odoo; nothing when it asks for nothing.
fn odoo(out: &mut String, asked: &[OdooRequest]) -> std::fmt::Result {
    if asked.is_empty() {
        return Ok(());
    }
    writeln!(out, "ODOO (nothing of it without a grant)")?;
    for r in asked {
        let create = if r.create { "  create" } else { "" };
        let domain = r.domain.as_deref().map(|domain| format!("  where {}", clean(domain))).unwrap_or_default();
        let most = r.max_records.unwrap_or(MAX_RECORDS);
        let (model, read, write) = (clean(&r.model), clean(&r.read.join(", ")), clean(&r.write.join(", ")));
        writeln!(
            out,
            "  {model}  read({read})  write({write}){create}  {most} records{domain}  \"{}\"",
            clean(&r.reason)
        )?;
    }
    Ok(())
}

fn text(report: &Report) -> Result<String, std::fmt::Error> {
    let m = &report.manifest;
    let mut out = String::new();
    writeln!(out, "{} {}  {}  {} bytes", clean(&m.name), clean(&m.version), report.digest, report.bytes)?;
    writeln!(out, "  \"{}\"", clean(&m.description))?;
    writeln!(out, "  publisher {} (not verified)  licence {}", clean(&m.publisher), clean(&m.licence))?;
    writeln!(out, "EXPORTS")?;
    for face in &report.exports {
        writeln!(out, "  {}  {}", clean(&face.name), clean(&face.functions.join(", ")))?;
    }
    writeln!(out, "IMPORTS")?;
    for face in &report.imports {
        writeln!(out, "  {}  {}", clean(&face.name), clean(&face.functions.join(", ")))?;
    }
    writeln!(out, "ENDPOINTS")?;
    for e in &m.endpoints {
        writeln!(out, "  {:?}  {}", e.environment, clean(&e.origin))?;
    }
    writeln!(out, "ROUTES")?;
    for r in &m.routes {
        let effect = r.effect.as_deref().map(|e| format!(" effect {e}")).unwrap_or_default();
        let secret = r.secret.as_deref().map(|s| format!(" secret {s}")).unwrap_or_default();
        writeln!(
            out,
            "  {:6} {}  {:?}{}{}  \"{}\"",
            r.method,
            clean(&r.path),
            r.class(),
            clean(&effect),
            clean(&secret),
            clean(&r.reason)
        )?;
    }
    odoo(&mut out, &m.odoo)?;
    writeln!(out, "LIMITS")?;
    for bucket in &m.limits.buckets {
        let burst = bucket.burst.map(|burst| format!(", {burst} at once")).unwrap_or_default();
        writeln!(out, "  {} requests in {} s{burst}", bucket.requests, bucket.per_seconds)?;
    }
    writeln!(out, "  {} under way", m.limits.max_in_flight)?;
    writeln!(out, "SECRETS (values never reach the adapter)")?;
    for (name, slot) in &m.secrets {
        writeln!(out, "  {}  {}", clean(name), slot.kind())?;
    }
    writeln!(out, "SETTINGS")?;
    for (name, property) in &m.config.properties {
        let need = if m.config.required.contains(name) { "required" } else { "optional" };
        let (rules, words) = (clean(&property.rules()), clean(&property.description));
        writeln!(out, "  {}  {need}  {rules}  \"{words}\"", clean(name))?;
    }
    writeln!(out, "KEY-VALUE STORE  {} bytes", m.kv_bytes)?;
    writeln!(out, "FINDINGS")?;
    if report.findings.is_empty() {
        writeln!(out, "  none")?;
    }
    for finding in &report.findings {
        writeln!(out, "  {}", clean(finding))?;
    }
    Ok(out)
}
