//! What the sandbox needs from the rest of the host, as one trait: a guest process of its own can later speak to the
//! same trait over a socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tracing::Instrument as _;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::grant::Capabilities;
use wharf_domain::ids::TenantId;
use wharf_domain::port::records::{Answer, Ask, Records, Used};
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::{Egress, Grant, Ledger, Request, Response, Steps};
use wharf_store::Db;

use crate::folder::{FolderAnswer, FolderAsk, FolderScope, Folders, Rules};
use crate::kv::Kv;
use crate::notes::{Note, Notes};
use crate::records;

/// Everything a guest can cause outside its own memory.
#[async_trait]
pub trait HostServices: Send + Sync {
    /// One request through the one door out. Goes on when the guest that asked is ended meanwhile: a request on the
    /// wire is always followed to its end, so that its outcome is written down.
    async fn http(&self, ask: HttpAsk) -> (Result<Response, Fault>, Steps);
    /// Tells the account at the partner of a fault the guest has read out of an answer.
    async fn heard(&self, grant: &Grant, fault: &Fault);
    /// One thing asked of the tenant's Odoo. Goes on when the guest is ended meanwhile, as a request does.
    async fn records(&self, ask: RecordsAsk) -> (Result<Answer, Fault>, Used);
    async fn kv_get(&self, at: &KvScope, key: &str) -> Result<Option<Vec<u8>>, Fault>;
    async fn kv_set(&self, at: &KvScope, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Fault>;
    async fn kv_delete(&self, at: &KvScope, key: &str) -> Result<(), Fault>;
    /// Does something in a drop folder. Goes on when the guest that asked is ended meanwhile.
    async fn folder(&self, at: &FolderScope, ask: FolderAsk) -> Result<FolderAnswer, Fault>;
    /// The effect ledger; absent for offline calls, where nothing is durable.
    fn ledger(&self) -> Option<&Ledger>;
    fn now(&self) -> Timestamp;
    /// Writes down what an adapter was refused, or how its call ended.
    async fn note(&self, note: Note);
}

/// A guest's request with everything that decides about it.
pub struct HttpAsk {
    pub grant: Arc<Grant>,
    pub ctx: CallCtx,
    pub steps: Steps,
    pub request: Request,
}

/// A guest's question to Odoo with everything that decides about it.
pub struct RecordsAsk {
    pub grant: Arc<Grant>,
    pub capabilities: Arc<Capabilities>,
    pub ctx: CallCtx,
    pub used: Used,
    pub ask: Ask,
}

/// Whose keys, and how many bytes they may take.
#[derive(Debug, Clone)]
pub struct KvScope {
    pub tenant: TenantId,
    pub connection: String,
    pub quota: u64,
}

/// Nothing at all: for an instance that is only tried.
pub(crate) struct NoServices;

fn nothing() -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "sandbox.starting",
        "an adapter may not reach anything while it starts",
        Blame::Guest,
    )
}

#[async_trait]
impl HostServices for NoServices {
    async fn http(&self, ask: HttpAsk) -> (Result<Response, Fault>, Steps) {
        (Err(nothing()), ask.steps)
    }
    async fn heard(&self, _grant: &Grant, _fault: &Fault) {}
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
    async fn records(&self, ask: RecordsAsk) -> (Result<Answer, Fault>, Used) {
        (Err(nothing()), ask.used)
    }
    fn ledger(&self) -> Option<&Ledger> {
        None
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
    async fn note(&self, _note: Note) {}
}

/// The services in this process.
pub struct LocalServices {
    egress: Egress,
    clock: Arc<dyn Clock>,
    /// The host's own runtime: sockets do not wait for guests.
    runtime: Handle,
    kv: Kv,
    /// The Odoo of each tenant that has one.
    odoos: BTreeMap<TenantId, Arc<dyn Records>>,
    /// Absent for offline calls.
    folders: Option<Folders>,
    notes: Arc<Notes>,
}

impl LocalServices {
    /// Must be called on the host's runtime.
    pub fn durable(egress: Egress, clock: Arc<dyn Clock>, db: Db) -> Self {
        let (runtime, notes) = (Handle::current(), Notes::new(Some(db.clone())));
        // Ends by itself with the last of these services.
        drop(runtime.spawn(Notes::keep_up(Arc::downgrade(&notes))));
        let folders = Some(Folders::new(db.clone(), Arc::clone(&clock), Rules::default()));
        Self { egress, clock, runtime, kv: Kv::Durable(db), odoos: BTreeMap::new(), folders, notes }
    }

    /// The Odoo each tenant's adapters may ask, as far as they are granted.
    #[must_use]
    pub fn with_odoos(mut self, odoos: BTreeMap<TenantId, Arc<dyn Records>>) -> Self {
        self.odoos = odoos;
        self
    }

    /// Must be called on the host's runtime.
    pub fn offline(egress: Egress, clock: Arc<dyn Clock>) -> Self {
        let (runtime, notes) = (Handle::current(), Notes::new(None));
        Self { egress, clock, runtime, kv: Kv::Memory(Arc::default()), odoos: BTreeMap::new(), folders: None, notes }
    }

    /// Does it on the host's runtime and waits: neither sockets nor the database wait for guests.
    async fn here<T: Send + 'static>(
        &self,
        code: &'static str,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        self.runtime.spawn(work.instrument(tracing::Span::current())).await.unwrap_or_else(|e| {
            let message = format!("the host's part of the call ended: {e}");
            Err(Fault::new(FaultKind::Transient, code, message, Blame::Host))
        })
    }

    /// How often adapters were refused something or ended badly, by counter and label, since the start.
    pub fn counts(&self) -> BTreeMap<(&'static str, String), u64> {
        self.notes.counts()
    }
}

