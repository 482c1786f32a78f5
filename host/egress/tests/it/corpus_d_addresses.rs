//! Attack corpus D, the addresses: what a spelling or a lying name would lead to. Each row is refused by its rule, and the
//! sink inside sees nobody.

use crate::house::get;
use crate::names::{Record, ips};
use crate::partner::{Partner, answer};
use crate::siege::{Siege, short};

/// Not given out by IANA: public by its class, and nobody is there.
const NOWHERE: &str = "3fff:ffff::1";

#[tokio::test]
async fn p12_d6_the_machine_itself_is_out_of_reach() {
    let siege = Siege::of("D6").await;
    for (spelling, rule) in [
        ("127.0.0.1", "address-loopback"),
        ("127.255.255.254", "address-loopback"),
        ("localhost", "address-loopback"),
        ("LOCALHOST.", "address-loopback"),
        ("api.localhost", "address-loopback"),
        ("[::1]", "address-loopback"),
        ("0", "address-unspecified"),
        ("0.0.0.0", "address-unspecified"),
        ("[::]", "address-unspecified"),
    ] {
        siege.refuses_address(spelling, rule, false).await;
    }
    siege.refuses_address("0.0.0.0", "address-unspecified", true).await;
    for (ip, rule) in
        [("127.0.0.1", "address-loopback"), ("::1", "address-loopback"), ("0.0.0.0", "address-unspecified")]
    {
        siege.refuses_name(ip, rule, false).await;
    }
    siege.bought_nothing().await;
    siege.held().await;
}

#[tokio::test]
async fn p12_d7_an_address_is_the_same_in_every_spelling() {
    let siege = Siege::of("D7").await;
    for spelling in [
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f.0.0.0x1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "[0:0:0:0:0:0:0:1]",
        "[0000::0001]",
    ] {
        let url = format!("http://{spelling}:{}/get/1", siege.sink.port);
        for granted in [siege.grant("carrier.test", true), siege.grant("127.0.0.1", false), siege.grant("[::1]", false)]
        {
            siege.refuses_url(&granted, &url, "address-loopback").await;
        }
    }
    siege.held().await;
}

#[tokio::test]
async fn p12_d8_private_networks_need_the_operators_word() {
    let siege = Siege::of("D8").await;
    for (spelling, rule) in [
        ("10.0.0.1", "address-private"),
        ("172.16.5.5", "address-private"),
        ("172.31.255.255", "address-private"),
        ("192.168.1.1", "address-private"),
        ("100.64.0.1", "address-cgnat"),
        ("[fc00::1]", "address-private"),
        ("[fd12:3456::1]", "address-private"),
    ] {
        siege.refuses_address(spelling, rule, false).await;
        siege.refuses_name(spelling.trim_matches(['[', ']']), rule, false).await;
    }
    // And these are opened by no word.
    for (spelling, rule) in [
        ("169.254.7.7", "address-link-local"),
        ("[fe80::1]", "address-link-local"),
        ("192.0.0.8", "address-special"),
        ("198.18.0.1", "address-special"),
    ] {
        siege.refuses_address(spelling, rule, true).await;
        siege.refuses_name(spelling.trim_matches(['[', ']']), rule, true).await;
    }
    siege.refuses_url(&siege.grant("carrier.test", true), "http://[fe80::1%25lo]/get/1", "invalid-url").await;
    siege.held().await;
}

#[tokio::test]
async fn p12_d9_no_word_opens_the_metadata_of_a_cloud() {
    let siege = Siege::of("D9").await;
    for spelling in [
        "169.254.169.254",
        "0xA9FEA9FE",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.254.169.254.",
        "[fd00:ec2::254]",
        "[fd00:0ec2:0:0::254]",
        "[fd20:ce::254]",
        "100.100.100.200",
        "168.63.129.16",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata",
        "instance-data",
    ] {
        siege.refuses_address(spelling, "address-metadata", true).await;
    }
    for ip in ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"] {
        siege.refuses_name(ip, "address-metadata", true).await;
    }
    siege.held().await;
}

#[tokio::test]
async fn p12_d10_no_ipv4_address_hides_in_an_ipv6_one() {
    let siege = Siege::of("D10").await;
    for ip in [
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::10.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ] {
        siege.refuses_address(&format!("[{ip}]"), "address-embedded-v4", true).await;
        siege.refuses_name(ip, "address-embedded-v4", true).await;
    }
    siege.held().await;
}

