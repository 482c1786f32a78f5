//! The only entry into wasm: a fresh store, under limits, on a runtime of its own, until it ends or is ended.
//!
//! Guests run on their own small runtime because a guest that loops yields only at epoch ticks; on the host's runtime
//! it would delay every timer and socket of every tenant.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store, UpdateDeadline};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::Digest;
use wharf_domain::manifest::Manifest;
use wharf_egress::{Grant, Steps};

use crate::artifact::ArtifactCache;
use crate::engine::{EngineError, TickingEngine};
use crate::fault::{Ended, classify};
use crate::guest::{CallState, Exceeded};
use crate::inspect;
use crate::limits::Limits;
use crate::manifest::{self, ManifestError};
use crate::services::HostServices;

/// How to start the sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    pub limits: Limits,
    /// Where compiled adapters are kept; absent means compile on every load.
    pub cache_dir: Option<PathBuf>,
    /// Threads guests run on.
    pub threads: usize,
}

/// The engine, the guest runtime and the permits. One per process.
pub struct Sandbox {
    engine: TickingEngine,
    limits: Arc<Limits>,
    cache: Option<ArtifactCache>,
    permits: Semaphore,
    runtime: GuestRuntime,
}

/// Dropping a runtime inside another one panics unless it happens in the background.
struct GuestRuntime(Option<tokio::runtime::Runtime>);

impl Drop for GuestRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A component that passed loading: linked against exactly what it imports.
pub struct Adapter {
    pub name: String,
    pub version: String,
    pub digest: Digest,
    pub manifest: Manifest,
    /// Versioned names, e.g. `wharf:carrier/rates@0.1.0`.
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    pre: InstancePre<CallState>,
}

impl Adapter {
    pub(crate) fn pre(&self) -> &InstancePre<CallState> {
        &self.pre
    }
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
    #[error("the component is not valid: {0}")]
    Invalid(String),
    #[error("the component imports `{0}`, which this host does not offer")]
    UnknownImport(String),
    #[error("the component does not fit the host's interfaces: {0}")]
    Mismatch(String),
    #[error("the sandbox is shutting down")]
    Stopped,
}

/// What one call needs beside its arguments.
pub(crate) struct CallEnv {
    pub(crate) services: Arc<dyn HostServices>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) ctx: CallCtx,
}

/// What a call left behind, whatever its end.
pub(crate) struct Trail {
    pub(crate) steps: Steps,
    pub(crate) log: Vec<String>,
}

impl Trail {
    pub(crate) fn empty() -> Self {
        Self { steps: Steps::default(), log: Vec::new() }
    }
}

/// The future of one entry into a guest.
pub(crate) type Entry<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

impl Sandbox {
    pub fn new(config: SandboxConfig) -> Result<Self, EngineError> {
        let limits = Arc::new(config.limits);
        let cache = match &config.cache_dir {
            Some(dir) => {
                Some(ArtifactCache::new(dir).map_err(|source| EngineError::Cache { path: dir.clone(), source })?)
            }
            None => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("wharf-guest")
            // Look at timers and the shared queue after every poll: a looping guest is polled once per tick.
            .event_interval(1)
            .global_queue_interval(1)
            .enable_time()
            .build()
            .map_err(EngineError::Thread)?;
        Ok(Self {
            engine: TickingEngine::new(&limits)?,
            permits: Semaphore::new(limits.concurrent_calls),
            limits,
            cache,
            runtime: GuestRuntime(Some(runtime)),
        })
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn runtime(&self) -> Option<&tokio::runtime::Runtime> {
        self.runtime.0.as_ref()
    }

    /// Checks, compiles and links a component. Compiling runs on a blocking thread, never on a request's path.
    pub async fn load(&self, bytes: Vec<u8>) -> Result<Adapter, LoadError> {
        if bytes.len() > self.limits.component_bytes {
            return Err(LoadError::TooLarge { bytes: bytes.len(), limit: self.limits.component_bytes });
        }
        if Engine::detect_precompiled(&bytes).is_some() {
            return Err(LoadError::Precompiled);
        }
        let manifest = manifest::read(&bytes)?;
        let digest = Digest::of(&bytes);
        let (engine, cache, key) = (self.engine.get().clone(), self.cache.clone(), digest.clone());
        let compile = move || match &cache {
            Some(cache) => cache.load_or_compile(&engine, &key, &bytes),
            None => Component::from_binary(&engine, &bytes),
        };
        let runtime = self.runtime().ok_or(LoadError::Stopped)?;
        let component = runtime
            .spawn_blocking(compile)
            .await
            .map_err(|_| LoadError::Stopped)?
            .map_err(|e| LoadError::Invalid(format!("{e:#}")))?;
        self.link(manifest, digest, &component)
    }

    fn link(&self, manifest: Manifest, digest: Digest, component: &Component) -> Result<Adapter, LoadError> {
        let engine = self.engine.get();
        let faces = inspect::faces(engine, component);
        let mut linker: Linker<CallState> = Linker::new(engine);
        for import in &faces.imports {
            let plain = import.name.split('@').next().unwrap_or_default();
            match crate::caps::CAPABILITIES.iter().find(|(name, _)| *name == plain) {
                Some((_, link)) => link(&mut linker, |s| s).map_err(|e| LoadError::Mismatch(format!("{e:#}")))?,
                // An interface of types only carries no ability.
                None if import.functions.is_empty() => {}
                None => return Err(LoadError::UnknownImport(import.name.clone())),
            }
        }
        let pre = linker.instantiate_pre(component).map_err(|e| LoadError::Mismatch(format!("{e:#}")))?;
        Ok(Adapter {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest,
            manifest,
            exports: faces.exports.into_iter().map(|f| f.name).collect(),
            imports: faces.imports.into_iter().map(|f| f.name).collect(),
            pre,
        })
    }

    /// Runs `enter` in a fresh instance of `adapter`.
    pub(crate) async fn call<R, F>(&self, adapter: &Adapter, env: CallEnv, enter: F) -> (Result<R, Fault>, Trail)
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Instance) -> Entry<'a, R> + Send + 'static,
    {
        let stopped =
            || Fault::new(FaultKind::Cancelled, "sandbox.stopped", "the sandbox is shutting down", Blame::Host);
        let Ok(_permit) = self.permits.acquire().await else {
            return (Err(stopped()), Trail::empty());
        };
        let Some(runtime) = self.runtime() else {
            return (Err(stopped()), Trail::empty());
        };
        let state = CallState::new(env, adapter.manifest.kv_bytes, Arc::clone(&self.limits));
        let guest = Guest { engine: self.engine.get().clone(), pre: adapter.pre().clone(), name: adapter.name.clone() };
        let mut task = AbortOnDrop(runtime.spawn(guest.run(state, enter).instrument(tracing::Span::current())));
        match (&mut task.0).await {
            Ok(done) => done,
            Err(e) => {
                let text = if e.is_panic() { "a host function panicked" } else { "the call was cancelled" };
                (Err(Fault::new(FaultKind::Cancelled, "sandbox.host", text, Blame::Host)), Trail::empty())
            }
        }
    }
}

/// A call whose caller is gone must not go on.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Guest {
    engine: Engine,
    pre: InstancePre<CallState>,
    name: String,
}

