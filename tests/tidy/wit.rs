//! The contracts: every item says what holds and since when, and the table in `wit/README.md` names every package.

use crate::tree::{Finding, Tree};

const ITEMS: &[&str] = &["interface", "world", "record", "enum", "variant", "flags", "resource", "type"];
const TABLE: &str = "wit/README.md";

/// A package, an interface, a world, a type or a function.
fn item(line: &str) -> Option<&str> {
    let line = line.trim();
    let first = line.split_whitespace().next()?;
    if first == "package" || ITEMS.contains(&first) {
        return Some(first);
    }
    let (name, rest) = line.split_once(": ")?;
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (plain && (rest.starts_with("func(") || rest.starts_with("async func("))).then_some("function")
}

pub(crate) fn documented(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.files(&["wit/"], ".wit") {
        let all: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, kind) in all.iter().enumerate().filter_map(|(index, line)| item(line).map(|kind| (index, kind))) {
            let above: Vec<&&str> =
                all[..index].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with('@')).collect();
            if !above.iter().any(|line| line.starts_with("///")) {
                let what = format!("a {kind} without `///`");
                found.push(Finding::new(path, index + 1, what, "say what holds, what is absent when, who may retry"));
            }
            if kind != "package" && !above.iter().any(|line| line.starts_with("@since(")) {
                found.push(Finding::new(
                    path,
                    index + 1,
                    format!("a {kind} without `@since`"),
                    "say since which version",
                ));
            }
        }
    }
    found
}

/// Line and `wharf:name@version` of every package.
fn packages(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let name = line.trim().strip_prefix("package ")?;
        Some((index + 1, name.trim_end_matches([';', '{', ' '])))
    })
}

pub(crate) fn table(tree: &Tree) -> Vec<Finding> {
    let Some(readme) = tree.text(TABLE) else {
        return vec![Finding::new(TABLE, 1, "no such file", "write it: the rules and the table")];
    };
    let rows: Vec<(usize, &str)> = readme
        .lines()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, line.strip_prefix("| `")?.split_once('`')?.0)))
        .filter(|(_, name)| name.starts_with("wharf:"))
        .collect();
    let heads = tree.files(&["wit/"], ".wit");
    let head = |path: &str| !path.starts_with("wit/released/");
    let mut found = Vec::new();
    for (path, text) in heads.iter().filter(|(path, _)| head(path)) {
        for (line, package) in packages(text).filter(|(_, package)| !rows.iter().any(|(_, row)| row == package)) {
            found.push(Finding::new(path, line, format!("`{package}` is not in {TABLE}"), "add a row"));
        }
    }
    for (line, row) in &rows {
        if !heads.iter().any(|(_, text)| packages(text).any(|(_, package)| package == *row)) {
            found.push(Finding::new(
                TABLE,
                *line,
                format!("no file has `{row}`"),
                "remove the row or mend its version",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::places;

    const GOOD: &str = "/// P.\npackage wharf:kv@0.1.0 {\n  /// I.\n  @since(version = 0.1.0)\n  interface store {\n    \
                        /// G.\n    @since(version = 0.1.0)\n    get: func(key: string);\n  }\n}\n";

    #[test]
    fn an_item_without_words_or_date_is_found() {
        assert_eq!(places(&documented(&Tree::of(&[("wit/kv.wit", GOOD)]))), [""; 0]);
        let bad = GOOD.replace("/// G.\n", "\n").replacen("  @since(version = 0.1.0)\n", "", 1);
        let found = documented(&Tree::of(&[("wit/kv.wit", &bad)]));
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(said[0].starts_with("wit/kv.wit:4: a interface without `@since`"), "{said:?}");
        assert!(said[1].starts_with("wit/kv.wit:7: a function without `///`"), "{said:?}");
        assert_eq!(said.len(), 2, "{said:?}");
    }

    #[test]
    fn a_missing_and_a_stale_row_are_found() {
        let readme = "| package | spoken by |\n| --- | --- |\n| `wharf:kv@0.2.0` | 0.1 |\n";
        let tree = Tree::of(&[("wit/README.md", readme), ("wit/kv.wit", GOOD)]);
        assert_eq!(places(&table(&tree)), ["wit/kv.wit:2", "wit/README.md:3"]);
        assert_eq!(places(&table(&Tree::of(&[]))), ["wit/README.md:1"]);
    }
}
