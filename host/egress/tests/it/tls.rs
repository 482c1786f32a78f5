//! TLS: who is trusted, and that a failed handshake proves that nothing was sent.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::EffectCertainty;
use wharf_egress::{Authority, EgressConfig, Live};

use crate::house::{House, get, grant, post};
use crate::partner::{Act, Partner, Seen, answer, play, read};

/// A partner with a certificate for `localhost` that only `roots` vouch for.
pub(crate) struct Secure {
    pub(crate) port: u16,
    pub(crate) roots: RootCertStore,
    _tasks: JoinSet<()>,
}

impl Secure {
    /// Decides by the request and the certificate of the client, which may be one of `clients` or none.
    pub(crate) async fn answers(
        clients: Vec<CertificateDer<'static>>,
        decide: impl Fn(&Seen, Option<&[u8]>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let key = KeyPair::generate().expect("key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        let cert = params.self_signed(&key).expect("certificate").der().clone();
        Self::serves(vec![cert], &key, clients, decide).await
    }

    /// With this certificate, `copies` of it in its chain; answers with the line of each request.
    pub(crate) async fn with(params: CertificateParams, key: &KeyPair, copies: usize) -> Self {
        let cert = params.self_signed(key).expect("certificate").der().clone();
        Self::serves(vec![cert; copies], key, vec![], line).await
    }

    async fn serves(
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
        clients: Vec<CertificateDer<'static>>,
        decide: impl Fn(&Seen, Option<&[u8]>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).expect("root");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if clients.is_empty() {
            builder.with_no_client_auth()
        } else {
            let mut known = RootCertStore::empty();
            for client in clients {
                known.add(client).expect("client");
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(known), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().expect("verifier"))
        };
        let config = builder.with_single_cert(chain, key).expect("config");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let (mut tasks, decide) = (JoinSet::new(), Arc::new(decide));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, decide) = (acceptor.clone(), decide.clone());
                open.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let client = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
                    if let Some(seen) = read(&mut stream).await {
                        let act = decide(&seen, client.as_deref());
                        play(stream, act, &Notify::new()).await;
                    }
                });
            }
        });
        Self { port, roots, _tasks: tasks }
    }
}

async fn secure() -> Secure {
    Secure::answers(vec![], line).await
}

/// The request's own line as the answer.
fn line(seen: &Seen, _: Option<&[u8]>) -> Act {
    let body = seen.line();
    Act::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
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
    for (house, url, code) in [
        (&web, format!("https://localhost:{port}"), "egress.tls"),
        (&wrong_name, format!("https://127.0.0.1:{port}"), "egress.tls"),
        (&web, plain.url.replace("http:", "https:"), "egress.timeout-tls"),
    ] {
        let (grant, job) = (grant(&url), house.job().await);
        let fault = house.send(&grant, &house.ctx(&job), post(&grant, "/buy", "{}")).await.expect_err("untrusted");
        assert_eq!((fault.code.as_str(), fault.effect), (code, EffectCertainty::None), "{fault}");
        assert!(fault.retryable());
        assert_eq!(house.state(&job.id).await, EffectState::Intent);
    }
    assert!(plain.seen().is_empty());
}

/// In PEM, as an operator has it.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A partner with a certificate of its own making, and that certificate.
async fn private() -> (Secure, CertificateDer<'static>) {
    let key = KeyPair::generate().expect("key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("certificate").der().clone();
    (Secure::serves(vec![certificate.clone()], &key, vec![], line).await, certificate)
}

/// The operator's authority counts for its connection and no other, and in place of the web's, not beside them.
#[tokio::test]
async fn e5_a_connection_may_trust_an_authority_of_its_own() {
    let ((partner, certificate), (other, _)) = (private().await, private().await);
    let web = House::with(EgressConfig::default(), None).await;
    let mut roots = partner.roots.clone();
    roots.extend(other.roots.roots.iter().cloned());
    let both = Live::trusting(&EgressConfig::default(), roots).expect("wire");
    let both = House::with(EgressConfig::default(), Some(Arc::new(both))).await;
    let authority = Authority::parse(&pem(&certificate)).expect("an authority");
    let at = |partner: &Secure, pinned: bool| {
        let mut grant = grant(&format!("https://localhost:{}", partner.port));
        grant.origins[0].authority = pinned.then(|| authority.clone());
        grant
    };
    for (number, (house, grant, trusted)) in [
        (&web, at(&partner, true), true),
        (&web, at(&partner, false), false),
        (&web, at(&other, true), false),
        (&both, at(&other, false), true),
        (&both, at(&other, true), false),
        (&both, at(&partner, true), true),
    ]
    .into_iter()
    .enumerate()
    {
        let job = house.job().await;
        match house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await {
            Ok(response) => assert!(trusted && response.body == "GET /get/1", "{number}: {response:?}"),
            Err(fault) => {
                assert_eq!(
                    (trusted, fault.code.as_str(), fault.effect),
                    (false, "egress.tls", EffectCertainty::None),
                    "{number}"
                );
            }
        }
    }
}
