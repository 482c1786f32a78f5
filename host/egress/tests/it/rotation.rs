//! Every type of secret against a partner over TLS that forgets the old one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::join_all;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, generate_simple_self_signed};
use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::EffectState;
use wharf_domain::manifest::{Encoding, Hash, JwtAlgorithm, SecretSlot};
use wharf_domain::port::vault::Vault as _;
use wharf_egress::{Egress, EgressConfig, Grant, Live, Steps};

use crate::house::{House, get, grant, post, with_secret};
use crate::partner::{Act, Seen, answer};
use crate::tls::Secure;
use crate::vault::{ana, at, new, vault};

/// What the partner takes at the moment: versions of the secret.
type Accepted = Arc<Mutex<Vec<u32>>>;

/// The version a request shows, with the certificate it came with.
type Shown = dyn Fn(&Seen, Option<&[u8]>) -> Option<u32> + Send + Sync;

/// One type of secret: its slot, its values by version, and how the partner tells which version it was given.
struct Kind {
    slot: SecretSlot,
    values: Box<dyn Fn(u32) -> Vec<(&'static str, String)> + Send + Sync>,
    /// The version a request shows; `None` when it shows none.
    shown: Arc<Shown>,
    /// Certificates clients may connect with.
    clients: Vec<rustls::pki_types::CertificateDer<'static>>,
}

fn kind(
    slot: SecretSlot,
    values: impl Fn(u32) -> Vec<(&'static str, String)> + Send + Sync + 'static,
    shown: impl Fn(&Seen, Option<&[u8]>) -> Option<u32> + Send + Sync + 'static,
) -> Kind {
    Kind { slot, values: Box::new(values), shown: Arc::new(shown), clients: vec![] }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The version whose text this is.
fn which(text: Option<&str>, of: impl Fn(u32) -> String) -> Option<u32> {
    (1..=3).find(|version| text == Some(of(*version).as_str()))
}

fn bearer(seen: &Seen) -> Option<&str> {
    seen.header("authorization")?.strip_prefix("Bearer ")
}

/// A token says which version it was given for.
fn by_token(seen: &Seen) -> Option<u32> {
    bearer(seen)?.strip_prefix("token-of-")?.parse().ok()
}

fn field<'s>(seen: &'s Seen, name: &str) -> Option<std::borrow::Cow<'s, str>> {
    url::form_urlencoded::parse(seen.body.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

fn fixed() -> Kind {
    let key = |version| format!("canary-key-{version}");
    let slot = SecretSlot::Header { header: "x-api-key".to_owned(), format: "k {value}".to_owned() };
    let values = move |version| vec![("value", key(version))];
    kind(slot, values, move |seen, _| which(seen.header("x-api-key"), |version| format!("k {}", key(version))))
}

fn odoo_key() -> Kind {
    let key = |version| format!("canary-key-{version}");
    let values = move |version| vec![("value", key(version))];
    let shown = move |seen: &Seen, _: Option<&[u8]>| {
        which(seen.header("authorization"), |version| format!("bearer {}", key(version)))
    };
    kind(SecretSlot::OdooKey, values, shown)
}

fn pair(version: u32) -> String {
    format!("Basic {}", STANDARD.encode(format!("ana:canary-password-{version}")))
}

fn basic() -> Kind {
    let values = |version| vec![("username", "ana".to_owned()), ("password", format!("canary-password-{version}"))];
    kind(SecretSlot::Basic, values, |seen, _| which(seen.header("authorization"), pair))
}

fn client_credentials() -> Kind {
    let slot = SecretSlot::Oauth2ClientCredentials {
        token_path: "/token".to_owned(),
        form: BTreeMap::new(),
        headers_from_config: BTreeMap::new(),
    };
    let values =
        |version| vec![("client_id", "ana".to_owned()), ("client_secret", format!("canary-password-{version}"))];
    let shown = |seen: &Seen, _: Option<&[u8]>| match seen.line().as_str() {
        "POST /token" => which(seen.header("authorization"), pair),
        _ => by_token(seen),
    };
    kind(slot, values, shown)
}

/// Each version is an authorisation; its refresh token changes with each exchange and is taken once.
fn refresh() -> Kind {
    let slot = SecretSlot::Oauth2Refresh {
        token_path: "/token".to_owned(),
        form: BTreeMap::new(),
        headers_from_config: BTreeMap::new(),
    };
    let values = |version| {
        let token = format!("canary-refresh-{version}-0");
        vec![
            ("client_id", "ana".to_owned()),
            ("client_secret", "canary-password-1".to_owned()),
            ("refresh_token", token),
        ]
    };
    let used = Mutex::new([0_u32; 4]);
    let shown = move |seen: &Seen, _: Option<&[u8]>| {
        if seen.line() != "POST /token" {
            return by_token(seen);
        }
        let mut used = used.lock().expect("used");
        let token = field(seen, "refresh_token")?;
        let version =
            (1..=3).find(|version| token == format!("canary-refresh-{version}-{}", used[*version as usize]))?;
        used[version as usize] += 1;
        Some(version)
    };
    kind(slot, values, shown)
}

fn jwt_bearer() -> Kind {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    let keys: Arc<Vec<KeyPair>> = Arc::new((0..3).map(|_| KeyPair::generate().expect("key")).collect());
    let slot = SecretSlot::JwtBearer {
        token_path: "/token".to_owned(),
        algorithm: JwtAlgorithm::Es256,
        audience: "https://partner.example".to_owned(),
        scope: None,
        form: BTreeMap::new(),
    };
    let own = Arc::clone(&keys);
    let values = move |version: u32| {
        let key = pem("PRIVATE KEY", &own[version as usize - 1].serialize_der());
        vec![("issuer", "ana".to_owned()), ("key_id", format!("k{version}")), ("private_key", key)]
    };
    let shown = move |seen: &Seen, _: Option<&[u8]>| {
        if seen.line() != "POST /token" {
            return by_token(seen);
        }
        let assertion = field(seen, "assertion")?;
        let (text, signature) = assertion.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        (1..=3).find(|version: &u32| {
            let public = keys[*version as usize - 1].public_key_raw();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(text.as_bytes(), &signature).is_ok()
        })
    };
    kind(slot, values, shown)
}

fn hmac_sign() -> Kind {
    use aws_lc_rs::hmac;
    let key = |version| format!("canary-key-{version}");
    let slot = SecretSlot::HmacSign {
        header: "x-signature".to_owned(),
        format: "v1={signature}".to_owned(),
        hash: Hash::Sha256,
        encoding: Encoding::Base64,
        template: "{method} {path}\n{timestamp}\n{body}".to_owned(),
        timestamp_header: Some("x-time".to_owned()),
    };
    let values = move |version| vec![("key", key(version))];
    let shown = move |seen: &Seen, _: Option<&[u8]>| {
        let text = format!("{}\n{}\n{}", seen.line(), seen.header("x-time")?, seen.body);
        which(seen.header("x-signature"), |version| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key(version).as_bytes()), text.as_bytes());
            format!("v1={}", STANDARD.encode(tag.as_ref()))
        })
    };
    kind(slot, values, shown)
}

