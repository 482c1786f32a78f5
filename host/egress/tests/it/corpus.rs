//! Rows F of the attack corpus, as far as the door decides them: secrets and how somebody would get at them.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use secrecy::SecretString;
use wharf_attack::assert_as_written;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault};
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::{Encoding, Hash, SecretSlot};
use wharf_domain::port::vault::Vault as _;
use wharf_domain::secret::SecretAt;
use wharf_egress::{BoundSecret, Grant, Request, Response, Steps};
use wharf_store::{audit, effects};

use crate::house::{House, get, grant, post, tenant, with_secret};
use crate::partner::{Act, Partner, Seen, answer};
use crate::vault::{ana, at, door, header, new, set, vault};

const CANARY: &str = "canary-value";
const MARKER: &str = "{{secret:key.value}}";

async fn send(house: &House, grant: &Grant, request: Request) -> Result<Response, Fault> {
    let job = house.job().await;
    house.door.send(grant, &house.ctx(&job), &mut Steps::default(), request).await
}

/// Everything of every request, as it came off the wire, without the header the secret belongs in.
fn seen(partner: &Partner) -> String {
    let all = partner.seen();
    let heads = all.iter().flat_map(|seen| seen.head.lines().chain([seen.body.as_str()]));
    heads.filter(|line| !line.starts_with("x-api-key: ")).collect::<Vec<_>>().join("\n")
}

/// There is no call that gives a value, and the name of one is a text like any other.
#[tokio::test]
async fn f1_a_secret_is_not_to_be_had_by_its_name() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let grant = with_secret(grant(&partner.url), header(), &[("value", CANARY)]);
    let response = send(&house, &grant, post(&grant, "/once", &format!("{{\"a\":\"{MARKER}\"}}"))).await.expect("sent");
    assert!(seen(&partner).contains(MARKER) && !seen(&partner).contains("canary"), "{}", seen(&partner));
    assert!(!format!("{response:?}").contains("canary"));
}

#[tokio::test]
async fn f2_another_tenants_or_an_ungranted_secret_is_refused() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let vault = vault(&house.db, &header()).await;
    let theirs = SecretAt { tenant: TenantId::parse("other").expect("tenant"), ..at("key") };
    vault.wire(theirs.clone(), &header(), &BTreeMap::new());
    vault.set(&ana(), &theirs, new(&[("value", CANARY)])).await.expect("set");
    let out = door(&house, &vault);
    let mut mine = with_secret(grant(&partner.url), header(), &[]);
    let job = house.job().await;
    let fault = out.send(&mine, &house.ctx(&job), &mut Steps::default(), get(&mine, "/get/1")).await;
    assert_as_written("F2", &fault.expect_err("another tenant's").code);
    for route in &mut mine.routes {
        route.secret = Some("theirs".to_owned());
    }
    let fault = out.send(&mine, &house.ctx(&job), &mut Steps::default(), get(&mine, "/get/1")).await;
    let fault = fault.expect_err("not granted");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.secret-missing", Blame::Operator));
    assert_as_written("F2", &fault.code);
    let borrowed = Grant { tenant: theirs.tenant.clone(), ..with_secret(grant(&partner.url), header(), &[]) };
    let fault = out.send(&borrowed, &house.ctx(&job), &mut Steps::default(), get(&borrowed, "/get/1")).await;
    assert_eq!(fault.expect_err("a grant of somebody else").code, "egress.wrong-tenant");
    assert_eq!(partner.connections(), 0);
}

#[tokio::test]
async fn f3_a_secret_goes_to_its_routes_and_nowhere_else() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let elsewhere = Partner::plays(vec![answer(200, "{}")]).await;
    let mut grant = with_secret(grant(&partner.url), header(), &[("value", CANARY)]);
    for route in grant.routes.iter_mut().filter(|route| route.method == "POST") {
        route.secret = None;
    }
    send(&house, &grant, get(&grant, "/get/1")).await.expect("bound");
    send(&house, &grant, post(&grant, "/rate", "{}")).await.expect("without");
    let keys: Vec<_> = partner.seen().iter().map(|seen| seen.header("x-api-key").map(str::to_owned)).collect();
    assert_eq!(keys, [Some(CANARY.to_owned()), None]);
    for (url, code) in [
        (format!("{}/get/1", elsewhere.url), "egress.address-loopback"),
        ("https://api.carrier.example/get/1".to_owned(), "egress.host-not-granted"),
        (format!("{}/other", partner.url), "egress.route-not-granted"),
    ] {
        let fault = send(&house, &grant, Request { url, ..get(&grant, "/get/1") }).await.expect_err("not granted");
        assert_eq!(fault.code, code);
        assert_as_written("F3", code);
    }
    assert_eq!((partner.connections(), elsewhere.connections()), (2, 0));
}

