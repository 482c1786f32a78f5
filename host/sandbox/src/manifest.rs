//! The manifest inside a component: one custom section at the top level, JSON, written by `adapter build`.
//!
//! Only the top level counts: a nested module could carry a section of the same name. Two sections are refused.

use thiserror::Error;
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::{Encoding, Parser, Payload};
use wharf_domain::effect::EffectClass;
use wharf_domain::manifest::{Manifest, OdooRequest, Route};

use crate::prescan::shown;

/// Name of the custom section.
pub const SECTION: &str = "wharf:manifest";

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    #[error("`{file}`: {detail}")]
    Toml { file: String, detail: String },
    #[error("the file is not a WebAssembly component: {}", shown(.0))]
    NotAComponent(String),
    #[error("the component carries no manifest; build it with `wharf adapter build`")]
    Missing,
    #[error("the component carries more than one manifest")]
    Twice,
    #[error("the embedded manifest is not readable: {}", shown(.0))]
    Json(String),
    #[error("manifest: {}", shown(.0))]
    Rule(String),
}

/// Reads `adapter.toml`. Unknown keys are errors that name the key.
pub fn from_toml(file: &str, text: &str) -> Result<Manifest, ManifestError> {
    let manifest: Manifest =
        toml::from_str(text).map_err(|e| ManifestError::Toml { file: file.to_owned(), detail: e.to_string() })?;
    check(&manifest)?;
    Ok(manifest)
}

/// Reads the manifest out of a component.
pub fn read(component: &[u8]) -> Result<Manifest, ManifestError> {
    if !component.starts_with(b"\0asm") {
        return Err(ManifestError::NotAComponent("it does not begin with `\\0asm`".to_owned()));
    }
    let mut found: Option<Vec<u8>> = None;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|e| ManifestError::NotAComponent(e.message().to_owned()))? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding != Encoding::Component {
                    return Err(ManifestError::NotAComponent("it is a core module".to_owned()));
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section)
                if depth == 1 && section.name() == SECTION && found.replace(section.data().to_vec()).is_some() =>
            {
                return Err(ManifestError::Twice);
            }
            _ => {}
        }
    }
    let bytes = found.ok_or(ManifestError::Missing)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| ManifestError::Json(e.to_string()))?;
    check(&manifest)?;
    Ok(manifest)
}

/// The component with `manifest` appended. Refuses one that has a manifest already.
pub fn embed(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    match read(component) {
        Err(ManifestError::Missing) => {}
        Ok(_) => return Err(ManifestError::Twice),
        Err(other) => return Err(other),
    }
    check(manifest)?;
    let data = serde_json::to_vec(manifest).map_err(|e| ManifestError::Json(e.to_string()))?;
    let mut out = component.to_vec();
    CustomSection { name: SECTION.into(), data: data.into() }.append_to_component(&mut out);
    Ok(out)
}

/// The component without the manifest [`embed`] has put at its end.
pub fn without(component: &[u8]) -> Result<Vec<u8>, ManifestError> {
    let broken = |error: wasmparser::BinaryReaderError| ManifestError::NotAComponent(error.to_string());
    let mut depth = 0_usize;
    let mut begins = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(broken)?;
        match &payload {
            Payload::Version { range, .. } => {
                depth += 1;
                begins = if depth == 1 { range.end } else { begins };
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 1 && section.name() == SECTION => {
                return Ok(component[..begins].to_vec());
            }
            _ => {}
        }
        if let (1, Some((_, range))) = (depth, payload.as_section()) {
            begins = range.end;
        }
    }
    Err(ManifestError::Missing)
}

