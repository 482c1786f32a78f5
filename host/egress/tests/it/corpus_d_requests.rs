//! Attack corpus D, the requests: what a guest puts into one, where a partner would send it on to, how many it makes.

use std::process::Command;

use bytes::Bytes;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::{Blame, EffectCertainty};
use wharf_domain::manifest::SecretSlot;
use wharf_egress::{Grant, Request, Steps, Terms};

use crate::house::{House, get, grant, post, with_secret};
use crate::partner::{Act, Partner, answer};
use crate::siege::Siege;

#[tokio::test]
async fn p12_d14_a_redirect_is_an_answer_and_nobody_follows_it() {
    let siege = Siege::of("D14").await;
    for (status, location) in [
        (301, format!("http://127.0.0.1:{}/get/1", siege.sink.port)),
        (302, format!("http://[::1]:{}/get/1", siege.sink.port)),
        (303, "http://169.254.169.254/latest/meta-data/".to_owned()),
        (307, "/get/elsewhere".to_owned()),
        (308, "https://evil.test/get/1".to_owned()),
    ] {
        let head = format!(
            "HTTP/1.1 {status} X\r\nlocation: {location}\r\nrefresh: 0; url={location}\r\ncontent-length: 0\r\n\r\n"
        );
        let partner = Partner::plays(vec![Act::Raw(head.into_bytes())]).await;
        let slot = SecretSlot::Header { header: "x-api-key".to_owned(), format: "{value}".to_owned() };
        let granted = with_secret(grant(&partner.url), slot, &[("value", "s3cr3t-s3cr3t")]);
        let response = siege.send(&granted, get(&granted, "/get/1")).await.expect("an answer");
        assert_eq!(response.status, status);
        assert!(response.headers.contains(&("location".to_owned(), location)), "data like any other");
        let (bought, state) = siege.buy(&granted, "/buy").await;
        assert_eq!((bought.expect("an answer").status, state), (status, EffectState::Uncertain));
        assert_eq!(partner.lines(), ["GET /get/1", "POST /buy"]);
    }
    assert_eq!(siege.names.asked(), 0);
    siege.held().await;
}

#[tokio::test]
async fn p12_d16_the_hosts_headers_are_not_the_guests() {
    let siege = Siege::of("D16").await;
    let granted = siege.grant("carrier.test", true);
    for name in [
        "Host",
        "Connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "Content-Length",
        "content_length",
        "TE",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
        "Proxy-Authorization",
        "Proxy-Connection",
        "proxy_host",
        "Expect",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "x_forwarded_proto",
        "X-Real-IP",
        "Cookie",
        "Via",
        "Authorization",
        "Accept-Encoding",
        "X-HTTP-Method-Override",
        "X-Original-URL",
    ] {
        for method in [get(&granted, "/get/1"), post(&granted, "/void", "{}")] {
            let headers = vec![(name.to_owned(), "1".to_owned())];
            let fault = siege.refuses(&granted, Request { headers, ..method }, "header").await;
            assert_eq!(fault.blame, Blame::Guest);
        }
    }
    let twice = vec![("content-length".to_owned(), "1".to_owned()), ("content-length".to_owned(), "2".to_owned())];
    siege.refuses(&granted, Request { headers: twice, ..post(&granted, "/void", "{}") }, "header").await;
    for name in [":authority", ":path", "", "a b", "a:b"] {
        let headers = vec![(name.to_owned(), "1".to_owned())];
        siege.refuses(&granted, Request { headers, ..get(&granted, "/get/1") }, "invalid-header").await;
    }
    siege.bought_nothing().await;
    siege.held().await;
}

#[tokio::test]
async fn p12_d17_no_line_break_makes_two_requests_of_one() {
    let siege = Siege::of("D17").await;
    let granted = siege.grant("carrier.test", true);
    for bad in ["a\r\nx: y", "a\nx: y", "a\rb", "a\0b"] {
        for headers in [vec![("x-a".to_owned(), bad.to_owned())], vec![(bad.to_owned(), "v".to_owned())]] {
            let fault = siege.refuses(&granted, Request { headers, ..get(&granted, "/get/1") }, "invalid-header").await;
            assert!(!fault.message.contains(['\r', '\n', '\0']), "{fault:?}");
        }
        for path in [format!("/get/{bad}"), format!("/get/1?q={bad}")] {
            siege.refuses(&granted, get(&granted, &path), "invalid-url").await;
        }
        let method = format!("GET {bad}");
        siege.refuses(&granted, Request { method, ..get(&granted, "/get/1") }, "route-not-granted").await;
    }
    siege.refuses(&granted, get(&granted, "/get/a%00b"), "invalid-url").await;
    siege.held().await;
    // What may stand in a path arrives encoded, as one line.
    let partner = Partner::plays(vec![answer(200, "{}")]).await;
    let granted = grant(&partner.url);
    siege.send(&granted, get(&granted, "/get/ü%0d%0aX:1?q=\"<ö>")).await.expect("encoded");
    assert_eq!(partner.lines(), ["GET /get/%C3%BC%0d%0aX:1?q=%22%3C%C3%B6%3E"]);
}