impl Guest {
    async fn run<R, F>(self, state: CallState, enter: F) -> (Result<R, Fault>, Trail)
    where
        F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Instance) -> Entry<'a, R> + Send + 'static,
    {
        let wall = Duration::from_millis(state.limits().wall_ms);
        let mut store = self.store(state);
        let pre = &self.pre;
        let run = async {
            let instance = pre.instantiate_async(&mut store).await?;
            enter(&mut store, &instance).await
        };
        let ended = match tokio::time::timeout(wall, run).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Ended::Error(error)),
            Err(_) => Err(Ended::WallClock),
        };
        let state = store.into_data();
        let result = ended.map_err(|e| classify(&self.name, &e, &state, state.effect_so_far()));
        if let Err(fault) = &result {
            tracing::warn!(adapter = %self.name, code = %fault.code, frames = ?fault.frames, "adapter call ended early");
        }
        (result, Trail { steps: state.steps, log: state.log.lines })
    }

    fn store(&self, state: CallState) -> Store<CallState> {
        let (fuel, handles) = (state.limits().hostcall_bytes, state.limits().handles);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|s| &mut s.limiter);
        store.set_hostcall_fuel(fuel);
        store.set_max_component_handles(handles);
        store.set_epoch_deadline(1);
        // Counts ticks in which the guest ran, so waiting for a partner costs nothing.
        store.epoch_deadline_callback(|mut cx| {
            let state = cx.data_mut();
            state.cpu_ticks += 1;
            if state.cpu_ticks > state.limits().cpu_ms {
                state.exceeded = Some(Exceeded::Cpu);
                return Err(wasmtime::Error::msg("processor budget used up"));
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

#[cfg(test)]
mod tests {
    use wharf_domain::ids::TenantId;
    use wharf_domain::time::{Clock, ManualClock, Timestamp};
    use wharf_egress::{Egress, EgressConfig, Replay};

    use super::*;
    use crate::services::LocalServices;

    /// What bounds a store, read back from a store.
    #[tokio::test]
    async fn every_required_store_setting_is_in_force() {
        let limits = Limits::default();
        let sandbox = Sandbox::new(SandboxConfig { limits: limits.clone(), cache_dir: None, threads: 1 });
        let sandbox = sandbox.expect("sandbox");
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
        let egress = Egress::new(None, Arc::clone(&clock), EgressConfig::default(), Arc::new(Replay::empty()));
        let tenant = TenantId::parse("t").expect("tenant");
        let grant = Grant {
            tenant: tenant.clone(),
            connection: "c".to_owned(),
            adapter_digest: None,
            origins: Vec::new(),
            routes: Vec::new(),
            secrets: Default::default(),
            config: Default::default(),
            limits: Default::default(),
            terms: None,
        };
        let deadline = Timestamp::from_millis(1);
        let ctx = CallCtx {
            tenant,
            job: None,
            fence: 0,
            attempt: 1,
            flow: None,
            business: None,
            deadline,
            urgent: false,
            promised: None,
        };
        let env = CallEnv { services: Arc::new(LocalServices::offline(egress, clock)), grant: Arc::new(grant), ctx };
        let mut linker: Linker<CallState> = Linker::new(sandbox.engine.get());
        linker.allow_shadowing(false);
        let empty = Component::from_binary(sandbox.engine.get(), &wasm_encoder::Component::new().finish());
        let pre = linker.instantiate_pre(&empty.expect("component")).expect("linked");
        let guest = Guest { engine: sandbox.engine.get().clone(), pre, name: "t".to_owned() };
        let store = guest.store(CallState::new(env, 0, Arc::new(limits)));
        assert_eq!(store.hostcall_fuel(), EgressConfig::default().max_response_bytes);
        assert_eq!(store.max_component_handles(), 1_000);
        assert_eq!(store.data().limits().memory_bytes, 64 << 20);
        assert_eq!(store.data().limits().tables, 16);
        assert_eq!(store.data().limits().memories, 8);
        assert_eq!(store.data().limits().core_instances, 64);
        assert_eq!(store.data().limits().table_elements, 20_000);
    }
}
