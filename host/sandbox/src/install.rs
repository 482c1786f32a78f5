//! From the bytes of a file to an adapter that may be called, or the reason why not.
//!
//! In this order, cheapest and safest first: size, format, the manifest, the number of instances, the features, what is
//! imported against what is declared and offered, then compiling in a process of its own, then one fresh instance under
//! small budgets. Authority is always what the component imports: the manifest cannot hide an import, and asking for
//! more than is imported is only a finding.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};
use wharf_domain::fault::Fault;
use wharf_domain::ids::Digest;
use wharf_domain::manifest::Manifest;

use crate::call::Sandbox;
use crate::caps::{CAPABILITIES, Capability};
use crate::compile::CompileError;
use crate::guest::CallState;
use crate::inspect::{self, Face};
use crate::manifest::{self, ManifestError};
use crate::prescan::{self, Refusal, shown};
use crate::roles::Roles;
use crate::turn::Turns;

/// A component that passed loading: linked against exactly what it imports.
pub struct Adapter {
    pub name: String,
    pub version: String,
    pub digest: Digest,
    pub manifest: Manifest,
    /// Versioned names, e.g. `wharf:carrier/rates@0.1.0`.
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    code: Arc<Code>,
}

impl Adapter {
    pub(crate) fn code(&self) -> &Arc<Code> {
        &self.code
    }
}

/// What every call of an adapter takes along.
pub(crate) struct Code {
    pub(crate) name: String,
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) roles: Roles,
    pub(crate) turns: Turns,
}

/// Why a file is not an adapter this host can run.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("the component has {bytes} bytes; the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the file is compiled code, not a component; only portable components are accepted")]
    Precompiled,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the component is refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the component is not valid: {}", shown(.0))]
    Invalid(String),
    #[error("the component imports `{}`, which this host does not offer{nearest}", shown(.import))]
    UnknownImport { import: String, nearest: String },
    #[error("the component imports `{import}` and its manifest does not ask for it; it would need `{line}`")]
    UndeclaredImport { import: String, line: &'static str },
    #[error("the component does not fit the host's interfaces: {}", shown(.0))]
    Mismatch(String),
    #[error("{}; the same file is not tried again for a day", shown(.0))]
    CompileBudget(String),
    #[error("an instance of it does not start: {0}")]
    Unhealthy(Box<Fault>),
    #[error("the compiler could not be run: {0}")]
    Compiler(std::io::Error),
    #[error("the sandbox is shutting down")]
    Stopped,
}

impl LoadError {
    /// The kind under which it is counted and audited.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "reject.size",
            Self::Precompiled => "reject.precompiled",
            Self::Manifest(ManifestError::NotAComponent(_)) | Self::Invalid(_) => "reject.format",
            Self::Manifest(_) => "reject.manifest",
            Self::Refused(refusal) => refusal.kind(),
            Self::UnknownImport { .. } => "reject.unknown-import",
            Self::UndeclaredImport { .. } => "reject.undeclared-import",
            Self::Mismatch(_) => "reject.world",
            Self::CompileBudget(_) => "reject.compile-budget",
            Self::Unhealthy(_) => "reject.unhealthy",
            Self::Compiler(_) | Self::Stopped => "host",
        }
    }
}

/// How long a file that was too much for the compiler is refused unseen.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);
/// More refusals are not remembered; the oldest go first.
const MOST_REMEMBERED: usize = 1_000;

/// Files that were too much for the compiler.
#[derive(Default)]
pub(crate) struct Bombs(Mutex<HashMap<Digest, (Instant, String)>>);

impl Bombs {
    fn known(&self, digest: &Digest) -> Option<String> {
        let mut bombs = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        bombs.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        bombs.get(digest).map(|(_, why)| why.clone())
    }

    fn remember(&self, digest: &Digest, why: &str) {
        let mut bombs = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if bombs.len() >= MOST_REMEMBERED
            && let Some(oldest) = bombs.iter().min_by_key(|(_, (since, _))| *since).map(|(digest, _)| digest.clone())
        {
            bombs.remove(&oldest);
        }
        bombs.insert(digest.clone(), (Instant::now(), why.to_owned()));
    }
}

/// What can be said of a file without the compiler's help: its size, its kind, its manifest, and how many instances it
/// comes to. What the code says is looked at when it has to be compiled.
pub(crate) fn first_look(bytes: &[u8], most: usize) -> Result<Manifest, LoadError> {
    if bytes.len() > most {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit: most });
    }
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    let manifest = manifest::read(bytes)?;
    prescan::fan_out(bytes)?;
    Ok(manifest)
}

