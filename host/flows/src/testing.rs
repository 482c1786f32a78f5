//! What tests of the runner start from: a real database in a temporary folder, a clock that stands still, and an ERP
//! and a carrier that remember everything they were asked.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, FlowKey, IdSource, JobId, TenantId};
use wharf_domain::order::Order;
use wharf_domain::port::carrier::Carrier;
use wharf_domain::port::erp::{Attachment, Erp, ErpEvent, ErpEventKind, Note, ShippingUpdate};
use wharf_domain::rate::{RateAnswer, RateRequest};
use wharf_domain::shipment::{Shipment, ShipmentRequest, Voided};
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_domain::tracking::TrackResult;
use wharf_queue::{Backoff, Registry, Worker, WorkerConfig};
use wharf_store::jobs::{JobRow, JobState};
use wharf_store::{Db, flows, jobs};

use crate::order_release::{Event, KIND, Policy, State, examples};
use crate::runner::{self, Ports, Runner};

pub(crate) const LEASE: i64 = 60_000;

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// A host with one tenant.
pub(crate) struct House {
    directory: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<Counted>,
    pub(crate) db: Db,
    pub(crate) outside: Arc<Outside>,
}

impl House {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().expect("directory");
        let (clock, ids) = (Arc::new(ManualClock::at(1_700_000_000_000)), Arc::new(Counted::default()));
        let db = Db::open(&directory.path().join("wharf.db"), clock.clone(), ids.clone()).await.expect("open");
        db.migrate().await.expect("migrate");
        Self { directory, clock, ids, db, outside: Arc::new(Outside::default()) }
    }

    /// The process is gone; the next one opens the same file. The outside goes on as it was.
    pub(crate) async fn restart(&mut self) {
        self.db.close().await;
        let path = self.directory.path().join("wharf.db");
        self.db = Db::open(&path, self.clock.clone(), self.ids.clone()).await.expect("reopen");
    }

    pub(crate) fn runner(&self) -> Runner {
        Runner { db: self.db.clone(), ports: Arc::new(Wired(self.outside.clone())) }
    }

    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::new();
        runner::register(&mut registry, self.db.clone(), Arc::new(Wired(self.outside.clone())));
        registry
    }

    pub(crate) fn worker(&self, name: &str, registry: Registry) -> Worker {
        let backoff = Backoff { base_ms: 1, max_ms: 1, after_max_ms: 1_000 };
        let config = WorkerConfig { lease_ms: LEASE, backoff, ..WorkerConfig::named(name, 7) };
        Worker::new(self.db.clone(), Arc::new(registry), config)
    }

    /// Runs everything that can be run without waiting longer than a few seconds.
    pub(crate) async fn drain(&self) {
        self.drain_with(self.registry()).await;
    }

    pub(crate) async fn drain_with(&self, registry: Registry) {
        let worker = self.worker("w", registry);
        for _ in 0..200 {
            if worker.drain_once().await == 0 {
                self.clock.advance(100);
                if worker.drain_once().await == 0 {
                    return;
                }
            }
        }
        panic!("the queue never comes to rest");
    }

    /// The ERP tells of a change, and a pull is asked for.
    pub(crate) async fn change(&self, key: &str) {
        self.outside.erp().pending.push(told(key));
        let mut tx = self.db.begin().await.expect("begin");
        crate::intake::request_pull(&mut tx, &actor(), &examples::tenant()).await.expect("pull");
        tx.commit().await.expect("commit");
    }

    pub(crate) async fn tell(&self, event: Event) {
        let mut tx = self.db.begin().await.expect("begin");
        runner::tell(&mut tx, &actor(), &examples::tenant(), &key(), event).await.expect("tell");
        tx.commit().await.expect("commit");
    }

    pub(crate) async fn flow(&self) -> (String, State) {
        let row = flows::get(&self.db, &examples::tenant(), KIND, &key()).await.expect("flow").expect("some");
        (row.status, serde_json::from_value(row.state).expect("state"))
    }

    pub(crate) async fn jobs(&self, kind: &str) -> Vec<JobRow> {
        let rows = jobs::for_flow(&self.db, &examples::tenant(), &key()).await.expect("jobs");
        rows.into_iter().filter(|job| job.kind == kind).collect()
    }

    /// Codes of the tenant's open exceptions.
    pub(crate) async fn open(&self) -> Vec<String> {
        let rows = wharf_store::exceptions::open(&self.db, &examples::tenant()).await.expect("exceptions");
        rows.into_iter().map(|row| row.code).collect()
    }

    /// Nothing may be left behind by a test: no job waits, runs or is parked.
    pub(crate) async fn at_rest(&self) {
        let counts = jobs::counts(&self.db).await.expect("counts");
        assert_eq!((counts.unfinished(), counts.parked), (0, 0));
    }
}

