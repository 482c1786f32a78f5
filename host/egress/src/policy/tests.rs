use std::collections::BTreeMap;

use bytes::Bytes;
use wharf_domain::fault::{Blame, FaultKind};
use wharf_domain::ids::TenantId;
use wharf_domain::manifest::SecretSlot;

use super::*;
use crate::{BoundSecret, Limits, Origin, fault};

fn route(method: &str, path: &str, class: Option<EffectClass>) -> Route {
    Route {
        method: method.to_owned(),
        path: path.to_owned(),
        class,
        effect: None,
        secret: None,
        proves_no_effect: None,
        key: None,
        reason: "test".to_owned(),
    }
}

fn grant(origins: &[(&str, bool)]) -> Grant {
    let slot = SecretSlot::Header { header: "X-Api-Key".to_owned(), format: "{value}".to_owned() };
    Grant {
        tenant: TenantId::parse("nordic").expect("tenant"),
        connection: "acme".to_owned(),
        adapter_digest: None,
        origins: origins
            .iter()
            .map(|(url, allow_private)| Origin {
                url: (*url).to_owned(),
                allow_private: *allow_private,
                authority: None,
            })
            .collect(),
        routes: vec![
            route("GET", "/v1/*", None),
            route("POST", "/v1/*", None),
            route("POST", "/v1/rates", Some(EffectClass::Read)),
        ],
        secrets: BTreeMap::from([("key".to_owned(), BoundSecret { slot, values: BTreeMap::new() })]),
        config: BTreeMap::new(),
        limits: Limits { max_request_bytes: 10, ..Limits::default() },
        terms: None,
    }
}

fn ask(grant: &Grant, method: &str, url: &str, headers: &[(&str, &str)]) -> Result<(String, EffectClass), Denial> {
    let request = Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: None,
        timeout_ms: None,
    };
    permit(grant, &Own::default(), &request).map(|permitted| (permitted.url.to_string(), permitted.class))
}

fn rule(grant: &Grant, url: &str) -> &'static str {
    ask(grant, "GET", url, &[]).map_or_else(|denial| denial.rule(), |_| "permitted")
}