#[tokio::test]
async fn p12_d18_a_body_is_as_long_as_the_host_says() {
    let (siege, partner) = (Siege::of("D18").await, Partner::plays(vec![answer(200, "{}")]).await);
    let (granted, inner) = (grant(&partner.url), "GET /get/smuggled HTTP/1.1\r\nhost: inside\r\n\r\n");
    for body in [format!("0\r\n\r\n{inner}"), inner.to_owned(), String::new()] {
        siege.send(&granted, post(&granted, "/rate", &body)).await.expect("sent");
        let seen = partner.seen().pop().expect("a request");
        assert_eq!((seen.line(), &seen.body), ("POST /rate".to_owned(), &body));
        assert_eq!(seen.header("content-length"), Some(&*body.len().to_string()));
        assert_eq!((seen.header("transfer-encoding"), seen.header("connection")), (None, Some("close")));
    }
    let with_body = Request { body: Some(Bytes::from_static(inner.as_bytes())), ..get(&granted, "/get/1") };
    siege.send(&granted, with_body).await.expect("a body is a body on every method");
    assert_eq!(partner.seen()[3].body, inner);
    for length in ["0", "3", "9999"] {
        let mut lying = post(&granted, "/void", inner);
        lying.headers.push(("Content-Length".to_owned(), length.to_owned()));
        siege.refuses(&granted, lying, "header").await;
    }
    assert_eq!(partner.connections(), 4, "one request on each connection");
    siege.held().await;
}

#[tokio::test]
async fn p12_d20_a_call_makes_fifty_requests_and_an_account_six_at_once() {
    let (siege, partner) = (Siege::of("D20").await, Partner::plays(vec![answer(200, "{}")]).await);
    let (granted, ctx, mut steps) = (grant(&partner.url), siege.house.ctx(&siege.job), Steps::default());
    for _ in 0..50 {
        siege.house.door.send(&granted, &ctx, &mut steps, get(&granted, "/get/1")).await.expect("within");
    }
    let fault = siege.house.door.send(&granted, &ctx, &mut steps, get(&granted, "/get/1")).await.expect_err("over");
    assert_eq!((fault.code.as_str(), fault.blame), ("egress.limit-requests", Blame::Guest));
    assert_eq!(partner.connections(), 50);

    let Act::Raw(ok) = answer(200, "{}") else { unreachable!("an answer is bytes") };
    let slow = Partner::plays(vec![Act::Held(ok)]).await;
    // A fifth is kept for the urgent.
    let limits = serde_json::from_str(r#"{"max_in_flight":7}"#).expect("limits");
    let terms = Terms { account: slow.url.clone(), limits, healthy: vec![] };
    let granted = Grant { terms: Some(terms), ..grant(&slow.url) };
    let six: Vec<_> = (0..6).map(|_| siege.send(&granted, get(&granted, "/get/1"))).collect();
    let seventh = async {
        slow.has_seen(6).await;
        let fault = siege.send(&granted, get(&granted, "/get/1")).await.expect_err("the seventh waits");
        assert_eq!((fault.code.as_str(), fault.effect), ("egress.wait", EffectCertainty::None));
        slow.release.notify_waiters();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(six), seventh);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(slow.connections(), 6);
    siege.held().await;
}

/// Set for the child process below.
const INNER: &str = "WHARF_TEST_PROXY_INNER";

#[tokio::test]
async fn p12_d22_proxy_variables_of_the_environment_are_ignored() {
    if std::env::var_os(INNER).is_some() {
        let (house, partner) = (House::new().await, Partner::plays(vec![answer(200, "{}")]).await);
        let (grant, job) = (grant(&partner.url), house.job().await);
        house.send(&grant, &house.ctx(&job), get(&grant, "/get/1")).await.expect("straight");
        assert_eq!(partner.lines(), ["GET /get/1"]);
        return;
    }
    // The environment of this process cannot be changed safely, so the test runs once more in a child.
    let proxy = Partner::plays(vec![answer(502, "")]).await;
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child
        .args(["--exact", "corpus_d_requests::p12_d22_proxy_variables_of_the_environment_are_ignored"])
        .env(INNER, "1");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, &proxy.url);
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("join").expect("run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.connections(), 0);
}