pub(crate) fn key() -> FlowKey {
    runner::order_key("42")
}

pub(crate) fn actor() -> Actor {
    Actor::Host("test".to_owned())
}

pub(crate) fn told(key: &str) -> ErpEvent {
    let kind = ErpEventKind::OrderChanged;
    ErpEvent { key: key.to_owned(), kind, order: "42".to_owned(), receipt: Some(key.to_owned()) }
}

pub(crate) fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, "fake", "as the test wants it", Blame::Partner)
}

/// One job of a kind, in a state.
pub(crate) fn states(jobs: &[JobRow]) -> Vec<JobState> {
    jobs.iter().map(|job| job.state).collect()
}

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Everything beyond the ports.
pub(crate) struct Outside {
    erp: Mutex<FakeErp>,
    carriers: Mutex<BTreeMap<ConnectionId, FakeCarrier>>,
    policy: Mutex<Option<Policy>>,
    /// Runs once, while the next purchase is on its way.
    during_purchase: Mutex<Option<Hook>>,
}

pub(crate) struct FakeErp {
    pub(crate) order: Option<Order>,
    pub(crate) pending: Vec<ErpEvent>,
    pub(crate) acknowledged: Vec<String>,
    /// The jobs that tried to acknowledge, each once: the ledger knows one such step per job.
    pub(crate) acknowledging: Vec<JobId>,
    /// Answers of the next acknowledgements; fine when empty.
    pub(crate) acknowledge_faults: Vec<Fault>,
    pub(crate) pending_faults: Vec<Fault>,
    pub(crate) attach_faults: Vec<Fault>,
    pub(crate) reads: usize,
    pub(crate) shipping: Vec<ShippingUpdate>,
    pub(crate) attachments: BTreeMap<String, Attachment>,
    pub(crate) notes: BTreeMap<String, String>,
}

#[derive(Default)]
pub(crate) struct FakeCarrier {
    /// Answers of the next calls, before the carrier does as it is asked.
    pub(crate) rate_faults: Vec<Fault>,
    pub(crate) create_faults: Vec<Fault>,
    pub(crate) create_calls: Vec<CallCtx>,
    /// Shipments by business key: bought once each.
    pub(crate) bought: BTreeMap<String, Shipment>,
    pub(crate) voids: Vec<String>,
}

impl Default for Outside {
    fn default() -> Self {
        let erp = FakeErp {
            order: Some(examples::order()),
            pending: Vec::new(),
            acknowledged: Vec::new(),
            acknowledging: Vec::new(),
            acknowledge_faults: Vec::new(),
            pending_faults: Vec::new(),
            attach_faults: Vec::new(),
            reads: 0,
            shipping: Vec::new(),
            attachments: BTreeMap::new(),
            notes: BTreeMap::new(),
        };
        let carriers = BTreeMap::from([(examples::acme(), FakeCarrier::default())]);
        Self {
            erp: Mutex::new(erp),
            carriers: Mutex::new(carriers),
            policy: Mutex::new(Some(examples::policy())),
            during_purchase: Mutex::new(None),
        }
    }
}

impl Outside {
    pub(crate) fn erp(&self) -> MutexGuard<'_, FakeErp> {
        self.erp.lock().expect("erp")
    }

    /// Does something with the carrier `acme`.
    pub(crate) fn acme<T>(&self, with: impl FnOnce(&mut FakeCarrier) -> T) -> T {
        self.carrier(&examples::acme(), with)
    }

    pub(crate) fn carrier<T>(&self, id: &ConnectionId, with: impl FnOnce(&mut FakeCarrier) -> T) -> T {
        with(self.carriers.lock().expect("carriers").entry(id.clone()).or_default())
    }

    pub(crate) fn set_policy(&self, policy: Option<Policy>) {
        *self.policy.lock().expect("policy") = policy;
    }

    pub(crate) fn during_purchase(&self, hook: Hook) {
        *self.during_purchase.lock().expect("hook") = Some(hook);
    }
}

