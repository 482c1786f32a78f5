//! What changes for whoever has granted one version of an adapter when another one takes its place.
//!
//! Wider is what the new version could do and the old one could not; each such line names the consequence in plain words
//! and whether a person has to accept it. Text of a publisher is data: it decides nothing.

use serde::{Deserialize, Serialize};
use wharf_domain::account::{Bucket, Limits};
use wharf_domain::effect::EffectClass;
use wharf_domain::grant::MAX_RECORDS;
use wharf_domain::manifest::{Folder, Manifest, OdooRequest, Route};

use crate::inspect::{Face, Report};
use crate::surface::Surface;

mod connection;

/// How much a line matters; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Less than before, or only words.
    Narrower,
    /// More of the same.
    WiderLow,
    /// A person has to accept it.
    WiderHigh,
    /// It cannot take the old one's place as it stands.
    Incompatible,
}

impl Weight {
    /// Of the command.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Narrower => 0,
            Self::WiderLow => 10,
            Self::WiderHigh => 20,
            Self::Incompatible => 30,
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub weight: Weight,
    /// e.g. `new destination`.
    pub group: &'static str,
    pub what: String,
    /// What it means for whoever grants it.
    pub means: String,
}

/// Everything that differs, the heaviest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    pub weight: Weight,
    pub lines: Vec<Line>,
}

/// Compares two adapter files by what they can do.
pub fn diff(old: &Report, new: &Report) -> Diff {
    let names = |faces: &[Face]| faces.iter().map(|face| face.name.clone()).collect::<Vec<_>>();
    let mut lines = Lines::default();
    interfaces(&mut lines, (&names(&old.imports), &names(&new.imports)), (&names(&old.exports), &names(&new.exports)));
    requests(&mut lines, &old.manifest, &new.manifest);
    settings(&mut lines, &old.manifest, &new.manifest);
    lines.sorted()
}

/// Compares what a connection may do with what it would come to. The same order as [`diff`], and what the operator
/// gives beside it. Settings do not count: a connection that lacks one is not bound at all.
pub fn widening(old: &Surface, new: &Surface) -> Diff {
    let mut lines = Lines::default();
    interfaces(&mut lines, (&old.imports, &new.imports), (&old.exports, &new.exports));
    requests(&mut lines, &old.manifest, &new.manifest);
    connection::given(&mut lines, old, new);
    lines.sorted()
}

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, weight: Weight, group: &'static str, what: impl Into<String>, means: impl Into<String>) {
        self.0.push(Line { weight, group, what: what.into(), means: means.into() });
    }

    /// The heaviest first.
    fn sorted(self) -> Diff {
        let mut lines = self.0;
        lines.sort_by(|a, b| b.weight.cmp(&a.weight).then(a.group.cmp(b.group)).then(a.what.cmp(&b.what)));
        Diff { weight: lines.first().map_or(Weight::Narrower, |line| line.weight), lines }
    }
}

fn interfaces(lines: &mut Lines, from: (&[String], &[String]), to: (&[String], &[String])) {
    imports(lines, from.0, from.1);
    exports(lines, to.0, to.1);
}

fn requests(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    identity(lines, old, new);
    destinations(lines, old, new);
    routes(lines, old, new);
    secrets(lines, old, new);
    odoo(lines, old, new);
    folders(lines, old, new);
    limits(lines, old, new);
}

fn identity(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    if old.name != new.name {
        let means = "it is another adapter: connections name their adapter and would not find it";
        lines.add(Weight::Incompatible, "name", format!("`{}` is now `{}`", old.name, new.name), means);
    }
    if old.publisher != new.publisher {
        let what = format!("`{}` is now `{}`", old.publisher, new.publisher);
        lines.add(Weight::WiderHigh, "changed publisher", what, "somebody else says that the code is theirs");
    }
}

