//! With the ledger of a running host: what a repeated job finds in its journal.

use std::sync::Mutex;

use bytes::Bytes;
use tempfile::TempDir;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::IdSource;
use wharf_egress::wire::{SentMark, Target, WireError, WireRequest, WireResponse};
use wharf_egress::{EgressConfig, Wire};
use wharf_store::Db;
use wharf_store::jobs::{NewJob, claim, enqueue};

use super::*;

/// Answers in order; an empty script breaks the connection. Notes the paths.
struct Script {
    answers: Mutex<Vec<Value>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Wire for Script {
    async fn exchange(&self, _: &Target, request: WireRequest, sent: &SentMark) -> Result<WireResponse, WireError> {
        sent.set();
        self.asked.lock().expect("asked").push(request.path);
        let mut answers = self.answers.lock().expect("answers");
        if answers.is_empty() {
            return Err(WireError::Broken { detail: "connection reset".to_owned() });
        }
        let body = Bytes::from(answers.remove(0).to_string());
        Ok(WireResponse { status: 200, headers: Vec::new(), body })
    }
}

struct Counted(std::sync::atomic::AtomicU64);

impl IdSource for Counted {
    fn next(&self, _: Timestamp) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(1, self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
    }
}

struct Host {
    erp: OdooErp,
    script: Arc<Script>,
    ctx: CallCtx,
    _directory: TempDir,
}

/// A host with one claimed job.
async fn host(answers: Vec<Value>) -> Host {
    let directory = TempDir::new().expect("directory");
    let clock = Arc::new(ManualClock::at(0));
    let ids = Arc::new(Counted(1.into()));
    let db = Db::open(&directory.path().join("w.db"), clock.clone(), ids).await.expect("open");
    db.migrate().await.expect("migrate");
    let mut tx = db.begin().await.expect("begin");
    let job = NewJob::new(ctx().tenant, "order/1#do", "erp.attach", json!({}));
    enqueue(&mut tx, &Actor::Host("test".to_owned()), &job).await.expect("enqueue");
    tx.commit().await.expect("commit");
    let job = claim(&db, "test", 600_000, 1).await.expect("claim").remove(0);
    let script = Arc::new(Script { answers: Mutex::new(answers), asked: Mutex::default() });
    let egress = Egress::new(Some(db), clock.clone(), EgressConfig::default(), script.clone());
    let ctx = CallCtx { job: Some(job.id), fence: job.fence, ..ctx() };
    Host { erp: OdooErp::new(egress, clock, &config()), script, ctx, _directory: directory }
}

#[tokio::test]
async fn a_busy_answer_in_the_journal_does_not_stop_the_next_attempt() {
    let done = json!({"ids": [934], "messages": [], "nextrow": 0});
    let stored = json!([{"id": 934, "datas": LABEL}]);
    let host = host(vec![busy(), busy(), busy(), done, stored.clone(), stored]).await;
    assert!(host.erp.attach(&host.ctx, &label()).await.expect_err("busy").retryable());
    // The next attempt passes over the three journaled answers and sends a fourth.
    assert_eq!(host.erp.attach(&host.ctx, &label()).await, Ok("934".to_owned()));
    // And a third one finds it done: only the read goes out.
    assert_eq!(host.erp.attach(&host.ctx, &label()).await, Ok("934".to_owned()));
    let asked = host.script.asked.lock().expect("asked");
    assert_eq!(asked.iter().filter(|path| path.ends_with("/load")).count(), 4, "{asked:?}");
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_same_call_again() {
    let note = Note { key: "n1".to_owned(), delivery: "57".to_owned(), text: "x".to_owned() };
    let host = host(Vec::new()).await;
    assert!(host.erp.note(&host.ctx, &note).await.expect_err("no answer").retryable());
    host.script.answers.lock().expect("answers").push(json!({"ids": [649], "messages": [], "nextrow": 0}));
    assert_eq!(host.erp.note(&host.ctx, &note).await, Ok(()));
    assert_eq!(host.erp.note(&host.ctx, &note).await, Ok(()), "from the journal");
    assert_eq!(host.script.asked.lock().expect("asked").len(), 2);
}
