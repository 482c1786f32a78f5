//! `wharf adapter inspect`

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use wharf_domain::ids::Digest;
use wharf_sandbox::forges;
use wharf_sandbox::inspect::{self, Answer, Count, Known, Line, Sheet};
use wharf_sandbox::lookalike::spelled;
use wharf_sandbox::surface::Surface;

use super::api_client::{Host, table};
use super::grant_show::Grant;
use super::{Failure, Outcome, sarif, say, wrong_use};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The adapter file
    file: PathBuf,
    /// Asks a running host what this connection was granted and what it used, as `TENANT/CONNECTION`
    #[arg(long, requires = "config")]
    connection: Option<Grant>,
    /// How many days back
    #[arg(long, default_value_t = 30, requires = "connection")]
    days: u32,
    /// With --connection: the host's configuration, its address and where its admin token is
    #[arg(long, requires = "connection")]
    config: Option<PathBuf>,
    /// With --connection: another address of the host than `server.listen`
    #[arg(long, requires = "connection")]
    url: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// The findings as SARIF 2.1.0, for tools that show them beside the code
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
    /// Texts of the publisher as they are, control characters and all; refused on a terminal
    #[arg(long, conflicts_with_all = ["json", "sarif"])]
    raw: bool,
}

const AFTER_HELP: &str = "\
DECLARED is what the manifest says, IMPORTED what the code names, GRANTED what the connection was given, USED what it did.
Offline the last two are `not asked`. What nothing tells is `not measured` or `not verified`. Texts in quotes are the
publisher's.

Exit codes: 0 looked at, whatever was found · 2 wrong use · 1 anything else.";

pub(crate) fn run(args: &Args) -> Outcome {
    if args.raw && std::io::stdout().is_terminal() {
        let text = "`--raw` prints what the publisher wrote, which can rewrite a terminal; send it to a file or a pipe";
        return Err(wrong_use(anyhow!(text)));
    }
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read `{}`", args.file.display()))?;
    let report = inspect::report(&bytes).with_context(|| format!("`{}` is not an adapter", args.file.display()))?;
    let answer = args.connection.as_ref().map(|grant| ask(args, grant)).transpose()?;
    let sheet = inspect::sheet(&report, &bytes, answer.as_ref());
    if args.json {
        say(serde_json::to_string_pretty(&sheet)?)?;
    } else if args.sarif {
        let results = sheet.findings.iter().map(|finding| sarif::Found {
            rule: finding.rule,
            level: sarif::level(finding.level),
            text: clean(&finding.text),
        });
        say(serde_json::to_string_pretty(&sarif::log(inspect::RULES, &args.file, results))?)?;
    } else {
        let show: fn(&str) -> String = if args.raw { str::to_owned } else { clean };
        say(text(&sheet, show)?.trim_end())?;
    }
    Ok(0)
}

/// What the running host says about the connection.
fn ask(args: &Args, grant: &Grant) -> Result<Answer, Failure> {
    let config = args.config.clone().ok_or_else(|| wrong_use(anyhow!("`--connection` needs `--config`")))?;
    let client = Host::at(config, args.url.clone()).client()?;
    let path = format!("/api/v1/tenants/{}/connections/{}/usage?days={}", grant.tenant, grant.connection, args.days);
    let answer = client.get(&path)?;
    let row = &answer["grant"];
    let surface: Surface = serde_json::from_value(row["surface"].clone())
        .context("the host's grant was written by another version of wharf")?;
    Ok(Answer {
        grant: grant.to_string(),
        version: row["version"].as_i64().unwrap_or_default(),
        digest: Digest::from_text(row["digest"].as_str().unwrap_or_default()),
        surface,
        days: args.days,
        usage: serde_json::from_value(answer["usage"].clone()).context("the host's usage")?,
        peak: serde_json::from_value(answer["peak"].clone()).context("the host's peak")?,
        publishers: serde_json::from_value(answer["publishers"].clone()).context("the host's publishers")?,
    })
}

