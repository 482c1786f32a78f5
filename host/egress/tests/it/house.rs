//! What every test starts from: an empty ledger, a claimed job, a grant for one partner, a door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::effect::{BusinessKey, EffectClass, EffectState};
use wharf_domain::fault::Fault;
use wharf_domain::ids::{IdSource, JobId, TenantId};
use wharf_domain::manifest::{KeySlot, Route, SecretSlot, Stores};
use wharf_domain::time::{Clock, ManualClock, Timestamp};
use wharf_egress::{
    BoundSecret, Egress, EgressConfig, Grant, Ledger, Limits, Live, Origin, Request, Response, Steps, Wire,
};
use wharf_scratch_postgres::{Database, Server};
use wharf_store::effects::{self, EffectRow};
use wharf_store::jobs::{self, Job, NewJob};
use wharf_store::{Db, tapes};

const WORKER: &str = "worker";
pub(crate) const LEASE_MS: i64 = 60_000;

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Where the ledger is.
enum Place {
    Folder(TempDir),
    Server(Database),
}

pub(crate) struct House {
    place: Place,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<Counted>,
    pub(crate) db: Db,
    pub(crate) door: Egress,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(EgressConfig::default(), None).await
    }

    /// On a throw-away server.
    pub(crate) async fn postgres() -> Self {
        let database = tokio::task::spawn_blocking(|| Server::shared().and_then(|server| server.database()));
        let place = Place::Server(database.await.expect("ran").expect("a PostgreSQL server"));
        Self::at(place, EgressConfig::default(), None).await
    }

    pub(crate) async fn with(config: EgressConfig, wire: Option<Arc<dyn Wire>>) -> Self {
        Self::at(Place::Folder(TempDir::new().expect("directory")), config, wire).await
    }

    async fn at(place: Place, config: EgressConfig, wire: Option<Arc<dyn Wire>>) -> Self {
        let (clock, ids) = (Arc::new(ManualClock::at(1_700_000_000_000)), Arc::new(Counted::default()));
        let db = open(&place, &clock, &ids).await;
        db.migrate().await.expect("migrate");
        let wire = wire.unwrap_or_else(|| Arc::new(Live::new(&config).expect("wire")));
        let door = Egress::new(Some(db.clone()), clock.clone(), config, wire);
        Self { place, clock, ids, db, door }
    }

    #[cfg(feature = "failpoints")]
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    /// The process died; the next one begins when its leases have run out.
    pub(crate) async fn restart(&mut self) {
        self.db.close().await;
        self.clock.advance(LEASE_MS);
        self.db = open(&self.place, &self.clock, &self.ids).await;
        let config = EgressConfig::default();
        let wire = Arc::new(Live::new(&config).expect("wire"));
        self.door = Egress::new(Some(self.db.clone()), self.clock.clone(), config, wire);
    }

    /// Where the files of a SQLite database are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        match &self.place {
            Place::Folder(folder) => folder.path(),
            Place::Server(_) => panic!("a server's files are its own"),
        }
    }

    pub(crate) fn clock_millis(&self) -> i64 {
        self.clock.now().millis()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.door.ledger().expect("ledger")
    }

    /// A new job in the hands of a worker.
    pub(crate) async fn job(&self) -> Job {
        self.job_of(&tenant()).await
    }

    pub(crate) async fn job_of(&self, tenant: &TenantId) -> Job {
        let mut tx = self.db.begin().await.expect("begin");
        let lane = format!("lane-{}", tx.ids().next(tx.now()));
        let job = NewJob::new(tenant.clone(), lane, "test", json!({}));
        jobs::enqueue(&mut tx, &Actor::Host("test".to_owned()), &job).await.expect("enqueue");
        tx.commit().await.expect("commit");
        self.claim().await
    }

    /// The worker died; the next one has the job, under a higher fence.
    pub(crate) async fn next_attempt(&self) -> Job {
        jobs::release(&self.db, WORKER, &[]).await.expect("release");
        self.claim().await
    }

    pub(crate) async fn claim(&self) -> Job {
        jobs::claim(&self.db, WORKER, LEASE_MS, 1).await.expect("claim").pop().expect("a job")
    }

    /// The context of a job that buys a label.
    pub(crate) fn ctx(&self, job: &Job) -> CallCtx {
        CallCtx {
            tenant: job.tenant.clone(),
            job: Some(job.id),
            fence: job.fence,
            attempt: job.attempt,
            flow: Some("order/42".to_owned()),
            business: Some(label()),
            deadline: self.clock.now().plus(LEASE_MS / 2),
            urgent: false,
            promised: None,
        }
    }

    /// Sends as the first step of a call.
    pub(crate) async fn send(&self, grant: &Grant, ctx: &CallCtx, request: Request) -> Result<Response, Fault> {
        self.door.send(grant, ctx, &mut Steps::default(), request).await
    }

    /// The only effect of a job.
    pub(crate) async fn effect(&self, job: &JobId) -> EffectRow {
        let mut rows = effects::for_job(&self.db, job).await.expect("effects");
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    pub(crate) async fn state(&self, job: &JobId) -> EffectState {
        self.effect(job).await.state
    }

    /// Every exchange of a job, as text.
    pub(crate) async fn tape(&self, job: &JobId) -> Vec<String> {
        let rows = tapes::for_job(&self.db, &tenant(), job).await.expect("tape");
        rows.iter().map(|row| row.exchange.to_string()).collect()
    }
}

