//! Who may name what. One table each: libraries, edges between crates, what pure code must not name.

use crate::code::{has_word, lines};
use crate::files::of_tests;
use crate::tree::{Finding, Tree};

/// A library and the rooms that may name it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("wasmtime", &["sandbox"]),
    ("wasmtime-wasi", &["sandbox"]),
    ("cap-std", &["sandbox"]),
    ("sqlx", &["store"]),
    ("hyper", &["egress"]),
    ("hyper-util", &["egress"]),
    ("rustls", &["egress"]),
    ("tokio-rustls", &["egress"]),
    // `server` hands the router of `api` to a listener.
    ("axum", &["api", "server"]),
    ("anyhow", &["server"]),
];

/// A room and the rooms it may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("queue", &["domain", "store"]),
    ("egress", &["domain", "store"]),
    ("odoo", &["domain", "egress"]),
    ("sandbox", &["domain", "store", "egress"]),
    ("flows", &["domain", "store", "queue"]),
    ("api", &["domain", "store", "flows"]),
    ("server", &["domain", "store", "queue", "egress", "odoo", "sandbox", "flows", "api"]),
];

/// What the tests of any room may use: they know nothing of the host.
const FOR_TESTS: &[&str] = &["attack", "fuzz", "scratch-postgres"];

/// Files of `flows` that talk to the queue and the store. Everything else there is pure.
const FLOWS_WITH_HANDS: &[&str] = &["lib.rs", "intake.rs", "retention", "runner", "schedules"];

const SQL: &[&str] =
    &["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ON CONFLICT", "RETURNING "];

fn room(path: &str) -> &str {
    path.strip_prefix("host/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// `wasmtime` only in the sandbox, SQL drivers only in the store, and so on: in sources and in manifests.
pub(crate) fn libraries(tree: &Tree) -> Vec<Finding> {
    let remedy = "move the code to the room that owns the library, or go through that room's types";
    let mut found = Vec::new();
    for (path, text) in tree.files(&["host/", "sdk/", "xtask/"], ".rs") {
        for (line, code) in lines(text, true) {
            for (library, rooms) in LIBRARIES {
                let name = library.replace('-', "_");
                let anyhow_elsewhere = *library == "anyhow" && !path.starts_with("host/");
                if !anyhow_elsewhere && !rooms.contains(&room(path)) && names_crate(&code, &name) {
                    found.push(Finding::new(path, line, format!("`{library}` is named in `{}`", room(path)), remedy));
                }
            }
        }
    }
    for (path, text) in tree.files(&["host/"], "/Cargo.toml") {
        for (line, dependency, _) in dependencies(text) {
            let stranger = LIBRARIES.iter().any(|(name, rooms)| *name == dependency && !rooms.contains(&room(path)));
            if stranger {
                found.push(Finding::new(path, line, format!("`{}` depends on `{dependency}`", room(path)), remedy));
            }
        }
    }
    found
}

/// `name::…` or `use name;`.
fn names_crate(code: &str, name: &str) -> bool {
    code.split(name).skip(1).any(|rest| rest.starts_with("::") || rest.starts_with(" as ") || rest.starts_with(';'))
        && has_word(code, name)
}

/// Line, name and "is for tests only" of every dependency of a manifest.
fn dependencies(manifest: &str) -> Vec<(usize, &str, bool)> {
    let mut section = "";
    let mut found = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section.ends_with("dependencies") && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default().trim();
            if !name.is_empty() {
                found.push((index + 1, name, section.contains("dev-")));
            }
        }
    }
    found
}

/// The arrows of docs/ARCHITECTURE.md. Tests may name what the room links anyway, through its neighbours, and no more.
pub(crate) fn edges(tree: &Tree) -> Vec<Finding> {
    let remedy =
        "a new edge is a decision: change the table here with a note in docs/decisions, or use a port of `domain`";
    let mut found = Vec::new();
    for (path, text) in tree.files(&["host/"], "/Cargo.toml") {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == room(path)) else {
            found.push(Finding::new(path, 1, format!("`{}` is no room", room(path)), remedy));
            continue;
        };
        for (line, dependency, for_tests) in dependencies(text) {
            let Some(other) = dependency.strip_prefix("wharf-") else { continue };
            let in_tests = for_tests && (FOR_TESTS.contains(&other) || linked(allowed).contains(&other));
            if !(allowed.contains(&other) || in_tests) {
                found.push(Finding::new(path, line, format!("`{}` depends on `{other}`", room(path)), remedy));
            }
        }
    }
    for (path, text) in tree.files(&["xtask/", "sdk/"], "Cargo.toml") {
        for (line, dependency, for_tests) in dependencies(text) {
            let host =
                dependency.strip_prefix("wharf-").is_some_and(|name| EDGES.iter().any(|(room, _)| *room == name));
            if host && !(for_tests || path.starts_with("sdk/testkit")) {
                found.push(Finding::new(path, line, format!("a host crate, `{dependency}`"), remedy));
            }
        }
    }
    found
}