/// Printable: a character that makes a line look like another one is shown by its number. Most of what is printed here was
/// written by the publisher.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match forges(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

fn text(sheet: &Sheet, show: fn(&str) -> String) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "{} {}  {}  {} bytes", show(&sheet.name), show(&sheet.version), sheet.digest, sheet.bytes)?;
    writeln!(out, "  \"{}\"", show(&sheet.description))?;
    let spelled = if sheet.publisher.is_ascii() { String::new() } else { format!(" = {}", spelled(&sheet.publisher)) };
    let (publisher, licence) = (show(&sheet.publisher), show(&sheet.licence));
    writeln!(out, "  publisher {publisher}{spelled} ({})  licence {licence}", sheet.signature)?;
    let because = sheet.risk.because.join(" · ");
    let because = if because.is_empty() { "nothing it declares".to_owned() } else { show(&because) };
    writeln!(out, "RISK  {}  because: {because}\n", sheet.risk.level.to_uppercase())?;
    writeln!(out, "{}", rows(sheet, show))?;
    writeln!(out, "\nFLOWS")?;
    for flow in &sheet.flows {
        let personal = if flow.personal { "  (personal data)" } else { "" };
        writeln!(out, "  {}: {} → {}{personal}", show(&flow.data), show(&flow.from), show(&flow.to))?;
    }
    writeln!(out, "LIMITS")?;
    for limit in &sheet.limits {
        writeln!(out, "  {}: {}, used {}", limit.name, limit.limit, limit.used)?;
    }
    for (title, faces) in [("EXPORTS", &sheet.exports), ("IMPORTS", &sheet.imports)] {
        writeln!(out, "{title}  {}", show(&faces.join(" · ")))?;
    }
    writeln!(out, "SETTINGS")?;
    for setting in &sheet.settings {
        let need = if setting.required { "required" } else { "optional" };
        let (name, rules, words) = (show(&setting.name), show(&setting.rules), show(&setting.description));
        writeln!(out, "  {name}  {need}  {rules}  \"{words}\"")?;
    }
    writeln!(out, "WHY (the publisher's words, not verified)")?;
    for line in sheet.lines.iter().filter(|line| !line.reason.is_empty()) {
        writeln!(out, "  {}: \"{}\"", show(&line.what), show(&line.reason))?;
    }
    writeln!(out, "FINDINGS")?;
    if sheet.findings.is_empty() {
        writeln!(out, "  none")?;
    }
    for finding in &sheet.findings {
        writeln!(out, "  {} {}: {}", sarif::level(finding.level), finding.rule, show(&finding.text))?;
    }
    Ok(out)
}

fn rows(sheet: &Sheet, show: fn(&str) -> String) -> String {
    let row = |line: &Line| {
        vec![
            line.kind.to_owned(),
            show(&line.what),
            line.effect.as_deref().map_or_else(|| "-".to_owned(), show),
            known(line.declared).to_owned(),
            known(line.imported).to_owned(),
            known(line.granted).to_owned(),
            count(&line.used),
        ]
    };
    let rows: Vec<Vec<String>> = sheet.lines.iter().map(row).collect();
    let mut out = table(&["", "CAPABILITY", "EFFECT", "DECLARED", "IMPORTED", "GRANTED", "USED"], &rows);
    if let Some(asked) = &sheet.asked {
        out.push_str(&format!("\nGRANTED and USED are of {}", show(asked)));
    }
    out
}

fn known(known: Known) -> &'static str {
    match known {
        Known::Yes => "yes",
        Known::No => "no",
        Known::NotAsked => "not asked",
    }
}

fn count(count: &Count) -> String {
    match count {
        Count::NotAsked => "not asked".to_owned(),
        Count::NotMeasured => "not measured".to_owned(),
        Count::Nothing => "nothing".to_owned(),
        Count::Used(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests;
