//! Guests that misbehave. Each must end with a typed fault that names what it did, and the sandbox must serve the next
//! call as if nothing had happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use wharf_domain::ctx::{CallCtx, Environment};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::grant::{Capabilities, OdooAccess, OdooGrant};
use wharf_domain::ids::TenantId;
use wharf_domain::port::records::{Answer, Ask, Asker, Options, Page, Records, Used, WriteBudget};
use wharf_domain::time::{Clock, ManualClock, Timestamp};
use wharf_egress::{Egress, EgressConfig, Grant, Replay};
use wharf_sandbox::roles::{Connection, Settings};
use wharf_sandbox::{Adapter, Limits, LoadError, LocalServices, Sandbox, SandboxConfig};

use crate::guest;

fn sandbox(limits: Limits) -> Arc<Sandbox> {
    Arc::new(Sandbox::new(SandboxConfig { limits, cache_dir: None, threads: 1, compiler: None }).expect("sandbox"))
}

/// Small budgets, so that the tests are quick.
fn small() -> Limits {
    Limits { cpu_ms: 50, wall_ms: 5_000, concurrent_calls: 8, host_calls: 100, ..Limits::default() }
}

async fn connection(sandbox: &Arc<Sandbox>, bytes: Vec<u8>) -> Result<Connection, LoadError> {
    named(sandbox, bytes, "c".to_owned()).await
}

async fn renamed(sandbox: &Arc<Sandbox>, bytes: &[u8], number: u32) -> Connection {
    named(sandbox, bytes.to_vec(), format!("c{number}")).await.expect("loads")
}

async fn named(sandbox: &Arc<Sandbox>, bytes: Vec<u8>, name: String) -> Result<Connection, LoadError> {
    granted(sandbox, (bytes, name), Arc::default(), BTreeMap::new()).await
}

async fn granted(
    sandbox: &Arc<Sandbox>,
    (bytes, name): (Vec<u8>, String),
    capabilities: Arc<Capabilities>,
    odoos: BTreeMap<TenantId, Arc<dyn Records>>,
) -> Result<Connection, LoadError> {
    let adapter: Arc<Adapter> = Arc::new(sandbox.load(bytes).await?);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000));
    let egress = Egress::new(None, Arc::clone(&clock), EgressConfig::default(), Arc::new(Replay::empty()));
    let grant = Grant {
        tenant: TenantId::parse("t").expect("tenant"),
        connection: name,
        adapter_digest: None,
        origins: vec![],
        routes: vec![],
        secrets: Default::default(),
        config: Default::default(),
        limits: Default::default(),
        terms: None,
    };
    let (environment, endpoint) = (Environment::Test, String::new());
    let settings = Settings { environment, endpoint, config: vec![], capabilities };
    let services = Arc::new(LocalServices::offline(egress, clock).with_odoos(odoos));
    Ok(Connection::new(Arc::clone(sandbox), adapter, services, Arc::new(grant), settings))
}

fn ctx() -> CallCtx {
    CallCtx {
        tenant: TenantId::parse("t").expect("tenant"),
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline: Timestamp::from_millis(1_700_000_060_000),
        urgent: false,
        promised: None,
    }
}

async fn describe(name: &str) -> Fault {
    let sandbox = sandbox(small());
    let connection = connection(&sandbox, guest::adapter(name)).await.expect("it loads");
    connection.invoke(&ctx(), "info.describe", json!({})).await.result.expect_err("it must not succeed")
}

#[tokio::test]
async fn a_looping_guest_is_ended_and_its_neighbour_is_served() {
    let sandbox = sandbox(Limits { cpu_ms: 300, ..small() });
    let looping = connection(&sandbox, guest::adapter("loop")).await.expect("loads");
    let trapping = connection(&sandbox, guest::adapter("trap")).await.expect("loads");
    let (first, neighbour) = (ctx(), ctx());
    let endless = looping.invoke(&first, "info.describe", json!({}));
    let quick = tokio::time::timeout(Duration::from_secs(5), trapping.invoke(&neighbour, "info.describe", json!({})));
    let (endless, quick) = tokio::join!(endless, quick);
    let fault = endless.result.expect_err("ended");
    assert_eq!((fault.code.as_str(), fault.kind, fault.blame), ("trap.compute", FaultKind::AdapterFault, Blame::Guest));
    assert!(fault.frames.iter().any(|f| f.contains("spin")), "{:?}", fault.frames);
    assert_eq!(quick.expect("the neighbour is served meanwhile").result.expect_err("traps").code, "trap.panic");
}

#[tokio::test]
async fn a_guest_that_takes_all_memory_is_told_apart_from_one_that_panics() {
    let fault = describe("grow").await;
    assert_eq!(fault.code, "trap.memory", "{fault}");
    assert!(fault.message.contains("64 MiB"), "{fault}");
}

/// What `inspect` shows beside a limit: the worst of a connection's calls, however they ended, and nothing of the others.
#[tokio::test]
async fn how_near_a_call_came_to_its_limits_is_known_afterwards() {
    let sandbox = sandbox(small());
    let ended = async |name: &str, limit: &str| {
        let connection = connection(&sandbox, guest::adapter(name)).await.expect("loads");
        assert_eq!((connection.peak().calls, connection.peak().memory_bytes), (0, 0), "starting it was no call");
        let fault = connection.invoke(&ctx(), "info.describe", json!({})).await.result.expect_err("ended");
        assert_eq!(fault.code, limit);
        connection.peak()
    };
    let (greedy, busy) = (ended("grow", "trap.memory").await, ended("loop", "trap.compute").await);
    // It takes 16 MiB at a time beside its first 64 KiB.
    assert_eq!((greedy.calls, greedy.memory_bytes, greedy.http_requests), (1, (48 << 20) + (64 << 10), 0));
    assert_eq!((busy.calls, busy.cpu_ms), (1, 51), "ended at the first tick over its budget");
    assert!(busy.memory_bytes < 1 << 20, "{busy:?}");
}

