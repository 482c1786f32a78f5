//! What a component can do, read from the component itself. The manifest is a wish; imports and exports are facts.

use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wit_component::DecodedWasm;

use wharf_domain::ids::Digest;
use wharf_domain::manifest::Manifest;

use crate::manifest::{self, ManifestError};

/// One interface, versioned, with its functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Face {
    /// e.g. `wharf:carrier/rates@0.1.0`.
    pub name: String,
    pub functions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faces {
    pub imports: Vec<Face>,
    pub exports: Vec<Face>,
}

/// Everything `wharf adapter inspect` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub digest: Digest,
    pub bytes: usize,
    pub manifest: Manifest,
    pub imports: Vec<Face>,
    pub exports: Vec<Face>,
    /// Differences between what is declared and what is there.
    pub findings: Vec<String>,
}

/// Imports and exports of a compiled component.
pub(crate) fn faces(engine: &Engine, component: &Component) -> Faces {
    let ty = component.component_type();
    let read = |name: &str, item: &ComponentItem| Face {
        name: name.to_owned(),
        functions: match item {
            ComponentItem::ComponentInstance(instance) => instance
                .exports(engine)
                .filter(|(_, item)| is_function(&item.ty))
                .map(|(name, _)| name.to_owned())
                .collect(),
            ComponentItem::ComponentFunc(_) => vec![name.to_owned()],
            _ => Vec::new(),
        },
    };
    Faces {
        imports: ty.imports(engine).map(|(name, item)| read(name, &item.ty)).collect(),
        exports: ty.exports(engine).map(|(name, item)| read(name, &item.ty)).collect(),
    }
}

fn is_function(item: &ComponentItem) -> bool {
    matches!(item, ComponentItem::ComponentFunc(_) | ComponentItem::Resource(_))
}

/// Reads a component without compiling or running it.
pub fn report(bytes: &[u8]) -> Result<Report, ManifestError> {
    let manifest = manifest::read(bytes)?;
    let decoded = wit_component::decode(bytes).map_err(|e| ManifestError::NotAComponent(format!("{e:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(ManifestError::NotAComponent("it is a WIT package, not code".to_owned()));
    };
    let world = &resolve.worlds[world];
    let read = |key: &wit_parser::WorldKey, item: &wit_parser::WorldItem| Face {
        name: resolve.name_world_key(key),
        functions: match item {
            wit_parser::WorldItem::Interface { id, .. } => resolve.interfaces[*id].functions.keys().cloned().collect(),
            wit_parser::WorldItem::Function(f) => vec![f.name.clone()],
            wit_parser::WorldItem::Type { .. } => Vec::new(),
        },
    };
    let mut report = Report {
        digest: Digest::of(bytes),
        bytes: bytes.len(),
        imports: world.imports.iter().map(|(k, i)| read(k, i)).filter(|f| !f.functions.is_empty()).collect(),
        exports: world.exports.iter().map(|(k, i)| read(k, i)).collect(),
        manifest,
        findings: Vec::new(),
    };
    report.findings = findings(&report);
    Ok(report)
}

fn findings(report: &Report) -> Vec<String> {
    let imports = |plain: &str| report.imports.iter().any(|f| f.name.split('@').next() == Some(plain));
    let mut out = Vec::new();
    if imports("wharf:http/outgoing") && report.manifest.routes.is_empty() {
        out.push("imports `wharf:http/outgoing` but declares no route: it will not load".to_owned());
    }
    if !imports("wharf:http/outgoing") && !report.manifest.routes.is_empty() {
        out.push("declares routes but does not import `wharf:http/outgoing`".to_owned());
    }
    if imports("wharf:kv/store") && report.manifest.kv_bytes == 0 {
        out.push("imports `wharf:kv/store` but declares `kv_bytes = 0`: it will not load".to_owned());
    }
    if !imports("wharf:kv/store") && report.manifest.kv_bytes > 0 {
        out.push("declares `kv_bytes` but does not import `wharf:kv/store`".to_owned());
    }
    if imports("wharf:files/folder") && report.manifest.folders.is_empty() {
        out.push("imports `wharf:files/folder` but declares no folder: it will not load".to_owned());
    }
    if !imports("wharf:files/folder") && !report.manifest.folders.is_empty() {
        out.push("declares folders but does not import `wharf:files/folder`".to_owned());
    }
    if imports("wharf:odoo/records") && report.manifest.odoo.is_empty() {
        out.push("imports `wharf:odoo/records` but declares no `[[odoo]]`: it will not load".to_owned());
    }
    if !imports("wharf:odoo/records") && !report.manifest.odoo.is_empty() {
        out.push("declares `[[odoo]]` but does not import `wharf:odoo/records`".to_owned());
    }
    for import in &report.imports {
        let plain = import.name.split('@').next().unwrap_or_default();
        if !crate::caps::CAPABILITIES.iter().any(|capability| capability.import == plain) {
            out.push(format!("imports `{}`, which this host does not offer: it will not load", import.name));
        }
    }
    let buys = report.exports.iter().any(|f| f.name.starts_with("wharf:carrier/labels@"));
    if buys && !report.manifest.routes.iter().any(|r| r.effect.as_deref() == Some("buy-label")) {
        let text =
            "exports `wharf:carrier/labels` but no route has `effect = \"buy-label\"`: no purchase will be believed";
        out.push(text.to_owned());
    }
    for route in &report.manifest.routes {
        if route.class() == wharf_domain::effect::EffectClass::Once && route.class.is_none() {
            out.push(format!(
                "route `{} {}` declares no class: it is treated as `once` and never sent again by itself",
                route.method, route.path
            ));
        }
    }
    out
}
