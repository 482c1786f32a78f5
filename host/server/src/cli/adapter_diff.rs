//! `wharf adapter diff`

use std::path::{Path, PathBuf};

use anyhow::Context;
use wharf_sandbox::diff::{self, Diff, Line, Weight};
use wharf_sandbox::inspect::{self, Report};

use super::adapter_inspect::clean;
use super::api_client::table;
use super::{Failure, Outcome, sarif, say, wrong_use};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The adapter file that is granted today
    old: PathBuf,
    /// The one that would take its place
    new: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// A Markdown table, for a pull request
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// The lines as SARIF 2.1.0, for tools that show them beside the code
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    sarif: bool,
}

const AFTER_HELP: &str = "\
Exit codes: 0 the same or less · 10 more of the same · 20 a person has to accept it · 30 it cannot take the old one's
place as it stands · 2 wrong use · 1 anything else.";

pub(crate) fn run(args: &Args) -> Outcome {
    let found = diff::diff(&report(&args.old)?, &report(&args.new)?);
    if args.json {
        say(serde_json::to_string_pretty(&found)?)?;
    } else if args.markdown {
        say(markdown(&found))?;
    } else if args.sarif {
        say(serde_json::to_string_pretty(&results(&found, &args.new))?)?;
    } else {
        say(text(&found))?;
    }
    Ok(found.weight.exit_code())
}

fn report(path: &Path) -> Result<Report, Failure> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display())).map_err(wrong_use)?;
    Ok(inspect::report(&bytes).with_context(|| format!("`{}` is not an adapter", path.display()))?)
}

fn word(weight: Weight) -> &'static str {
    match weight {
        Weight::Narrower => "narrower",
        Weight::WiderLow => "wider",
        Weight::WiderHigh => "WIDER",
        Weight::Incompatible => "INCOMPATIBLE",
    }
}

fn verdict(weight: Weight) -> &'static str {
    match weight {
        Weight::Narrower => "It can do the same or less.",
        Weight::WiderLow => "It can do more of the same.",
        Weight::WiderHigh => "It can do more: a person has to accept it.",
        Weight::Incompatible => "It cannot take the old one's place as it stands.",
    }
}

fn text(found: &Diff) -> String {
    let rows: Vec<Vec<String>> = found
        .lines
        .iter()
        .map(|line| vec![word(line.weight).to_owned(), line.group.to_owned(), clean(&line.what), clean(&line.means)])
        .collect();
    match rows.is_empty() {
        true => verdict(found.weight).to_owned(),
        false => format!("{}\n\n{}", table(&["", "CHANGE", "WHAT", "WHICH MEANS"], &rows), verdict(found.weight)),
    }
}

fn markdown(found: &Diff) -> String {
    let cell = |text: &str| clean(text).replace('|', "\\|");
    let mut out = format!("{}\n\n| | change | what | which means |\n|---|---|---|---|\n", verdict(found.weight));
    for line in &found.lines {
        let (what, means) = (cell(&line.what), cell(&line.means));
        out.push_str(&format!("| {} | {} | {what} | {means} |\n", word(line.weight), line.group));
    }
    out.trim_end().to_owned()
}

/// One rule per weight: the groups are many and say themselves what they are.
const RULES: &[(&str, &str)] = &[
    ("narrower", "It can do less than before, or only words changed."),
    ("wider-low", "It can do more of the same."),
    ("wider-high", "It can do something new: a person has to accept it."),
    ("incompatible", "It cannot take the old one's place as it stands."),
];

fn results(found: &Diff, file: &Path) -> serde_json::Value {
    let rule = |weight| match weight {
        Weight::Narrower => RULES[0].0,
        Weight::WiderLow => RULES[1].0,
        Weight::WiderHigh => RULES[2].0,
        Weight::Incompatible => RULES[3].0,
    };
    let one = |line: &Line| sarif::Found {
        rule: rule(line.weight),
        level: sarif::level_of(line.weight),
        text: clean(&format!("{}: {}: {}", line.group, line.what, line.means)),
    };
    sarif::log(RULES, file, found.lines.iter().map(one))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_publishers_words_cannot_change_the_table() {
        let line = Line {
            weight: Weight::WiderHigh,
            group: "new destination",
            what: "`a|b\n| | |`\u{1b}[2K".to_owned(),
            means: "data goes there".to_owned(),
        };
        let found = Diff { weight: Weight::WiderHigh, lines: vec![line] };
        let shown = markdown(&found);
        assert_eq!(shown.lines().count(), 5, "{shown}");
        assert!(shown.contains("a\\|b") && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(text(&found).lines().count(), 4);
        let log = results(&found, Path::new("new.wasm")).to_string();
        assert!(log.contains("\"ruleId\":\"wider-high\"") && !log.contains("\\u001b"), "{log}");
        assert_eq!(text(&Diff { weight: Weight::Narrower, lines: vec![] }), "It can do the same or less.");
    }
}
