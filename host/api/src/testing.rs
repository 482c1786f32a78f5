//! What tests of this crate start from: the real router over a real database with two tenants, `nordic` with hooks and
//! `silent` without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;
use uuid::Uuid;
use wharf_domain::account::{Account, Ask, Decision, Limits, Outcome};
use wharf_domain::ctx::Actor;
use wharf_domain::effect::{BusinessKey, EffectClass, EffectState};
use wharf_domain::exception::{self as codes, NewException, Severity};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, Digest, EffectId, ExceptionId, IdSource, TenantId};
use wharf_domain::money::Money;
use wharf_domain::peak::Peak;
use wharf_domain::port::peaks::Peaks;
use wharf_domain::port::vault::{Kept, NewSecret, Vault, Wired};
use wharf_domain::secret::{SecretAt, Stage};
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_flows::{intake, order_release, runner};
use wharf_store::accounts::{self, AccountKey};
use wharf_store::effects::{self, Change, NewEffect};
use wharf_store::flows::{self, FlowRow};
use wharf_store::grants::{self, GrantAt, NewGrant};
use wharf_store::inbox::{self, NewEvent};
use wharf_store::jobs::{self, Finish, JobRow, NewJob};
use wharf_store::secrets::{self, NewVersion};
use wharf_store::{Db, Tx, exceptions};

use crate::{ApiState, TenantAccess, Token, router};

pub(crate) const START: i64 = 1_700_000_000_000;

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

pub(crate) struct House {
    _directory: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) db: Db,
    router: axum::Router,
}

/// A vault with one slot, `login` of `nordic`'s `acme`. It keeps versions and nothing of their values.
struct Shelf(Db);

#[async_trait]
impl Vault for Shelf {
    fn wired(&self, of: &TenantId) -> Vec<Wired> {
        let connection = ConnectionId::parse("acme").expect("connection");
        let (slot, fields) = ("login".to_owned(), &["username", "password"][..]);
        let login = Wired { connection, slot, kind: "basic", fields, configured: true };
        if *of == tenant() { vec![login] } else { vec![] }
    }

    async fn set(&self, actor: &Actor, at: &SecretAt, new: NewSecret) -> Result<Kept, Fault> {
        let fault = |kind, text: &str| Fault::new(kind, "fake", text, Blame::Operator);
        if !self.wired(&at.tenant).iter().any(|wired| wired.connection == at.connection && wired.slot == at.slot) {
            return Err(fault(FaultKind::NotFound, "no such slot"));
        }
        if !new.values.keys().eq(["password", "username"]) {
            return Err(fault(FaultKind::InvalidInput, "wrong fields"));
        }
        let mut tx = self.0.begin().await.expect("begin");
        if secrets::take_key(&mut tx, &at.tenant).await.expect("key").wrapped.is_none() {
            secrets::give_key(&mut tx, actor, &at.tenant, "fake", b"fake").await.expect("given");
        }
        let version = secrets::next_version(&mut tx, actor, at).await.expect("number");
        let stage = if new.as_next { Stage::Next } else { Stage::Current };
        let row = NewVersion { version, stage, sealed: b"", account: "", overlap_ms: new.overlap_ms.unwrap_or(1_000) };
        secrets::put(&mut tx, actor, at, &row).await.expect("put");
        tx.commit().await.expect("commit");
        Ok(Kept { version, fresh: true })
    }

    fn overlap_ms(&self) -> i64 {
        1_000
    }

    async fn rekey(&self, _actor: &Actor) -> Result<u32, Fault> {
        Ok(0)
    }

    fn changed(&self, _tenant: &TenantId) {}
}

/// A host that has seen `acme` of any tenant make two calls.
struct Seen;

impl Peaks for Seen {
    fn peak(&self, _tenant: &TenantId, connection: &ConnectionId) -> Option<Peak> {
        let since = Timestamp::from_millis(START);
        let peak = Peak { since, calls: 2, cpu_ms: 3, memory_bytes: 1 << 20, http_requests: 1 };
        (connection.as_str() == "acme").then_some(peak)
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("none")
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("none", |value| value.to_str().expect("text"))
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(true).await
    }