/// Rules a schema cannot say.
fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    let rule = |text: String| Err(ManifestError::Rule(text));
    let name_ok = !manifest.name.is_empty()
        && manifest.name.len() <= 63
        && manifest.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_ok {
        return rule(format!("`name` is `{}`; use a-z, 0-9 and `-`, at most 63 characters", manifest.name));
    }
    for endpoint in &manifest.endpoints {
        let url = url::Url::parse(&endpoint.origin).ok();
        let fine = url.is_some_and(|u| u.scheme() == "https" && u.path() == "/" && u.query().is_none());
        if !fine || endpoint.origin.ends_with('/') {
            return rule(format!("`endpoints.origin` is `{}`; it must be `https://host[:port]`", endpoint.origin));
        }
    }
    for (i, route) in manifest.routes.iter().enumerate() {
        if !route.path.starts_with('/') || route.path.contains(['?', '#']) {
            return rule(format!("`routes[{i}].path` is `{}`; it must start with `/` and hold no query", route.path));
        }
        if route.method.is_empty() || !route.method.bytes().all(|b| b.is_ascii_uppercase()) {
            return rule(format!("`routes[{i}].method` is `{}`; write it in upper case", route.method));
        }
        key(i, route).map_err(ManifestError::Rule)?;
        if let Some(slot) = &route.secret
            && !manifest.secrets.contains_key(slot)
        {
            return rule(format!("`routes[{i}].secret` names `{slot}`, which `secrets` does not declare"));
        }
    }
    for (name, slot) in &manifest.secrets {
        slot.valid().map_err(|error| ManifestError::Rule(format!("`secrets.{name}`: {error}")))?;
    }
    manifest.config.valid().map_err(ManifestError::Rule)?;
    folders(manifest).map_err(ManifestError::Rule)?;
    for (i, request) in manifest.odoo.iter().enumerate() {
        if manifest.odoo[..i].iter().any(|other| other.model == request.model) {
            return rule(format!("`odoo[{i}].model` is `{}`, which is there before; make one of both", request.model));
        }
        odoo(i, request).map_err(ManifestError::Rule)?;
    }
    for (function, text) in &manifest.examples {
        // `@file` is replaced by the file's content when the adapter is built.
        if text.starts_with('@') {
            continue;
        }
        if let Err(e) = serde_json::from_str::<serde_json::Value>(text) {
            return rule(format!("`examples.{function}` is not JSON: {e}"));
        }
    }
    Ok(())
}

/// Folders have a name each, and ask for something.
fn folders(manifest: &Manifest) -> Result<(), String> {
    for (i, folder) in manifest.folders.iter().enumerate() {
        let name = &folder.name;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
            return Err(format!("`folders[{i}].name` is `{name}`; use a-z, 0-9 and `-`, at most 40 characters"));
        }
        if manifest.folders[..i].iter().any(|other| other.name == *name) {
            return Err(format!("`folders[{i}].name` is `{name}`, which is there already"));
        }
        if !folder.read && !folder.create {
            return Err(format!("`folders[{i}]` asks for nothing; write `read = true` or `create = true`"));
        }
        if folder.archive && !folder.read {
            return Err(format!("`folders[{i}].archive` is for folders with `read = true`"));
        }
        if !(1..=256 << 20).contains(&folder.max_file_bytes) || folder.max_bytes < folder.max_file_bytes {
            return Err(format!("`folders[{i}].max_file_bytes` is 1 to 256 MiB, and `max_bytes` at least as much"));
        }
    }
    Ok(())
}

/// What can be told without knowing Odoo; the rest is checked when the connection is bound.
fn odoo(index: usize, request: &OdooRequest) -> Result<(), String> {
    let plain = |text: &str, dots: bool| {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || (dots && b == b'.');
        (1..=64).contains(&text.len()) && text.bytes().all(fine)
    };
    if !plain(&request.model, true) {
        return Err(format!("`odoo[{index}].model` is `{}`; write its technical name", request.model));
    }
    if let Some(field) = request.read.iter().chain(&request.write).find(|field| !plain(field, false)) {
        return Err(format!(
            "`odoo[{index}]` names the field `{field}`; use a-z, 0-9 and `_`, a path needs a request of each model on it"
        ));
    }
    if let Some(domain) = &request.domain
        && let Err(e) = serde_json::from_str::<Vec<serde_json::Value>>(domain)
    {
        return Err(format!("`odoo[{index}].domain` is not a JSON list: {e}"));
    }
    if request.max_records.is_some_and(|most| !(1..=10_000).contains(&most)) {
        return Err(format!("`odoo[{index}].max_records` is out of range; use 1 to 10000"));
    }
    Ok(())
}

