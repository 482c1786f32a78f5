//! What is refused before anything is compiled.
//!
//! Compiling is the open door of every WebAssembly host: 1.6 kB of nested components, each instantiating the one before
//! it twice, cost 17 seconds and 2 GB, and every 61 bytes more double that. So the file is walked once without compiling,
//! and the number of instances it comes to is known before anybody makes them.

use thiserror::Error;
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, Parser, Payload, Validator, WasmFeatures,
};

use crate::guest::forges;

/// Instances of modules and components one adapter may come to.
pub const MOST_INSTANCES: u64 = 256;
/// Components inside components.
pub const DEEPEST: usize = 32;

/// Why a file is refused unseen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("it comes to more than {MOST_INSTANCES} instances: a component that instantiates others again and again")]
    FanOut,
    #[error("components are nested more than {DEEPEST} deep")]
    TooDeep,
    #[error("it imports the component `{0}`; compose it into one file")]
    ComponentImport(String),
    #[error("it uses {0}, which this host does not run; build it without")]
    Feature(String),
    #[error("it is not well formed: {0}")]
    Malformed(String),
}

impl Refusal {
    /// The kind under which it is counted and audited.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FanOut | Self::TooDeep => "reject.fanout",
            Self::ComponentImport(_) | Self::Feature(_) => "reject.feature",
            Self::Malformed(_) => "reject.format",
        }
    }
}

/// Walks a component. Cheap: it reads each byte at most once and keeps a number per nested component.
pub fn fan_out(bytes: &[u8]) -> Result<u64, Refusal> {
    let mut scopes: Vec<Scope> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { .. } => {
                if scopes.len() > DEEPEST {
                    return Err(Refusal::TooDeep);
                }
                scopes.push(Scope::default());
            }
            Payload::End(_) => {
                let Some(done) = scopes.pop() else { break };
                match scopes.last_mut() {
                    // A module's scope has no weight: it counts when it is instantiated.
                    Some(parent) if done.is_component => parent.components.push(done.weight),
                    Some(_) => {}
                    None => return Ok(done.weight),
                }
            }
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => {}
            other => section(&mut scopes, other)?,
        }
    }
    Err(Refusal::Malformed("it ends in the middle".to_owned()))
}

/// One component that is being read.
#[derive(Default)]
struct Scope {
    is_component: bool,
    /// Instances it comes to when it is instantiated once.
    weight: u64,
    /// The weights of the components it can name, by index.
    components: Vec<u64>,
}

impl Scope {
    fn add(&mut self, instances: u64) -> Result<(), Refusal> {
        self.weight = self.weight.saturating_add(instances);
        if self.weight > MOST_INSTANCES { Err(Refusal::FanOut) } else { Ok(()) }
    }
}

fn section(scopes: &mut [Scope], payload: Payload<'_>) -> Result<(), Refusal> {
    match payload {
        Payload::InstanceSection(reader) => {
            let scope = here(scopes)?;
            for instance in reader {
                if let Instance::Instantiate { .. } = instance.map_err(malformed)? {
                    scope.add(1)?;
                }
            }
        }
        Payload::ComponentInstanceSection(reader) => {
            let scope = here(scopes)?;
            for instance in reader {
                if let ComponentInstance::Instantiate { component_index, .. } = instance.map_err(malformed)? {
                    let weight = scope.components.get(component_index as usize).copied();
                    scope.add(1 + weight.ok_or_else(unknown_component)?)?;
                }
            }
        }
        Payload::ComponentAliasSection(reader) => {
            for alias in reader {
                if let Some(weight) = aliased(scopes, &alias.map_err(malformed)?)? {
                    here(scopes)?.components.push(weight);
                }
            }
        }
        Payload::ComponentImportSection(reader) => {
            for import in reader {
                let import = import.map_err(malformed)?;
                if let ComponentTypeRef::Component(_) = import.ty {
                    return Err(Refusal::ComponentImport(shown(import.name.name)));
                }
            }
        }
        Payload::ComponentExportSection(reader) => {
            let scope = here(scopes)?;
            for export in reader {
                let export = export.map_err(malformed)?;
                // An export gets an index of its own.
                if export.kind == ComponentExternalKind::Component {
                    let weight = scope.components.get(export.index as usize).copied().ok_or_else(unknown_component)?;
                    scope.components.push(weight);
                }
            }
        }
        Payload::ComponentTypeSection(_) | Payload::ComponentCanonicalSection(_) => here(scopes).map(|_| ())?,
        _ => {}
    }
    Ok(())
}

/// The weight of the component an alias names; `None` when it names something else.
fn aliased(scopes: &[Scope], alias: &ComponentAlias<'_>) -> Result<Option<u64>, Refusal> {
    match alias {
        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
            let scope = scopes.len().checked_sub(1 + *count as usize).and_then(|at| scopes.get(at));
            let weight = scope.and_then(|scope| scope.components.get(*index as usize)).copied();
            weight.map(Some).ok_or_else(unknown_component)
        }
        // Which one it is would need the types: it is no heavier than the heaviest there is.
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
            Ok(scopes.iter().flat_map(|scope| &scope.components).max().copied().or(Some(0)))
        }
        _ => Ok(None),
    }
}