async fn open(place: &Place, clock: &Arc<ManualClock>, ids: &Arc<Counted>) -> Db {
    let (clock, ids) = (clock.clone(), ids.clone());
    let db = match place {
        Place::Folder(directory) => Db::open(&directory.path().join("wharf.db"), clock, ids).await,
        Place::Server(database) => Db::open_postgres_with_own_clock(&database.url(), clock, ids).await,
    };
    db.expect("open")
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("nordic").expect("tenant")
}

pub(crate) fn label() -> BusinessKey {
    BusinessKey { effect_type: "buy-label".to_owned(), key: "label:order/42/1".to_owned() }
}

/// How long the partner remembers a key.
pub(crate) const RETENTION_MS: i64 = 600_000;

/// `/buy` is once with a business key, `/find` lookup, `/keyed` and `/keyed-find` keyed, `/void` natural, `/rate` and GET
/// are read.
pub(crate) fn grant(url: &str) -> Grant {
    let route = |method: &str, path: &str, class: Option<EffectClass>| Route {
        method: method.to_owned(),
        path: path.to_owned(),
        class,
        effect: None,
        secret: None,
        proves_no_effect: None,
        key: None,
        reason: "test".to_owned(),
    };
    let buys = |path, class| Route { effect: Some("buy-label".to_owned()), ..route("POST", path, class) };
    let keyed = |path, stores, lookup| Route {
        key: Some(KeySlot {
            header: Some("Idempotency-Key".to_owned()),
            body: None,
            retention_seconds: u32::try_from(RETENTION_MS / 1_000).expect("seconds"),
            stores,
            lookup,
        }),
        ..buys(path, Some(EffectClass::Keyed))
    };
    Grant {
        tenant: tenant(),
        connection: "acme".to_owned(),
        adapter_digest: None,
        origins: vec![Origin { url: url.to_owned(), allow_private: true, authority: None }],
        routes: vec![
            route("GET", "/get/*", None),
            route("POST", "/rate", Some(EffectClass::Read)),
            route("POST", "/void", Some(EffectClass::Natural)),
            route("POST", "/once", None),
            buys("/buy", None),
            buys("/find", Some(EffectClass::Lookup)),
            keyed("/keyed", Stores::All, false),
            keyed("/keyed-find", Stores::Success, true),
        ],
        secrets: BTreeMap::new(),
        config: BTreeMap::from([("account".to_owned(), "A1B2C3".to_owned())]),
        limits: Limits::default(),
        terms: None,
    }
}

/// The grant with a secret on every route.
pub(crate) fn with_secret(mut grant: Grant, slot: SecretSlot, values: &[(&str, &str)]) -> Grant {
    let values = values.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from((*v).to_owned()))).collect();
    grant.secrets.insert("key".to_owned(), BoundSecret { slot, values });
    for route in &mut grant.routes {
        route.secret = Some("key".to_owned());
    }
    grant
}

pub(crate) fn post(grant: &Grant, path: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        url: format!("{}{path}", grant.origins[0].url),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(Bytes::from(body.to_owned())),
        timeout_ms: Some(5_000),
    }
}

pub(crate) fn get(grant: &Grant, path: &str) -> Request {
    Request { method: "GET".to_owned(), body: None, headers: vec![], ..post(grant, path, "") }
}
