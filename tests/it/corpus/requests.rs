//! D, as far as a guest alone can try it: each is refused by its rule, counted, and in the audit. Nothing is dialled:
//! what stands behind names is tried at the door itself, in `host/egress/tests/it/corpus_d*.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wharf_egress::{EgressConfig, Grant, Live, Origin};
use wharf_sandbox::Limits;

use super::arena::{Arena, MANIFEST, Rogue, small, tenant};
use super::echo::Echo;
use super::names::{Names, Record, ips};
use super::sink::Sink;
use crate::guest;

const PARTNER: &str = "http://partner.test/";

/// The row, and what to ask for: an address, or the partner with a header.
type Try = (&'static str, &'static str, Option<(&'static str, &'static str)>);

const TRIES: [Try; 26] = [
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
    let adapter = arena.load(guest::rogue(MANIFEST)).await.expect("loads");
    for (index, (row, url, header)) in TRIES.iter().enumerate() {
        let connection = format!("c{index}");
        let rogue = Rogue { connection: arena.connect(&adapter, "t", &connection), tenant: tenant("t") };
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
    // Each wait for the host may count as a millisecond.
    let limits = Limits { cpu_ms: 2_000, ..small() };
    let arena = Arena::before(limits, Arc::new(Echo { token: String::new(), seen: Mutex::default() })).await;
    let rogue = arena.rogue("t").await;
    let ask = |times: u32| json!([{ "do": "http", "method": "GET", "url": PARTNER, "times": times }]);
    let last = |told: Vec<Value>| told.into_iter().next().expect("an answer");
    assert_eq!(last(rogue.told(&ask(50)).await.expect("served"))["status"], 200);
    let over = last(rogue.told(&ask(51)).await.expect("told"));
    arena.as_written("D20", over["code"].as_str().expect("a code"), "t", "rogue").await;
}

/// Places inside, in every spelling a guest might think of.
const INSIDE: [&str; 44] = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "api.localhost",
    "[::1]",
    "0",
    "0.0.0.0",
    "[::]",
    "127.1",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.1.",
    "①②⑦.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "[0000::0001]",
    "10.0.0.1",
    "172.16.5.5",
    "192.168.1.1",
    "100.64.0.1",
    "[fc00::1]",
    "[fd12:3456::1]",
    "169.254.7.7",
    "[fe80::1]",
    "192.0.0.8",
    "198.18.0.1",
    "169.254.169.254",
    "0xA9FEA9FE",
    "2852039166",
    "0251.0376.0251.0376",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "metadata.google.internal",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
];

/// What a granted name may turn out to mean: something inside, both, a hundred things, and one after the other.
const MEANS: [&[&str]; 9] = [
    &["127.0.0.1"],
    &["::1"],
    &["10.0.0.1"],
    &["169.254.169.254"],
    &["fd00:ec2::254"],
    &["::ffff:127.0.0.1"],
    &["0.0.0.0"],
    &["8.8.8.8", "127.0.0.1"],
    &["2001:4860:4860::8888", "::1"],
];

/// Somewhere public where nobody is.
const NOWHERE: &str = "3fff:ffff::1";

/// By its grant, by another one's, and behind a granted name whose server lies, over IPv4 and IPv6.
#[tokio::test]
async fn p12_d6_d7_d8_d9_d10_d11_d12_d13_d15_a_guest_that_tries_everything_reaches_nothing() {
    let (names, sink) = (Names::open().await, Sink::open().await);
    let config = EgressConfig { dns_timeout_ms: 1_000, connect_timeout_ms: 1_000, ..EgressConfig::default() };
    let live = Live::new(&config).expect("wire").resolving(names.stub());
    let arena = Arena::before(small(), Arc::new(live)).await;
    let adapter = arena.load(guest::rogue(MANIFEST)).await.expect("loads");
    let ask = async |granted: &str, host: &str| {
        let (url, port) = (format!("http://{granted}:{}", sink.port), sink.port);
        let grant = arena.grant(&adapter, "t", "rogue");
        // Without a secret, which would not go out in the clear to a public address anyhow.
        let routes = adapter.manifest.routes.clone();
        let origins = vec![Origin { url, allow_private: false, authority: None }];
        let grant = Grant { origins, routes, secrets: BTreeMap::new(), ..grant };
        let rogue = Rogue { connection: arena.connect_with(&adapter, grant), tenant: tenant("t") };
        let step = json!([{ "do": "http", "method": "GET", "url": format!("http://{host}:{port}/") }]);
        let told = rogue.told(&step).await.expect("the guest is told");
        told[0]["code"].as_str().unwrap_or_else(|| panic!("{host} under {granted}: {told:?}")).to_owned()
    };
    for host in INSIDE {
        for granted in [host, "carrier.test"] {
            let code = ask(granted, host).await;
            assert!(code.starts_with("egress."), "{host} under {granted}: {code}");
        }
    }
    for means in MEANS {
        names.say(vec![ips(means)]);
        let code = ask("carrier.test", "carrier.test").await;
        assert!(code.starts_with("egress.address-") || code == "egress.dns-mixed", "{means:?}: {code}");
    }
    names.say(vec![Some(vec![Record::Alias("inside.test"), Record::Ip("127.0.0.1".parse().expect("address"))])]);
    assert_eq!(ask("carrier.test", "carrier.test").await, "egress.address-loopback");
    let many: Vec<String> = (0..100).map(|n| format!("8.8.4.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["127.0.0.1"]).collect();
    for says in [vec![None], vec![ips(&many)]] {
        names.say(says);
        let code = ask("carrier.test", "carrier.test").await;
        assert!(code.starts_with("egress."), "{code}");
    }
    // Public when it is looked at, inside when it is dialled: it is looked at once, and that address is dialled.
    for inside in ["127.0.0.1", "::1"] {
        names.say(vec![ips(&[NOWHERE]), ips(&[inside])]);
        let code = ask("carrier.test", "carrier.test").await;
        assert!(["egress.connect", "egress.timeout-connect"].contains(&code.as_str()), "{code}");
    }
    assert_eq!(sink.listens().len(), 2);
    assert_eq!(sink.connections().await, 0, "somebody reached the inside");
    assert!(names.asked() > 10, "the lying server was asked");
    arena.serves().await;
}
