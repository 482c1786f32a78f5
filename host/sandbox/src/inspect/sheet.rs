//! An adapter as four witnesses see it: what its manifest declares, what its code imports, what a connection was granted,
//! and what it used. What nobody asked or measured is said so; nothing here is a guess.

use serde::Serialize;
use wharf_domain::effect::EffectClass;
use wharf_domain::ids::Digest;
use wharf_domain::manifest::config::Property;
use wharf_domain::manifest::{ConfigSchema, Endpoint, Manifest};
use wharf_domain::peak::Peak;
use wharf_store::usage::{Denied, Usage};

use super::finding::{Finding, Level};
use super::flow::{Flow, flows};
use super::{Report, sheet_lines};
use crate::limits::Limits;
use crate::lookalike;
use crate::prescan;
use crate::surface::Surface;

/// What a running host said about a connection of this adapter.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `tenant/connection`.
    pub grant: String,
    pub version: i64,
    /// The adapter the grant was accepted for: it need not be the file that is looked at.
    pub digest: Digest,
    pub surface: Surface,
    pub days: u32,
    pub usage: Usage,
    /// Absent when the host holds the connection back.
    pub peak: Option<Peak>,
    /// Publishers somebody has accepted an adapter of.
    pub publishers: Vec<String>,
}

/// One setting of the adapter's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub name: String,
    pub required: bool,
    /// In one line, e.g. `string, matches ^[A-Z]{6}$`.
    pub rules: String,
    pub description: String,
}

fn settings(schema: &ConfigSchema) -> Vec<Setting> {
    let one = |(name, property): (&String, &Property)| Setting {
        name: name.clone(),
        required: schema.required.contains(name),
        rules: property.rules(),
        description: property.description.clone(),
    };
    schema.properties.iter().map(one).collect()
}

/// Did a witness say yes?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    Yes,
    No,
    /// No host was asked.
    NotAsked,
}

/// How often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "text")]
pub enum Count {
    NotAsked,
    /// Nothing the host keeps tells.
    NotMeasured,
    Nothing,
    Used(String),
}

/// One thing an adapter can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// `http`, `odoo`, `secret`, `kv` or `folder`.
    pub kind: &'static str,
    pub what: String,
    /// How it may be repeated, and what it does, for a request.
    pub effect: Option<String>,
    pub declared: Known,
    pub imported: Known,
    pub granted: Known,
    pub used: Count,
    /// The publisher's words.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// `low`, `medium` or `high`.
    pub level: &'static str,
    pub because: Vec<String>,
}

/// A limit and what is known of how near it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    pub name: &'static str,
    pub limit: String,
    /// `not measured` for what only a run could tell.
    pub used: String,
}

/// Everything `wharf adapter inspect` shows. The same for the same file and the same answer.
#[derive(Debug, Clone, Serialize)]
pub struct Sheet {
    pub digest: Digest,
    pub bytes: usize,
    pub name: String,
    pub version: String,
    pub description: String,
    pub publisher: String,
    pub licence: String,
    /// Adapters are not signed yet.
    pub signature: &'static str,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub risk: Risk,
    pub lines: Vec<Line>,
    pub flows: Vec<Flow>,
    pub limits: Vec<Limit>,
    /// Settings an operator may give, and whether they must.
    pub settings: Vec<Setting>,
    pub denied: Vec<Denied>,
    pub findings: Vec<Finding>,
    /// What the columns `granted` and `used` go by, e.g. `nordic/acme version 2, 30 days`.
    pub asked: Option<String>,
}