fn imports(lines: &mut Lines, old: &[String], new: &[String]) {
    for face in new.iter().filter(|face| !old.iter().any(|other| plain(other) == plain(face))) {
        // Lines for the operator and the time reach nothing.
        let harmless = matches!(plain(face), "wharf:log/logger" | "wharf:clock/wall" | "wharf:types/types");
        let weight = if harmless { Weight::Narrower } else { Weight::WiderHigh };
        lines.add(weight, "new imports", format!("`{face}`"), "code of the adapter can call it");
    }
    for face in old.iter().filter(|face| !new.iter().any(|other| plain(other) == plain(face))) {
        lines.add(Weight::Narrower, "imports gone", format!("`{face}`"), "it can no longer be called");
    }
}

fn plain(face: &str) -> &str {
    face.split('@').next().unwrap_or_default()
}

fn exports(lines: &mut Lines, old: &[String], new: &[String]) {
    for face in old.iter().filter(|face| !new.contains(face)) {
        let means = "connections that use it would fail";
        lines.add(Weight::Incompatible, "abilities gone", format!("`{face}`"), means);
    }
    for face in new.iter().filter(|face| !old.contains(face)) {
        lines.add(Weight::WiderLow, "new abilities", format!("`{face}`"), "the host may call it");
    }
}

fn destinations(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    // The same address is another destination where money is real.
    for endpoint in new.endpoints.iter().filter(|endpoint| !old.endpoints.contains(endpoint)) {
        let what = format!("{:?}: `{}`", endpoint.environment, endpoint.origin);
        lines.add(Weight::WiderHigh, "new destination", what, "data of orders and credentials go there");
    }
    for endpoint in old.endpoints.iter().filter(|endpoint| !new.endpoints.contains(endpoint)) {
        let what = format!("{:?}: `{}`", endpoint.environment, endpoint.origin);
        lines.add(Weight::Narrower, "destination gone", what, "nothing goes there");
    }
}

fn routes(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    let same = |a: &Route, b: &Route| a.method == b.method && a.path == b.path;
    for route in &new.routes {
        let name = format!("`{} {}`", route.method, route.path);
        let Some(before) = old.routes.iter().find(|other| same(other, route)) else {
            new_route(lines, route, name);
            continue;
        };
        if freedom(route.class()) > freedom(before.class()) {
            let what = format!("{name} is `{}` and was `{}`", route.class().as_str(), before.class().as_str());
            let means = "a request whose answer is lost may now be sent again";
            lines.add(Weight::WiderHigh, "weaker effect class", what, means);
        } else if route.class() != before.class() {
            let what = format!("{name} is `{}` and was `{}`", route.class().as_str(), before.class().as_str());
            lines.add(Weight::Narrower, "stricter effect class", what, "repeated less freely than before");
        }
        if route.effect != before.effect {
            let of = |effect: &Option<String>| effect.clone().unwrap_or_else(|| "none".to_owned());
            let what = format!("{name}: `{}` and was `{}`", of(&route.effect), of(&before.effect));
            lines.add(Weight::WiderHigh, "changed effect", what, "another key of the business guards it, or none");
        }
        if route.secret != before.secret
            && let Some(slot) = &route.secret
        {
            let what = format!("{name} carries `{slot}`");
            lines.add(Weight::WiderHigh, "secret on a route", what, "the credential is sent where it was not");
        }
        if route.key.is_some() && route.key != before.key {
            let means = "the partner is relied on in another way to tell a repeat from a second one";
            lines.add(Weight::WiderHigh, "changed key", name.clone(), means);
        }
        if more_proof(route, before) {
            let means = "an answer that proved nothing now counts as a refusal, after which it is sent again";
            lines.add(Weight::WiderHigh, "weaker effect class", format!("{name} proves more by its status"), means);
        }
    }
    for route in old.routes.iter().filter(|route| !new.routes.iter().any(|other| same(other, route))) {
        let what = format!("`{} {}`", route.method, route.path);
        lines.add(Weight::Narrower, "requests gone", what, "it is no longer made");
    }
}

