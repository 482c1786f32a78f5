//! The house rules as tests. Each rule looks at the text of the repository and reports every breach with its place and
//! the remedy; beside each rule a test shows it a breach, so that no rule can pass by looking at nothing.

#![expect(clippy::expect_used, reason = "a tree that cannot be read fails the test")]

mod code;
mod docs;
mod files;
mod partners;
mod plugins;
mod rooms;
mod tree;
mod wit;

use tree::{Finding, Tree};

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule once, by the name it has in a report.
const RULES: &[(&str, Rule)] = &[
    ("a library is named in its room only", rooms::libraries),
    ("rooms depend on each other in one direction", rooms::edges),
    ("sql is written in the store", rooms::sql),
    ("the host names no partner", partners::named),
    ("rules and flows are pure", rooms::pure),
    ("files end at 500 lines", files::sizes),
    ("modules are named by meaning", files::names),
    ("every source file is in its list", files::lists),
    ("lints are not switched off, tests are not skipped", files::switched_off),
    ("migrations count without gaps", files::migrations),
    ("a plugin folder is complete", plugins::complete),
    ("every hostile guest has a test", plugins::guests),
    ("every item of a contract is documented and dated", wit::documented),
    ("the contract table is right", wit::table),
    ("ADDING names every room", docs::adding),
    ("commands of the README exist", docs::commands),
    ("links lead somewhere", docs::links),
    ("decisions are numbered", docs::decisions),
];

#[test]
fn the_house_is_tidy() {
    let tree = Tree::repository();
    for note in files::long(&tree) {
        println!("note: {note}");
    }
    let mut report = String::new();
    for (name, rule) in RULES {
        for finding in rule(&tree) {
            report.push_str(&format!("{finding}   [{name}]\n"));
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn the_repository_is_really_looked_at() {
    let tree = Tree::repository();
    for path in ["Cargo.toml", "host/domain/src/lib.rs", "wit/types.wit", ".cargo/deny.toml", "tests/tidy/main.rs"] {
        assert!(tree.text(path).is_some(), "`{path}` was not found");
    }
    assert!(tree.under("target/").next().is_none(), "build output is none of our business");
}
