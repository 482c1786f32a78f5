//! Sizes, names and lists of source files, and what nobody may switch off.

use crate::code::lines;
use crate::tree::{Finding, Tree};

const SOURCE: &[&str] = &["host/", "sdk/", "plugins/", "xtask/", "tests/"];
const ENDINGS: &[&str] = &[".rs", ".py", ".js", ".ts", ".sh"];
const STOP_AND_THINK: usize = 300;
const END: usize = 500;

fn sources(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let all = SOURCE.iter().flat_map(|part| tree.under(part));
    all.filter(|(path, _)| ENDINGS.iter().any(|ending| path.ends_with(ending)))
}

pub(crate) fn sizes(tree: &Tree) -> Vec<Finding> {
    let long = sources(tree).filter(|(_, text)| text.lines().count() > END);
    let said = |text: &str| format!("{} lines", text.lines().count());
    long.map(|(path, text)| Finding::new(path, END, said(text), "split it by meaning")).collect()
}

/// Files over the length at which one should think; told, not refused.
pub(crate) fn long(tree: &Tree) -> Vec<String> {
    let count = |text: &str| text.lines().count();
    let long = sources(tree).filter(|(_, text)| (STOP_AND_THINK + 1..=END).contains(&count(text)));
    long.map(|(path, text)| format!("{path} has {} lines", count(text))).collect()
}

pub(crate) fn names(tree: &Tree) -> Vec<Finding> {
    let never = ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"];
    let mut found = Vec::new();
    for (path, _) in sources(tree) {
        let parts = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
        if let Some(part) = parts.into_iter().find(|part| never.contains(part)) {
            found.push(Finding::new(path, 1, format!("a module called `{part}`"), "name it after what it is about"));
        }
    }
    found
}

/// A `.rs` file that no `mod` line names is never compiled, and its tests never run.
pub(crate) fn lists(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, _) in tree.files(SOURCE, ".rs") {
        let Some((folder, file)) = path.rsplit_once('/') else { continue };
        if is_root(tree, folder, file) {
            continue;
        }
        let (parents, module) = parents_and_name(folder, file);
        let declared = parents.iter().filter_map(|parent| tree.text(parent)).any(|text| declares(text, module, file));
        if !declared {
            let what = format!("no `mod {module};` names this file");
            found.push(Finding::new(path, 1, what, "add the line to the list, or delete the file"));
        }
    }
    found
}

/// Cargo finds these by itself or by its manifest.
fn is_root(tree: &Tree, folder: &str, file: &str) -> bool {
    let crate_folder = tree.has(&format!("{folder}/Cargo.toml"));
    let target = folder.rsplit('/').next().unwrap_or_default();
    let above_is_crate = folder.rsplit_once('/').is_some_and(|(above, _)| tree.has(&format!("{above}/Cargo.toml")));
    match file {
        "lib.rs" | "main.rs" => true,
        "build.rs" => crate_folder,
        "mod.rs" => false,
        _ => (above_is_crate && matches!(target, "tests" | "examples" | "benches")) || folder.ends_with("src/bin"),
    }
}

/// Where a file's `mod` line can be, and the module's name.
fn parents_and_name<'p>(folder: &'p str, file: &'p str) -> (Vec<String>, &'p str) {
    match file {
        "mod.rs" => {
            let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            (parents_in(above), name)
        }
        _ => (parents_in(folder), file.trim_end_matches(".rs")),
    }
}

/// A file of tests: by its path, or because its `mod` line stands under `#[cfg(test)]`.
pub(crate) fn of_tests(tree: &Tree, path: &str) -> bool {
    let by_path = ["/tests/", "/fixtures/", "/snapshots/"].iter().any(|folder| path.contains(folder));
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (parents, module) = parents_and_name(folder, file);
    let line = format!("mod {module};");
    by_path
        || parents.iter().filter_map(|parent| tree.text(parent)).any(|text| {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            lines.windows(2).any(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with(&line))
        })
}

fn parents_in(folder: &str) -> Vec<String> {
    ["mod.rs", "lib.rs", "main.rs"]
        .iter()
        .map(|file| format!("{folder}/{file}"))
        .chain([format!("{folder}.rs")])
        .collect()
}

fn declares(parent: &str, module: &str, file: &str) -> bool {
    let plain = format!("mod {module};");
    let by_path = format!("#[path = \"{file}\"]");
    lines(parent, true).iter().any(|(_, code)| {
        let code = code.trim();
        code == plain || code.ends_with(&format!(" {plain}")) || code.starts_with(&by_path)
    })
}