fn new_route(lines: &mut Lines, route: &Route, name: String) {
    let (weight, group, means) = match (route.class(), route.effect.as_deref()) {
        (EffectClass::Read, _) => (Weight::WiderLow, "new data read", "it asks the partner for more".to_owned()),
        (_, Some(effect)) => (Weight::WiderHigh, "new money effect", format!("it can do `{effect}` at the partner")),
        (_, None) => (Weight::WiderHigh, "new data written", "it can change something at the partner".to_owned()),
    };
    lines.add(weight, group, name, means);
}

/// Statuses that now prove that nothing happened and did not before.
fn more_proof(new: &Route, old: &Route) -> bool {
    (100..600).any(|status| new.proves_no_effect(status) && !old.proves_no_effect(status))
}

/// How freely a request may be repeated.
fn freedom(class: EffectClass) -> u8 {
    match class {
        EffectClass::Once => 0,
        EffectClass::Lookup => 1,
        EffectClass::Keyed => 2,
        EffectClass::Natural => 3,
        EffectClass::Read => 4,
    }
}

fn secrets(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    for (name, slot) in &new.secrets {
        match old.secrets.get(name) {
            None => lines.add(Weight::WiderHigh, "new secret slot", format!("`{name}`"), "it wants another credential"),
            Some(before) if before != slot => {
                let what = format!("`{name}` is {} and was {}", slot.kind(), before.kind());
                lines.add(Weight::WiderHigh, "changed secret slot", what, "the credential is used in another way");
            }
            Some(_) => {}
        }
    }
    for name in old.secrets.keys().filter(|name| !new.secrets.contains_key(*name)) {
        lines.add(Weight::Narrower, "secret slot gone", format!("`{name}`"), "the credential is no longer used");
    }
}

fn odoo(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    let nothing = OdooRequest {
        model: String::new(),
        read: Vec::new(),
        write: Vec::new(),
        create: false,
        domain: None,
        max_records: Some(0),
        reason: String::new(),
    };
    for request in &new.odoo {
        let known = old.odoo.iter().find(|other| other.model == request.model);
        let before = known.unwrap_or(&nothing);
        let more = |new: &[String], old: &[String]| -> Vec<String> {
            new.iter().filter(|field| !old.contains(field)).map(|field| format!("`{field}`")).collect()
        };
        let (read, write) = (more(&request.read, &before.read), more(&request.write, &before.write));
        if known.is_none() || !read.is_empty() {
            let what = format!(
                "Odoo's `{}`: {}",
                request.model,
                if read.is_empty() { "ids".to_owned() } else { read.join(", ") }
            );
            lines.add(Weight::WiderHigh, "new data read", what, "it asks to see this of the tenant's Odoo");
        }
        if !write.is_empty() {
            let what = format!("Odoo's `{}`: {}", request.model, write.join(", "));
            lines.add(Weight::WiderHigh, "new data written", what, "it asks to change this in the tenant's Odoo");
        }
        if request.create && !before.create {
            let what = format!("records of Odoo's `{}`", request.model);
            lines.add(Weight::WiderHigh, "new data written", what, "it asks to create them in the tenant's Odoo");
        }
        if known.is_some() {
            domain(lines, &request.model, before.domain.as_deref(), request.domain.as_deref());
        }
        let most = |request: &OdooRequest| request.max_records.unwrap_or(MAX_RECORDS);
        if known.is_some() && most(request) > most(before) {
            let what = format!("{} records of Odoo's `{}`, {} before", most(request), request.model, most(before));
            lines.add(Weight::WiderLow, "wider limits", what, "it sees or changes more of them in one call");
        }
    }
    for request in old.odoo.iter().filter(|request| !new.odoo.iter().any(|other| other.model == request.model)) {
        lines.add(Weight::Narrower, "Odoo model gone", format!("`{}`", request.model), "it no longer asks for it");
    }
}

