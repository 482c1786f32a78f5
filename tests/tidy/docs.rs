//! What the documents say, held against the code.

use crate::tree::{Finding, Tree};

const README: &str = "README.md";
const ADDING: &str = "docs/ADDING.md";

pub(crate) fn adding(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(ADDING) else {
        return vec![Finding::new(ADDING, 1, "no such file", "write it: the one place for each thing")];
    };
    let missing = tree.folders("host/").into_iter().filter(|room| !text.contains(&format!("`{room}`")));
    missing
        .map(|room| Finding::new(ADDING, 1, format!("the room `{room}` is not named"), "say what is added there"))
        .collect()
}

/// Commands in fenced blocks: `cargo xtask …` and `wharf …`, their subcommands and their options.
pub(crate) fn commands(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(README) else {
        return vec![Finding::new(README, 1, "no such file", "write it: what it is and the two commands")];
    };
    let xtask = sources(tree, "xtask/src/");
    let wharf = sources(tree, "host/server/src/cli/");
    let mut found = Vec::new();
    for (line, command) in fenced(text) {
        let (known, rest) = if let Some(rest) = command.strip_prefix("cargo xtask") {
            (&xtask, rest)
        } else if let Some((_, rest)) = command.split_once("wharf ").filter(|(before, _)| is_program(before)) {
            (&wharf, rest)
        } else {
            continue;
        };
        // What follows a pipe or a comment is another program's business.
        let words: Vec<&str> = rest.split(['|', '#', '>', '&']).next().unwrap_or_default().split_whitespace().collect();
        let subcommand = words.first().filter(|word| !word.starts_with('-'));
        let variant = subcommand.map(|word| capitalised(word));
        if variant.is_some_and(|variant| !known.contains(&format!("    {variant}"))) {
            found.push(Finding::new(
                README,
                line,
                format!("no such command: `{command}`"),
                "mend the README or the command",
            ));
        }
        for option in words.iter().filter_map(|word| word.strip_prefix("--")).filter(|option| *option != "help") {
            let name = option.split('=').next().unwrap_or_default();
            let field = format!(" {}: ", name.replace('-', "_"));
            if !known.contains(&field) {
                found.push(Finding::new(
                    README,
                    line,
                    format!("no such option: `--{name}`"),
                    "mend the README or the command",
                ));
            }
        }
    }
    found
}

fn sources(tree: &Tree, folder: &str) -> String {
    tree.files(&[folder], ".rs").into_iter().map(|(_, text)| text).collect()
}

/// `wharf serve`, `target/debug/wharf serve`, not `cd wharf `.
fn is_program(before: &str) -> bool {
    before.is_empty() || before.ends_with('/')
}

fn capitalised(word: &str) -> String {
    let parts = word.split('-').map(|part| part[..1].to_uppercase() + &part[1..]);
    parts.collect()
}

/// Line number and text of every line inside ``` blocks.
fn fenced(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            found.push((index + 1, line.trim().trim_start_matches("$ ")));
        }
    }
    found
}

/// Relative links of Markdown files lead to a file or folder.
pub(crate) fn links(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.files(&[""], ".md") {
        for (index, line) in text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
                let file = target.split('#').next().unwrap_or_default();
                if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                    continue;
                }
                if !exists(tree, path, file) {
                    found.push(Finding::new(path, index + 1, format!("`{target}` leads nowhere"), "mend the link"));
                }
            }
        }
    }
    found
}

fn exists(tree: &Tree, from: &str, link: &str) -> bool {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let path = parts.join("/");
    // Files without a known ending (LICENSE, .ci/run) are not in the tree.
    tree.has(&path) || !parts.last().is_some_and(|name| name.contains('.')) && !link.ends_with('/')
}

/// `docs/decisions/NNNN-name.md`, without gaps.
pub(crate) fn decisions(tree: &Tree) -> Vec<Finding> {
    let notes = tree.files(&["docs/decisions/"], ".md");
    let misplaced = notes.iter().enumerate().filter(|(index, (path, _))| {
        !path.trim_start_matches("docs/decisions/").starts_with(&format!("{:04}-", index + 1))
    });
    misplaced
        .map(|(index, (path, _))| {
            Finding::new(path, 1, format!("expected number {:04}", index + 1), "number decisions without gaps")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::places;

    #[test]
    fn a_room_nobody_told_the_newcomer_about_is_found() {
        let tree = Tree::of(&[("docs/ADDING.md", "a table: `store`"), ("host/store/a", ""), ("host/api/a", "")]);
        assert_eq!(
            adding(&tree)[0].to_string(),
            "docs/ADDING.md:1: the room `api` is not named; say what is added there"
        );
        assert_eq!(adding(&tree).len(), 1);
    }

    #[test]
    fn a_command_that_is_not_there_is_found() {
        let readme = "cargo xtask prose\n```\ncargo xtask demo --odoo real # shows it\ncargo xtask fly\ncargo xtask demo --fast\n\
                      target/debug/wharf serve --config x\nwharf dance\ncd wharf now\n```\n";
        let tree = Tree::of(&[
            ("README.md", readme),
            ("xtask/src/main.rs", "enum C {\n    Demo(Args),\n}\nstruct Args {\n    odoo: Which,\n}\n"),
            ("host/server/src/cli/mod.rs", "enum C {\n    Serve,\n}\nstruct A {\n    pub(crate) config: PathBuf,\n}\n"),
        ]);
        assert_eq!(places(&commands(&tree)), ["README.md:4", "README.md:5", "README.md:7"]);
        assert_eq!(places(&commands(&Tree::of(&[]))), ["README.md:1"]);
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        let text =
            "[a](ADDING.md) [b](../README.md#x) [c](https://x.y/z.md) [d](GONE.md)\n[e](../wit/) [f](../LICENSE)\n";
        let tree = Tree::of(&[("docs/A.md", text), ("docs/ADDING.md", ""), ("README.md", ""), ("wit/a.wit", "")]);
        assert_eq!(places(&links(&tree)), ["docs/A.md:1"]);
    }

    #[test]
    fn a_gap_between_decisions_is_found() {
        let tree = Tree::of(&[("docs/decisions/0001-a.md", ""), ("docs/decisions/0003-b.md", "")]);
        assert_eq!(places(&decisions(&tree)), ["docs/decisions/0003-b.md:1"]);
    }
}
