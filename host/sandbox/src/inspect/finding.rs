//! What does not fit together, each by a rule with a stable name.

use serde::Serialize;
use wharf_domain::effect::EffectClass;

use super::Report;
use crate::caps::CAPABILITIES;
use crate::guest::forges;

/// How much a finding matters; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Somebody should do something about it.
    Warning,
    /// It will not load.
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// One of [`RULES`].
    pub rule: &'static str,
    pub level: Level,
    pub text: String,
}

impl Finding {
    pub(super) fn new(rule: &'static str, level: Level, text: impl Into<String>) -> Self {
        Self { rule, level, text: text.into() }
    }
}

/// Every rule, with what it says in general.
pub const RULES: &[(&str, &str)] = &[
    ("undeclared-import", "The code imports what its manifest does not ask for; it is refused."),
    ("unknown-import", "The code imports what this host does not offer; it is refused."),
    ("unused-request", "The manifest asks for what the code does not import; take it out."),
    ("unused-grant", "The connection is granted what it has not used; reduce the grant."),
    ("other-file", "The connection's grant was accepted for another file than the one that is looked at."),
    ("denied", "The adapter tried more than it is allowed."),
    ("no-class", "A route that changes something declares no class; it is sent once and never again by itself."),
    ("no-purchase-route", "The code sells labels and no route says which request buys one."),
    ("forged-text", "A text of the publisher holds characters that move the cursor or turn the direction."),
    ("lookalike-publisher", "The publisher's name looks like another one this host knows."),
];

/// What the file alone shows.
pub(super) fn of(report: &Report) -> Vec<Finding> {
    let mut out = Vec::new();
    imports(&mut out, report);
    let buys = report.exports.iter().any(|face| face.name.starts_with("wharf:carrier/labels@"));
    if buys && !report.manifest.routes.iter().any(|route| route.effect.as_deref() == Some("buy-label")) {
        let text =
            "exports `wharf:carrier/labels` but no route has `effect = \"buy-label\"`: no purchase will be believed";
        out.push(Finding::new("no-purchase-route", Level::Warning, text));
    }
    for route in &report.manifest.routes {
        if route.class() == EffectClass::Once && route.class.is_none() {
            let text = format!(
                "route `{} {}` declares no class: it is treated as `once` and never sent again by itself",
                route.method, route.path
            );
            out.push(Finding::new("no-class", Level::Note, text));
        }
    }
    forged(&mut out, report);
    out
}

fn imports(out: &mut Vec<Finding>, report: &Report) {
    let imported = |plain: &str| report.imports.iter().any(|face| face.name.split('@').next() == Some(plain));
    // What needs no request is harmless, and nobody can ask for it.
    for capability in CAPABILITIES.iter().filter(|capability| !capability.line.is_empty()) {
        let (import, line) = (capability.import, capability.line);
        match (imported(import), (capability.declared)(&report.manifest)) {
            (true, false) => {
                let text =
                    format!("imports `{import}` and does not ask for it: it will not load; it would need `{line}`");
                out.push(Finding::new("undeclared-import", Level::Error, text));
            }
            (false, true) => {
                let text = format!("asks for what `{import}` gives (`{line}`) and does not import it");
                out.push(Finding::new("unused-request", Level::Note, text));
            }
            _ => {}
        }
    }
    for face in &report.imports {
        let plain = face.name.split('@').next().unwrap_or_default();
        if !CAPABILITIES.iter().any(|capability| capability.import == plain) {
            let text = format!("imports `{}`, which this host does not offer: it will not load", face.name);
            out.push(Finding::new("unknown-import", Level::Error, text));
        }
    }
}

/// Every text of the manifest that is shown to a person.
fn forged(out: &mut Vec<Finding>, report: &Report) {
    let m = &report.manifest;
    let mut texts = vec![
        ("description", &m.description),
        ("publisher", &m.publisher),
        ("licence", &m.licence),
        ("version", &m.version),
    ];
    texts.extend(m.routes.iter().map(|route| ("routes.reason", &route.reason)));
    texts.extend(m.odoo.iter().map(|request| ("odoo.reason", &request.reason)));
    texts.extend(m.folders.iter().map(|folder| ("folders.reason", &folder.reason)));
    texts.extend(m.config.properties.values().map(|key| ("config.description", &key.description)));
    for (field, text) in texts.into_iter().filter(|(_, text)| text.chars().any(forges)) {
        let text =
            format!("`{field}` holds characters that can make a line look like another one: {}", text.escape_debug());
        out.push(Finding::new("forged-text", Level::Warning, text));
    }
}
