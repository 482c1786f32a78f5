//! A real Odoo, the door to it, and an administrator who does what people in a warehouse do.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::effect::EffectClass;
use wharf_domain::ids::{IdSource, JobId, TenantId};
use wharf_domain::manifest::{Route, SecretSlot};
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::{BoundSecret, Egress, EgressConfig, Grant, Limits, Live, Origin, Request, Steps};
use wharf_odoo::{EventSource, OdooConfig};
use wharf_store::Db;
use wharf_store::jobs::{NewJob, claim, enqueue};

pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a real Odoo lives in real time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_millis(i64::try_from(since.as_millis()).expect("milliseconds"))
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[expect(clippy::disallowed_methods, reason = "which Odoo to use is told from outside")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

pub(crate) struct House {
    pub(crate) clock: Arc<WallClock>,
    /// With a ledger, as in a running host.
    pub(crate) egress: Egress,
    pub(crate) tenant: TenantId,
    pub(crate) admin: OdooConfig,
    /// Distinguishes the records of this run.
    pub(crate) run: i64,
    db: Db,
    _directory: TempDir,
}

impl House {
    /// `None` when no Odoo is named.
    pub(crate) async fn open() -> Option<Self> {
        let url = setting("WHARF_TEST_ODOO_URL")?;
        let (database, key) = (setting("WHARF_TEST_ODOO_DB")?, setting("WHARF_TEST_ODOO_KEY")?);
        let clock = Arc::new(WallClock);
        let directory = TempDir::new().expect("directory");
        let db =
            Db::open(&directory.path().join("w.db"), clock.clone(), Arc::new(Counted::default())).await.expect("db");
        db.migrate().await.expect("migrate");
        let settings = EgressConfig::default();
        let live = Arc::new(Live::new(&settings).expect("live"));
        let tenant = TenantId::parse("odoo-room-test").expect("tenant");
        let admin = OdooConfig {
            tenant: tenant.clone(),
            url,
            database,
            api_key: SecretString::from(key),
            allow_private_address: true,
            company: None,
            events: EventSource::Outbox,
        };
        let egress = Egress::new(Some(db.clone()), clock.clone(), settings, live);
        let run = clock.now().millis();
        Some(Self { clock, egress, tenant, admin, run, db, _directory: directory })
    }

    /// A call outside any job.
    pub(crate) fn ctx(&self) -> CallCtx {
        CallCtx {
            tenant: self.tenant.clone(),
            job: None,
            fence: 0,
            attempt: 1,
            flow: None,
            business: None,
            deadline: self.clock.now().plus(60_000),
            urgent: false,
            promised: None,
        }
    }

    /// A call of a fresh job, claimed as a worker would.
    pub(crate) async fn job(&self, kind: &str) -> CallCtx {
        let mut tx = self.db.begin().await.expect("begin");
        let lane = format!("{kind}/{}", self.db.ids().next(self.db.now()));
        let job = NewJob::new(self.tenant.clone(), lane, kind, json!({}));
        enqueue(&mut tx, &Actor::Host("test".to_owned()), &job).await.expect("enqueue");
        tx.commit().await.expect("commit");
        let job = claim(&self.db, "test", 600_000, 1).await.expect("claim").remove(0);
        CallCtx { job: Some(job.id), fence: job.fence, ..self.ctx() }
    }

    /// States of the effects of a job.
    pub(crate) async fn effects(&self, job: JobId) -> Vec<String> {
        let rows = wharf_store::effects::for_job(&self.db, &job).await.expect("effects");
        rows.iter().map(|row| format!("{} {}", row.step_key, row.state.as_str())).collect()
    }

    /// What a person does in Odoo, by the administrator's key.
    pub(crate) async fn person(&self, model: &str, method: &str, args: Value) -> Value {
        let slot = SecretSlot::Header { header: "authorization".to_owned(), format: "bearer {value}".to_owned() };
        let values = BTreeMap::from([("value".to_owned(), self.admin.api_key.clone())]);
        let grant = Grant {
            tenant: self.tenant.clone(),
            connection: "person".to_owned(),
            adapter_digest: None,
            origins: vec![Origin { url: self.admin.url.clone(), allow_private: true, authority: None }],
            routes: vec![Route {
                method: "POST".to_owned(),
                path: "/json/2/*/*".to_owned(),
                class: Some(EffectClass::Natural),
                effect: None,
                secret: Some("key".to_owned()),
                proves_no_effect: None,
                key: None,
                reason: "test".to_owned(),
            }],
            secrets: BTreeMap::from([("key".to_owned(), BoundSecret { slot, values })]),
            config: BTreeMap::new(),
            limits: Limits::default(),
            terms: None,
        };
        let request = Request {
            method: "POST".to_owned(),
            url: format!("{}/json/2/{model}/{method}", self.admin.url),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-odoo-database".to_owned(), self.admin.database.clone()),
            ],
            body: Some(Bytes::from(args.to_string())),
            timeout_ms: None,
        };
        let answer = self.egress.send(&grant, &self.ctx(), &mut Steps::default(), request).await.expect("answer");
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{model}.{method}: {}", &text[..text.len().min(600)]);
        serde_json::from_slice(&answer.body).expect("json")
    }

    /// Creates one record.
    pub(crate) async fn create(&self, model: &str, values: Value) -> i64 {
        self.person(model, "create", json!({"vals_list": [values]})).await[0].as_i64().expect("id")
    }

    /// The record behind an external id.
    pub(crate) async fn external(&self, module: &str, name: &str) -> i64 {
        let domain = json!([["module", "=", module], ["name", "=", name]]);
        let found = self.person("ir.model.data", "search_read", json!({"domain": domain, "fields": ["res_id"]})).await;
        found[0]["res_id"].as_i64().expect("a record")
    }

    /// The one record's fields.
    pub(crate) async fn read(&self, model: &str, id: i64, fields: &[&str]) -> Value {
        self.person(model, "read", json!({"ids": [id], "fields": fields})).await[0].clone()
    }

    /// A product with stock in the first warehouse.
    pub(crate) async fn product(&self, code: &str, weight: f64, stock: i64) -> i64 {
        let values = json!({"name": format!("Wharf test {code}"), "default_code": format!("{code}-{}", self.run),
            "type": "consu", "is_storable": true, "weight": weight});
        let product = self.create("product.product", values).await;
        self.stock(product, stock).await;
        product
    }

    /// Counts the product's stock to be `level`.
    pub(crate) async fn stock(&self, product: i64, level: i64) {
        let read = json!({"domain": [], "fields": ["lot_stock_id"], "order": "id", "limit": 1});
        let place = self.person("stock.warehouse", "search_read", read).await[0]["lot_stock_id"][0].clone();
        let values = json!({"product_id": product, "location_id": place, "inventory_quantity_auto_apply": level});
        let args = json!({"vals_list": [values], "context": {"inventory_mode": true}});
        self.person("stock.quant", "create", args).await;
    }
}

/// Something Odoo can knock at: gives each body it got.
pub(crate) fn knocked_at() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let url = format!("http://{}/hooks/odoo/test/0123456789", listener.local_addr().expect("address"));
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("stream");
            let mut reader = BufReader::new(stream.try_clone().expect("clone"));
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("line");
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("length");
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("body");
            stream
                .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .expect("answer");
            if send.send(String::from_utf8_lossy(&body).into_owned()).is_err() {
                return;
            }
        }
    });
    (url, receive)
}