/// Class `keyed` and a key belong together, and the key has one place.
fn key(index: usize, route: &Route) -> Result<(), String> {
    let (keyed, Some(key)) = (route.class == Some(EffectClass::Keyed), &route.key) else {
        return match route.class {
            Some(EffectClass::Keyed) => Err(format!(
                "`routes[{index}].key` is missing; class `keyed` needs `key = {{ header = \"…\", retention_seconds = …, stores = \"all\" }}`"
            )),
            _ => Ok(()),
        };
    };
    if !keyed {
        return Err(format!("`routes[{index}].key` is given; write `class = \"keyed\"` or leave it out"));
    }
    match (&key.header, &key.body) {
        (Some(header), None)
            if header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !header.is_empty() => {}
        (Some(header), None) => {
            return Err(format!("`routes[{index}].key.header` is `{header}`; use letters, digits and `-`"));
        }
        (None, Some(pointer)) if pointer.starts_with('/') => {}
        (None, Some(pointer)) => {
            return Err(format!(
                "`routes[{index}].key.body` is `{pointer}`; it must be a JSON pointer like `/request_id`"
            ));
        }
        _ => return Err(format!("`routes[{index}].key` needs either `header` or `body`")),
    }
    if key.retention_seconds < 60 {
        let given = key.retention_seconds;
        return Err(format!(
            "`routes[{index}].key.retention_seconds` is {given}; a key that holds less than 60 is none"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
name = "acme"
version = "1.0.0"
description = "a carrier"
publisher = "ACME"
licence = "Apache-2.0"
[[endpoints]]
environment = "test"
origin = "https://api.example.com"
[[routes]]
method = "POST"
path = "/ship"
effect = "buy-label"
class = "lookup"
reason = "buys labels"
"#;

    fn empty_component() -> Vec<u8> {
        wasm_encoder::Component::new().finish()
    }

    #[test]
    fn a_manifest_survives_embedding() {
        let manifest = from_toml("adapter.toml", TOML).expect("manifest");
        let bytes = embed(&empty_component(), &manifest).expect("embedded");
        assert_eq!(read(&bytes).expect("read"), manifest);
        assert!(matches!(embed(&bytes, &manifest), Err(ManifestError::Twice)));
        assert_eq!(without(&bytes).expect("it has one"), empty_component());
        assert!(matches!(without(&empty_component()), Err(ManifestError::Missing)));
    }

    #[test]
    fn unknown_keys_and_broken_rules_name_the_key() {
        let err = from_toml("adapter.toml", &TOML.replace("reason", "raeson")).expect_err("unknown key");
        assert!(err.to_string().contains("raeson"), "{err}");
        let err = from_toml("adapter.toml", &TOML.replace("\"/ship\"", "\"ship\"")).expect_err("path");
        assert!(err.to_string().contains("routes[0].path"), "{err}");
        let err = from_toml("adapter.toml", &TOML.replace("https://", "http://")).expect_err("origin");
        assert!(err.to_string().contains("endpoints.origin"), "{err}");
        let slot = "[secrets.token]\ntype = \"header\"\nheader = \"x-key\"\nformat = \"no value\"";
        let err = from_toml("adapter.toml", &format!("{TOML}\n{slot}")).expect_err("format");
        assert!(err.to_string().contains("`secrets.token`: `format`"), "{err}");
    }

    #[test]
    fn a_key_and_its_class_belong_together() {
        let keyed = |key: &str| TOML.replace("class = \"lookup\"", &format!("class = \"keyed\"\n{key}"));
        let good = r#"key = { header = "Idempotency-Key", retention_seconds = 86400, stores = "success" }"#;
        from_toml("adapter.toml", &keyed(good)).expect("a header");
        from_toml("adapter.toml", &keyed(&good.replace("header = \"Idem", "body = \"/idem"))).expect("a body member");
        for (text, field) in [
            (keyed(""), "routes[0].key` is missing"),
            (keyed(&good.replace("86400", "59")), "retention_seconds"),
            (keyed(&good.replace("header = \"Idem", "body = \"Idem")), "routes[0].key.body"),
            (keyed(&good.replace("Idempotency-Key", "a b")), "routes[0].key.header"),
            (keyed(&good.replace("header = \"Idempotency-Key\",", "")), "either `header` or `body`"),
            (keyed(good).replace("class = \"keyed\"", "class = \"lookup\""), "class = \"keyed\""),
        ] {
            let err = from_toml("adapter.toml", &text).expect_err(field).to_string();
            assert!(err.contains(field), "{err}");
        }
    }

    #[test]
    fn a_request_of_odoo_names_models_fields_and_a_domain() {
        let good = r#"
[[odoo]]
model = "res.country"
read = ["code"]
domain = '[["code", "=", "DE"]]'
max_records = 20
reason = "country names on the label"
"#;
        let manifest = from_toml("adapter.toml", &format!("{TOML}{good}")).expect("manifest");
        assert_eq!((manifest.odoo[0].create, manifest.odoo[0].max_records), (false, Some(20)));
        for (text, field) in [
            (good.replace("res.country", "res country"), "odoo[0].model"),
            (good.replace("[\"code\"]\n", "[\"country_id.code\"]\n"), "country_id.code"),
            (good.replace("'[[", "'[{").replace("]]'", "'"), "odoo[0].domain"),
            (good.replace("= 20", "= 0"), "odoo[0].max_records"),
            (good.replace("reason", "raeson"), "raeson"),
            (format!("{good}{good}"), "odoo[1].model"),
        ] {
            let err = from_toml("adapter.toml", &format!("{TOML}{text}")).expect_err(field).to_string();
            assert!(err.contains(field), "{err}");
        }
    }

    /// What is wrong with a file is read in a terminal, and much of it was written by whoever made the file.
    #[test]
    fn a_refusal_cannot_be_made_to_look_like_something_else() {
        let with = |json: &str| {
            let mut component = empty_component();
            CustomSection { name: SECTION.into(), data: json.as_bytes().into() }.append_to_component(&mut component);
            read(&component).expect_err(json).to_string()
        };
        let manifest = serde_json::to_string(&from_toml("adapter.toml", TOML).expect("manifest")).expect("json");
        for error in [
            with(&manifest.replace("\"version\"", "\"\\u001b[2K\\nall is well\"")),
            with(&manifest.replace("\"acme\"", "\"\u{202e}emca\"")),
            read(b"\0asn\x01\0\0\0").expect_err("no header").to_string(),
        ] {
            assert!(!error.contains(crate::forges) && error.len() < 1_000, "{error:?}");
        }
    }

    #[test]
    fn what_is_not_a_component_says_so() {
        assert!(matches!(read(b"hello"), Err(ManifestError::NotAComponent(_))));
        assert!(matches!(read(&wasm_encoder::Module::new().finish()), Err(ManifestError::NotAComponent(_))));
        assert!(matches!(read(&empty_component()), Err(ManifestError::Missing)));
    }

    #[test]
    fn a_manifest_in_a_nested_component_does_not_count() {
        let manifest = from_toml("adapter.toml", TOML).expect("manifest");
        let mut nested = wasm_encoder::Component::new();
        let data = serde_json::to_vec(&manifest).expect("json");
        nested.section(&CustomSection { name: SECTION.into(), data: data.into() });
        let mut outer = wasm_encoder::Component::new();
        outer.section(&wasm_encoder::NestedComponentSection(&nested));
        assert!(matches!(read(&outer.finish()), Err(ManifestError::Missing)));
    }
}