/// The rooms and everything they depend on.
fn linked(rooms: &[&'static str]) -> Vec<&'static str> {
    let mut all = rooms.to_vec();
    let mut next = 0;
    while let Some(room) = all.get(next) {
        let more = EDGES.iter().find(|(name, _)| name == room).map_or(&[][..], |(_, rooms)| *rooms);
        let new: Vec<&'static str> = more.iter().copied().filter(|room| !all.contains(room)).collect();
        all.extend(new);
        next += 1;
    }
    all
}

pub(crate) fn sql(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.files(&["host/"], ".rs") {
        if room(path) == "store" || of_tests(tree, path) {
            continue;
        }
        for (line, code) in lines(text, false) {
            if SQL.iter().any(|phrase| code.contains(phrase)) {
                found.push(Finding::new(path, line, "SQL", "write it as a function of `store`"));
            }
        }
    }
    found
}

/// No async, clock, randomness or IO in the rules of `domain` and in the flows' state machines.
pub(crate) fn pure(tree: &Tree) -> Vec<Finding> {
    let never = ["tokio", "SystemTime", "Instant", "thread", "rand", "fs", "net", "env"];
    let not_in_rules = ["async", "await", "async_trait"];
    let not_in_flows = ["wharf_store", "wharf_queue", "Clock"];
    let mut found = Vec::new();
    for (path, text) in tree.files(&["host/domain/src/", "host/flows/src/"], ".rs") {
        let in_flows = room(path) == "flows";
        let inner = path.splitn(4, '/').nth(3).unwrap_or_default();
        if in_flows && (of_tests(tree, path) || FLOWS_WITH_HANDS.iter().any(|name| inner.starts_with(name))) {
            continue;
        }
        for (line, code) in lines(text, false) {
            let mut banned: Vec<&str> = never.to_vec();
            if !path.contains("/port/") {
                banned.extend(not_in_rules);
            }
            if in_flows {
                banned.extend(not_in_flows);
            }
            if let Some(word) = banned.into_iter().find(|word| has_word(&code, word) && !harmless(&code, word)) {
                let remedy = "take it as a parameter, or move the code to a room with hands";
                found.push(Finding::new(path, line, format!("`{word}` in pure code"), remedy));
            }
        }
    }
    found
}

/// `fs`, `net` and `env` are short words: only the standard library's modules of that name are meant.
fn harmless(code: &str, word: &str) -> bool {
    matches!(word, "fs" | "net" | "env" | "thread") && !code.contains(&format!("std::{word}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::places;

    #[test]
    fn a_library_outside_its_room_is_found_in_source_and_manifest() {
        let tree = Tree::of(&[
            ("host/api/src/lib.rs", "// wasmtime::Engine\nuse wasmtime::Engine;\nlet x = sqlx::query();\n"),
            ("host/api/Cargo.toml", "[dependencies]\naxum.workspace = true\nhyper = \"1\"\n"),
            ("host/sandbox/src/lib.rs", "use wasmtime::Engine;\n"),
            ("host/store/src/lib.rs", "use anyhow::Result;\n"),
            ("xtask/src/main.rs", "use anyhow::Result;\n"),
        ]);
        let expected =
            ["host/api/src/lib.rs:2", "host/api/src/lib.rs:3", "host/store/src/lib.rs:1", "host/api/Cargo.toml:3"];
        assert_eq!(places(&libraries(&tree)), expected);
    }

    #[test]
    fn an_arrow_that_is_not_in_the_picture_is_found() {
        let tree = Tree::of(&[
            (
                "host/flows/Cargo.toml",
                "[dependencies]\nwharf-queue.workspace = true\n[dev-dependencies]\nwharf-sandbox.workspace = true\n",
            ),
            (
                "host/odoo/Cargo.toml",
                "[dev-dependencies]\nwharf-store.workspace = true\n[dependencies]\nwharf-store.workspace = true\n",
            ),
            ("host/billing/Cargo.toml", "[dependencies]\n"),
            (
                "host/store/Cargo.toml",
                "[dev-dependencies]\nwharf-scratch-postgres.workspace = true\n\
                 [dependencies]\nwharf-scratch-postgres.workspace = true\n",
            ),
            ("xtask/Cargo.toml", "[dependencies]\nwharf-domain.workspace = true\n"),
        ]);
        let expected = [
            "host/billing/Cargo.toml:1",
            "host/flows/Cargo.toml:4",
            "host/odoo/Cargo.toml:4",
            "host/store/Cargo.toml:4",
            "xtask/Cargo.toml:2",
        ];
        assert_eq!(places(&edges(&tree)), expected);
    }

    #[test]
    fn sql_outside_the_store_is_found() {
        let text = "//! SELECT nothing\nfn f() { q(\"SELECT id FROM jobs\") }\n";
        let tree = Tree::of(&[("host/api/src/jobs.rs", text), ("host/store/src/jobs.rs", text)]);
        assert_eq!(places(&sql(&tree)), ["host/api/src/jobs.rs:2"]);
    }

    #[test]
    fn async_and_clocks_are_found_in_pure_code() {
        let tree = Tree::of(&[
            ("host/domain/src/effect.rs", "//! tokio\npub async fn f() {}\n"),
            ("host/domain/src/port/erp.rs", "async fn order();\nuse tokio::time;\n"),
            ("host/flows/src/order_release/state.rs", "use wharf_store::Tx;\nlet now = Instant::now();\n"),
            ("host/flows/src/runner.rs", "use wharf_store::Tx;\nasync fn f() {}\n"),
        ]);
        let expected = [
            "host/domain/src/effect.rs:2",
            "host/domain/src/port/erp.rs:2",
            "host/flows/src/order_release/state.rs:1",
            "host/flows/src/order_release/state.rs:2",
        ];
        assert_eq!(places(&pure(&tree)), expected);
    }
}
