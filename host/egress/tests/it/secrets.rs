//! No secret in anything that is kept, listed or handed back.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharf_domain::fault::Blame;
use wharf_domain::manifest::SecretSlot;
use wharf_egress::Steps;
use wharf_store::effects;

use crate::house::{House, get, grant, post, with_secret};
use crate::partner::{Act, Partner, Seen, answer};

const USER: &str = "canary-user";
const PASSWORD: &str = "canary-password";

/// Sends everything it was told back, in the head and the body.
async fn parrot() -> Partner {
    Partner::answers(|seen: &Seen| {
        if seen.line() == "POST /token" {
            return answer(200, r#"{"access_token":"canary-token"}"#);
        }
        let auth = seen.header("authorization").or(seen.header("x-api-key")).unwrap_or("").to_owned();
        let body = format!("{auth} {PASSWORD} {} {USER} {}", STANDARD.encode(PASSWORD), seen.body);
        let text = format!("HTTP/1.1 201 X\r\nx-echo: {auth}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Act::Raw(text.into_bytes())
    })
    .await
}

#[tokio::test]
async fn every_kind_of_secret_reaches_the_partner_and_nobody_else() {
    let slots = [
        (
            SecretSlot::Header { header: "X-Api-Key".to_owned(), format: "v1 {value}".to_owned() },
            vec![("value", PASSWORD)],
            ("x-api-key", format!("v1 {PASSWORD}")),
            "v1 {{secret:key.value}}",
        ),
        (
            SecretSlot::Basic,
            vec![("username", USER), ("password", PASSWORD)],
            ("authorization", format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))),
            "Basic {{secret:key.username}}:{{secret:key.password}}",
        ),
        (
            SecretSlot::Oauth2ClientCredentials {
                token_path: "/token".to_owned(),
                form: BTreeMap::new(),
                headers_from_config: BTreeMap::new(),
            },
            vec![("client_id", USER), ("client_secret", PASSWORD)],
            ("authorization", "Bearer canary-token".to_owned()),
            "Bearer {{secret:key.token}}",
        ),
    ];
    for (slot, values, (header, on_the_wire), shown) in slots {
        let (house, partner) = (House::new().await, parrot().await);
        let (grant, job) = (with_secret(grant(&partner.url), slot, &values), house.job().await);
        let (ctx, mut steps) = (house.ctx(&job), Steps::default());
        // A guest that knows a secret by other means gains nothing by writing it down.
        let body = format!("{{\"a\":\"{PASSWORD}\"}}");
        let bought = house.door.send(&grant, &ctx, &mut steps, post(&grant, "/buy", &body)).await.expect("bought");
        house.door.send(&grant, &ctx, &mut steps, get(&grant, "/get/1")).await.expect("read");
        let seen = partner.seen();
        let last = seen.last().expect("seen");
        assert_eq!(last.header(header), Some(on_the_wire.as_str()));

        assert_eq!(steps.requests[0].headers.last(), Some(&(header.to_owned(), shown.to_owned())));
        let listed = serde_json::to_string(&steps.requests).expect("json");
        let tape = house.tape(&job.id).await.join("\n");
        for kept in [&listed, &tape] {
            let known = values.iter().map(|(_, value)| *value);
            for secret in known.chain(["canary-token", &STANDARD.encode(PASSWORD), on_the_wire.as_str()]) {
                assert!(!kept.contains(secret), "`{secret}` in {kept}");
            }
            assert!(kept.contains(shown), "{kept}");
        }
        let answer = format!("{:?} {}", bought.headers, String::from_utf8_lossy(&bought.body));
        for secret in [PASSWORD, "canary-token", &STANDARD.encode(PASSWORD), on_the_wire.as_str()] {
            assert!(!answer.contains(secret), "{answer}");
        }
        let row = effects::for_job(&house.db, &job.id).await.expect("rows").remove(0);
        let row = serde_json::to_string(&row).expect("json");
        assert!(!row.contains(PASSWORD) && !row.contains("canary-token"), "{row}");
    }
}

#[tokio::test]
async fn a_value_a_header_cannot_carry_is_the_operators() {
    let (house, partner) = (House::new().await, parrot().await);
    let slot = SecretSlot::Header { header: "x-api-key".to_owned(), format: "{value}".to_owned() };
    let (grant, job) = (with_secret(grant(&partner.url), slot, &[("value", "canary\nx: y")]), house.job().await);
    let fault = house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect_err("line break");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.secret-unusable", Blame::Operator));
    assert!(fault.message.contains("`key`") && !fault.message.contains("canary"), "{fault}");
    assert_eq!(partner.connections(), 0);
}
