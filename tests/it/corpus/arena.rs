//! What every row is tried in: a sandbox with small budgets, a database, tenants, and a partner that never answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_attack::{assert_as_written, corpus};
use wharf_domain::ctx::{CallCtx, Environment};
use wharf_domain::fault::Fault;
use wharf_domain::grant::Capabilities;
use wharf_domain::ids::{IdSource, TenantId};
use wharf_domain::manifest::SecretSlot;
use wharf_domain::time::{Clock, ManualClock, Timestamp};
use wharf_egress::wire::{SentMark, Target, WireError, WireRequest, WireResponse};
use wharf_egress::{BoundSecret, Egress, EgressConfig, Grant, Origin, Wire};
use wharf_sandbox::compile::{CompileLimits, Compiler};
use wharf_sandbox::roles::{Connection, Invoked, Settings};
use wharf_sandbox::{Adapter, Limits, LoadError, LocalServices, Sandbox, SandboxConfig};
use wharf_store::Db;
use wharf_store::audit::{self, AuditRow};

use crate::guest;
use crate::traces::traces;

pub(super) const NOW: i64 = 1_700_000_000_000;

/// Small budgets, so that the tests are quick.
pub(super) fn small() -> Limits {
    Limits { cpu_ms: 50, start_ms: 50, wall_ms: 5_000, concurrent_calls: 8, ..Limits::default() }
}

pub(super) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("tenant")
}

/// The compiler as it ships: this workspace's own program.
pub(super) fn compiler(limits: CompileLimits) -> Compiler {
    let program = wharf_tests::binary("wharf").expect("the program");
    Compiler { program, args: vec!["compile-adapter".to_owned()], limits }
}

/// A partner that takes the request and never answers.
struct Silent;

#[async_trait]
impl Wire for Silent {
    async fn exchange(&self, _: &Target, _: WireRequest, sent: &SentMark) -> Result<WireResponse, WireError> {
        sent.set();
        std::future::pending().await
    }
}

struct Ids(AtomicU64);

impl IdSource for Ids {
    fn next(&self, _now: Timestamp) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(1, self.0.fetch_add(1, Ordering::Relaxed))
    }
}

pub(super) struct Arena {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) services: Arc<LocalServices>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) db: Db,
    folder: tempfile::TempDir,
    /// The secret of every connection here. Nothing a guest does brings it anywhere but to the partner.
    canary: String,
}

impl Arena {
    pub(super) async fn new(limits: Limits) -> Self {
        Self::compiling(limits, None).await
    }

    pub(super) async fn compiling(limits: Limits, compiler: Option<Compiler>) -> Self {
        Self::with(limits, compiler, Arc::new(Silent)).await
    }

    /// In front of another partner.
    pub(super) async fn before(limits: Limits, wire: Arc<dyn Wire>) -> Self {
        Self::with(limits, None, wire).await
    }

