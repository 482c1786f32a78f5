//! Hostile answers and forbidden places.

use wharf_domain::fault::{Blame, FaultKind};
use wharf_egress::EgressConfig;

use crate::house::{House, get, grant, post};
use crate::partner::{Act, Partner, answer};

fn tight() -> EgressConfig {
    EgressConfig {
        max_response_bytes: 1_000,
        max_response_headers: 10,
        max_response_head_bytes: 2_000,
        ..EgressConfig::default()
    }
}

#[tokio::test]
async fn an_answer_over_a_limit_is_refused_while_it_arrives() {
    let house = House::with(tight(), None).await;
    let lying = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend_from_slice("64\r\n".as_bytes());
    chunked.extend_from_slice(&[b'x'; 100]);
    let mut endless = chunked.clone();
    for _ in 0..20 {
        endless.extend_from_slice(b"\r\n64\r\n");
        endless.extend_from_slice(&[b'x'; 100]);
    }
    let until_close = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 1_001]].concat();
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(11));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 0\r\n\r\n", "b".repeat(3_000));
    for (name, bytes, rule) in [
        ("announced", lying, "response-too-large"),
        ("chunked", endless, "response-too-large"),
        ("until close", until_close, "response-too-large"),
        ("many headers", many.into_bytes(), "response-headers"),
        ("long header", long.into_bytes(), "response-headers"),
    ] {
        let partner = Partner::plays(vec![Act::Raw(bytes)]).await;
        let (grant, job) = (grant(&partner.url), house.job().await);
        let fault = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect_err(name);
        assert_eq!((fault.code, fault.blame), (format!("egress.{rule}"), Blame::Partner), "{name}");
        assert_eq!(fault.kind, FaultKind::DataOutOfContract);
        let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/once", "{}")).await.expect_err(name);
        assert_eq!(fault.kind, FaultKind::OutcomeUnknown, "{name}");
    }
}

#[tokio::test]
async fn an_answer_within_the_limits_arrives_whole_in_every_framing() {
    let house = House::with(tight(), None).await;
    let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: u\r\n\r\n";
    for bytes in [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde".to_vec(),
        chunks.to_vec(),
        b"HTTP/1.1 200 OK\r\n\r\nabcde".to_vec(),
        b"HTTP/1.0 200 OK\r\n\r\nabcde".to_vec(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde".to_vec(),
    ] {
        let partner = Partner::plays(vec![Act::Raw(bytes)]).await;
        let (grant, job) = (grant(&partner.url), house.job().await);
        let response = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("whole");
        assert_eq!((response.status, &response.body[..]), (200, b"abcde".as_slice()));
    }
}

#[tokio::test]
async fn the_host_frames_the_request() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let ctx = house.ctx(&job);
    house.send(&grant, &ctx, post(&grant, "/rate", "{\"a\":1}")).await.expect("post");
    house.send(&grant, &ctx, get(&grant, "/get/1")).await.expect("get");
    let mut bare = post(&grant, "/rate", "");
    bare.body = None;
    bare.headers.push(("user-agent".to_owned(), "acme/1".to_owned()));
    house.send(&grant, &ctx, bare).await.expect("bare");
    let seen = partner.seen();
    assert_eq!(Some(format!("http://{}", seen[0].header("host").expect("host"))), Some(partner.url.clone()));
    assert_eq!(seen[0].body, "{\"a\":1}");
    let lengths: Vec<_> = seen.iter().map(|one| one.header("content-length")).collect();
    assert_eq!(lengths, [Some("7"), None, Some("0")]);
    let agent = concat!("wharf/", env!("CARGO_PKG_VERSION"));
    let agents: Vec<_> = seen.iter().map(|one| one.header("user-agent")).collect();
    assert_eq!(agents, [Some(agent), Some(agent), Some("acme/1")]);
    assert!(seen.iter().all(|one| one.header("accept-encoding") == Some("gzip")));
    assert!(seen.iter().all(|one| one.header("transfer-encoding").is_none()));
    assert_eq!(partner.connections(), 3, "one connection per request");
}

#[tokio::test]
async fn a_private_address_needs_the_operators_word() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let port = partner.url.rsplit(':').next().expect("port").to_owned();
    for host in ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost"] {
        let mut grant = grant(&format!("http://{host}:{port}"));
        grant.origins[0].allow_private = false;
        let job = house.job().await;
        let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect_err(host);
        assert_eq!((fault.code.as_str(), fault.blame), ("egress.address-loopback", Blame::Operator), "{host}");
        assert_eq!(fault.kind, FaultKind::Forbidden);
    }
    assert_eq!(partner.connections(), 0);
    let grant = grant(&format!("http://localhost:{port}"));
    let job = house.job().await;
    house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("with the word");
}

#[tokio::test]
async fn a_denial_sends_nothing_and_names_the_line() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let (grant, job) = (grant(&partner.url), house.job().await);
    let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/admin", "{}")).await.expect_err("denied");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.route-not-granted", Blame::Guest));
    assert!(fault.message.contains(r#"[[routes]] method = "POST" path = "/admin""#), "{fault}");
    assert!(wharf_store::effects::for_job(&house.db, &job.id).await.expect("rows").is_empty());
    let mut ctx = house.ctx(&job);
    ctx.tenant = wharf_domain::ids::TenantId::parse("other").expect("tenant");
    let fault = house.send(&grant, &ctx, get(&grant, "/get/1")).await.expect_err("tenant");
    assert_eq!(fault.code, "egress.wrong-tenant");
    assert_eq!(partner.connections(), 0);
}