    pub(crate) async fn without_vault() -> Self {
        Self::with(false).await
    }

    /// `nordic`'s `acme` has an accepted grant.
    pub(crate) async fn granted(&self) {
        self.grant(Some("the first")).await;
    }

    /// The next version of what `nordic`'s `acme` asks for; without a reason it waits.
    pub(crate) async fn grant(&self, accepted: Option<&str>) {
        let at = GrantAt { tenant: tenant(), connection: ConnectionId::parse("acme").expect("connection") };
        let (digest, surface, changes) = (Digest::of(b"x"), json!({ "allow_private": false }), json!([]));
        let new = NewGrant {
            adapter: "acme",
            adapter_version: "1.0.0",
            publisher: "ACME",
            digest: &digest,
            surface: &surface,
            against: None,
            weight: "wider-high",
            changes: &changes,
            accepted,
        };
        let mut tx = self.db.begin().await.expect("begin");
        grants::take(&mut tx, &at).await.expect("taken");
        grants::record(&mut tx, &Actor::Host("configuration".to_owned()), &at, &new).await.expect("recorded");
        tx.commit().await.expect("commit");
    }

    async fn with(vault: bool) -> Self {
        let directory = TempDir::new().expect("directory");
        let clock = Arc::new(ManualClock::at(START));
        let path = directory.path().join("wharf.db");
        let db = Db::open(&path, clock.clone(), Arc::new(Counted::default())).await.expect("open");
        db.migrate().await.expect("migrate");
        let tenants = BTreeMap::from([
            (tenant(), TenantAccess { webhook_token: Some(Token::new("hook-secret")) }),
            (TenantId::parse("silent").expect("tenant"), TenantAccess { webhook_token: None }),
        ]);
        let limit = Money::parse("500", "EUR").ok();
        let state = ApiState::new(db.clone(), tenants, Token::new("admin-secret"), limit);
        let mut state = state.with_peaks(Arc::new(Seen));
        if vault {
            state = state.with_vault(Arc::new(Shelf(db.clone())));
        }
        let router = router(state);
        Self { _directory: directory, clock, db, router }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("answer");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("body");
        let body = serde_json::from_slice(&bytes).expect("every answer is JSON");
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, auth: Option<&str>, body: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(auth) = auth {
            request = request.header(header::AUTHORIZATION, auth);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.send(request.body(Body::from(body.unwrap_or_default().to_owned())).expect("request")).await
    }

    /// As the administrator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Some("Bearer admin-secret"), None).await
    }