#[tokio::test]
async fn p12_d11_what_is_nobodys_address_is_not_dialled() {
    let siege = Siege::of("D11").await;
    for ip in
        ["224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "203.0.113.7", "240.0.0.1", "0.1.2.3"].into_iter()
    {
        siege.refuses_address(ip, "address-special", true).await;
        siege.refuses_name(ip, "address-special", true).await;
    }
    for ip in ["ff02::1", "2001:db8::1", "3fff::1", "100::1", "fec0::1"] {
        siege.refuses_address(&format!("[{ip}]"), "address-special", true).await;
        siege.refuses_name(ip, "address-special", true).await;
    }
    siege.held().await;
}

#[tokio::test]
async fn p12_d12_one_bad_answer_spoils_a_name() {
    let siege = Siege::of("D12").await;
    let granted = siege.grant("api.carrier.test", false);
    for answers in [[NOWHERE, "127.0.0.1"], ["127.0.0.1", NOWHERE], [NOWHERE, "::1"], [NOWHERE, "10.0.0.1"]] {
        siege.names.say(vec![ips(&answers)]);
        siege.refuses(&granted, get(&granted, "/get/1"), "dns-mixed").await;
    }
    let open = siege.grant("api.carrier.test", true);
    siege.names.say(vec![ips(&["127.0.0.1", "169.254.169.254"])]);
    siege.refuses(&open, get(&open, "/get/1"), "dns-mixed").await;
    siege.held().await;
}

#[tokio::test]
async fn p12_d13_a_name_is_looked_up_once_and_what_was_checked_is_dialled() {
    let siege = Siege::with("D13", |_| short()).await;
    let port = siege.sink.port;
    let partner = Partner::at(&format!("127.0.0.2:{port}"), |_| answer(200, "{}")).await;
    // The good address first, the inside from then on.
    let open = siege.grant("rebind.test", true);
    siege.names.say(vec![ips(&["127.0.0.2"]), ips(&["127.0.0.1", "::1"])]);
    siege.send(&open, get(&open, "/get/1")).await.expect("at the checked address");
    assert_eq!((partner.connections(), siege.names.asked()), (1, 1));

    let shut = siege.grant("rebind.test", false);
    siege.names.say(vec![ips(&[NOWHERE]), ips(&["127.0.0.1"])]);
    let fault = siege.send(&shut, get(&shut, "/get/1")).await.expect_err("nobody is there");
    assert!(["egress.connect", "egress.timeout-connect"].contains(&fault.code.as_str()), "{fault}");
    assert_eq!(siege.names.asked(), 1, "a failed dial is no reason to ask again");
    // No connection is kept, so the next request asks for itself, and is told the inside.
    siege.refuses(&shut, get(&shut, "/get/1"), "address-loopback").await;
    assert_eq!(siege.names.asked(), 1);
    siege.held().await;
}

#[tokio::test]
async fn p12_d15_aliases_many_answers_and_silence_lead_nowhere() {
    let siege = Siege::with("D15", |_| short()).await;
    let inside = Record::Ip("127.0.0.1".parse().expect("ip"));
    siege.names.say(vec![Some(vec![Record::Alias("intranet.corp.internal"), inside])]);
    let shut = siege.grant("api.carrier.test", false);
    siege.refuses(&shut, get(&shut, "/get/1"), "address-loopback").await;

    // Nobody is at .3; the partner is the last of sixteen, then the seventeenth of a thousand.
    let partner = Partner::at(&format!("127.0.0.2:{}", siege.sink.port), |_| answer(200, "{}")).await;
    let open = siege.grant("api.carrier.test", true);
    let (mut sixteen, mut thousand) = (vec!["127.0.0.3"; 16], vec!["127.0.0.3"; 1_000]);
    (sixteen[15], thousand[16]) = ("127.0.0.2", "127.0.0.2");
    siege.names.say(vec![ips(&sixteen), ips(&thousand)]);
    siege.send(&open, get(&open, "/get/1")).await.expect("the sixteenth");
    siege.refuses(&open, get(&open, "/get/1"), "connect").await;
    assert_eq!(partner.connections(), 1);
    // All of them are judged all the same.
    thousand[999] = "169.254.169.254";
    siege.names.say(vec![ips(&thousand)]);
    siege.refuses(&open, get(&open, "/get/1"), "dns-mixed").await;

    siege.names.say(vec![None]);
    siege.refuses(&open, get(&open, "/get/1"), "timeout-dns").await;
    siege.names.say(vec![ips(&[])]);
    siege.refuses(&open, get(&open, "/get/1"), "dns").await;
    siege.held().await;
}