#[tokio::test]
async fn a_guest_that_declares_four_gib_does_not_load() {
    let error = connection(&sandbox(small()), guest::adapter("four-gib")).await.err().expect("refused");
    assert!(matches!(error, LoadError::Invalid(_)), "{error}");
    assert!(error.to_string().contains("memory"), "{error}");
}

#[tokio::test]
async fn a_trap_names_the_guests_functions() {
    let fault = describe("trap").await;
    assert_eq!(fault.code, "trap.panic");
    assert_eq!(fault.frames[..2], ["parse_answer", "ship"], "{:?}", fault.frames);
    assert!(!fault.retryable());
}

#[tokio::test]
async fn endless_recursion_overflows_the_guests_stack_only() {
    assert_eq!(describe("recurse").await.code, "trap.stack");
}

#[tokio::test]
async fn a_flood_of_host_calls_is_ended() {
    assert_eq!(describe("flood").await.code, "trap.hostcall-budget");
}

#[tokio::test]
async fn a_wild_pointer_is_a_broken_contract() {
    assert_eq!(describe("wild-pointer").await.code, "trap.abi");
}

#[tokio::test]
async fn what_is_not_a_component_is_refused_by_name() {
    let sandbox = sandbox(small());
    for bytes in [b"hello".to_vec(), vec![], b"\0asm\x01\0\0\0".to_vec()] {
        let error = connection(&sandbox, bytes).await.err().expect("refused");
        assert!(error.to_string().contains("not a WebAssembly component"), "{error}");
    }
    let limits = Limits { component_bytes: 10, ..small() };
    let error = connection(&self::sandbox(limits), guest::adapter("trap")).await.err().expect("refused");
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn an_import_the_host_does_not_offer_is_refused_by_name() {
    let wat = r#"(module
        (import "test:guests/unknown" "shell" (func (param i32 i32 i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "wharf:adapter/info@0.1.0#describe") (result i32) unreachable))"#;
    let bytes = guest::component(wat, "wishful", &guest::plain_manifest("wishful"));
    let error = connection(&sandbox(small()), bytes).await.err().expect("refused");
    assert!(matches!(&error, LoadError::UnknownImport { import, .. } if import == "test:guests/unknown"), "{error}");
}

#[tokio::test]
async fn three_hundred_bad_calls_leave_the_pool_whole() {
    let sandbox = sandbox(small());
    let bytes = guest::adapter("trap");
    let mut trapping = connection(&sandbox, bytes.clone()).await.expect("loads");
    for call in 0..300 {
        // After five of them a connection's version is left alone.
        trapping = if call % 4 == 0 { renamed(&sandbox, &bytes, call).await } else { trapping };
        let fault = trapping.invoke(&ctx(), "info.describe", json!({})).await.result.expect_err("traps");
        assert_eq!(fault.code, "trap.panic");
    }
}

/// An Odoo that gives away everything it is asked for.
#[derive(Default)]
struct Careless(Mutex<Vec<Ask>>);

#[async_trait]
impl Records for Careless {
    async fn ask(&self, _: &CallCtx, _: &Asker, _: &mut Used, _: &dyn WriteBudget, ask: Ask) -> Result<Answer, Fault> {
        self.0.lock().expect("asks").push(ask);
        Ok(Answer::Page(Page { records: "[]".to_owned(), ..Page::default() }))
    }
}

#[tokio::test]
async fn h1_a_guest_without_a_grant_reaches_no_odoo() {
    let sandbox = sandbox(small());
    let odoo = Arc::new(Careless::default());
    let odoos = || BTreeMap::from([(ctx().tenant, Arc::clone(&odoo) as Arc<dyn Records>)]);
    let snoop =
        granted(&sandbox, (guest::adapter("snoop"), "c".to_owned()), Arc::default(), odoos()).await.expect("loads");
    let fault = snoop.invoke(&ctx(), "info.describe", json!({})).await.result.expect_err("traps");
    assert_eq!(fault.frames[0], "denied", "{fault}");
    assert!(odoo.0.lock().expect("asks").is_empty(), "nobody was asked");

    // With a grant the question arrives as the guest put it: whether it is allowed is for the gate.
    let country = OdooGrant {
        model: "res.country".to_owned(),
        read: Default::default(),
        write: Default::default(),
        create: false,
        domain: None,
        narrowed: None,
        max_records: 1,
    };
    let access = OdooAccess { companies: vec![1], writes_per_hour: 1, models: vec![country] };
    let some = Arc::new(Capabilities { odoo: access, ..Capabilities::default() });
    let snoop = granted(&sandbox, (guest::adapter("snoop"), "c".to_owned()), some, odoos()).await.expect("loads");
    let fault = snoop.invoke(&ctx(), "info.describe", json!({})).await.result.expect_err("traps");
    assert_eq!(fault.frames[0], "given", "{fault}");
    let asked = std::mem::take(&mut *odoo.0.lock().expect("asks"));
    let wanted = Ask::Read { model: "res.users".to_owned(), ids: vec![1], fields: vec![], options: Options::new() };
    assert_eq!(asked, [wanted]);
}