    /// As the administrator.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(Method::POST, path, Some("Bearer admin-secret"), Some(body)).await
    }

    async fn begin(&self) -> Tx {
        self.db.begin().await.expect("begin")
    }

    pub(crate) async fn pull(&self) {
        let mut tx = self.begin().await;
        intake::request_pull(&mut tx, &actor(), &tenant()).await.expect("pull");
        tx.commit().await.expect("commit");
    }

    pub(crate) async fn flow(&self, id: &str) {
        let mut tx = self.begin().await;
        let row = FlowRow::fresh(tenant(), order_release::KIND, runner::order_key(id), tx.now());
        let row = FlowRow { status: "packed".to_owned(), state: json!({ "a": 1 }), ..row };
        flows::save(&mut tx, &actor(), &row).await.expect("save");
        tx.commit().await.expect("commit");
    }

    /// An event, and a job with one failed attempt.
    pub(crate) async fn told(&self, id: &str, text: &str) {
        let (key, mut tx) = (runner::order_key(id), self.begin().await);
        let event = NewEvent {
            tenant: tenant(),
            source: "odoo".to_owned(),
            key: "e1".to_owned(),
            kind: "order-changed".to_owned(),
            flow: Some(key.clone()),
            body: json!({}),
        };
        inbox::accept(&mut tx, &actor(), &event).await.expect("accept");
        let job = NewJob::new(tenant(), key.as_str(), runner::ADVANCE, json!({ "text": text }));
        jobs::enqueue(&mut tx, &actor(), &NewJob { flow: Some(key), ..job }).await.expect("enqueue");
        tx.commit().await.expect("commit");
        let job = jobs::claim(&self.db, "w", 1_000, 1).await.expect("claim").remove(0);
        let mut tx = self.begin().await;
        let fault = Fault::new(FaultKind::Transient, "fake", "as the test wants it", Blame::Partner);
        let finish = Finish::Retry { at: tx.now(), fault };
        jobs::finish(&mut tx, &actor(), &job, &finish).await.expect("finish");
        tx.commit().await.expect("commit");
    }

    /// An effect of the flow's first job.
    pub(crate) async fn effect(&self, id: &str) -> EffectId {
        let key = runner::order_key(id);
        let job = self.jobs().await.remove(0);
        let mut tx = self.begin().await;
        let effect = NewEffect {
            tenant: tenant(),
            connection: ConnectionId::parse("acme").expect("connection"),
            adapter_digest: None,
            job: job.id,
            flow: Some(key),
            step_key: "1:POST /shipments".to_owned(),
            business: Some(BusinessKey {
                effect_type: "buy-label".to_owned(),
                key: "label:order/42/WH/OUT/00007/1".to_owned(),
            }),
            route: "POST /shipments".to_owned(),
            class: EffectClass::Lookup,
            lookup: true,
            account_ref: None,
            request_digest: Digest::of(b"request"),
            fence: 1,
            attempt: 1,
        };
        let id = effects::open(&mut tx, &actor(), &effect).await.expect("open").row().id;
        tx.commit().await.expect("commit");
        id
    }

    /// The flow's effect, of which nobody knows the outcome.
    pub(crate) async fn doubtful(&self, id: &str) -> EffectId {
        self.told(id, "x").await;
        let effect = self.effect(id).await;
        let mut tx = self.begin().await;
        let (from, to) = (EffectState::Intent, EffectState::Uncertain);
        effects::advance(&mut tx, &actor(), &effect, from, to, &Change::default()).await.expect("in doubt");
        tx.commit().await.expect("commit");
        effect
    }

    /// A backup was restored.
    pub(crate) async fn restored(&self) {
        let mut tx = self.begin().await;
        let since = tx.now();
        effects::hold_after_restore(&mut tx, &actor(), since).await.expect("held");
        tx.commit().await.expect("commit");
    }

    /// An account that made one call, whose partner asked for five seconds.
    pub(crate) async fn paused_account(&self) {
        let connection = ConnectionId::parse("acme").expect("connection");
        let key = AccountKey { tenant: tenant(), connection, name: "https://acme.test".to_owned() };
        let limits: Limits =
            serde_json::from_value(json!({ "buckets": [{ "requests": 10, "per_seconds": 1 }] })).expect("limits");
        let call = |account: &mut Account, now: Timestamp| {
            let ask = Ask { urgent: false, promised: None, over_by: now.plus(1_000), roll: 0 };
            let Decision::Go(permit) = account.ask(&limits, &ask, now) else { panic!("it is new") };
            account.report(permit, Outcome::RateLimited { after_ms: Some(5_000) }, now, 0);
        };
        accounts::with(&self.db, &actor(), &key, &limits, call).await.expect("account");
    }

    /// An open exception of `order/42`.
    pub(crate) async fn exception(&self) -> ExceptionId {
        self.exception_with("nobody knows").await
    }

    pub(crate) async fn exception_with(&self, cause: &str) -> ExceptionId {
        let mut tx = self.begin().await;
        let new = NewException {
            code: codes::LABEL_UNKNOWN.to_owned(),
            severity: Severity::Critical,
            object: "order/42/WH/OUT/00007".to_owned(),
            owner_role: "operations".to_owned(),
            cause: cause.to_owned(),
            actions: vec!["look-again".to_owned(), "not-bought".to_owned()],
        };
        let key = runner::order_key("42");
        let id = exceptions::raise(&mut tx, &actor(), &tenant(), Some(&key), &new).await.expect("raise");
        tx.commit().await.expect("commit");
        id
    }

    /// Jobs of `order/42`.
    pub(crate) async fn jobs(&self) -> Vec<JobRow> {
        jobs::for_flow(&self.db, &tenant(), &runner::order_key("42")).await.expect("jobs")
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("nordic").expect("tenant")
}

pub(crate) fn actor() -> Actor {
    Actor::Host("test".to_owned())
}