fn mtls() -> Kind {
    let clients: Vec<(rcgen::Certificate, KeyPair)> = (1..=3)
        .map(|version| {
            let key = KeyPair::generate().expect("key");
            let params = CertificateParams::new(vec![format!("client-{version}.example")]).expect("params");
            (params.self_signed(&key).expect("certificate"), key)
        })
        .collect();
    let ders: Vec<_> = clients.iter().map(|(cert, _)| cert.der().clone()).collect();
    let known = ders.clone();
    let values = move |version: u32| {
        let (cert, key) = &clients[version as usize - 1];
        vec![("certificate", pem("CERTIFICATE", cert.der())), ("private_key", pem("PRIVATE KEY", &key.serialize_der()))]
    };
    let shown = move |_: &Seen, client: Option<&[u8]>| {
        (1..=3).find(|version: &u32| client == Some(known[*version as usize - 1].as_ref()))
    };
    Kind { clients: ders, ..kind(SecretSlot::Mtls, values, shown) }
}

/// The partner: it takes the versions it is told to, and counts what it turned down.
async fn partner(kind: &Kind, accepted: &Accepted, refused: &Arc<AtomicU32>) -> Secure {
    let (shown, accepted, refused) = (Arc::clone(&kind.shown), Arc::clone(accepted), Arc::clone(refused));
    let exchanges = Mutex::new([0_u32; 4]);
    Secure::answers(kind.clients.clone(), move |seen: &Seen, client: Option<&[u8]>| -> Act {
        let version = shown(seen, client).filter(|version| accepted.lock().expect("accepted").contains(version));
        let token = seen.line() == "POST /token";
        let Some(version) = version else {
            refused.fetch_add(1, Ordering::SeqCst);
            return answer(if token { 400 } else { 401 }, "{}");
        };
        if !token {
            return answer(200, "{\"ok\":true}");
        }
        let mut exchanges = exchanges.lock().expect("exchanges");
        exchanges[version as usize] += 1;
        let next = exchanges[version as usize];
        let refresh = format!(r#""refresh_token":"canary-refresh-{version}-{next}""#);
        answer(200, &format!(r#"{{"access_token":"token-of-{version}","expires_in":3600,{refresh}}}"#))
    })
    .await
}

/// Requests side by side, one in four a purchase. Counts those that did not end well.
async fn load(house: &House, door: &Egress, grant: &Grant, failed: &AtomicU32) {
    let ctx = house.ctx(&house.job().await);
    let one = async |number: u32| {
        let (answer, settled) = if number == 0 {
            let job = house.job().await;
            let request = post(grant, "/once", "{}");
            let answer = door.send(grant, &house.ctx(&job), &mut Steps::default(), request).await;
            (answer, house.state(&job.id).await == EffectState::Succeeded)
        } else {
            let ctx = CallCtx { job: None, ..ctx.clone() };
            (door.send(grant, &ctx, &mut Steps::default(), get(grant, "/get/1")).await, true)
        };
        if !settled || answer.as_ref().map_or(0, |answer| answer.status) != 200 {
            failed.fetch_add(1, Ordering::SeqCst);
            eprintln!("{answer:?}");
        }
    };
    for _ in 0..2 {
        join_all((0..4).map(one)).await;
    }
}

/// Something happens in the middle of the load.
async fn during<T>(load: impl Future<Output = ()>, change: impl Future<Output = T>) -> T {
    let change = async {
        tokio::task::yield_now().await;
        change.await
    };
    tokio::join!(load, change).1
}

#[tokio::test]
async fn p23_every_secret_type_is_rotated_under_load_without_a_failed_request() {
    for kind in [fixed(), odoo_key(), basic(), client_credentials(), refresh(), jwt_bearer(), hmac_sign(), mtls()] {
        let name = kind.slot.kind();
        let (accepted, refused): (Accepted, Arc<AtomicU32>) = (Arc::new(Mutex::new(vec![1])), Arc::default());
        let partner = partner(&kind, &accepted, &refused).await;
        let takes = |versions: &[u32]| *accepted.lock().expect("accepted") = versions.to_vec();
        let house = House::new().await;
        let vault = vault(&house.db, &kind.slot).await;
        let hand_in = async |version: u32| {
            let values = (kind.values)(version);
            let values: Vec<_> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
            vault.set(&ana(), &at("key"), new(&values)).await.expect("handed in")
        };
        let config = EgressConfig::default();
        let wire = Arc::new(Live::trusting(&config, partner.roots.clone()).expect("wire"));
        let door = Egress::with_vault(Some(house.db.clone()), house.clock.clone(), config, wire, Some(vault.clone()));
        let grant = with_secret(grant(&format!("https://localhost:{}", partner.port)), kind.slot.clone(), &[]);
        let failed = AtomicU32::new(0);
        let under_load = || load(&house, &door, &grant, &failed);
        hand_in(1).await;
        under_load().await;
        // The partner knows the new one first, and forgets the old one while requests with it are on their way.
        takes(&[1, 2]);
        during(under_load(), hand_in(2)).await;
        during(under_load(), async { takes(&[2]) }).await;
        // The host has the new one first; the partner takes it later, and then no other.
        during(under_load(), hand_in(3)).await;
        under_load().await;
        during(under_load(), async { takes(&[3]) }).await;
        under_load().await;
        assert_eq!(failed.load(Ordering::SeqCst), 0, "{name}");
        assert!(refused.load(Ordering::SeqCst) > 0, "{name}: nothing was ever turned down, so nothing was shown");
    }
}

/// What is shown of every type, and kept, holds no value of it.
#[tokio::test]
async fn a_rotated_secret_of_any_type_is_in_no_tape_and_no_file() {
    for kind in [fixed(), odoo_key(), basic(), client_credentials(), refresh(), hmac_sign()] {
        let name = kind.slot.kind();
        let (accepted, refused): (Accepted, Arc<AtomicU32>) = (Arc::new(Mutex::new(vec![1])), Arc::default());
        let partner = partner(&kind, &accepted, &refused).await;
        let house = House::new().await;
        let vault = vault(&house.db, &kind.slot).await;
        let values = (kind.values)(1);
        let values: Vec<_> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        vault.set(&ana(), &at("key"), new(&values)).await.expect("handed in");
        let config = EgressConfig::default();
        let wire = Arc::new(Live::trusting(&config, partner.roots.clone()).expect("wire"));
        let door = Egress::with_vault(Some(house.db.clone()), house.clock.clone(), config, wire, Some(vault));
        let grant = with_secret(grant(&format!("https://localhost:{}", partner.port)), kind.slot.clone(), &[]);
        let job = house.job().await;
        let mut steps = Steps::default();
        let bought = door.send(&grant, &house.ctx(&job), &mut steps, post(&grant, "/once", "{}")).await;
        assert_eq!(bought.expect("bought").status, 200, "{name}");
        let shown = serde_json::to_string(&steps.requests).expect("json");
        assert!(shown.contains("{{secret:key.") && !shown.contains("canary"), "{shown}");
        house.db.close().await;
        for file in std::fs::read_dir(house.folder()).expect("folder") {
            let bytes = std::fs::read(file.expect("entry").path()).expect("file");
            assert!(!bytes.windows(6).any(|six| six == b"canary"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_sign_or_connect_is_refused_when_it_is_handed_in() {
    let CertifiedKey { cert, .. } = generate_simple_self_signed(vec!["a.example".to_owned()]).expect("certificate");
    let other = pem("PRIVATE KEY", &KeyPair::generate().expect("key").serialize_der());
    let mtls = [("certificate", pem("CERTIFICATE", cert.der())), ("private_key", other.clone())];
    let jwt = [("issuer", "i".to_owned()), ("key_id", "k".to_owned()), ("private_key", other)];
    let rs256 = SecretSlot::JwtBearer {
        token_path: "/token".to_owned(),
        algorithm: JwtAlgorithm::Rs256,
        audience: "a".to_owned(),
        scope: None,
        form: BTreeMap::new(),
    };
    for (slot, values) in [(SecretSlot::Mtls, mtls.to_vec()), (rs256, jwt.to_vec())] {
        let house = House::new().await;
        let vault = vault(&house.db, &slot).await;
        let values: Vec<_> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        let fault = vault.set(&ana(), &at("key"), new(&values)).await.expect_err("refused");
        assert_eq!(fault.code, "egress.bad-secret");
        assert!(fault.message.contains("`private_key`") && !fault.message.contains("BEGIN"), "{}", fault.message);
    }
}
