//! The gate and everything behind it against a stand-in with a handful of records, with a ledger as in a running host.
//! Tests are named after the rows of the attack corpus; the same attacks meet a real Odoo in `real_odoo.rs`.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "real_odoo/attacks.rs"]
mod attacks;
#[path = "gate/fake.rs"]
mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use attacks::{Purse, access, asker, attacks, create, read, search, write};
use fake::{Fake, PLACES};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::fault::{EffectCertainty, Fault, FaultKind};
use wharf_domain::grant::OdooAccess;
use wharf_domain::ids::{IdSource, TenantId};
use wharf_domain::port::records::{Answer, Ask, Page, Records, Search, Used};
use wharf_domain::time::{ManualClock, Timestamp};
use wharf_egress::{Egress, EgressConfig};
use wharf_odoo::{EventSource, OdooConfig, OdooRecords};
use wharf_store::Db;
use wharf_store::jobs::{NewJob, claim, enqueue};

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(now.millis() as u64, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

struct House {
    odoo: Arc<Fake>,
    records: OdooRecords,
    access: OdooAccess,
    purse: Purse,
    db: Db,
    tenant: TenantId,
    _directory: TempDir,
}

impl House {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let directory = TempDir::new().expect("directory");
        let db =
            Db::open(&directory.path().join("w.db"), clock.clone(), Arc::new(Counted::default())).await.expect("db");
        db.migrate().await.expect("migrate");
        let odoo = Arc::new(Fake::new());
        let egress = Egress::new(Some(db.clone()), clock.clone(), EgressConfig::default(), odoo.clone());
        let tenant = TenantId::parse("nordic").expect("tenant");
        let config = OdooConfig {
            tenant: tenant.clone(),
            url: "https://odoo.example".to_owned(),
            database: "d".to_owned(),
            api_key: SecretString::from(KEY),
            allow_private_address: false,
            company: Some(PLACES.company),
            events: EventSource::Outbox,
        };
        let records = OdooRecords::new(egress, clock, &config);
        let (access, purse) = (access(PLACES.company), Purse::of(1_000));
        Self { odoo, records, access, purse, db, tenant, _directory: directory }
    }

    async fn job(&self) -> CallCtx {
        let mut tx = self.db.begin().await.expect("begin");
        let lane = format!("l/{}", self.db.ids().next(self.db.now()));
        let job = NewJob::new(self.tenant.clone(), lane, "test", json!({}));
        enqueue(&mut tx, &Actor::Host("test".to_owned()), &job).await.expect("enqueue");
        tx.commit().await.expect("commit");
        let job = claim(&self.db, "test", 600_000, 1).await.expect("claim").remove(0);
        CallCtx {
            tenant: self.tenant.clone(),
            job: Some(job.id),
            fence: job.fence,
            attempt: 1,
            flow: None,
            business: None,
            deadline: self.db.now().plus(60_000),
            urgent: false,
            promised: None,
        }
    }

    async fn on(&self, ctx: &CallCtx, used: &mut Used, ask: Ask) -> Result<Answer, Fault> {
        self.records.ask(ctx, &asker(self.access.clone()), used, &self.purse, ask).await
    }

    /// In a job and a call of its own.
    async fn ask(&self, ask: Ask) -> Result<Answer, Fault> {
        let ctx = self.job().await;
        self.on(&ctx, &mut Used::default(), ask).await
    }

    async fn page(&self, ask: Ask) -> (Value, Page) {
        let Answer::Page(page) = self.ask(ask).await.expect("a page") else { panic!("no page") };
        (serde_json::from_str(&page.records).expect("json"), page)
    }

    /// Every attack of the row is refused as the table says, and no record was touched.
    async fn refuses(row: &str) {
        let house = Self::new().await;
        let before = house.odoo.all();
        let mut tried = 0;
        for attack in attacks(&PLACES).into_iter().filter(|attack| attack.row == row) {
            let text = format!("{:?}", attack.ask);
            let ctx = house.job().await;
            let mut used = Used::default();
            let fault = house.on(&ctx, &mut used, attack.ask).await.expect_err(&text);
            assert_eq!(
                (fault.code.as_str(), fault.effect, used.risked),
                (attack.code, EffectCertainty::None, false),
                "{text}"
            );
            wharf_attack::assert_as_written(&row.to_uppercase(), &fault.code);
            let sent = house.odoo.asked();
            assert!(sent.iter().all(|(call, _)| call.ends_with("/search_read")), "{text} sent {sent:?}");
            tried += 1;
        }
        assert!(tried > 0, "no attack of row {row}");
        assert_eq!(house.odoo.all(), before);
    }
}