/// Nor does the guest have a say in the header that is the host's.
#[tokio::test]
async fn f4_a_marker_in_query_path_body_or_header_stays_a_marker() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let grant = with_secret(grant(&partner.url), header(), &[("value", CANARY)]);
    let with = |name: &str, value: &str| Request {
        headers: vec![(name.to_owned(), value.to_owned())],
        ..get(&grant, "/get/1")
    };
    for request in [
        get(&grant, &format!("/get/1?k={MARKER}")),
        get(&grant, &format!("/get/{MARKER}")),
        post(&grant, "/rate", MARKER),
        with("x-own", MARKER),
    ] {
        send(&house, &grant, request).await.expect("a text like any other");
    }
    for (request, code) in [(with(MARKER, "x"), "egress.invalid-header"), (with("X-Api-Key", MARKER), "egress.header")]
    {
        assert_eq!(send(&house, &grant, request).await.expect_err("refused").code, code);
    }
    assert_eq!(partner.connections(), 4);
    assert!(!seen(&partner).contains("canary"), "{}", seen(&partner));
}

#[tokio::test]
async fn f5_a_secret_that_comes_back_is_taken_out_and_told_once_a_minute() {
    let house = House::new().await;
    let partner = Partner::answers(|seen: &Seen| {
        let key = seen.header("x-api-key").unwrap_or("none").to_owned();
        Act::Raw(format!("HTTP/1.1 404 X\r\nx-echo: {key}\r\ncontent-length: {}\r\n\r\n{key}", key.len()).into_bytes())
    })
    .await;
    let grant = with_secret(grant(&partner.url), header(), &[("value", CANARY)]);
    for _ in 0..3 {
        let response = send(&house, &grant, get(&grant, "/get/1")).await.expect("answered");
        let text = format!("{:?} {}", response.headers, String::from_utf8_lossy(&response.body));
        assert!(text.contains(MARKER) && !text.contains("canary"), "{text}");
    }
    let rows = audit::for_object(&house.db, &tenant(), "secret/acme/key").await.expect("audit");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0].action.as_str(), &rows[0].detail["status"]), ("secret.echo", &404.into()));
    assert!(!format!("{rows:?}").contains("canary"));
}

/// What a guest writes down is only ever what it was told: nothing that is kept has the value, in no file.
#[tokio::test]
async fn f6_nothing_that_is_kept_holds_a_secret() {
    let (house, partner) =
        (House::new().await, Partner::plays(vec![answer(200, &format!("{{\"k\":\"{CANARY}\"}}"))]).await);
    let vault = vault(&house.db, &header()).await;
    set(&vault, CANARY).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let (job, mut steps) = (house.job().await, Steps::default());
    // A guest that knows a value by other means gains nothing by sending it around.
    let request = post(&grant, "/once", &format!("{{\"note\":\"{CANARY}\"}}"));
    door(&house, &vault).send(&grant, &house.ctx(&job), &mut steps, request).await.expect("sent");
    let kept =
        format!("{:?} {:?}", house.tape(&job.id).await, effects::for_job(&house.db, &job.id).await.expect("rows"));
    assert!(kept.contains(MARKER) && !kept.contains("canary"), "{kept}");
    house.db.close().await;
    for file in std::fs::read_dir(house.folder()).expect("folder") {
        let bytes = std::fs::read(file.expect("entry").path()).expect("file");
        assert!(!bytes.windows(6).any(|six| six == b"canary"));
    }
}

