//! Attack corpus E: answers that hurt. A read is refused by its rule; a purchase behind the same answer is in doubt,
//! and nothing is sent twice.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::FaultKind;
use wharf_egress::EgressConfig;

use crate::house::{get, grant};
use crate::partner::{Act, Partner};
use crate::siege::Siege;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("encode");
    encoder.finish().expect("encode")
}

/// A 200 with a length.
fn ok(headers: &str, body: &[u8]) -> Act {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Act::Raw(bytes)
}

#[tokio::test]
async fn e1_what_is_small_on_the_wire_and_large_behind_it_is_refused() {
    let siege = Siege::of("E1").await;
    let bomb = gzip(&vec![0; 16 << 20]);
    assert!(bomb.len() < 100_000);
    let noise: Vec<u8> = (0..2_200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let large = gzip(&noise);
    let members: Vec<u8> = std::iter::repeat_n(gzip(&vec![0; 1 << 20]), 40).flatten().collect();
    for (name, act, rule) in [
        ("bomb", ok("content-encoding: gzip\r\n", &bomb), "response-too-large"),
        (
            "below the limit, above the ratio",
            ok("content-encoding: gzip\r\n", &gzip(&vec![0; 1 << 20])),
            "response-too-large",
        ),
        ("members", ok("content-encoding: gzip\r\n", &members), "response-too-large"),
        ("10 MB that are 10 MB", ok("content-encoding: x-gzip\r\n", &large), "response-too-large"),
        ("bomb in a bomb", ok("content-encoding: gzip, gzip\r\n", &gzip(&bomb)), "response-encoding"),
        ("brotli", ok("content-encoding: br\r\n", b"\x0b\x02\x80abc\x03"), "response-encoding"),
        ("zstd", ok("content-encoding: zstd\r\n", b"\x28\xb5\x2f\xfd\x04\x00"), "response-encoding"),
        ("deflate", ok("content-encoding: deflate\r\n", b"x"), "response-encoding"),
        ("no gzip at all", ok("content-encoding: gzip\r\n", b"<html>"), "response-encoding"),
        ("half a gzip", ok("content-encoding: gzip\r\n", &gzip(b"{\"id\":1}")[..20]), "response-encoding"),
    ] {
        let (read, _) = siege.suffers(act).await;
        assert_eq!((read.code, read.kind), (format!("egress.{rule}"), FaultKind::DataOutOfContract), "{name}");
    }
    let text = "{\"rates\":[1,2,3]}".repeat(1_000);
    let headers = "content-type: text/plain\r\ncontent-encoding: gzip\r\n";
    let partner = Partner::plays(vec![ok(headers, &gzip(text.as_bytes()))]).await;
    let response = siege.send(&grant(&partner.url), get(&grant(&partner.url), "/get/1")).await.expect("decoded");
    assert_eq!((&response.body[..], response.headers.len()), (text.as_bytes(), 1), "{:?}", response.headers);
    assert_eq!(partner.seen()[0].header("accept-encoding"), Some("gzip"));
    siege.held().await;
}

#[tokio::test]
async fn e2_a_slow_partner_is_left() {
    let patient = EgressConfig { request_timeout_ms: 60_000, ..EgressConfig::default() };
    let first = EgressConfig { first_byte_timeout_ms: 500, ..patient.clone() };
    let rate = EgressConfig { rate_grace_ms: 100, min_rate: 1_000_000, ..patient.clone() };
    let total = EgressConfig { request_timeout_ms: 1_500, ..patient };
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n".to_vec();
    for (name, config, act, rule) in [
        ("no head", first.clone(), Act::Hang, "timeout-first-byte"),
        ("a head in drops", first.clone(), Act::Trickle(head), "timeout-first-byte"),
        (
            "continue, for ever",
            first,
            Act::Endless(vec![], b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
            "timeout-first-byte",
        ),
        ("a body in drops", rate, Act::Drip, "timeout-rate"),
        ("a body in drops, fast enough", total, Act::Drip, "timeout"),
    ] {
        let siege = Siege::with("E2", |_| config).await;
        let (read, _) = siege.suffers(act).await;
        assert_eq!((read.code, read.kind), (format!("egress.{rule}"), FaultKind::Transient), "{name}");
        siege.held().await;
    }
    let defaults = EgressConfig::default();
    assert_eq!((defaults.connect_timeout_ms, defaults.first_byte_timeout_ms), (5_000, 30_000));
    assert_eq!((defaults.rate_grace_ms, defaults.min_rate, defaults.request_timeout_ms), (10_000, 1_000, 60_000));
}

#[tokio::test]
async fn e3_an_endless_answer_ends() {
    let siege = Siege::with("E3", |_| EgressConfig { max_response_bytes: 200_000, ..EgressConfig::default() }).await;
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let extension = format!("1;{}\r\nx\r\n", "e".repeat(4_000)).into_bytes();
    let settings = [b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".as_slice(); 4].concat();
    for (name, act, rules) in [
        (
            "chunks",
            Act::Endless(chunked.clone(), b"3e8\r\n".iter().copied().chain([b'x'; 1_000]).chain(*b"\r\n").collect()),
            &["response-too-large"][..],
        ),
        ("a million tiny chunks", Act::Endless(chunked.clone(), b"1\r\nx\r\n".repeat(1_000)), &["response-too-large"]),
        ("extensions", Act::Endless(chunked.clone(), extension), &["reset", "protocol"]),
        (
            "a chunk without end",
            Act::Endless([chunked.as_slice(), b"ffffffffffffffff\r\n"].concat(), vec![b'x'; 4_096]),
            &["response-too-large"],
        ),
        (
            "until it closes",
            Act::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 4_096]),
            &["response-too-large"],
        ),
        (
            "trailers",
            Act::Endless([chunked.as_slice(), b"0\r\n"].concat(), b"a: b\r\n".repeat(100)),
            &["reset", "protocol"],
        ),
        ("frames of HTTP/2", Act::Raw(settings), &["protocol"]),
    ] {
        let (read, _) = siege.suffers(act).await;
        assert!(rules.iter().any(|rule| read.code == format!("egress.{rule}")), "{name}: {read}");
    }
    siege.held().await;
    // Of this one nothing is ever read: only its time ends it.
    let siege = Siege::with("E3", |_| EgressConfig { rate_grace_ms: 300, ..EgressConfig::default() }).await;
    let act = Act::Endless([chunked.as_slice(), b"0"].concat(), vec![b'0'; 64]);
    assert_eq!(siege.suffers(act).await.0.code, "egress.timeout-rate");
    siege.held().await;
}

#[tokio::test]
async fn e4_a_large_head_and_a_lying_length_are_no_answer() {
    let siege = Siege::of("E4").await;
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(10_000));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 0\r\n\r\n", "b".repeat(1 << 20));
    let raw = |text: &str| Act::Raw(text.as_bytes().to_vec());
    for (name, act, rule) in [
        ("10,000 headers", Act::Raw(many.into_bytes()), "response-headers"),
        ("a header of 1 MiB", Act::Raw(long.into_bytes()), "response-headers"),
        ("shorter than it says", raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":1}"), "reset"),
        ("longer than it says", raw("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"id\":1}{\"id\":2}"), "protocol"),
        ("a second answer", raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n"), "protocol"),
        ("two lengths", raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} "), "protocol"),
        ("a length below nothing", raw("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}"), "protocol"),
        ("chunked, cut off", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}"), "reset"),
    ] {
        let (read, _) = siege.suffers(act).await;
        assert_eq!(read.code, format!("egress.{rule}"), "{name}: {read}");
    }
    // A line end after the body is an old habit and no lie.
    let partner = Partner::plays(vec![raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}\r\n")]).await;
    siege.send(&grant(&partner.url), get(&grant(&partner.url), "/get/1")).await.expect("an answer");
    siege.held().await;
}

#[tokio::test]
async fn e6_markup_is_bytes_that_nobody_expands() {
    let siege = Siege::of("E6").await;
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\"><!ENTITY c SYSTEM \"http://127.0.0.1:PORT/\">]><l>&b;&c;</l>"
        .replace("PORT", &siege.sink.port.to_string());
    let attributes = format!("<a {}/>", (0..100_000).map(|n| format!("a{n}=\"\" ")).collect::<String>());
    for body in [laughs, attributes] {
        let partner = Partner::plays(vec![ok("content-type: text/xml\r\n", body.as_bytes())]).await;
        let response = siege.send(&grant(&partner.url), get(&grant(&partner.url), "/get/1")).await.expect("bytes");
        assert_eq!(response.body, body);
    }
    siege.held().await;
}

#[tokio::test]
async fn e7_a_success_that_is_not_what_it_says_proves_nothing() {
    let siege = Siege::of("E7").await;
    for (name, headers, body, state) in [
        ("an error page", "content-type: text/html\r\n", b"<h1>Bad Gateway</h1>".as_slice(), EffectState::Uncertain),
        ("half a document", "content-type: application/json\r\n", b"{\"label\":\"JVBERi0", EffectState::Uncertain),
        ("no document", "content-type: application/json\r\n", b"upstream error", EffectState::Uncertain),
        ("the wrong charset", "content-type: application/json\r\n", b"{\"n\":\"J\xf6rg\"}", EffectState::Uncertain),
        ("nothing", "content-type: application/json\r\n", b"", EffectState::Uncertain),
        ("a document", "content-type: application/json; charset=utf-8\r\n", b"{\"id\":1}", EffectState::Succeeded),
        ("a label", "content-type: application/pdf\r\n", b"%PDF-1.7", EffectState::Succeeded),
    ] {
        let partner = Partner::plays(vec![ok(headers, body)]).await;
        let (response, ledger) = siege.buy(&grant(&partner.url), "/find").await;
        assert_eq!(response.expect("handed over").body, body, "{name}: the bytes, whole");
        assert_eq!(ledger, state, "{name}");
        assert_eq!(partner.connections(), 1);
    }
    siege.held().await;
}