#[tokio::test]
async fn h1_models_that_are_closed_stay_closed() {
    House::refuses("h1").await;
}

#[tokio::test]
async fn h2_a_method_in_the_models_name_goes_nowhere() {
    House::refuses("h2").await;
}

#[tokio::test]
async fn h3_a_domain_reaches_no_further_than_a_grant() {
    House::refuses("h3").await;
    let house = House::new().await;
    house.odoo.put("sale.order", 31, json!({"name": "S2", "partner_id": 20, "company_id": 1}));
    let (found, _) = house.page(search("sale.order", json!([["partner_id.name", "!=", "x"]]), &["name"])).await;
    assert_eq!(found, json!([{"id": 30, "name": "S1"}]), "an order of a foreign partner tells nothing about it");
}

#[tokio::test]
async fn h4_no_oracle_by_field_order_or_condition() {
    House::refuses("h4").await;
}

#[tokio::test]
async fn h5_nested_writes_need_their_own_grant() {
    House::refuses("h5").await;
    let house = House::new().await;
    let values = json!({"order_line": [[1, PLACES.own_line, {"product_uom_qty": 3}], [0, 0, {"product_id": 50}]]});
    house.ask(write("sale.order", &[PLACES.own_order], values)).await.expect("granted");
    let sent = house.odoo.asked();
    let calls: Vec<&str> = sent.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(
        calls,
        ["sale.order/search_read", "sale.order.line/search_read", "product.product/search_read", "sale.order/write"]
    );
    let lines = json!([[1, PLACES.own_line, {"product_uom_qty": 3}], [0, 0, {"product_id": 50}]]);
    assert_eq!(sent[3].1["vals"]["order_line"], lines);
}

#[tokio::test]
async fn h6_the_context_is_the_hosts() {
    House::refuses("h6").await;
    let house = House::new().await;
    let options = vec![("lang".to_owned(), "de_DE".to_owned())];
    house.page(Ask::SearchRead(Search { model: "res.partner".to_owned(), options, ..Search::default() })).await;
    let context = house.odoo.asked().remove(0).1["context"].clone();
    assert_eq!(context, json!({"allowed_company_ids": [1], "lang": "de_DE"}));
}

#[tokio::test]
async fn h7_no_hop_to_another_company() {
    House::refuses("h7").await;
    let house = House::new().await;
    let (all, _) =
        house.page(search("res.partner", json!(["|", ["id", "!=", 0], ["name", "=", "x"]]), &["name"])).await;
    assert_eq!(all, json!([{"id": 10, "name": "Own"}, {"id": 11, "name": "Shared"}]));
    let (named, _) = house.page(read("res.partner", &[PLACES.foreign_partner, 10], &["name"])).await;
    assert_eq!(named, json!([{"id": 10, "name": "Own"}]));
    // Odoo's default would put it elsewhere: the host finds out and says so.
    house.odoo.put("res.partner", 99, json!({"name": "x", "company_id": 2}));
    house.odoo.answer_once("load", 200, json!({"ids": [99], "messages": [], "nextrow": 0}));
    let fault = house.ask(create("res.partner", "k", json!({"name": "x"}))).await.expect_err("another company");
    assert_eq!((fault.code.as_str(), fault.effect), ("odoo.denied-record", EffectCertainty::Done));
}

#[tokio::test]
async fn h8_the_database_is_named_by_the_host() {
    let house = House::new().await;
    for option in ["database", "db", "x-odoo-database"] {
        let options = vec![(option.to_owned(), "other".to_owned())];
        let ask = Ask::SearchRead(Search { model: "res.partner".to_owned(), options, ..Search::default() });
        assert_eq!(house.ask(ask).await.expect_err(option).code, "odoo.denied-context");
    }
    assert!(house.odoo.asked().is_empty());
}

