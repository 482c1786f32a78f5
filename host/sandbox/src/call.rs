//! The only entry into wasm: a fresh store, under limits, until it ends or is ended. On which thread is told in `turn`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::Instrument as _;
use wasmtime::component::Instance;
use wasmtime::{Engine, Store, UpdateDeadline};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind, Retry};
use wharf_domain::grant::Capabilities;
use wharf_domain::ids::TenantId;
use wharf_domain::quarantine::{Leave, STRIKES};
use wharf_domain::time::Timestamp;
use wharf_egress::{Grant, Steps};

use crate::artifact::ArtifactCache;
use crate::compile::Compiler;
use crate::engine::{EngineError, TickingEngine};
use crate::fault::{Ended, classify};
use crate::guest::{CallState, Exceeded};
use crate::highs::Took;
use crate::install::{Adapter, Bombs, Code};
use crate::limits::Limits;
use crate::notes::{Note, What};
use crate::place::{Place, SLICE};
use crate::services::{HostServices, NoServices};
use crate::turn::{GuestThreads, Lost};
use crate::warden::{Warden, Who};

/// How to start the sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    pub limits: Limits,
    /// Where compiled adapters are kept; absent means compile on every load.
    pub cache_dir: Option<PathBuf>,
    /// Threads guests run on.
    pub threads: usize,
    /// Who compiles. Absent: this process does, without limits on memory and time; for files one trusts.
    pub compiler: Option<Compiler>,
}

/// The engine, the guest runtime and the permits. One per process.
pub struct Sandbox {
    engine: TickingEngine,
    limits: Arc<Limits>,
    cache: Option<ArtifactCache>,
    compiler: Option<Compiler>,
    bombs: Bombs,
    warden: Warden,
    permits: Semaphore,
    runtime: GuestThreads,
}

/// What one call needs beside its arguments.
#[derive(Clone, Copy)]
pub(crate) struct CallEnv<'a> {
    pub(crate) services: &'a Arc<dyn HostServices>,
    pub(crate) grant: &'a Arc<Grant>,
    pub(crate) capabilities: &'a Arc<Capabilities>,
    pub(crate) ctx: &'a CallCtx,
}

/// Nobody's call: nothing outside can be reached.
struct Nobody {
    services: Arc<dyn HostServices>,
    grant: Arc<Grant>,
    capabilities: Arc<Capabilities>,
    ctx: CallCtx,
}

impl Nobody {
    fn new() -> Self {
        let tenant = TenantId::host();
        let grant = Grant {
            tenant: tenant.clone(),
            connection: "none".to_owned(),
            adapter_digest: None,
            origins: Vec::new(),
            routes: Vec::new(),
            secrets: BTreeMap::new(),
            config: BTreeMap::new(),
            limits: wharf_egress::Limits::default(),
            terms: None,
        };
        let ctx = CallCtx {
            tenant,
            job: None,
            fence: 0,
            attempt: 1,
            flow: None,
            business: None,
            deadline: Timestamp::from_millis(0),
            urgent: false,
            promised: None,
        };
        Self { services: Arc::new(NoServices), grant: Arc::new(grant), capabilities: Arc::default(), ctx }
    }

    fn env(&self) -> CallEnv<'_> {
        let Self { services, grant, capabilities, ctx } = self;
        CallEnv { services, grant, capabilities, ctx }
    }
}

/// What a call left behind, whatever its end.
pub(crate) struct Trail {
    pub(crate) steps: Steps,
    /// A question to Odoo was sent away to wait.
    pub(crate) odoo_wait: Option<Fault>,
    pub(crate) log: Vec<String>,
    /// Absent when it never began.
    pub(crate) took: Option<Took>,
}

impl Trail {
    /// Set when something was not sent because it has to wait: why, and until when.
    pub(crate) fn wait(&self) -> Option<&Fault> {
        self.steps.wait().or(self.odoo_wait.as_ref())
    }

    pub(crate) fn empty() -> Self {
        Self { steps: Steps::default(), odoo_wait: None, log: Vec::new(), took: None }
    }
}