pub(crate) fn switched_off(tree: &Tree) -> Vec<Finding> {
    // Put together here, so that this file does not find itself.
    let never = [
        (concat!("#[", "ignore"), "mend the test or delete it"),
        (concat!("#[", "allow("), "use `#[expect(lint, reason = \"…\")]`"),
        (concat!("#![", "allow("), "use `#[expect(lint, reason = \"…\")]`"),
    ];
    let mut found = Vec::new();
    for (path, text) in tree.files(SOURCE, ".rs") {
        for (line, code) in lines(text, true) {
            for (attribute, remedy) in never {
                if code.contains(attribute) {
                    found.push(Finding::new(path, line, format!("`{attribute}`"), remedy));
                }
            }
        }
    }
    found
}

/// `NNNN_name.sql`, counted from 1; every engine has the same files.
pub(crate) fn migrations(tree: &Tree) -> Vec<Finding> {
    let prefix = "host/store/migrations/";
    let engines = tree.folders(prefix);
    let of = |engine: &str| -> Vec<String> {
        let folder = format!("{prefix}{engine}/");
        tree.files(&[&folder], ".sql").iter().map(|(path, _)| path[folder.len()..].to_owned()).collect()
    };
    let mut found = Vec::new();
    if engines.is_empty() {
        found.push(Finding::new(prefix, 1, "no migrations", "put them into a folder per engine"));
    }
    for engine in &engines {
        for (index, name) in of(engine).iter().enumerate() {
            let path = format!("{prefix}{engine}/{name}");
            if !name.starts_with(&format!("{:04}_", index + 1)) {
                found.push(Finding::new(
                    &path,
                    1,
                    format!("expected number {:04}", index + 1),
                    "number migrations without gaps",
                ));
            }
            for other in engines.iter().filter(|other| !of(other).contains(name)) {
                found.push(Finding::new(&path, 1, format!("`{other}` has no `{name}`"), "write it for every engine"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::places;

    #[test]
    fn a_long_file_is_found_and_a_longish_one_is_told() {
        let (long_, longish) = ("x\n".repeat(501), "x\n".repeat(301));
        let tree = Tree::of(&[("host/api/src/a.rs", &long_), ("plugins/acme/b.py", &longish), ("docs/c.md", &long_)]);
        assert_eq!(places(&sizes(&tree)), ["host/api/src/a.rs:500"]);
        assert_eq!(long(&tree), ["plugins/acme/b.py has 301 lines"]);
    }

    #[test]
    fn a_module_named_after_nothing_is_found() {
        let tree =
            Tree::of(&[("host/api/src/utils.rs", ""), ("sdk/js/helpers/x.js", ""), ("host/api/src/common_law.rs", "")]);
        assert_eq!(places(&names(&tree)), ["host/api/src/utils.rs:1", "sdk/js/helpers/x.js:1"]);
    }

    #[test]
    fn a_file_in_no_list_is_found() {
        let tree = Tree::of(&[
            ("host/api/Cargo.toml", ""),
            ("host/api/src/lib.rs", "pub mod jobs;\n// mod orphan;\npub(crate) mod auth;\n"),
            ("host/api/src/jobs.rs", "mod claim;\n"),
            ("host/api/src/jobs/claim.rs", ""),
            ("host/api/src/jobs/lost.rs", ""),
            ("host/api/src/auth/mod.rs", ""),
            ("host/api/src/orphan.rs", ""),
            ("host/api/tests/it.rs", ""),
        ]);
        assert_eq!(places(&lists(&tree)), ["host/api/src/jobs/lost.rs:1", "host/api/src/orphan.rs:1"]);
    }

    #[test]
    fn test_files_are_told_from_the_others() {
        let lib = "mod claim;\n#[cfg(test)]\npub(crate) mod world;\n";
        let tree = Tree::of(&[("host/api/src/lib.rs", lib), ("host/api/src/world/mod.rs", "")]);
        let told = |path: &str| of_tests(&tree, path);
        assert!(told("host/api/src/world/mod.rs") && told("host/api/src/world.rs") && told("host/api/tests/x.rs"));
        assert!(!told("host/api/src/claim.rs"));
    }

    #[test]
    fn a_lint_or_test_switched_off_is_found() {
        let text = format!("// {a}\n{a}]\n{b}dead_code)]\n", a = concat!("#[", "ignore"), b = concat!("#![", "allow("));
        let tree = Tree::of(&[("plugins/acme/src/lib.rs", &text)]);
        assert_eq!(places(&switched_off(&tree)), ["plugins/acme/src/lib.rs:2", "plugins/acme/src/lib.rs:3"]);
    }

    #[test]
    fn a_gap_and_a_missing_twin_are_found() {
        let tree = Tree::of(&[
            ("host/store/migrations/postgres/0001_spine.sql", ""),
            ("host/store/migrations/sqlite/0001_spine.sql", ""),
            ("host/store/migrations/sqlite/0003_users.sql", ""),
        ]);
        let path = "host/store/migrations/sqlite/0003_users.sql:1";
        assert_eq!(places(&migrations(&tree)), [path, path]);
        assert_eq!(migrations(&Tree::of(&[])).len(), 1);
    }
}