#[tokio::test]
async fn h9_a_page_and_a_call_have_an_end() {
    let mut house = House::new().await;
    for id in 1_000..1_700 {
        house.odoo.put("res.partner", id, json!({"name": "many", "company_id": 1}));
    }
    for limit in [0, 1_000_000] {
        let ask = Ask::SearchRead(Search { model: "res.partner".to_owned(), limit, ..Search::default() });
        let (records, page) = house.page(ask).await;
        assert_eq!((records.as_array().map(Vec::len), page.more), (Some(500), true));
    }
    house.access.models[0].max_records = 600;
    let (ctx, mut used) = (house.job().await, Used::default());
    let next = |offset| Ask::SearchRead(Search { model: "res.partner".to_owned(), offset, ..Search::default() });
    let counts = async |ask, used: &mut Used| match house.on(&ctx, used, ask).await {
        Ok(Answer::Page(page)) => Ok(serde_json::from_str::<Vec<Value>>(&page.records).expect("json").len()),
        Ok(_) => panic!("no page"),
        Err(fault) => Err(fault.code),
    };
    assert_eq!(counts(next(0), &mut used).await, Ok(500));
    assert_eq!(counts(next(500), &mut used).await, Ok(100), "what is left of the grant");
    assert_eq!(counts(next(600), &mut used).await, Err("odoo.limit-odoo-records".to_owned()));
    house.odoo.put("res.partner", 5_000, json!({"name": "x".repeat(60_000), "company_id": 1}));
    let mut used = Used { bytes: 4 << 20, ..Used::default() };
    let big = read("res.partner", &[5_000], &["name"]);
    assert_eq!(counts(big, &mut used).await, Err("odoo.limit-odoo-bytes".to_owned()));
}

#[tokio::test]
async fn h10_mass_writes_end_at_the_budget() {
    let mut house = House::new().await;
    let ids: Vec<i64> = (1_000..1_400).collect();
    for id in &ids {
        house.odoo.put("res.partner", *id, json!({"name": "many", "company_id": 1}));
    }
    house.purse = Purse::of(500);
    house.ask(write("res.partner", &ids, json!({"ref": "1"}))).await.expect("within the budget");
    house.odoo.asked();
    let fault = house.ask(write("res.partner", &ids, json!({"ref": "2"}))).await.expect_err("over it");
    assert_eq!((fault.code.as_str(), fault.effect), ("odoo.limit-odoo-writes", EffectCertainty::None));
    assert!(house.odoo.asked().iter().all(|(call, _)| !call.ends_with("/write")));
    assert_eq!(house.odoo.get("res.partner", 1_000)["ref"], "1");
    let too_many: Vec<i64> = (1..=501).collect();
    let fault = house.ask(write("res.partner", &too_many, json!({"ref": "2"}))).await.expect_err("one call");
    assert_eq!(fault.code, "odoo.invalid-input");
}

#[tokio::test]
async fn h11_a_key_creates_once_whoever_repeats_it() {
    let house = House::new().await;
    let ask = || create("res.partner", "PO-1", json!({"name": "New"}));
    let ctx = house.job().await;
    let first = house.on(&ctx, &mut Used::default(), ask()).await.expect("created");
    let again = house.on(&ctx, &mut Used::default(), ask()).await.expect("out of the journal");
    let loads = house.odoo.asked().into_iter().filter(|(call, _)| call.ends_with("/load")).count();
    assert_eq!((&first, loads), (&again, 1), "a repeated call is answered from the ledger");
    assert_eq!(house.ask(ask()).await.expect("another job"), first, "and another job by Odoo itself");
    let rows = wharf_store::effects::for_job(&house.db, &ctx.job.expect("job")).await.expect("effects");
    let rows: Vec<String> =
        rows.iter().map(|r| format!("{} {} {}", r.connection, r.step_key, r.state.as_str())).collect();
    assert_eq!(rows, ["hostile 1:POST /json/2/res.partner/load succeeded"]);
    // Two writes of one call are two steps: the second is not taken for the first.
    let (ctx, mut used) = (house.job().await, Used::default());
    house.on(&ctx, &mut used, write("res.partner", &[10], json!({"ref": "a"}))).await.expect("first");
    house.on(&ctx, &mut used, write("res.partner", &[10], json!({"ref": "b"}))).await.expect("second");
    assert_eq!((house.odoo.get("res.partner", 10)["ref"].clone(), used.mutating, used.risked), (json!("b"), 2, true));
}

