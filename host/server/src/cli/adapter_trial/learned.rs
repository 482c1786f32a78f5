//! What a trial came to: the least an adapter has to ask for to do what it did.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_domain::manifest::{Folder, Manifest, OdooRequest, Route, SecretSlot};

use super::watched::Seen;

/// The part of a manifest that asks for something, cut down to what was used.
#[derive(Debug, Serialize)]
pub(super) struct Learned {
    kv_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, SecretSlot>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    odoo: Vec<OdooRequest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folders: Vec<Folder>,
    /// What is declared and was not used, a line each.
    #[serde(skip)]
    pub(super) unused: Vec<String>,
}

impl Learned {
    pub(super) fn of(manifest: &Manifest, seen: &Seen) -> Self {
        let mut unused = Vec::new();
        let mut routes = Vec::new();
        for route in &manifest.routes {
            match seen.requests.iter().any(|(method, path)| route.fits(method, path)) {
                true => routes.push(route.clone()),
                false => unused.push(format!("route {} {}", route.method, route.path)),
            }
        }
        let mut secrets = manifest.secrets.clone();
        secrets.retain(|name, _| {
            let used = routes.iter().any(|route| route.secret.as_ref() == Some(name));
            if !used {
                unused.push(format!("secret {name}"));
            }
            used
        });
        let odoo = manifest.odoo.iter().filter_map(|request| model(request, seen, &mut unused)).collect();
        let folders = manifest.folders.iter().filter_map(|asked| folder(asked, seen, &mut unused)).collect();
        let kv_bytes = seen.kv_bytes.min(manifest.kv_bytes);
        if kv_bytes < manifest.kv_bytes {
            unused.push(format!(
                "{} of {} bytes of key-value storage",
                manifest.kv_bytes - kv_bytes,
                manifest.kv_bytes
            ));
        }
        Self { kv_bytes, routes, secrets, odoo, folders, unused }
    }
}

fn model(request: &OdooRequest, seen: &Seen, unused: &mut Vec<String>) -> Option<OdooRequest> {
    let Some(used) = seen.models.get(&request.model) else {
        unused.push(format!("Odoo's {}", request.model));
        return None;
    };
    let mut cut = request.clone();
    // The fields of a domain are not taken apart here: what a search was cut down to would lack them.
    let keep_all = used.searched || request.domain.is_some();
    cut.read.retain(|field| keep_all || used.read.contains(field));
    cut.write.retain(|field| used.write.contains(field));
    cut.create &= used.create;
    let gone = |all: &[String], kept: &[String]| all.iter().filter(|f| !kept.contains(f)).cloned().collect::<Vec<_>>();
    for (verb, fields) in [("read", gone(&request.read, &cut.read)), ("write", gone(&request.write, &cut.write))] {
        if !fields.is_empty() {
            unused.push(format!("Odoo's {}: {verb} {}", request.model, fields.join(", ")));
        }
    }
    if request.create && !cut.create {
        unused.push(format!("Odoo's {}: create", request.model));
    }
    Some(cut)
}

fn folder(asked: &Folder, seen: &Seen, unused: &mut Vec<String>) -> Option<Folder> {
    let Some(used) = seen.folders.get(&asked.name) else {
        unused.push(format!("folder {}", asked.name));
        return None;
    };
    let cut = Folder { read: asked.read && used.read, create: asked.create && used.create, ..asked.clone() };
    for (verb, gone) in [("read", asked.read && !cut.read), ("create", asked.create && !cut.create)] {
        if gone {
            unused.push(format!("folder {}: {verb}", asked.name));
        }
    }
    Some(cut)
}

#[cfg(test)]
mod tests {
    use wharf_sandbox::manifest::from_toml;

    use super::super::watched;
    use super::*;

    const TOML: &str = r#"
name = "acme"
version = "1.0.0"
description = "d"
publisher = "ACME"
licence = "Apache-2.0"
kv_bytes = 1000
[[routes]]
method = "GET"
path = "/track/*"
secret = "token"
reason = "r"
[[routes]]
method = "POST"
path = "/ship"
secret = "other"
reason = "r"
[secrets.token]
type = "basic"
[secrets.other]
type = "basic"
[[odoo]]
model = "res.partner"
read = ["name", "zip"]
write = ["ref"]
reason = "r"
[[odoo]]
model = "res.country"
read = ["code"]
reason = "r"
[[folders]]
name = "in"
read = true
create = true
reason = "r"
"#;

    #[test]
    fn what_was_used_is_kept_and_the_rest_is_named() {
        let manifest = from_toml("test", TOML).expect("manifest");
        let mut seen = Seen { kv_bytes: 10, ..Seen::default() };
        seen.requests.insert(("GET".to_owned(), "/track/1Z".to_owned()));
        seen.requests.insert(("GET".to_owned(), "/elsewhere".to_owned()));
        seen.models.entry("res.partner".to_owned()).or_default().read.insert("zip".to_owned());
        seen.folders.insert("in".to_owned(), watched::Folder { read: true, create: false });
        let learned = Learned::of(&manifest, &seen);
        assert_eq!(
            learned.unused,
            [
                "route POST /ship",
                "secret other",
                "Odoo's res.partner: read name",
                "Odoo's res.partner: write ref",
                "Odoo's res.country",
                "folder in: create",
                "990 of 1000 bytes of key-value storage",
            ]
        );
        // What is printed is a manifest's own form: with the rest of a manifest it can be read again.
        let text = toml::to_string(&learned).expect("toml");
        let head = TOML.split("kv_bytes").next().expect("the beginning");
        let read = from_toml("test", &format!("{head}{text}")).expect("readable");
        assert_eq!((read.routes.len(), read.secrets.len(), read.kv_bytes), (1, 1, 10));
        assert_eq!(read.odoo[0].read, ["zip"]);
        // A search by a domain needs the fields it names.
        seen.models.entry("res.partner".to_owned()).or_default().searched = true;
        assert_eq!(Learned::of(&manifest, &seen).odoo[0].read, ["name", "zip"]);
    }
}
