//! What stands outside the host's workspace: adapters and hostile guests.

use crate::tree::{Finding, Tree};

/// Folders of `plugins/` that are no adapters.
const NO_ADAPTERS: &[&str] = &[".cargo"];

pub(crate) fn complete(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in tree.folders("plugins/") {
        if NO_ADAPTERS.contains(&name.as_str()) {
            continue;
        }
        let folder = format!("plugins/{name}/");
        for file in ["adapter.toml", "README.md"] {
            if tree.text(&format!("{folder}{file}")).is_none() {
                found.push(Finding::new(
                    &folder,
                    1,
                    format!("no `{file}`"),
                    "copy the shape of the neighbouring adapter",
                ));
            }
        }
        let code = |path: &str| [".rs", ".js", ".ts", ".py"].iter().any(|ending| path.ends_with(ending));
        if !tree.under(&folder).any(|(path, _)| code(path)) {
            found.push(Finding::new(&folder, 1, "no code", "an adapter is code, manifest and README in one folder"));
        }
    }
    if found.is_empty() && tree.folders("plugins/").is_empty() {
        found.push(Finding::new("plugins/", 1, "no adapters", "the first-party adapters live here"));
    }
    found
}

/// The name of a guest without `.wat` stands in quotes in a test.
pub(crate) fn guests(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, _) in tree.files(&["tests/guests/"], ".wat") {
        let file = path.rsplit('/').next().unwrap_or_default();
        let quoted = [format!("\"{}\"", file.trim_end_matches(".wat")), format!("\"{file}\"")];
        let tested = tree.files(&["tests/it/"], ".rs").iter().any(|(_, text)| quoted.iter().any(|q| text.contains(q)));
        if !tested {
            found.push(Finding::new(path, 1, "no test runs this guest", "name it in a test of tests/it"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::places;

    #[test]
    fn an_incomplete_adapter_is_found() {
        let tree = Tree::of(&[
            ("plugins/acme/adapter.toml", ""),
            ("plugins/acme/README.md", ""),
            ("plugins/acme/src/lib.rs", ""),
            ("plugins/bolt/adapter.toml", ""),
            ("plugins/Cargo.toml", ""),
        ]);
        assert_eq!(places(&complete(&tree)), ["plugins/bolt/:1", "plugins/bolt/:1"], "no README, no code");
        assert_eq!(complete(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn a_guest_without_a_test_is_found() {
        let tree = Tree::of(&[
            ("tests/guests/loop.wat", ""),
            ("tests/guests/grow.wat", ""),
            ("tests/it/attack.rs", "let fault = describe(\"loop\");"),
        ]);
        assert_eq!(places(&guests(&tree)), ["tests/guests/grow.wat:1"]);
    }
}
