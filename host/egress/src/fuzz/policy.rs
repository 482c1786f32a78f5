//! Which URLs are permitted and which addresses are dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;
use url::Host;
use wharf_fuzz::Target;

use super::{ORIGINS, WORDS, grant};
use crate::policy::{Denial, Permitted, permit};
use crate::{AddressRule, Class, Grant, Own, Request, classify, fault};

const SEEDS: [&str; 14] = [
    "GET https://api.carrier.com/v1/a?x=1",
    "GET https://API.CARRIER.COM:443/v1/a%20b",
    "POST https://api.carrier.com:8443/v1/ä",
    "GET http://0x7f.1:9000/v1/a",
    "GET https://[fd12:0::9]/v1/a",
    "PUT https://api.carrier.com/key/7/x",
    "GET https://api.carrier.com/v1/../v1/a",
    "GET https://user:pw@api.carrier.com/v1/a",
    "GET https://wharf.example:443/v1/a",
    "GET http://169.254.169.254/v1/a",
    "GET http://a.localhost./v1/a",
    "DELETE https://api.carrier.com/v1/a",
    "GET https://api.carrier.com/v1/a\nx-trace: 1\naccept: */*",
    "GET https://api.carrier.com/v1/a\nhost: evil\nx_forwarded_for: 1",
];

/// `METHOD URL`, and a line for each header.
pub(super) fn asked(text: &str) -> Request {
    let mut lines = text.split('\n');
    let (method, url) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(':'));
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.trim_start().to_owned())).collect(),
        body: None,
        timeout_ms: None,
    }
}

#[test]
fn p14_url_policy() {
    let grant = grant();
    let own = Own { advertised: vec!["https://wharf.example".to_owned()], ..Own::default() };
    Target::new("url_policy").seeds(SEEDS).words(WORDS).longest(12 << 10).run(|input| {
        let request = asked(&String::from_utf8_lossy(input));
        match permit(&grant, &own, &request) {
            Ok(permitted) => {
                nothing_but_what_was_granted(&permitted, &request);
                one_meaning(&grant, &own, &permitted, &request);
                "permitted"
            }
            Err(denial) => {
                readable(&denial);
                denial.rule()
            }
        }
    });
}

fn nothing_but_what_was_granted(permitted: &Permitted<'_>, request: &Request) {
    let origin = permitted.origin();
    let granted = ORIGINS.iter().find(|(url, _)| *url == origin);
    let (_, allow_private) = granted.unwrap_or_else(|| panic!("`{origin}` was not granted"));
    assert_eq!(permitted.allow_private, *allow_private);
    assert!(permitted.tls() || origin.starts_with("http://127.0.0.1:"), "plain http to {origin}");
    // By other means than the policy's: a path below a granted one, without a step to the side.
    let path = permitted.url.path();
    let below = ["/v1/", "/key/", "/basic", "/signed/"].iter().any(|granted| path.starts_with(granted));
    assert!(below && !path.split('/').any(|part| part == ".." || part == "."), "{path}");
    assert!(path.matches('/').count() <= 3, "{path}");
    assert_eq!(permitted.method.as_str(), request.method);
    for (name, value) in &permitted.headers {
        let name = name.as_str().replace('_', "-");
        let hosts = ["host", "content-length", "transfer-encoding", "cookie", "authorization", "via", "x-api-key"];
        let of_proxies = name == "x-forwarded" || name.starts_with("x-forwarded-") || name.starts_with("proxy-");
        assert!(!hosts.contains(&name.as_str()) && !of_proxies, "{name}");
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{value:?}");
    }
}

/// What is sent is read by everybody as it was read here.
fn one_meaning(grant: &Grant, own: &Own, permitted: &Permitted<'_>, request: &Request) {
    let text = permitted.url.as_str();
    assert!(request.url.contains("://"), "{:?}", request.url);
    assert!(text.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\'), "{text}");
    assert!(!text.contains('#') && permitted.url.username().is_empty() && permitted.url.password().is_none(), "{text}");
    let again = Request { url: text.to_owned(), ..request.clone() };
    let again = permit(grant, own, &again).unwrap_or_else(|denial| panic!("`{text}` is refused: {denial}"));
    assert_eq!((again.url.as_str(), &again.host, again.port), (text, &permitted.host, permitted.port));
    let other: Uri = text.parse().unwrap_or_else(|err| panic!("another parser does not read `{text}`: {err}"));
    assert_eq!(other.host(), Some(permitted.host.to_string().as_str()), "{text}");
    assert_eq!(other.path(), permitted.url.path(), "{text}");
    assert_eq!(other.port_u16().unwrap_or(if permitted.tls() { 443 } else { 80 }), permitted.port, "{text}");
    if let Host::Domain(name) = &permitted.host {
        assert!(name.parse::<IpAddr>().is_err(), "`{name}` is an address by another name");
    }
}

/// A refusal is for a person's eyes and for a log: short, and nothing that moves a cursor.
fn readable(denial: &Denial) {
    let fault = fault::denied(denial);
    assert!(fault.message.len() < 8_000, "{} bytes: {fault}", fault.message.len());
    assert!(!fault.message.contains(char::is_control), "{:?}", fault.message);
}

#[test]
fn p14_addresses() {
    let seeds = ["127.0.0.1", "8.8.8.8", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::1", "2606:4700::1", "fd00::1"];
    let seeds = seeds.map(|text| match text.parse().expect(text) {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    Target::new("addresses").seeds(seeds).longest(64).run(|input| {
        let (many, rest) = input.as_chunks::<16>();
        let mut answers: Vec<IpAddr> = many.iter().map(|octets| Ipv6Addr::from(*octets).into()).collect();
        answers.extend(rest.first_chunk::<4>().map(|octets| IpAddr::from(Ipv4Addr::from(*octets))));
        answers.iter().for_each(|ip| class_by_another_table(*ip));
        let sockets: Vec<SocketAddr> = answers.iter().map(|ip| SocketAddr::new(*ip, 443)).collect();
        for allow_private in [false, true] {
            let rule = AddressRule { allow_private, only_private: false };
            let each = answers.iter().all(|ip| rule.check(*ip).is_ok());
            assert_eq!(rule.check_all(&sockets).is_ok(), each, "one bad answer spoils all of them: {answers:?}");
        }
        answers.into_iter().map(classify).collect::<Vec<_>>()
    });
}

/// The standard library has an opinion on some of the ranges.
fn class_by_another_table(ip: IpAddr) {
    let class = classify(ip);
    let closed = match ip {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.to_ipv4().is_some()
        }
    };
    assert!(!(closed && class == Class::Public), "{ip} is {class:?}");
    if let IpAddr::V6(v6) = ip
        && v6.to_ipv4_mapped().is_some()
    {
        assert!(!class.reachable(true), "{ip} is an IPv4 address in disguise");
    }
}