/// Puts the witnesses side by side. `bytes` is the file the report was made of.
pub fn sheet(report: &Report, bytes: &[u8], answer: Option<&Answer>) -> Sheet {
    let names = |faces: &[super::Face]| faces.iter().map(|face| face.name.clone()).collect::<Vec<_>>();
    let (m, imports, exports) = (&report.manifest, names(&report.imports), names(&report.exports));
    let lines = sheet_lines::lines(m, &imports, answer);
    let places: Vec<&str> = m.endpoints.iter().chain(elsewhere(m, answer)).map(|e| e.origin.as_str()).collect();
    let flows = flows(m, &places, &imports, &exports);
    let mut findings = report.findings.clone();
    if let Some(answer) = answer {
        findings.extend(compared(report, &lines, answer));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    Sheet {
        digest: report.digest.clone(),
        bytes: report.bytes,
        name: m.name.clone(),
        version: m.version.clone(),
        description: m.description.clone(),
        publisher: m.publisher.clone(),
        licence: m.licence.clone(),
        signature: "not verified",
        risk: risk(m, &flows, &findings),
        lines,
        limits: limits(report, bytes, answer),
        settings: settings(&m.config),
        flows,
        denied: answer.map(|answer| answer.usage.denied.clone()).unwrap_or_default(),
        findings,
        asked: answer.map(|a| format!("{} version {}, {} days", a.grant, a.version, a.days)),
        imports,
        exports,
    }
}

/// Places the grant names and the manifest does not.
pub(super) fn elsewhere<'a>(m: &'a Manifest, answer: Option<&'a Answer>) -> impl Iterator<Item = &'a Endpoint> {
    let granted = answer.map(|answer| answer.surface.manifest.endpoints.as_slice()).unwrap_or_default();
    granted.iter().filter(|endpoint| !m.endpoints.iter().any(|other| other.origin == endpoint.origin))
}

/// What only the host's answer shows.
fn compared(report: &Report, lines: &[Line], answer: &Answer) -> Vec<Finding> {
    let mut out = Vec::new();
    if answer.digest != report.digest {
        let text = format!("grant {} was accepted for {}, which is another file", answer.grant, answer.digest);
        out.push(Finding::new("other-file", Level::Note, text));
    }
    if let Some(other) = lookalike::like(&report.manifest.publisher, &answer.publishers) {
        let spelled = lookalike::spelled(&report.manifest.publisher);
        let text = format!("publisher `{}`, written `{spelled}`, looks like `{other}`", report.manifest.publisher);
        out.push(Finding::new("lookalike-publisher", Level::Warning, text));
    }
    // Tapes are kept for a shorter time than somebody may ask about.
    let from = answer.usage.taped_since.map_or(answer.usage.since, |taped| taped.max(answer.usage.since));
    for line in lines.iter().filter(|line| line.granted == Known::Yes && line.used == Count::Nothing) {
        let text = format!("{} {} is granted and was not used since {from}: reduce", line.kind, line.what);
        out.push(Finding::new("unused-grant", Level::Warning, text));
    }
    for denied in &answer.usage.denied {
        let Denied { capability, rule, target, count } = denied;
        let target = if target.is_empty() { String::new() } else { format!(" ({target})") };
        let text =
            format!("tries more than it is allowed: {capability} refused {count} times by rule `{rule}`{target}");
        out.push(Finding::new("denied", Level::Warning, text));
    }
    out
}

fn risk(m: &Manifest, flows: &[Flow], findings: &[Finding]) -> Risk {
    let mut because = Vec::new();
    let mut money: Vec<String> = Vec::new();
    let mut writes = 0;
    for route in m.routes.iter().filter(|route| route.class() != EffectClass::Read) {
        match &route.effect {
            Some(effect) => money.push(format!("{effect}, {}", route.class().as_str())),
            None => writes += 1,
        }
    }
    if !money.is_empty() {
        because.push(format!("spends or moves money ({})", money.join("; ")));
    }
    let mut hosts: Vec<&str> = flows.iter().filter(|flow| flow.personal).map(|flow| flow.to.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if !hosts.is_empty() {
        because.push(format!("sends personal data to {}", hosts.join(", ")));
    }
    let high = !because.is_empty() || findings.iter().any(|finding| finding.level == Level::Error);
    if findings.iter().any(|finding| finding.level == Level::Error) {
        because.push("will not load as it is".to_owned());
    }
    if writes > 0 {
        because.push(format!("changes something at the partner by {writes} routes without a declared effect"));
    }
    if m.odoo.iter().any(|request| request.create || !request.write.is_empty()) {
        because.push("writes to Odoo".to_owned());
    }
    let level = match (high, because.is_empty()) {
        (true, _) => "high",
        (false, false) => "medium",
        (false, true) => "low",
    };
    Risk { level, because }
}

fn limits(report: &Report, bytes: &[u8], answer: Option<&Answer>) -> Vec<Limit> {
    let (m, of) = (&report.manifest, Limits::default());
    // Calls of another file say nothing of this one.
    let peak = answer.filter(|answer| answer.digest == report.digest).and_then(|answer| answer.peak);
    let unknown = || "not measured".to_owned();
    let share = |used: u64, limit: u64| format!("{used} ({} %)", used.saturating_mul(100) / limit.max(1));
    let limit = |name, limit: String, used: String| Limit { name, limit, used };
    let instances =
        prescan::fan_out(bytes).map_or_else(|refusal| refusal.kind().to_owned(), |n| share(n, prescan::MOST_INSTANCES));
    let most = |used: fn(Peak) -> u64, limit: u64| match peak {
        None => unknown(),
        Some(peak) if peak.calls == 0 => format!("not yet: no call since {}", peak.since),
        Some(peak) => format!("{} at most, in {} calls since {}", share(used(peak), limit), peak.calls, peak.since),
    };
    let kv = answer.map_or_else(unknown, |answer| share(answer.usage.kv_bytes, m.kv_bytes));
    let mut out = vec![
        limit("file", format!("{} bytes", of.component_bytes), share(bytes.len() as u64, of.component_bytes as u64)),
        limit("instances", prescan::MOST_INSTANCES.to_string(), instances),
        limit("processor time of a call", format!("{} ms", of.cpu_ms), most(|peak| peak.cpu_ms, of.cpu_ms)),
        limit(
            "memory of a call",
            format!("{} bytes", of.memory_bytes),
            most(|peak| peak.memory_bytes, of.memory_bytes as u64),
        ),
        limit(
            "requests of a call",
            of.http_requests.to_string(),
            most(|peak| peak.http_requests, u64::from(of.http_requests)),
        ),
        limit("requests under way", m.limits.max_in_flight.to_string(), unknown()),
        limit(
            "key-value storage",
            format!("{} bytes", m.kv_bytes),
            if m.kv_bytes == 0 { "none".to_owned() } else { kv },
        ),
    ];
    for bucket in &m.limits.buckets {
        let burst = bucket.burst.map(|burst| format!(", {burst} at once")).unwrap_or_default();
        out.push(limit(
            "requests to the partner",
            format!("{} in {} s{burst}", bucket.requests, bucket.per_seconds),
            unknown(),
        ));
    }
    out
}