#[tokio::test]
async fn f7_errors_hold_neither_a_secret_nor_what_the_partner_wrote() {
    let oauth = SecretSlot::Oauth2ClientCredentials {
        token_path: "/token".to_owned(),
        form: BTreeMap::new(),
        headers_from_config: BTreeMap::new(),
    };
    let body = format!("{{\"error\":\"{CANARY}\",\"traceback\":\"secret/path.py\"}}");
    for act in [answer(400, &body), answer(500, &body), answer(200, &body), Act::Raw(body.clone().into_bytes())] {
        let (house, partner) = (House::new().await, Partner::plays(vec![act]).await);
        let values = [("client_id", "canary-client"), ("client_secret", CANARY)];
        let grant = with_secret(grant(&partner.url), oauth.clone(), &values);
        let fault = send(&house, &grant, get(&grant, "/get/1?key=canary-query")).await.expect_err("no token");
        let text = format!("{fault} {fault:?}");
        assert!(!text.contains("canary") && !text.contains("traceback"), "{text}");
    }
    let house = House::new().await;
    let mut grant = grant(&Partner::absent().await);
    grant.secrets.insert(
        "key".to_owned(),
        BoundSecret {
            slot: header(),
            values: BTreeMap::from([("value".to_owned(), SecretString::from(CANARY.to_owned()))]),
        },
    );
    let fault = send(&house, &grant, get(&grant, "/get/1?key=canary-query")).await.expect_err("nobody is there");
    assert!(!format!("{fault} {fault:?}").contains("canary"), "{fault}");
}

/// The host signs the request it sends, by the manifest's template: the guest can choose neither text nor header.
#[tokio::test]
async fn f11_what_is_signed_is_the_request_and_nothing_a_guest_chose() {
    let slot = SecretSlot::HmacSign {
        header: "x-signature".to_owned(),
        format: "{key_id}:{signature}".to_owned(),
        hash: Hash::Sha256,
        encoding: Encoding::Hex,
        template: "{method}\n{host}{path}?{query}\n{timestamp}\n{body}".to_owned(),
        timestamp_header: Some("x-time".to_owned()),
    };
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let grant = with_secret(grant(&partner.url), slot, &[("key_id", "k-1"), ("key", CANARY)]);
    let body = "{\"pay\":\"{timestamp}{path}\",\"sign\":\"{{secret:key.signature}}\"}";
    let job = house.job().await;
    let mut steps = Steps::default();
    let request = Request { url: format!("{}/keyed?a={{body}}", grant.origins[0].url), ..post(&grant, "", body) };
    house.door.send(&grant, &house.ctx(&job), &mut steps, request).await.expect("sent");
    let sent = partner.seen().remove(0);
    let (_, target) = sent.head.lines().next().and_then(|line| line.split_once(' ')).expect("a request line");
    let target = target.split(' ').next().expect("a target");
    let host = sent.header("host").expect("host");
    let time = sent.header("x-time").expect("time");
    assert_eq!(time, (house.clock_millis() / 1_000).to_string());
    let text = format!("POST\n{host}{target}\n{time}\n{}", sent.body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, CANARY.as_bytes()), text.as_bytes());
    let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sent.header("x-signature"), Some(format!("k-1:{tag}").as_str()));
    let shown = serde_json::to_string(&steps.requests).expect("json");
    assert!(
        shown.contains("{{secret:key.signature}}") && !shown.contains(&tag) && !shown.contains("canary"),
        "{shown}"
    );
    for name in ["X-Signature", "x-time"] {
        let forged = Request { headers: vec![(name.to_owned(), "1".to_owned())], ..post(&grant, "/once", "{}") };
        assert_eq!(send(&house, &grant, forged).await.expect_err("the host's own").code, "egress.header");
    }
}

/// A job's context of another tenant never meets this tenant's vault.
#[tokio::test]
async fn f2_a_context_of_another_tenant_gets_nothing() {
    let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
    let vault = vault(&house.db, &header()).await;
    set(&vault, CANARY).await;
    let grant = with_secret(grant(&partner.url), header(), &[]);
    let ctx = CallCtx { tenant: TenantId::parse("other").expect("tenant"), ..house.ctx(&house.job().await) };
    let fault = door(&house, &vault).send(&grant, &ctx, &mut Steps::default(), get(&grant, "/get/1")).await;
    assert_as_written("F2", &fault.expect_err("refused").code);
    assert_eq!(partner.connections(), 0);
}
