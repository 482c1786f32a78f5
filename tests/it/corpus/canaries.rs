//! Promise 11: secrets nobody has ever seen are given to connections whose guest asks a partner that says everything
//! back, spreads what it hears wherever it can, and ends badly. Then they are looked for: in the guest's memory, its
//! answers and log, faults, figures, the host's own log down to the last detail, and every file of the database.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wharf_domain::manifest::SecretSlot;
use wharf_egress::BoundSecret;

use super::arena::{Arena, MANIFEST, Rogue, small, tenant};
use super::echo::{Echo, hidden};
use crate::guest;
use crate::traces::traces;

/// 32 random characters, and some that look different wherever they are written down.
fn canary() -> String {
    format!("{:032x}/+=&%", rand::random::<u128>())
}

/// A connection's secret.
struct Given {
    name: &'static str,
    slot: SecretSlot,
    values: BTreeMap<String, String>,
    /// The values that must not be found. The others name an account.
    secret: Vec<String>,
}

fn slots() -> Vec<Given> {
    let slot = |text: Value| serde_json::from_value::<SecretSlot>(text).expect("a slot");
    let header = json!({ "type": "header", "header": "X-Api-Key", "format": "Key {value}" });
    let oauth = json!({ "type": "oauth2-client-credentials", "token_path": super::echo::TOKENS });
    let signed = json!({
        "type": "hmac-sign", "header": "X-Signature", "format": "{signature}", "hash": "sha256", "encoding": "hex",
        "template": "{method}{path}{body}",
    });
    [
        ("header", header, vec!["value"]),
        ("odoo-key", json!({ "type": "odoo-key" }), vec!["value"]),
        ("basic", json!({ "type": "basic" }), vec!["password"]),
        ("oauth", oauth, vec!["client_secret"]),
        ("hmac", signed, vec!["key"]),
    ]
    .into_iter()
    .map(|(name, text, secret)| {
        let slot = slot(text);
        let values: BTreeMap<_, _> = slot.fields().iter().map(|field| ((*field).to_owned(), canary())).collect();
        let secret = secret.into_iter().map(|field| values[field].clone()).collect();
        Given { name, slot, values, secret }
    })
    .collect()
}

/// The host's log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The ways a call may end after it has heard a secret.
fn ends() -> Vec<Value> {
    vec![
        json!([]),
        json!([{ "do": "loop" }]),
        json!([{ "do": "grow" }]),
        json!([{ "do": "recurse" }]),
        json!([{ "do": "answer", "bytes": 9 << 20 }]),
        json!([{ "do": "http", "method": "GET", "url": "http://evil.test/" }]),
    ]
}

#[tokio::test]
async fn p11_f5_f6_f7_a_secret_is_found_nowhere_but_at_its_partner() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let partner = Arc::new(Echo { token: canary(), seen: Mutex::default() });
    let limits = wharf_sandbox::Limits { cpu_ms: 1_000, ..small() };
    let arena = Arena::before(limits, partner.clone()).await;
    let adapter = arena.load(guest::rogue(MANIFEST)).await.expect("loads");
    let (mut looked_for, mut shown) = (traces(&partner.token), String::new());
    for Given { name, slot, values, secret } in slots() {
        let mut grant = arena.grant(&adapter, "t", name);
        let bound = values.iter().map(|(field, value)| (field.clone(), value.clone().into())).collect();
        grant.secrets.insert("key".to_owned(), BoundSecret { slot, values: bound });
        grant.routes.iter_mut().for_each(|route| route.secret = Some("key".to_owned()));
        let mut mine: Vec<String> = secret.iter().flat_map(|value| traces(value)).collect();
        mine.extend(values.get("username").map(|user| STANDARD.encode(format!("{user}:{}", values["password"]))));
        let rogue = Rogue { connection: arena.connect_with(&adapter, grant), tenant: tenant("t") };
        let spread = |panics: bool| json!({ "do": "spread", "url": "http://partner.test/", "panics": panics });
        let control = hidden("partner.test");
        let forms = traces(&partner.token);
        let hunted: Vec<String> =
            [control].into_iter().chain(mine.iter().chain(&forms).map(|form| hidden(form))).collect();
        let hunt = json!({ "do": "hunt", "hidden": hunted });
        let told = rogue.told(&json!([spread(false), { "do": "kv-get", "key": "loot" }, hunt])).await.expect("served");
        assert!(told[0]["answer"].as_str().is_some_and(|text| text.contains("200")), "{told:?}");
        let found: Vec<bool> = serde_json::from_value(told[2].clone()).expect("a list");
        assert!(found[0], "what it was given is found");
        assert!(!found[1..].contains(&true), "{name}: in the guest's memory: {told:?}");
        shown.push_str(&json!(told).to_string());
        for end in ends() {
            let script: Vec<Value> =
                [spread(false)].into_iter().chain(end.as_array().cloned().unwrap_or_default()).collect();
            let ended = rogue.invoke(&json!(script)).await;
            shown.push_str(&serde_json::to_string(&ended).expect("JSON"));
        }
        let ended = rogue.invoke(&json!([spread(true)])).await;
        shown.push_str(&serde_json::to_string(&ended).expect("JSON"));
        shown.push_str(&format!("{:?}", arena.audit("t", name).await));
        let seen = std::mem::take(&mut *partner.seen.lock().expect("seen"));
        assert!(
            name == "hmac" || mine.iter().chain([&partner.token]).any(|form| seen.contains(form)),
            "{name}: the partner was given it"
        );
        looked_for.extend(mine);
    }
    shown.push_str(&format!("{:?}", arena.services.counts()));
    assert!(shown.contains("{{secret:key."), "what came back was changed");
    let log = String::from_utf8_lossy(&log.0.lock().expect("log")).into_owned();
    assert!(log.contains("adapter call ended early"), "the log is the host's");
    arena.db.close().await;
    let mut places = vec![("answers".to_owned(), shown), ("log".to_owned(), log)];
    for file in std::fs::read_dir(arena.folder()).expect("folder") {
        let path = file.expect("entry").path();
        let bytes = std::fs::read(&path).expect("file");
        places.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    assert!(
        places.len() > 2 && places[2..].iter().any(|(_, text)| text.contains("{{secret:key.")),
        "the loot is stored"
    );
    for (place, text) in &places {
        let found = looked_for.iter().find(|form| text.contains(form.as_str()));
        assert_eq!(found, None, "in {place}");
    }
    println!(
        "canaries: {} forms of {} secrets looked for in {} places, 0 found",
        looked_for.len(),
        slots().len() + 1,
        places.len()
    );
}
