//! Ours: a real sandbox and a connection to an adapter that went through the gate, with services that do nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use wharf_domain::address::Address;
use wharf_domain::ctx::{CallCtx, Environment};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::TenantId;
use wharf_domain::port::carrier::Carrier as _;
use wharf_domain::port::records::{Answer, Used};
use wharf_domain::rate::RateRequest;
use wharf_domain::shipment::{LabelSpec, Parcel, ShipmentRequest};
use wharf_domain::time::Timestamp;
use wharf_egress::{Grant, Ledger, Origin, Response, Steps};
use wharf_sandbox::compile::{CompileLimits, Compiler};
use wharf_sandbox::roles::{Connection, Settings};
use wharf_sandbox::{
    FolderAnswer, FolderAsk, FolderScope, HostServices, HttpAsk, KvScope, Limits, Note, RecordsAsk, Sandbox,
    SandboxConfig,
};

use crate::{COMPILE, Fallible, ORDER};

/// Whoever makes a request waits until the door opens.
pub(crate) struct Quiet {
    pub(crate) waiting: Semaphore,
    pub(crate) door: Semaphore,
}

fn nothing() -> Fault {
    Fault::new(FaultKind::Forbidden, "bench.nothing", "there is nothing here", Blame::Host)
}

#[async_trait]
impl HostServices for Quiet {
    async fn http(&self, ask: HttpAsk) -> (Result<Response, Fault>, Steps) {
        self.waiting.add_permits(1);
        let _open = self.door.acquire().await;
        (Err(nothing()), ask.steps)
    }
    async fn heard(&self, _grant: &Grant, _fault: &Fault) {}
    async fn records(&self, ask: RecordsAsk) -> (Result<Answer, Fault>, Used) {
        (Err(nothing()), ask.used)
    }
    async fn kv_get(&self, _at: &KvScope, _key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Err(nothing())
    }
    async fn kv_set(&self, _at: &KvScope, _key: &str, _value: &[u8], _ttl_ms: Option<u64>) -> Result<(), Fault> {
        Err(nothing())
    }
    async fn kv_delete(&self, _at: &KvScope, _key: &str) -> Result<(), Fault> {
        Err(nothing())
    }
    async fn folder(&self, _at: &FolderScope, _ask: FolderAsk) -> Result<FolderAnswer, Fault> {
        Err(nothing())
    }
    fn ledger(&self) -> Option<&Ledger> {
        None
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1)
    }
    async fn note(&self, _note: Note) {}
}

/// The limits of a host, but for a tenant's share of it: a benchmark is one tenant that wants all there is.
pub(crate) fn limits(calls: usize) -> Limits {
    Limits {
        concurrent_calls: calls,
        tenant_calls: calls,
        tenant_cpu_ms_per_minute: u64::MAX,
        wall_ms: 600_000,
        ..Limits::default()
    }
}

pub(crate) fn sandbox(limits: Limits, threads: usize, cache: Option<&Path>) -> Fallible<Sandbox> {
    let program = std::env::current_exe()?;
    let compiler = Compiler { program, args: vec![COMPILE.to_owned()], limits: CompileLimits::default() };
    let cache_dir = cache.map(Path::to_owned);
    Ok(Sandbox::new(SandboxConfig { limits, cache_dir, threads, compiler: Some(compiler) })?)
}

/// One adapter, ready to be called.
pub(crate) struct Hosted {
    pub(crate) services: Arc<Quiet>,
    connection: Connection,
    ctx: CallCtx,
    request: RateRequest,
    shipment: ShipmentRequest,
}

impl Hosted {
    pub(crate) async fn new(adapter: &[u8], sandbox: Sandbox) -> Fallible<Self> {
        let adapter = Arc::new(sandbox.load(adapter.to_vec()).await?);
        let tenant = TenantId::parse("bench")?;
        let services = Arc::new(Quiet { waiting: Semaphore::new(0), door: Semaphore::new(0) });
        let grant = Grant {
            tenant: tenant.clone(),
            connection: "bench".to_owned(),
            adapter_digest: Some(adapter.digest.clone()),
            origins: vec![Origin { url: "http://partner.test".to_owned(), allow_private: false, authority: None }],
            routes: adapter.manifest.routes.clone(),
            secrets: BTreeMap::new(),
            config: BTreeMap::new(),
            limits: wharf_egress::Limits::default(),
            terms: None,
        };
        let settings = Settings {
            environment: Environment::Test,
            endpoint: "http://partner.test".to_owned(),
            config: Vec::new(),
            capabilities: Arc::default(),
        };
        let connection = Connection::new(Arc::new(sandbox), adapter, services.clone(), Arc::new(grant), settings);
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
        Ok(Self { services, connection, ctx, request: rate_request(), shipment: shipment_request() })
    }

    pub(crate) async fn empty(&self) -> Fallible<()> {
        self.connection.invoke(&self.ctx, "info.describe", serde_json::Value::Null).await.result?;
        Ok(())
    }

    pub(crate) async fn ship(&self) -> Fallible<()> {
        let answer = self.connection.rate(&self.ctx, &self.request).await?;
        if answer.rates.len() == 1 { Ok(()) } else { Err("no label".into()) }
    }

    pub(crate) async fn ship_document(&self) -> Fallible<()> {
        let answer = self.connection.create_shipment(&self.ctx, &self.shipment).await?;
        if answer.parcels.len() == 1 { Ok(()) } else { Err("no label".into()) }
    }

    /// One call that asks the host for the time so often.
    pub(crate) async fn host_calls(&self, times: &str) -> Fallible<()> {
        self.connection.void(&self.ctx, times).await?;
        Ok(())
    }

    /// One call that waits in a request until the door opens, and then fails.
    pub(crate) async fn wait(&self) -> Option<Fault> {
        self.connection.find_by_reference(&self.ctx, "x").await.err()
    }
}

fn address() -> Address {
    Address {
        name: "Erika Mustermann".to_owned(),
        lines: vec!["Lindenallee 7".to_owned()],
        locality: "Leipzig".to_owned(),
        postal_code: Some("04109".to_owned()),
        country: "DE".to_owned(),
        ..Address::default()
    }
}

fn parcel() -> Parcel {
    Parcel {
        reference: "1".to_owned(),
        weight_g: 1_200,
        length_mm: None,
        width_mm: None,
        height_mm: None,
        packaging: None,
        declared_value: None,
    }
}

fn rate_request() -> RateRequest {
    RateRequest {
        ship_from: address(),
        ship_to: address(),
        parcels: vec![parcel()],
        services: Vec::new(),
        ship_date: None,
        options: vec![("order".to_owned(), ORDER.to_owned())],
    }
}

fn shipment_request() -> ShipmentRequest {
    ShipmentRequest {
        reference: "S00042-1".to_owned(),
        service: "bench".to_owned(),
        ship_from: address(),
        ship_to: address(),
        parcels: vec![parcel()],
        label: LabelSpec::default(),
        order_number: None,
        options: vec![("order".to_owned(), ORDER.to_owned())],
    }
}
