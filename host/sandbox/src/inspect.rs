//! What a component can do, read from the component itself. The manifest is a wish; imports and exports are facts.

use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wit_component::DecodedWasm;

use wharf_domain::ids::Digest;
use wharf_domain::manifest::Manifest;

use crate::manifest::{self, ManifestError};

mod finding;
mod flow;
mod sheet;
mod sheet_lines;

pub use finding::{Finding, Level, RULES};
pub use flow::Flow;
pub use sheet::{Answer, Count, Known, Limit, Line, Risk, Setting, Sheet, sheet};

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

/// What a file says about itself, and what its code shows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub digest: Digest,
    pub bytes: usize,
    pub manifest: Manifest,
    pub imports: Vec<Face>,
    pub exports: Vec<Face>,
    /// Differences between what is declared and what is there.
    pub findings: Vec<Finding>,
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
    report.findings = finding::of(&report);
    Ok(report)
}