impl Sandbox {
    /// Checks, compiles, links and tries a component. Takes as long as compiling takes, on no request's path.
    pub async fn load(&self, bytes: Vec<u8>) -> Result<Adapter, LoadError> {
        let manifest = first_look(&bytes, self.limits().component_bytes)?;
        let digest = Digest::of(&bytes);
        let component = self.compiled(&digest, bytes).await?;
        let adapter = self.link(manifest, digest, &component)?;
        self.try_out(&adapter).await.map_err(|fault| LoadError::Unhealthy(Box::new(fault)))?;
        Ok(adapter)
    }

    /// From the cache, or compiled now.
    async fn compiled(&self, digest: &Digest, bytes: Vec<u8>) -> Result<Component, LoadError> {
        let (engine, cache) = (self.engine().clone(), self.cache().cloned());
        let invalid = |error: wasmtime::Error| LoadError::Invalid(format!("{error:#}"));
        let runtime = self.runtime().ok_or(LoadError::Stopped)?;
        if let Some(cache) = cache.clone() {
            let (engine, digest) = (engine.clone(), digest.clone());
            let cached = runtime.spawn_blocking(move || cache.load(&engine, &digest)).await;
            if let Some(component) = cached.map_err(|_| LoadError::Stopped)? {
                return Ok(component);
            }
        }
        if let Some(why) = self.bombs().known(digest) {
            return Err(LoadError::CompileBudget(why));
        }
        let features = engine.get_wasm_features();
        let check = move || prescan::validate(&bytes, features).map(|()| bytes);
        let bytes = runtime.spawn_blocking(check).await.map_err(|_| LoadError::Stopped)??;
        let code = match self.compiler() {
            Some(compiler) => compiler.compile(&bytes).await.map_err(|error| match error {
                CompileError::Invalid(why) => LoadError::Invalid(why),
                CompileError::Budget(_) => {
                    let why = error.to_string();
                    self.bombs().remember(digest, &why);
                    LoadError::CompileBudget(why)
                }
                CompileError::Start(error) => LoadError::Compiler(error),
            })?,
            None => {
                let engine = engine.clone();
                let compile = move || Component::from_binary(&engine, &bytes)?.serialize();
                runtime.spawn_blocking(compile).await.map_err(|_| LoadError::Stopped)?.map_err(invalid)?
            }
        };
        let digest = digest.clone();
        let keep = move || match &cache {
            Some(cache) => cache.keep(&engine, &digest, &code),
            None => crate::artifact::trusted(&engine, &code),
        };
        runtime.spawn_blocking(keep).await.map_err(|_| LoadError::Stopped)?.map_err(invalid)
    }

    fn link(&self, manifest: Manifest, digest: Digest, component: &Component) -> Result<Adapter, LoadError> {
        let engine = self.engine();
        let faces = inspect::faces(engine, component);
        let mut linker: Linker<CallState> = Linker::new(engine);
        for import in &faces.imports {
            // An interface of types only carries no ability.
            let Some(capability) = offered(import)? else { continue };
            if !(capability.declared)(&manifest) {
                return Err(LoadError::UndeclaredImport { import: import.name.clone(), line: capability.line });
            }
            (capability.link)(&mut linker, |state| state).map_err(|e| LoadError::Mismatch(format!("{e:#}")))?;
        }
        let pre = linker.instantiate_pre(component).map_err(|e| LoadError::Mismatch(format!("{e:#}")))?;
        Ok(Adapter {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest,
            code: Arc::new(Code { name: manifest.name.clone(), roles: Roles::of(&pre), pre, turns: Turns::default() }),
            manifest,
            exports: faces.exports.into_iter().map(|f| f.name).collect(),
            imports: faces.imports.into_iter().map(|f| f.name).collect(),
        })
    }
}

/// The capability behind an import; `None` for an interface without functions.
fn offered(import: &Face) -> Result<Option<&'static Capability>, LoadError> {
    let plain = import.name.split('@').next().unwrap_or_default();
    match CAPABILITIES.iter().find(|capability| capability.import == plain) {
        Some(capability) => Ok(Some(capability)),
        None if import.functions.is_empty() => Ok(None),
        None => Err(LoadError::UnknownImport { import: import.name.clone(), nearest: nearest(plain) }),
    }
}

/// `; did you mean …` when one of the host's own is close, and the whole list otherwise.
fn nearest(import: &str) -> String {
    let name = |text: &str| text.split_once('/').map_or(text, |(_, interface)| interface).to_owned();
    let wanted = name(import);
    let close = CAPABILITIES.iter().find(|c| name(c.import) == wanted || wanted.starts_with(&name(c.import)));
    match close {
        Some(capability) => format!("; the nearest it has is `{}`", capability.import),
        None => {
            let all: Vec<_> = CAPABILITIES.iter().map(|capability| format!("`{}`", capability.import)).collect();
            format!("; it has {}", all.join(", "))
        }
    }
}
