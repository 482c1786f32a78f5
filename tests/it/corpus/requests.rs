//! D, as far as a guest alone can try it: each is refused by its rule, counted, and in the audit. Nothing is dialled:
//! what stands behind names is tried at the door itself, in `host/egress/tests/it/corpus_d*.rs`.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wharf_egress::{EgressConfig, Live};

use super::arena::{Arena, Rogue, small};
use super::echo::Echo;
use crate::guest;

const PARTNER: &str = "http://partner.test/";

/// The row, and what to ask for: an address, or a header to the partner.
const TRIES: [(&str, &str, Option<(&str, &str)>); 26] = [
    ("D1", "http://evil.test/", None),
    ("D1", "http://partner.test.evil.test/", None),
    ("D1", "http://sub.partner.test/", None),
    ("D2", "https://partner.test/", None),
    ("D2", "ftp://partner.test/", None),
    ("D2", "file:///etc/passwd", None),
    ("D3", "http://partner.test:22/", None),
    ("D4", "http://partner.test@127.0.0.1/", None),
    ("D5", "http://xn--artner-bsf.test/", None),
    ("D6", "http://127.0.0.1/", None),
    ("D6", "http://[::1]/", None),
    ("D6", "http://0.0.0.0/", None),
    ("D7", "http://2130706433/", None),
    ("D7", "http://0x7f.1/", None),
    ("D8", "http://10.0.0.1/", None),
    ("D8", "http://[fe80::1]/", None),
    ("D8", "http://192.0.0.1/", None),
    ("D9", "http://169.254.169.254/latest/meta-data", None),
    ("D9", "http://[fd00:ec2::254]/", None),
    ("D10", "http://[::ffff:10.0.0.1]/", None),
    ("D10", "http://[64:ff9b::a9fe:a9fe]/", None),
    ("D11", "http://224.0.0.1/", None),
    ("D11", "http://[2001:db8::1]/", None),
    ("D16", PARTNER, Some(("Host", "evil.test"))),
    ("D16", PARTNER, Some(("X-Forwarded-For", "127.0.0.1"))),
    ("D18", PARTNER, Some(("Content-Length", "3"))),
];

#[tokio::test]
async fn d1_d2_d3_d4_d5_d6_d7_d8_d9_d10_d11_d16_d18_a_guest_is_refused_and_it_is_written_down() {
    let live = Live::new(&EgressConfig::default()).expect("wire");
    let arena = Arena::before(small(), Arc::new(live)).await;
    let adapter = arena.load(guest::rogue(super::arena::MANIFEST)).await.expect("loads");
    for (index, (row, url, header)) in TRIES.iter().enumerate() {
        let connection = format!("c{index}");
        let rogue = Rogue { connection: arena.connect(&adapter, "t", &connection), tenant: super::arena::tenant("t") };
        let headers: Vec<_> = header.iter().map(|(name, value)| [name, value]).collect();
        let step = json!([{ "do": "http", "method": "GET", "url": url, "headers": headers }]);
        let told = rogue.told(&step).await.expect("the guest is told");
        let code = told[0]["code"].as_str().unwrap_or_else(|| panic!("{row} {url}: {told:?}"));
        arena.as_written(row, code, "t", &connection).await;
        let rows = arena.audit("t", &connection).await;
        assert_eq!((rows.len(), &rows[0].detail["rule"]), (1, &json!(code.trim_start_matches("egress."))), "{rows:?}");
        assert!(!rows[0].detail["target"].to_string().contains('/'), "a host and no address: {rows:?}");
    }
    arena.serves().await;
}

#[tokio::test]
async fn d20_the_fifty_first_request_of_a_call_is_refused() {
    let arena = Arena::before(small(), Arc::new(Echo { token: String::new(), seen: Mutex::default() })).await;
    let rogue = arena.rogue("t").await;
    let ask = |times: u32| json!([{ "do": "http", "method": "GET", "url": PARTNER, "times": times }]);
    let last = |told: Vec<Value>| told.into_iter().next().expect("an answer");
    assert_eq!(last(rogue.told(&ask(50)).await.expect("served"))["status"], 200);
    let over = last(rogue.told(&ask(51)).await.expect("told"));
    arena.as_written("D20", over["code"].as_str().expect("a code"), "t", "rogue").await;
}