#[test]
fn a_url_has_one_meaning_and_only_granted_origins_are_reached() {
    let grant = grant(&[("https://api.carrier.com", false), ("https://api.carrier.com:8443", false)]);
    let table = [
        ("https://api.carrier.com/v1/a", "permitted"),
        ("https://API.CARRIER.COM:443/v1/a", "permitted"),
        ("https://api.carrier.com:8443/v1/a?x=1", "permitted"),
        ("https://ａｐｉ.carrier.com/v1/a", "permitted"),
        ("https://carrier.com/v1/a", "host-not-granted"),
        ("https://www.api.carrier.com/v1/a", "host-not-granted"),
        ("https://api.carrier.com.evil.com/v1/a", "host-not-granted"),
        ("https://evilapi.carrier.com/v1/a", "host-not-granted"),
        ("https://xn--pi-8cd.carrier.com/v1/a", "host-not-granted"),
        ("https://аpi.carrier.com/v1/a", "host-not-granted"),
        ("https://api.carrier.com./v1/a", "host-not-granted"),
        ("http://api.carrier.com/v1/a", "scheme"),
        ("ftp://api.carrier.com/v1/a", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://api.carrier.com/v1/a", "scheme"),
        ("wss://api.carrier.com/v1/a", "scheme"),
        ("https://api.carrier.com:9443/v1/a", "port"),
        ("https://api.carrier.com@evil.com/v1/a", "userinfo"),
        ("https://user:pw@api.carrier.com/v1/a", "userinfo"),
        ("https://@api.carrier.com/v1/a", "userinfo"),
        ("https:@api.carrier.com/v1/a", "invalid-url"),
        ("https:api.carrier.com/v1/a", "invalid-url"),
        ("https:/api.carrier.com/v1/a", "invalid-url"),
        ("https://evil.com/#@api.carrier.com/v1/a", "invalid-url"),
        ("https://api.carrier.com/v1/a#f", "invalid-url"),
        ("https://api.carrier.com\\@evil.com/v1/a", "invalid-url"),
        ("https://api.car\trier.com/v1/a", "invalid-url"),
        ("https://api.carrier.com/v1/a\r\nx: y", "invalid-url"),
        (" https://api.carrier.com/v1/a", "invalid-url"),
        ("https://api.carrier.com/v1/a\u{0}", "invalid-url"),
        ("https://%61pi.carrier.com%00/v1/a", "invalid-url"),
        ("/v1/a", "invalid-url"),
        ("https:///v1/a", "host-not-granted"),
    ];
    for (url, want) in table {
        assert_eq!(rule(&grant, url), want, "{url:?}");
    }
    assert_eq!(rule(&grant, &format!("https://api.carrier.com/v1/{}", "a".repeat(9_000))), "request-too-large");
}

#[test]
fn every_spelling_of_a_forbidden_address_is_the_same_address() {
    let closed = grant(&[("https://api.carrier.com", false)]);
    let table = [
        ("http://127.0.0.1/v1/a", "address-loopback"),
        ("http://127.1/v1/a", "address-loopback"),
        ("http://0x7f.1/v1/a", "address-loopback"),
        ("http://2130706433/v1/a", "address-loopback"),
        ("http://0177.0.0.1/v1/a", "address-loopback"),
        ("http://①②⑦.0.0.1/v1/a", "address-loopback"),
        ("http://localhost/v1/a", "address-loopback"),
        ("http://a.LocalHost./v1/a", "address-loopback"),
        ("http://[::1]/v1/a", "address-loopback"),
        ("http://0/v1/a", "address-unspecified"),
        ("http://[::]/v1/a", "address-unspecified"),
        ("http://10.0.0.1/v1/a", "address-private"),
        ("http://169.254.169.254/v1/a", "address-metadata"),
        ("http://0xA9FEA9FE/v1/a", "address-metadata"),
        ("http://[::ffff:169.254.169.254]/v1/a", "address-embedded-v4"),
        ("http://[fd00:ec2::254]/v1/a", "address-metadata"),
        ("http://[fe80::1]/v1/a", "address-link-local"),
        ("http://[fe80::1%25eth0]/v1/a", "invalid-url"),
        ("http://8.8.8.8/v1/a", "host-not-granted"),
    ];
    for (url, want) in table {
        assert_eq!(rule(&closed, url), want, "{url}");
    }
}

#[test]
fn an_address_of_the_operator_needs_the_operators_word() {
    let shut = grant(&[("http://127.0.0.1:9000", false)]);
    let denial = ask(&shut, "GET", "http://127.1:9000/v1/a", &[]).expect_err("shut");
    let fault = fault::denied(&denial);
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Operator, "egress.address-loopback"));
    assert!(fault.message.contains("allow_private_address = true"), "{fault}");
    let open = grant(&[("http://127.1:9000", true), ("http://169.254.169.254", true)]);
    assert_eq!(ask(&open, "GET", "http://0x7f.1:9000/v1/a", &[]).expect("open").0, "http://127.0.0.1:9000/v1/a");
    assert_eq!(rule(&open, "http://169.254.169.254/v1/a"), "address-metadata", "nothing opens it");
    assert_eq!(rule(&open, "http://10.0.0.1:9000/v1/a"), "address-private", "the word was for another address");
}