#[tokio::test]
async fn h12_hostile_text_is_a_value_and_nothing_else() {
    let house = House::new().await;
    let nasty = "<script>\r\n=HYPERLINK(\"x\")\u{1b}[31m{{secret:api_key}}{{config:x}}";
    house.ask(write("res.partner", &[10], json!({"comment": nasty}))).await.expect("written");
    let sent = house.odoo.asked();
    assert_eq!(sent.last().expect("a write").1["vals"]["comment"], nasty, "no placeholder is looked for in values");
    assert!(!format!("{sent:?}").contains(KEY));
    house.odoo.put("res.partner", 10, json!({"name": nasty.repeat(2_000), "comment": nasty, "company_id": 1}));
    let (rows, page) = house.page(read("res.partner", &[10], &["name", "comment"])).await;
    assert_eq!((&rows[0]["comment"], page.cut), (&json!(nasty), vec!["10.name".to_owned()]));
    assert_eq!(rows[0]["name"].as_str().map(|name| name.chars().count()), Some(65_536));
    house.odoo.answer_once("search_read", 200, json!([{"id": 10, "name": {"a": 1}}, {"id": 11}]));
    let (odd, _) = house.page(read("res.partner", &[10, 11], &["name"])).await;
    assert_eq!(odd, json!([{"id": 10, "name": null}, {"id": 11, "name": null}]));
    house.odoo.answer_once("search_read", 200, json!({"records": []}));
    let fault = house.ask(read("res.partner", &[10], &["name"])).await.expect_err("another shape");
    assert_eq!(fault.kind, FaultKind::DataOutOfContract);
}

#[tokio::test]
async fn h13_no_traceback_and_no_foreign_words_reach_the_guest() {
    let house = House::new().await;
    let error = |name: &str, text: &str| {
        json!({"name": name, "message": text, "arguments": [text], "context": {"uid": 7},
            "debug": "Traceback (most recent call last):\n  secret"})
    };
    let text = "You are not allowed to access 'Payslip' (hr.payslip) records.\n\nUser: Marc Demo (id=6)";
    house.odoo.answer_once("search_read", 403, error("odoo.exceptions.AccessError", text));
    let denied = house.ask(read("res.partner", &[10], &["name"])).await.expect_err("denied");
    house.odoo.answer_once("search_read", 500, error("builtins.ValueError", "secret in /usr/lib/odoo"));
    let broken = house.ask(read("res.partner", &[10], &["name"])).await.expect_err("broken");
    for fault in [&denied, &broken] {
        let told = serde_json::to_string(fault).expect("json");
        for word in ["Traceback", "Payslip", "Marc", "uid"] {
            assert!(!told.contains(word), "{told}");
        }
        assert_eq!(fault.provider.as_ref().and_then(|provider| provider.message.clone()), None);
    }
    assert_eq!((denied.code.as_str(), denied.kind), ("odoo.access-error", FaultKind::Forbidden));
    house.odoo.answer_once("search_read", 401, error("werkzeug.exceptions.Unauthorized", "Invalid apikey"));
    let refused = house.ask(read("res.partner", &[10], &["name"])).await.expect_err("the key");
    assert_eq!(refused.message, "Odoo refused the host's key");
}

#[tokio::test]
async fn a_write_in_doubt_is_settled_by_the_same_write() {
    let house = House::new().await;
    let ctx = house.job().await;
    let ask = |reference: &str| write("res.partner", &[10], json!({"ref": reference}));
    house.odoo.answer_once("write", 502, json!("a proxy"));
    let lost = house.on(&ctx, &mut Used::default(), ask("a")).await.expect_err("no proof");
    assert_eq!((lost.code.as_str(), lost.retryable()), ("odoo.down", true));
    assert_eq!(house.on(&ctx, &mut Used::default(), ask("a")).await, Ok(Answer::Written));
    assert_eq!(house.odoo.get("res.partner", 10)["ref"], "a");
    let other = house.on(&ctx, &mut Used::default(), ask("b")).await.expect_err("another write in the same step");
    assert_eq!(other.code, "egress.replay-mismatch");
}