#[async_trait]
impl HostServices for LocalServices {
    async fn http(&self, ask: HttpAsk) -> (Result<Response, Fault>, Steps) {
        let egress = self.egress.clone();
        let send = async move {
            let HttpAsk { grant, ctx, mut steps, request } = ask;
            let answer = egress.send(&grant, &ctx, &mut steps, request).await;
            (answer, steps)
        };
        let task = self.runtime.spawn(send.instrument(tracing::Span::current()));
        task.await.unwrap_or_else(|e| {
            let message = format!("the request's task ended: {e}");
            let fault = Fault::new(FaultKind::OutcomeUnknown, "sandbox.http-task", message, Blame::Host);
            // The steps are lost with the task; the fault says that something may have happened.
            (Err(fault), Steps::default())
        })
    }

    async fn heard(&self, grant: &Grant, fault: &Fault) {
        self.egress.heard(grant, fault).await;
    }

    async fn records(&self, ask: RecordsAsk) -> (Result<Answer, Fault>, Used) {
        let db = match &self.kv {
            Kv::Durable(db) => Some(db.clone()),
            Kv::Memory(_) => None,
        };
        records::ask(&self.runtime, self.odoos.get(&ask.ctx.tenant), db, ask).await
    }

    async fn kv_get(&self, at: &KvScope, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let (kv, at, key) = (self.kv.clone(), at.clone(), key.to_owned());
        self.here("kv.task", async move { kv.get(&at, &key).await }).await
    }

    async fn kv_set(&self, at: &KvScope, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Fault> {
        let (kv, at, key, value) = (self.kv.clone(), at.clone(), key.to_owned(), value.to_owned());
        self.here("kv.task", async move { kv.set(&at, &key, &value, ttl_ms).await }).await
    }

    async fn kv_delete(&self, at: &KvScope, key: &str) -> Result<(), Fault> {
        let (kv, at, key) = (self.kv.clone(), at.clone(), key.to_owned());
        self.here("kv.task", async move { kv.delete(&at, &key).await }).await
    }

    async fn folder(&self, at: &FolderScope, ask: FolderAsk) -> Result<FolderAnswer, Fault> {
        let Some(folders) = self.folders.clone() else {
            let text = "drop folders need a host with a database";
            return Err(Fault::new(FaultKind::Unsupported, "files.offline", text, Blame::Operator));
        };
        let at = at.clone();
        self.here("files.task", async move { folders.run(&at, ask).await }).await
    }

    fn ledger(&self) -> Option<&Ledger> {
        self.egress.ledger()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn note(&self, note: Note) {
        let (notes, now) = (Arc::clone(&self.notes), self.clock.now());
        let noted = async move {
            notes.note(note, now).await;
            Ok(())
        };
        // Written down even when the guest is ended meanwhile.
        let _done = self.here("notes.task", noted).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use wharf_domain::ids::IdSource;
    use wharf_domain::time::ManualClock;
    use wharf_egress::{EgressConfig, Replay};

    use super::*;

    struct CountingIds(AtomicU64);

    impl IdSource for CountingIds {
        fn next(&self, _now: Timestamp) -> uuid::Uuid {
            uuid::Uuid::from_u64_pair(1, self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    fn scope(connection: &str, quota: u64) -> KvScope {
        KvScope { tenant: TenantId::parse("t").expect("tenant"), connection: connection.to_owned(), quota }
    }

    /// Both homes of the key-value store, with the clock they go by.
    async fn both() -> (Vec<LocalServices>, Arc<ManualClock>, tempfile::TempDir) {
        let clock = Arc::new(ManualClock::at(1_000));
        let dir = tempfile::tempdir().expect("folder");
        let ids = Arc::new(CountingIds(AtomicU64::new(1)));
        let db = Db::open(&dir.path().join("wharf.db"), clock.clone(), ids).await.expect("db");
        db.migrate().await.expect("schema");
        let egress = || Egress::new(None, clock.clone(), EgressConfig::default(), Arc::new(Replay::empty()));
        let services =
            vec![LocalServices::durable(egress(), clock.clone(), db), LocalServices::offline(egress(), clock.clone())];
        (services, clock, dir)
    }

    #[tokio::test]
    async fn a_connection_sees_its_own_keys_and_keeps_within_its_quota() {
        let (both, _clock, _dir) = both().await;
        for services in both {
            let mine = scope("c", 10);
            services.kv_set(&mine, "k", b"12345", None).await.expect("set");
            assert_eq!(services.kv_get(&mine, "k").await.expect("get").as_deref(), Some(b"12345".as_slice()));
            services.kv_set(&mine, "k", b"123456789", None).await.expect("replacing counts once");
            let full = services.kv_set(&mine, "l", b"1", None).await.expect_err("over quota");
            assert_eq!((full.kind, full.code.as_str()), (FaultKind::Forbidden, "kv.quota"));
            services.kv_delete(&mine, "k").await.expect("delete");
            services.kv_delete(&mine, "k").await.expect("deleting nothing is no failure");
            assert_eq!(services.kv_get(&mine, "k").await.expect("get"), None);
        }
    }

    #[tokio::test]
    async fn keys_are_a_connections_own_and_expire() {
        let (both, clock, _dir) = both().await;
        let durable = &both[0];
        durable.kv_set(&scope("c", 10), "k", b"1", Some(500)).await.expect("set");
        assert_eq!(durable.kv_get(&scope("other", 10), "k").await.expect("get"), None);
        clock.advance(501);
        assert_eq!(durable.kv_get(&scope("c", 10), "k").await.expect("get"), None, "expired");
    }
}