#[test]
fn a_route_is_a_method_and_a_whole_path() {
    let grant = grant(&[("https://a.example", false)]);
    let base = "https://a.example";
    assert_eq!(ask(&grant, "POST", &format!("{base}/v1/x"), &[]).expect("once").1, EffectClass::Once);
    let special = ask(&grant, "POST", &format!("{base}/v1/rates"), &[]).expect("read").1;
    assert_eq!(special, EffectClass::Read, "the special route is not hidden by the general one");
    for (path, want) in [
        ("/v1/x/y", "route-not-granted"),
        ("/v1/../admin", "route-not-granted"),
        ("/v1/%2e%2e/admin", "route-not-granted"),
        ("/V1/x", "route-not-granted"),
        ("//v1/x", "route-not-granted"),
        ("/v1/a%2Fb", "invalid-url"),
        ("/v1/a%5cb", "invalid-url"),
        ("/v1/a%00", "invalid-url"),
    ] {
        assert_eq!(rule(&grant, &format!("{base}{path}")), want, "{path}");
    }
    for method in ["DELETE", "get", "CONNECT", "GET /v1/x HTTP/1.1\r\n"] {
        let denial = ask(&grant, method, &format!("{base}/v1/x"), &[]).expect_err(method);
        assert_eq!(denial.rule(), "route-not-granted", "{method}");
    }
    let denial = ask(&grant, "DELETE", &format!("{base}/v1/x"), &[]).expect_err("delete");
    let text = denial.to_string();
    assert!(text.contains(r#"[[routes]] method = "DELETE" path = "/v1/x""#), "{text}");
    let denial = ask(&grant, "GET", "https://b.example/v1/x", &[]).expect_err("origin");
    assert!(denial.to_string().contains(r#"[[endpoints]] environment = "…" origin = "https://b.example""#), "{denial}");
    assert_eq!(fault::denied(&denial).kind, FaultKind::Forbidden);
}

#[test]
fn the_hosts_headers_are_not_the_guests() {
    let grant = grant(&[("https://a.example", false)]);
    let table = [
        ("Host", "header"),
        ("content-length", "header"),
        ("Transfer-Encoding", "header"),
        ("connection", "header"),
        ("TE", "header"),
        ("Expect", "header"),
        ("Cookie", "header"),
        ("Authorization", "header"),
        ("Proxy-Authorization", "header"),
        ("Forwarded", "header"),
        ("X-Forwarded-For", "header"),
        ("Accept-Encoding", "header"),
        ("X-HTTP-Method-Override", "header"),
        ("x-api-KEY", "header"),
        (":authority", "invalid-header"),
        ("a b", "invalid-header"),
        ("", "invalid-header"),
        ("x-trace", "permitted"),
        ("accept", "permitted"),
    ];
    for (name, want) in table {
        let got =
            ask(&grant, "GET", "https://a.example/v1/x", &[(name, "v")]).map_or_else(|d| d.rule(), |_| "permitted");
        assert_eq!(got, want, "{name}");
    }
    for value in ["a\r\nb: c", "a\0"] {
        let denial = ask(&grant, "GET", "https://a.example/v1/x", &[("x-a", value)]).expect_err("value");
        assert_eq!(denial.rule(), "invalid-header");
        assert!(!denial.to_string().contains('\n'), "{denial}");
    }
    let many: Vec<(&str, &str)> = vec![("x-a", "b"); 65];
    assert_eq!(ask(&grant, "GET", "https://a.example/v1/x", &many).expect_err("many").rule(), "request-too-large");
}

#[test]
fn a_large_body_and_a_bad_grant_are_refused() {
    let mut grant = grant(&[("https://a.example", false)]);
    let mut request = Request {
        method: "POST".to_owned(),
        url: "https://a.example/v1/x".to_owned(),
        headers: vec![],
        body: Some(Bytes::from_static(b"0123456789a")),
        timeout_ms: None,
    };
    assert_eq!(permit(&grant, &Own::default(), &request).expect_err("body").rule(), "request-too-large");
    request.body = None;
    grant.origins[0].url = "https://a.example/base".to_owned();
    let denial = permit(&grant, &Own::default(), &request).expect_err("grant");
    assert_eq!((denial.rule(), fault::denied(&denial).blame), ("bad-origin", Blame::Operator));
}
