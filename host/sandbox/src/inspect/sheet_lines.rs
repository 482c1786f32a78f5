//! The lines of a sheet: one per thing the manifest, the grant or the code names.

use wharf_domain::ctx::Environment;
use wharf_domain::grant::MAX_RECORDS;
use wharf_domain::manifest::{Endpoint, Manifest, OdooRequest, Route};

use super::sheet::{Answer, Count, Known, Line};

pub(super) fn lines(m: &Manifest, imports: &[String], answer: Option<&Answer>) -> Vec<Line> {
    let of = Witnesses { imports, answer };
    let mut out = Vec::new();
    out.extend(m.endpoints.iter().map(|endpoint| of.endpoint(endpoint)));
    // An operator may send a connection to a place its adapter does not name.
    let elsewhere = super::sheet::elsewhere(m, answer);
    out.extend(elsewhere.map(|endpoint| Line { declared: Known::No, ..of.endpoint(endpoint) }));
    out.extend(m.routes.iter().map(|route| of.route(route)));
    out.extend(m.odoo.iter().map(|request| of.odoo(request)));
    if let Some(granted) = answer.map(|answer| &answer.surface.manifest) {
        let same = |a: &Route, b: &Route| a.method == b.method && a.path == b.path;
        let routes = granted.routes.iter().filter(|route| !m.routes.iter().any(|other| same(other, route)));
        out.extend(routes.map(|route| Line { declared: Known::No, ..of.route(route) }));
        let models = granted.odoo.iter().filter(|request| !m.odoo.iter().any(|other| other.model == request.model));
        out.extend(models.map(|request| Line { declared: Known::No, ..of.odoo(request) }));
    }
    for (name, slot) in &m.secrets {
        let granted = of.granted(|surface| surface.secrets.contains_key(name));
        let what = format!("{name} {} (its value never reaches the adapter)", slot.kind());
        out.push(of.line("secret", what, (granted, of.unmeasured()), String::new()));
    }
    for folder in &m.folders {
        let can = [(folder.read, "read"), (folder.create, "create"), (folder.archive, "archive")];
        let can: Vec<&str> = can.iter().filter(|(can, _)| *can).map(|(_, word)| *word).collect();
        let granted = of.granted(|surface| surface.folders.iter().any(|other| other.name == folder.name));
        let what = format!("{} {}", folder.name, can.join(", "));
        out.push(of.line("folder", what, (granted, of.unmeasured()), folder.reason.clone()));
    }
    if m.kv_bytes > 0 {
        let granted = of.granted(|surface| surface.kv_bytes > 0);
        let used = of.used(|answer| match answer.usage.kv_bytes {
            0 => Count::Nothing,
            bytes => Count::Used(format!("{bytes} bytes")),
        });
        out.push(of.line("kv", format!("{} bytes", m.kv_bytes), (granted, used), String::new()));
    }
    out
}

fn calls(sent: u64) -> String {
    if sent == 1 { "1 call".to_owned() } else { format!("{sent} calls") }
}

/// Without any tape nobody can tell.
fn none(answer: &Answer) -> Count {
    if answer.usage.taped_since.is_some() { Count::Nothing } else { Count::NotMeasured }
}

/// Who is asked beside the manifest.
struct Witnesses<'a> {
    imports: &'a [String],
    answer: Option<&'a Answer>,
}

impl Witnesses<'_> {
    fn line(&self, kind: &'static str, what: String, (granted, used): (Known, Count), reason: String) -> Line {
        let import = match kind {
            "odoo" => "wharf:odoo/records",
            "folder" => "wharf:files/folder",
            "kv" => "wharf:kv/store",
            // A secret goes onto a request.
            _ => "wharf:http/outgoing",
        };
        let imported = self.imports.iter().any(|name| name.split('@').next() == Some(import));
        let imported = if imported { Known::Yes } else { Known::No };
        Line { kind, what, effect: None, declared: Known::Yes, imported, granted, used, reason }
    }

    fn endpoint(&self, endpoint: &Endpoint) -> Line {
        let environment = match endpoint.environment {
            Environment::Test => "test",
            Environment::Live => "live",
        };
        let granted = self.granted(|surface| surface.endpoints.iter().any(|other| other.origin == endpoint.origin));
        let what = format!("{} ({environment})", endpoint.origin);
        self.line("http", what, (granted, self.calls_to(&granted)), String::new())
    }

    fn granted(&self, is: impl Fn(&Manifest) -> bool) -> Known {
        match self.answer {
            None => Known::NotAsked,
            Some(answer) if is(&answer.surface.manifest) => Known::Yes,
            Some(_) => Known::No,
        }
    }

    fn used(&self, count: impl Fn(&Answer) -> Count) -> Count {
        self.answer.map_or(Count::NotAsked, count)
    }

    fn unmeasured(&self) -> Count {
        self.used(|_| Count::NotMeasured)
    }

    /// Requests to the origins that are granted; the tapes of others were not asked for.
    fn calls_to(&self, granted: &Known) -> Count {
        self.used(|answer| match (granted, answer.usage.calls.iter().map(|calls| calls.calls).sum::<u64>()) {
            (Known::Yes, 0) => none(answer),
            (Known::Yes, sent) => Count::Used(calls(sent)),
            _ => Count::NotMeasured,
        })
    }

    fn route(&self, route: &Route) -> Line {
        let name = format!("{} {}", route.method, route.path);
        let granted = self.granted(|surface| {
            surface.routes.iter().any(|other| other.method == route.method && other.path == route.path)
        });
        let used = self.used(|answer| {
            let fits = answer.usage.calls.iter().filter(|calls| route.fits(&calls.method, &calls.path));
            let sent: u64 = fits.map(|calls| calls.calls).sum();
            let effects = answer.usage.effects.iter().filter(|effects| effects.route == name);
            let states: Vec<String> = effects.map(|effects| format!("{} {}", effects.count, effects.state)).collect();
            match (sent, states.is_empty()) {
                (0, true) => none(answer),
                (_, true) => Count::Used(calls(sent)),
                _ => Count::Used(format!("{}: {}", calls(sent), states.join(", "))),
            }
        });
        let effect = route.effect.as_deref().map(|effect| format!(" {effect}")).unwrap_or_default();
        let secret = route.secret.as_deref().map(|slot| format!(" with secret {slot}")).unwrap_or_default();
        let line = self.line("http", format!("{name}{secret}"), (granted, used), route.reason.clone());
        Line { effect: Some(format!("{}{effect}", route.class().as_str())), ..line }
    }

    fn odoo(&self, request: &OdooRequest) -> Line {
        let granted = self.granted(|surface| surface.odoo.iter().any(|other| other.model == request.model));
        let used = self.used(|answer| {
            let path = format!("/json/2/{}/", request.model);
            let writes = answer.usage.effects.iter().filter(|effects| effects.route.contains(&path));
            match writes.map(|effects| effects.count).sum::<u64>() {
                // Reading leaves nothing that is counted by connection.
                0 => Count::NotMeasured,
                writes => Count::Used(format!("{writes} writes; reads not measured")),
            }
        });
        let create = if request.create { " create" } else { "" };
        let domain = request.domain.as_deref().map(|domain| format!(" where {domain}")).unwrap_or_default();
        let most = request.max_records.unwrap_or(MAX_RECORDS);
        let (read, write) = (request.read.join(", "), request.write.join(", "));
        let what = format!("{} read({read}) write({write}){create} {most} records{domain}", request.model);
        self.line("odoo", what, (granted, used), request.reason.clone())
    }
}