    async fn with(limits: Limits, compiler: Option<Compiler>, wire: Arc<dyn Wire>) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let clock = Arc::new(ManualClock::at(NOW));
        let db = Db::open(&folder.path().join("wharf.db"), clock.clone(), Arc::new(Ids(AtomicU64::new(1)))).await;
        let db = db.expect("database");
        db.migrate().await.expect("schema");
        let egress = Egress::new(Some(db.clone()), clock.clone(), EgressConfig::default(), wire);
        let services = Arc::new(LocalServices::durable(egress, clock.clone() as Arc<dyn Clock>, db.clone()));
        let config = SandboxConfig { limits, cache_dir: None, threads: 2, compiler };
        Self {
            sandbox: Arc::new(Sandbox::new(config).expect("sandbox")),
            services,
            clock,
            db,
            folder,
            canary: format!("{:032x}", rand::random::<u128>()),
        }
    }

    pub(super) async fn load(&self, bytes: Vec<u8>) -> Result<Arc<Adapter>, LoadError> {
        self.sandbox.load(bytes).await.map(Arc::new)
    }

    /// The code under which a file is refused, or `accepted`.
    pub(super) async fn refusal(&self, bytes: Vec<u8>) -> (String, String) {
        match self.load(bytes).await {
            Ok(_) => ("accepted".to_owned(), String::new()),
            Err(error) => (error.kind().to_owned(), error.to_string()),
        }
    }

    pub(super) fn connect(&self, adapter: &Arc<Adapter>, of: &str, connection: &str) -> Connection {
        self.connect_with(adapter, self.grant(adapter, of, connection))
    }

    /// What a manifest asks for, at the partner.
    pub(super) fn grant(&self, adapter: &Adapter, of: &str, connection: &str) -> Grant {
        let slot = SecretSlot::Header { header: "x-api-key".to_owned(), format: "{value}".to_owned() };
        let values = BTreeMap::from([("value".to_owned(), self.canary.clone().into())]);
        let mut routes = adapter.manifest.routes.clone();
        routes.iter_mut().for_each(|route| route.secret = Some("key".to_owned()));
        Grant {
            tenant: tenant(of),
            connection: connection.to_owned(),
            adapter_digest: Some(adapter.digest.clone()),
            origins: vec![Origin { url: "http://partner.test".to_owned(), allow_private: true, authority: None }],
            routes,
            secrets: BTreeMap::from([("key".to_owned(), BoundSecret { slot, values })]),
            config: BTreeMap::new(),
            limits: wharf_egress::Limits::default(),
            terms: None,
        }
    }

    pub(super) fn connect_with(&self, adapter: &Arc<Adapter>, grant: Grant) -> Connection {
        self.connect_to(adapter, grant, Capabilities::default())
    }

    /// With more than routes and secrets.
    pub(super) fn connect_to(&self, adapter: &Arc<Adapter>, grant: Grant, more: Capabilities) -> Connection {
        let settings = Settings {
            environment: Environment::Test,
            endpoint: String::new(),
            config: vec![],
            capabilities: Arc::new(more),
        };
        Connection::new(
            Arc::clone(&self.sandbox),
            Arc::clone(adapter),
            self.services.clone(),
            Arc::new(grant),
            settings,
        )
    }

    /// The guest that does what it is told, for a tenant.
    pub(super) async fn rogue(&self, of: &str) -> Rogue {
        let adapter = self.load(guest::rogue(MANIFEST)).await.expect("the guest loads");
        Rogue { connection: self.connect(&adapter, of, "rogue"), tenant: tenant(of) }
    }

    /// A row ended with its code, was counted, and the audit of `of`'s connection says so.
    pub(super) async fn as_written(&self, id: &str, code: &str, of: &str, connection: &str) {
        assert_as_written(id, code);
        let row = corpus().row(id).expect("the row");
        if let Some(counter) = &row.counter {
            let counts = self.services.counts();
            assert!(counts.keys().any(|(name, _)| name == counter), "{id}: `{counter}` is not among {counts:?}");
        }
        if let Some(action) = &row.audit {
            let rows = self.audit(of, connection).await;
            assert!(rows.iter().any(|row| row.action == *action), "{id}: no `{action}` in {rows:?}");
        }
    }

    /// Where the database is.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How often the counter was hit, under that label.
    pub(super) fn count(&self, counter: &str, label: &str) -> u64 {
        let counts = self.services.counts();
        counts.iter().find(|((name, of), _)| *name == counter && of == label).map_or(0, |(_, count)| *count)
    }

    /// The audit's rows about a tenant's connection.
    pub(super) async fn audit(&self, of: &str, connection: &str) -> Vec<AuditRow> {
        audit::for_object(&self.db, &tenant(of), &format!("connection/{connection}")).await.expect("audit")
    }

    /// What holds after every row: the host serves the next tenant from nothing, and nothing it keeps, counts or tells has
    /// the secret of a connection.
    pub(super) async fn serves(&self) {
        let good = self.rogue("neighbour").await;
        assert_eq!(good.told(&json!([{ "do": "remember" }])).await.expect("served"), [json!(1)]);
        let kept = files(self.folder.path()).into_iter().map(|path| std::fs::read(&path).expect("file"));
        let mut texts: Vec<String> = kept.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
        texts.push(format!("{:?}", self.services.counts()));
        for form in traces(&self.canary) {
            assert!(!texts.iter().any(|text| text.contains(&form)), "the secret is kept somewhere as `{form}`");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(super) const MANIFEST: &str = r#"
name = "rogue"
version = "0.1.0"
description = "test"
publisher = "test"
licence = "Apache-2.0"
kv_bytes = 1048576
[[routes]]
method = "GET"
path = "/"
reason = "test"
[[folders]]
name = "orders"
read = true
create = true
archive = true
reason = "test"
"#;

#[derive(Clone)]
pub(super) struct Rogue {
    pub(super) connection: Connection,
    pub(super) tenant: TenantId,
}

impl Rogue {
    pub(super) async fn invoke(&self, script: &Value) -> Invoked {
        let input = json!({ "body": script.to_string(), "verifier": "test" });
        self.connection.invoke(&ctx(&self.tenant), "parser.parse", input).await
    }

    /// What the host answered to each step.
    pub(super) async fn told(&self, script: &Value) -> Result<Vec<Value>, Fault> {
        let events = self.invoke(script).await.result?;
        let answer = |event: &Value| serde_json::from_str(event["extensions"][0][1].as_str().expect("an answer"));
        Ok(events.as_array().expect("events").iter().map(|event| answer(event).expect("JSON")).collect())
    }

    /// The code of the fault the call ended with.
    pub(super) async fn ends(&self, script: &Value) -> String {
        self.told(script).await.expect_err("it must not succeed").code
    }
}

pub(super) fn ctx(tenant: &TenantId) -> CallCtx {
    CallCtx {
        tenant: tenant.clone(),
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline: Timestamp::from_millis(NOW + 3_600_000),
        urgent: false,
        promised: None,
    }
}

/// The code a guest of `tests/guests` ends with when it is asked to describe itself.
pub(super) async fn describing(arena: &Arena, name: &str) -> String {
    let adapter = arena.load(guest::adapter(name)).await.expect("it loads");
    let connection = arena.connect(&adapter, "t", name);
    connection
        .invoke(&ctx(&tenant("t")), "info.describe", json!({}))
        .await
        .result
        .expect_err("it must not succeed")
        .code
}

/// A shell script that counts how often the compiler is started.
pub(super) fn counted(folder: &std::path::Path, limits: CompileLimits) -> (Compiler, PathBuf) {
    let (script, count) = (folder.join("compiler.sh"), folder.join("count"));
    let real = compiler(limits.clone());
    let text = format!("#!/bin/sh\necho x >> {}\nexec {} \"$@\"\n", count.display(), real.program.display());
    std::fs::write(&script, text).expect("script");
    let args = [vec![script.display().to_string()], real.args].concat();
    (Compiler { program: PathBuf::from("/bin/sh"), args, limits }, count)
}