/// A domain where there was none only takes records away.
fn domain(lines: &mut Lines, model: &str, old: Option<&str>, new: Option<&str>) {
    if old.is_some() && new != old {
        let means = "other records are there for it; whether that is more cannot be told by looking";
        lines.add(Weight::WiderHigh, "changed domain", format!("Odoo's `{model}`"), means);
    } else if new != old {
        lines.add(Weight::Narrower, "new domain", format!("Odoo's `{model}`"), "fewer records are there for it");
    }
}

fn folders(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    for folder in &new.folders {
        let name = format!("folder `{}`", folder.name);
        let known = old.folders.iter().find(|other| other.name == folder.name);
        if folder.read && !known.is_some_and(|before| before.read) {
            lines.add(Weight::WiderHigh, "new data read", name.clone(), "it takes the files that are left there");
        }
        if folder.create && !known.is_some_and(|before| before.create) {
            lines.add(Weight::WiderHigh, "new data written", name.clone(), "it leaves files there");
        }
        let Some(before) = known else { continue };
        if folder.read && before.archive && !folder.archive {
            let means = "what it has finished is deleted and no longer kept";
            lines.add(Weight::WiderHigh, "archive gone", name.clone(), means);
        }
        let size = |of: &Folder| [of.max_file_bytes, of.max_bytes, u64::from(of.max_files)];
        if size(folder).iter().zip(size(before)).any(|(new, old)| *new > old) {
            lines.add(Weight::WiderLow, "wider limits", name, "it leaves more or larger files");
        }
    }
    for folder in old.folders.iter().filter(|folder| !new.folders.iter().any(|other| other.name == folder.name)) {
        lines.add(Weight::Narrower, "folder gone", format!("`{}`", folder.name), "it no longer asks for it");
    }
}

fn limits(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    if new.kv_bytes > old.kv_bytes {
        let what = format!("{} bytes of state, {} before", new.kv_bytes, old.kv_bytes);
        lines.add(Weight::WiderLow, "wider limits", what, "it keeps more in the host's database");
    }
    if new.limits.max_in_flight > old.limits.max_in_flight {
        let what = format!("{} requests under way, {} before", new.limits.max_in_flight, old.limits.max_in_flight);
        lines.add(Weight::WiderLow, "wider limits", what, "it asks the partner more at once");
    }
    if more_often(&new.limits, &old.limits) {
        let means = "it asks the partner more often; the operator's own limits still hold";
        lines.add(Weight::WiderLow, "wider limits", "`limits.buckets`", means);
    }
}

/// Each rate there was must still be there, or a slower one over the same time.
fn more_often(new: &Limits, old: &Limits) -> bool {
    let burst = |bucket: &Bucket| bucket.burst.unwrap_or(bucket.requests).min(bucket.requests);
    let holds = |before: &Bucket, now: &Bucket| {
        now.per_seconds == before.per_seconds && now.requests <= before.requests && burst(now) <= burst(before)
    };
    old.buckets.iter().any(|before| !new.buckets.iter().any(|now| holds(before, now)))
}

fn settings(lines: &mut Lines, old: &Manifest, new: &Manifest) {
    let (old, new) = (&old.config, &new.config);
    for (name, property) in &new.properties {
        let known = old.properties.get(name);
        if new.asks_for(name) && (known.is_none() || !old.required.contains(name)) {
            let means = "connections without it do not start";
            lines.add(Weight::Incompatible, "setting needed", format!("`config.{name}`"), means);
        }
        if known.is_some_and(|before| !property.no_narrower_than(before)) {
            let means = "connections that give what does not fit any more do not start";
            lines.add(Weight::Incompatible, "setting narrower", format!("`config.{name}`"), means);
        }
    }
    for name in old.properties.keys().filter(|name| !new.properties.contains_key(*name)) {
        let means = "connections that give it do not start";
        lines.add(Weight::Incompatible, "setting gone", format!("`config.{name}`"), means);
    }
}

#[cfg(test)]
mod tests;
