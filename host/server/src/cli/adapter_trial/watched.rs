//! Services that write down what an adapter asked for, and otherwise do what the offline ones do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use wharf_domain::fault::Fault;
use wharf_domain::port::records::{Answer, Ask, Used};
use wharf_domain::time::Timestamp;
use wharf_egress::{Grant, Ledger, Response, Steps};
use wharf_sandbox::{
    FolderAnswer, FolderAsk, FolderScope, HostServices, HttpAsk, KvScope, LocalServices, Note, RecordsAsk,
};

/// What was asked for, whatever came of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Method and path of each request, without the query.
    pub(super) requests: BTreeSet<(String, String)>,
    pub(super) models: BTreeMap<String, Model>,
    /// The most bytes of key-value storage that were in use at once.
    pub(super) kv_bytes: u64,
    pub(super) folders: BTreeMap<String, Folder>,
}

impl Seen {
    /// Adds what another call asked for.
    pub(super) fn add(&mut self, other: Self) {
        self.requests.extend(other.requests);
        for (name, model) in other.models {
            let known = self.models.entry(name).or_default();
            known.read.extend(model.read);
            known.write.extend(model.write);
            known.create |= model.create;
            known.searched |= model.searched;
        }
        self.kv_bytes = self.kv_bytes.max(other.kv_bytes);
        for (name, folder) in other.folders {
            let known = self.folders.entry(name).or_default();
            known.read |= folder.read;
            known.create |= folder.create;
        }
    }
}

/// A model of Odoo.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) read: BTreeSet<String>,
    pub(super) write: BTreeSet<String>,
    pub(super) create: bool,
    /// A domain was searched by: its fields are not taken apart here, and all that is declared is kept.
    pub(super) searched: bool,
}

#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) read: bool,
    pub(super) create: bool,
}

/// One call's services.
pub(super) struct Watched {
    inner: LocalServices,
    seen: Mutex<Seen>,
    keys: Mutex<BTreeMap<String, u64>>,
}

impl Watched {
    pub(super) fn new(inner: LocalServices) -> Self {
        Self { inner, seen: Mutex::default(), keys: Mutex::default() }
    }

    /// What was asked for so far; from here on it begins anew.
    pub(super) fn take(&self) -> Seen {
        let mut taken = Seen::default();
        self.see(|seen| std::mem::swap(seen, &mut taken));
        taken
    }

    fn see(&self, write: impl FnOnce(&mut Seen)) {
        write(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The fields a JSON object names; none when it is not one.
fn fields(values: &str) -> Vec<String> {
    match serde_json::from_str(values) {
        Ok(Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

fn ask(models: &mut BTreeMap<String, Model>, ask: &Ask) {
    match ask {
        Ask::SearchRead(search) => {
            let model = models.entry(search.model.clone()).or_default();
            model.read.extend(search.fields.iter().cloned());
            let sorted = search.order.iter().filter_map(|term| term.split_whitespace().next());
            model.read.extend(sorted.map(str::to_owned));
            model.searched |= !matches!(search.domain.trim(), "" | "[]");
        }
        Ask::Read { model, fields, .. } => models.entry(model.clone()).or_default().read.extend(fields.iter().cloned()),
        Ask::Create { model, values, .. } => {
            let model = models.entry(model.clone()).or_default();
            model.create = true;
            model.write.extend(fields(values));
        }
        Ask::Write { model, values, .. } => models.entry(model.clone()).or_default().write.extend(fields(values)),
    }
}

#[async_trait]
impl HostServices for Watched {
    async fn http(&self, ask: HttpAsk) -> (Result<Response, Fault>, Steps) {
        let path = url::Url::parse(&ask.request.url).map(|url| url.path().to_owned()).unwrap_or_default();
        self.see(|seen| seen.requests.extend([(ask.request.method.clone(), path)]));
        self.inner.http(ask).await
    }

    async fn heard(&self, grant: &Grant, fault: &Fault) {
        self.inner.heard(grant, fault).await;
    }

    async fn records(&self, ask: RecordsAsk) -> (Result<Answer, Fault>, Used) {
        self.see(|seen| self::ask(&mut seen.models, &ask.ask));
        self.inner.records(ask).await
    }

    async fn kv_get(&self, at: &KvScope, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        // A store that is only read must still be there.
        self.see(|seen| seen.kv_bytes = seen.kv_bytes.max(1));
        self.inner.kv_get(at, key).await
    }

    async fn kv_set(&self, at: &KvScope, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Fault> {
        let used: u64 = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.insert(key.to_owned(), (key.len() + value.len()) as u64);
            keys.values().sum()
        };
        self.see(|seen| seen.kv_bytes = seen.kv_bytes.max(used));
        self.inner.kv_set(at, key, value, ttl_ms).await
    }

    async fn kv_delete(&self, at: &KvScope, key: &str) -> Result<(), Fault> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.inner.kv_delete(at, key).await
    }

    async fn folder(&self, at: &FolderScope, ask: FolderAsk) -> Result<FolderAnswer, Fault> {
        self.see(|seen| {
            let folder = seen.folders.entry(at.grant.name.clone()).or_default();
            match ask {
                FolderAsk::Put { .. } => folder.create = true,
                _ => folder.read = true,
            }
        });
        self.inner.folder(at, ask).await
    }

    fn ledger(&self) -> Option<&Ledger> {
        self.inner.ledger()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn note(&self, note: Note) {
        self.inner.note(note).await;
    }
}