struct Erp1(Arc<Outside>);
struct Carrier1(Arc<Outside>, ConnectionId);

/// The outside as the host sees it.
struct Wired(Arc<Outside>);

impl Ports for Wired {
    fn erp(&self, _: &TenantId) -> Option<Arc<dyn Erp>> {
        Some(Arc::new(Erp1(self.0.clone())))
    }
    fn carrier(&self, _: &TenantId, connection: &ConnectionId) -> Option<Arc<dyn Carrier>> {
        Some(Arc::new(Carrier1(self.0.clone(), connection.clone())))
    }
    fn order_release(&self, _: &TenantId) -> Option<Policy> {
        self.0.policy.lock().expect("policy").clone()
    }
}

/// The next fault of a list, oldest first.
fn next(faults: &mut Vec<Fault>) -> Result<(), Fault> {
    if faults.is_empty() { Ok(()) } else { Err(faults.remove(0)) }
}

#[async_trait]
impl Erp for Erp1 {
    async fn order(&self, _: &CallCtx, _: &str) -> Result<Option<Order>, Fault> {
        let mut erp = self.0.erp();
        erp.reads += 1;
        Ok(erp.order.clone())
    }
    async fn set_shipping(&self, _: &CallCtx, update: &ShippingUpdate) -> Result<(), Fault> {
        self.0.erp().shipping.push(update.clone());
        Ok(())
    }
    async fn attach(&self, _: &CallCtx, attachment: &Attachment) -> Result<String, Fault> {
        let mut erp = self.0.erp();
        next(&mut erp.attach_faults)?;
        erp.attachments.insert(attachment.key.clone(), attachment.clone());
        Ok("1".to_owned())
    }
    async fn note(&self, _: &CallCtx, note: &Note) -> Result<(), Fault> {
        self.0.erp().notes.insert(note.key.clone(), note.text.clone());
        Ok(())
    }
    async fn pending_events(&self, _: &CallCtx, limit: u32) -> Result<Vec<ErpEvent>, Fault> {
        let mut erp = self.0.erp();
        next(&mut erp.pending_faults)?;
        Ok(erp.pending.iter().take(limit as usize).cloned().collect())
    }
    async fn acknowledge(&self, ctx: &CallCtx, events: &[ErpEvent]) -> Result<(), Fault> {
        let mut erp = self.0.erp();
        let job = ctx.job.expect("an effect needs a job");
        assert!(!erp.acknowledging.contains(&job), "one job acknowledges once");
        erp.acknowledging.push(job);
        next(&mut erp.acknowledge_faults)?;
        erp.pending.retain(|event| !events.contains(event));
        erp.acknowledged.extend(events.iter().map(|event| event.key.clone()));
        Ok(())
    }
}

#[async_trait]
impl Carrier for Carrier1 {
    async fn rate(&self, _: &CallCtx, _: &RateRequest) -> Result<RateAnswer, Fault> {
        self.0.carrier(&self.1, |carrier| next(&mut carrier.rate_faults))?;
        Ok(examples::rates())
    }
    async fn create_shipment(&self, ctx: &CallCtx, request: &ShipmentRequest) -> Result<Shipment, Fault> {
        let hook = self.0.during_purchase.lock().expect("hook").take();
        if let Some(hook) = hook {
            hook().await;
        }
        self.0.carrier(&self.1, |carrier| {
            carrier.create_calls.push(ctx.clone());
            next(&mut carrier.create_faults)?;
            let key = ctx.business.as_ref().expect("a purchase has a business key").key.clone();
            let shipment = carrier.bought.entry(key).or_insert_with(|| examples::shipment(&request.reference));
            Ok(shipment.clone())
        })
    }
    async fn find_by_reference(&self, _: &CallCtx, _: &str) -> Result<Option<Shipment>, Fault> {
        Ok(None)
    }
    async fn void(&self, _: &CallCtx, id: &str) -> Result<Voided, Fault> {
        self.0.carrier(&self.1, |carrier| carrier.voids.push(id.to_owned()));
        Ok(Voided { carrier_shipment_id: id.to_owned(), already: false })
    }
    async fn track(&self, _: &CallCtx, _: &[String]) -> Result<Vec<TrackResult>, Fault> {
        Ok(Vec::new())
    }
}
