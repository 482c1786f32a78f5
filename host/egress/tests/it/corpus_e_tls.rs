//! Attack corpus E5: TLS that is not to be trusted. It fails closed, before a byte of the request is sent.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::EffectCertainty;
use wharf_egress::Live;

use crate::house::{House, grant, post};
use crate::siege::short;
use crate::sink::Sink;
use crate::tls::Secure;

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("name")
}

/// Answers a ClientHello with these bytes and then says nothing more.
async fn says(bytes: Vec<u8>) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 5];
            let _ = stream.read_exact(&mut hello).await;
            let _ = stream.write_all(&bytes).await;
            open.push(stream);
        }
    });
    (port, tasks)
}

/// A ServerHello of TLS 1.1 with an old cipher suite (RFC 4346, 7.4.1.3).
fn tls_1_1() -> Vec<u8> {
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0x00, 0x2f, 0]);
    let mut record = vec![0x16, 0x03, 0x02, 0, 42, 0x02, 0, 0, 38];
    record.extend(hello);
    record
}

async fn fails_closed(port: u16, roots: RootCertStore, name: &str, rule: &str) {
    let (config, sink) = (short(), Sink::open().await);
    let wire = Live::trusting(&config, roots).expect("wire");
    let house = House::with(config, Some(Arc::new(wire))).await;
    let (granted, job) = (grant(&format!("https://localhost:{port}")), house.job().await);
    let fault = house.send(&granted, &house.ctx(&job), post(&granted, "/buy", "{}")).await.expect_err(name);
    assert_eq!((fault.code, fault.effect), (format!("egress.{rule}"), EffectCertainty::None), "{name}");
    assert_eq!(house.state(&job.id).await, EffectState::Intent, "{name}");
    assert_eq!(sink.connections().await, 0);
}

#[tokio::test]
async fn e5_a_certificate_that_is_old_anothers_unknown_or_huge_is_not_trusted() {
    let key = KeyPair::generate().expect("key");
    let mut old = params("localhost");
    (old.not_before, old.not_after) = (date_time_ymd(2_000, 1, 1), date_time_ymd(2_001, 1, 1));
    let mut early = params("localhost");
    (early.not_before, early.not_after) = (date_time_ymd(2_900, 1, 1), date_time_ymd(2_901, 1, 1));
    for (name, params, copies) in [
        ("expired", old, 1),
        ("not valid yet", early, 1),
        ("another name", params("carrier.test"), 1),
        ("a chain of 100 kB", params("localhost"), 300),
    ] {
        let partner = Secure::with(params, &key, copies).await;
        fails_closed(partner.port, partner.roots.clone(), name, "tls").await;
    }
    let self_signed = Secure::with(params("localhost"), &key, 1).await;
    let web = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    fails_closed(self_signed.port, web, "self-signed", "tls").await;
}

#[tokio::test]
async fn e5_an_old_protocol_and_a_stalled_handshake_are_not_waited_for() {
    for (name, bytes, rule) in [
        ("TLS 1.1", tls_1_1(), "tls"),
        ("no TLS", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec(), "tls"),
        ("silence", vec![], "timeout-tls"),
        ("half a record", tls_1_1()[..20].to_vec(), "timeout-tls"),
    ] {
        let (port, _tasks) = says(bytes).await;
        fails_closed(port, RootCertStore::empty(), name, rule).await;
    }
}