/// An instance that starts waits for nobody: on a busy machine it may take a while all the same.
const START_WALL_MS: u64 = 10_000;

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
        let runtime = GuestThreads::new(config.threads).map_err(EngineError::Thread)?;
        Ok(Self {
            engine: TickingEngine::new(&limits)?,
            permits: Semaphore::new(limits.concurrent_calls),
            warden: Warden::new(&limits, config.threads),
            limits,
            cache,
            compiler: config.compiler,
            bombs: Bombs::default(),
            runtime,
        })
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn runtime(&self) -> Option<&tokio::runtime::Runtime> {
        self.runtime.get()
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.get()
    }

    pub(crate) fn cache(&self) -> Option<&ArtifactCache> {
        self.cache.as_ref()
    }

    pub(crate) fn compiler(&self) -> Option<&Compiler> {
        self.compiler.as_ref()
    }

    pub(crate) fn bombs(&self) -> &Bombs {
        &self.bombs
    }

    /// One fresh instance that is not called: what runs when an adapter starts must be quick, and ask for no more than
    /// it may have.
    pub(crate) async fn try_out(&self, adapter: &Adapter) -> Result<(), Fault> {
        let wall_ms = self.limits.wall_ms.min(START_WALL_MS);
        let limits = Limits { cpu_ms: self.limits.start_ms, wall_ms, ..(*self.limits).clone() };
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(stopped());
        };
        let state = CallState::new(Nobody::new().env(), 0, Arc::new(limits), Place::alone());
        self.run(adapter.code(), self.store(state), true, |_, _| Box::pin(async { Ok(()) })).await.0
    }

    /// Runs `enter` in a fresh instance of `adapter`.
    pub(crate) async fn call<R, F>(&self, adapter: &Adapter, env: CallEnv<'_>, enter: F) -> (Result<R, Fault>, Trail)
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Instance) -> Entry<'a, R> + Send + 'static,
    {
        let (services, tenant) = (env.services, &env.ctx.tenant);
        let who = Who { tenant, connection: &env.grant.connection, digest: &adapter.digest };
        let leave = self.warden.ask(who, services.now());
        if let Leave::Wait { until } = leave {
            return (Err(quarantined(&adapter.name, until)), Trail::empty());
        }
        let Some(turn) = self.warden.turn(tenant).await else {
            return (Err(stopped()), Trail::empty());
        };
        let Ok(_permit) = self.permits.acquire().await else {
            return (Err(stopped()), Trail::empty());
        };
        // From here on the call's state is moved no more: it is large, and a future is copied whenever it is passed on.
        let store = self.store(CallState::new(env, adapter.manifest.kv_bytes, Arc::clone(&self.limits), turn.place()));
        // One tenant's flood of short calls is for the guests' threads, not for the host's.
        let (result, trail) = self.run(adapter.code(), store, !turn.is_crowded(), enter).await;
        turn.used(trail.took.map_or(0, |took| took.cpu_ms));
        let trap = result.as_ref().err().filter(|fault| fault.code.starts_with("trap."));
        // A partner that is slow looks the same from here, and is no fault of the adapter's.
        let bad = trap.is_some_and(|fault| fault.code != "trap.wall");
        let begun = self.warden.ended(who, leave, bad, services.now());
        let note = |what| Note {
            tenant: tenant.clone(),
            connection: who.connection.to_owned(),
            adapter: adapter.digest.to_string(),
            what,
        };
        if let Some(fault) = trap {
            services.note(note(What::Trap { kind: fault.code.clone() })).await;
        }
        if begun {
            tracing::error!(adapter = %adapter.name, %tenant, connection = who.connection, "adapter quarantined: it keeps failing");
            services.note(note(What::Quarantined)).await;
        }
        (result, trail)
    }

    /// Milliseconds a tenant's calls have waited because its processor time was used up, since the start.
    pub fn throttled_ms(&self, tenant: &TenantId) -> u64 {
        self.warden.throttled_ms(tenant)
    }

    /// With a permit in the caller's hands, so that there is room for an instance. `here`: it may begin on this thread.
    async fn run<R, F>(
        &self,
        code: &Arc<Code>,
        store: Store<CallState>,
        here: bool,
        enter: F,
    ) -> (Result<R, Fault>, Trail)
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Instance) -> Entry<'a, R> + Send + 'static,
    {
        let Some(runtime) = self.runtime() else {
            return (Err(stopped()), Trail::empty());
        };
        let call = Box::pin(run(Arc::clone(code), store, enter).instrument(tracing::Span::current()));
        code.turns.run(runtime, here, call).await.unwrap_or_else(|lost| {
            let text = match lost {
                Lost::Panicked => "a host function panicked",
                Lost::Cancelled => "the call was cancelled",
            };
            (Err(Fault::new(FaultKind::Cancelled, "sandbox.host", text, Blame::Host)), Trail::empty())
        })
    }

    fn store(&self, state: CallState) -> Store<CallState> {
        let (fuel, handles) = (state.limits().hostcall_bytes, state.limits().handles);
        let mut store = Store::new(self.engine.get(), state);
        store.limiter(|s| &mut s.limiter);
        store.set_hostcall_fuel(fuel);
        store.set_max_component_handles(handles);
        // Counts ticks in which the guest ran: however long it waits for a partner, that is one.
        store.epoch_deadline_callback(|mut cx| {
            let state = cx.data_mut();
            state.cpu_ticks += 1;
            if state.cpu_ticks > state.limits().cpu_ms {
                state.exceeded = Some(Exceeded::Cpu);
                return Err(wasmtime::Error::msg("processor budget used up"));
            }
            // The first tick may come at once. A call that is over soon need not be interrupted, and moved, for it.
            if state.cpu_ticks == 1 {
                return Ok(UpdateDeadline::Continue(1));
            }
            if state.cpu_ticks.is_multiple_of(SLICE) {
                return Ok(UpdateDeadline::YieldCustom(1, Box::pin(state.place.clone().pass())));
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

/// One call, on whatever thread, from its place to compute until what it left behind.
async fn run<R, F>(code: Arc<Code>, mut store: Store<CallState>, enter: F) -> (Result<R, Fault>, Trail)
where
    F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Instance) -> Entry<'a, R> + Send + 'static,
{
    let wall = Duration::from_millis(store.data().limits().wall_ms);
    let place = store.data().place.clone();
    place.take().await;
    store.set_epoch_deadline(1);
    let ended = {
        let guest = std::pin::pin!(async {
            let instance = code.pre.instantiate_async(&mut store).await?;
            enter(&mut store, &instance).await
        });
        match tokio::time::timeout(wall, guest).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Ended::Error(error)),
            Err(_) => Err(Ended::WallClock),
        }
    };
    place.leave();
    let state = store.data_mut();
    let result = ended.map_err(|e| classify(&code.name, &e, state, state.effect_so_far()));
    if let Err(fault) = &result {
        tracing::warn!(adapter = %code.name, code = %fault.code, frames = ?fault.frames, "adapter call ended early");
    }
    let mut log = std::mem::take(&mut state.log.lines);
    if state.log.dropped > 0 {
        log.push(format!("warn: {} more lines were left out", state.log.dropped));
    }
    let (steps, odoo_wait) = (std::mem::take(&mut state.steps), state.records.wait.take());
    (result, Trail { steps, odoo_wait, log, took: Some(state.took()) })
}

fn stopped() -> Fault {
    Fault::new(FaultKind::Cancelled, "sandbox.stopped", "the sandbox is shutting down", Blame::Host)
}

/// Nothing was called; whoever asked waits, and no attempt is counted.
fn quarantined(adapter: &str, until: Timestamp) -> Fault {
    let message =
        format!("adapter `{adapter}` failed {STRIKES} times by its own fault and is left alone until {until}");
    Fault::new(FaultKind::Outage, "sandbox.quarantined", message, Blame::Guest).with_retry(Retry::Wait { until })
}

#[cfg(test)]
mod tests {
    use wharf_egress::EgressConfig;

    use super::*;

    /// What bounds a store, read back from a store.
    #[tokio::test]
    async fn every_required_store_setting_is_in_force() {
        let limits = Limits::default();
        let sandbox =
            Sandbox::new(SandboxConfig { limits: limits.clone(), cache_dir: None, threads: 1, compiler: None });
        let sandbox = sandbox.expect("sandbox");
        let store = sandbox.store(CallState::new(Nobody::new().env(), 0, Arc::new(limits), Place::alone()));
        assert_eq!(store.hostcall_fuel(), EgressConfig::default().max_response_bytes);
        assert_eq!(store.max_component_handles(), 1_000);
        assert_eq!(store.data().limits().memory_bytes, 64 << 20);
        assert_eq!(store.data().limits().tables, 16);
        assert_eq!(store.data().limits().memories, 8);
        assert_eq!(store.data().limits().core_instances, 64);
        assert_eq!(store.data().limits().table_elements, 20_000);
    }
}
