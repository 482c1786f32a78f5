//! TLS: who is trusted, and that a failed handshake proves that nothing was sent.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::EffectCertainty;
use wharf_egress::{EgressConfig, Live};

use crate::house::{House, get, grant, post};
use crate::partner::{Partner, answer, read};

/// A partner with a certificate for `localhost` that only `roots` vouch for.
struct Secure {
    port: u16,
    roots: RootCertStore,
    _tasks: JoinSet<()>,
}

async fn secure() -> Secure {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("config");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("root");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if let Some(seen) = read(&mut stream).await {
                let body = seen.line();
                let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    Secure { port, roots, _tasks: tasks }
}

#[tokio::test]
async fn a_trusted_partner_is_spoken_to() {
    let partner = secure().await;
    let config = EgressConfig::default();
    let wire = Live::trusting(&config, partner.roots.clone()).expect("wire");
    let house = House::with(config, Some(Arc::new(wire))).await;
    let (grant, job) = (grant(&format!("https://localhost:{}", partner.port)), house.job().await);
    let response = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("answer");
    assert_eq!(&response.body[..], b"GET /get/1");
    house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect("bought");
    assert_eq!(house.state(&job.id).await, EffectState::Succeeded);
}

#[tokio::test]
async fn a_partner_nobody_vouches_for_is_not_sent_a_byte() {
    let partner = secure().await;
    let plain = Partner::plays(vec![answer(200, "{}")]).await;
    let trusting_localhost = Live::trusting(&EgressConfig::default(), partner.roots.clone()).expect("wire");
    let wrong_name = House::with(EgressConfig::default(), Some(Arc::new(trusting_localhost))).await;
    let web = House::with(EgressConfig { connect_timeout_ms: 300, ..EgressConfig::default() }, None).await;
    let port = partner.port;
    for (house, url) in [
        (&web, format!("https://localhost:{port}")),
        (&wrong_name, format!("https://127.0.0.1:{port}")),
        (&web, plain.url.replace("http:", "https:")),
    ] {
        let (grant, job) = (grant(&url), house.job().await);
        let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect_err("untrusted");
        assert_eq!((fault.code.as_str(), fault.effect), ("egress.tls", EffectCertainty::None), "{fault}");
        assert!(fault.retryable());
        assert_eq!(house.state(&job.id).await, EffectState::Intent);
    }
    assert!(plain.seen().is_empty());
}