fn here(scopes: &mut [Scope]) -> Result<&mut Scope, Refusal> {
    let scope = scopes.last_mut().ok_or_else(|| Refusal::Malformed("a section outside of a component".to_owned()))?;
    scope.is_component = true;
    Ok(scope)
}

/// Checks every byte against the rules of the format and the features this host runs.
pub fn validate(bytes: &[u8], features: WasmFeatures) -> Result<(), Refusal> {
    let error = match Validator::new_with_features(features).validate_all(bytes) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let mut needed = WasmFeatures::all().difference(features);
    let fits = |more: WasmFeatures| Validator::new_with_features(features.union(more)).validate_all(bytes).is_ok();
    if !fits(needed) {
        return Err(malformed(error));
    }
    if bytes.len() > NAMED_BELOW {
        return Err(Refusal::Feature("a proposal".to_owned()));
    }
    // What it can do without is not what it is refused for.
    for (_, feature) in needed.iter_names() {
        if fits(needed.difference(feature)) {
            needed = needed.difference(feature);
        }
    }
    let names: Vec<String> = needed.iter_names().map(|(name, _)| feature_name(name)).collect();
    Err(Refusal::Feature(names.join(" and ")))
}

/// Finding out which proposal it is takes one look at the file for each there is.
const NAMED_BELOW: usize = 1 << 20;

/// `MEMORY64` as a person writes it.
fn feature_name(constant: &str) -> String {
    format!("the proposal `{}`", constant.to_ascii_lowercase().replace('_', "-"))
}

fn malformed(error: BinaryReaderError) -> Refusal {
    Refusal::Malformed(format!("{} at byte {}", shown(error.message()), error.offset()))
}

fn unknown_component() -> Refusal {
    Refusal::Malformed("it instantiates a component it does not have".to_owned())
}

/// A text of the file, or about it, for a message: cut, and without characters that make a line look like another one.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(400).map(|c| if forges(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{Component, ComponentInstanceSection, InstanceSection, Module, ModuleSection};

    use super::*;

    /// A component that instantiates one inside it `times`, `levels` deep.
    fn laughing(levels: usize, times: usize) -> Vec<u8> {
        let mut inner = Component::new();
        inner.section(&ModuleSection(&Module::new()));
        let mut instances = InstanceSection::new();
        instances.instantiate(0, std::iter::empty::<(&str, wasm_encoder::ModuleArg)>());
        inner.section(&instances);
        for _ in 0..levels {
            let mut outer = Component::new();
            outer.section(&wasm_encoder::NestedComponentSection(&inner));
            let mut instances = ComponentInstanceSection::new();
            for _ in 0..times {
                let no_args: [(&str, wasm_encoder::ComponentExportKind, u32); 0] = [];
                instances.instantiate(0, no_args);
            }
            outer.section(&instances);
            inner = outer;
        }
        inner.finish()
    }

    #[test]
    fn the_number_of_instances_is_counted_without_making_them() {
        assert_eq!(fan_out(&laughing(0, 0)), Ok(1));
        assert_eq!(fan_out(&laughing(1, 2)), Ok(4), "two components and a module in each");
        assert_eq!(fan_out(&laughing(2, 2)), Ok(10));
        let bomb = laughing(23, 2);
        assert!(bomb.len() < 1_700, "{} bytes", bomb.len());
        assert_eq!(fan_out(&bomb), Err(Refusal::FanOut));
        assert_eq!(fan_out(&laughing(DEEPEST + 2, 1)), Err(Refusal::TooDeep));
        assert!(Validator::new_with_features(WasmFeatures::default()).validate_all(&bomb).is_ok(), "it is well formed");
    }

    #[test]
    fn what_is_cut_off_or_refers_to_nothing_is_malformed() {
        let whole = laughing(2, 2);
        for end in 0..whole.len() {
            // Between two sections it is a smaller component, and no heavier.
            assert!(fan_out(&whole[..end]).is_ok_and(|weight| weight <= 10) || fan_out(&whole[..end]).is_err());
            assert!(end >= 8 || fan_out(&whole[..end]).is_err(), "cut after {end} bytes");
        }
        assert!(fan_out(&whole[..whole.len() - 1]).is_err());
        let mut component = Component::new();
        let mut instances = ComponentInstanceSection::new();
        let no_args: [(&str, wasm_encoder::ComponentExportKind, u32); 0] = [];
        instances.instantiate(7, no_args);
        component.section(&instances);
        assert!(matches!(fan_out(&component.finish()), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_refused_proposal_is_named() {
        let features = WasmFeatures::WASM1 | WasmFeatures::COMPONENT_MODEL;
        let mut module = Module::new();
        let mut memories = wasm_encoder::MemorySection::new();
        memories.memory(wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: true,
            shared: false,
            page_size_log2: None,
        });
        module.section(&memories);
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        let refusal = validate(&component.finish(), features).expect_err("refused");
        assert_eq!(refusal, Refusal::Feature("the proposal `memory64`".to_owned()));
        assert_eq!(refusal.kind(), "reject.feature");
        assert_eq!(validate(b"\0asm", features).expect_err("cut").kind(), "reject.format");
    }
}
