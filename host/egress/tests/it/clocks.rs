//! A host whose clock is wrong, or that stood still.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;
use wharf_domain::effect::EffectState;
use wharf_domain::time::{Clock, ManualClock};
use wharf_egress::wire::{Caps, SentMark, Target, WireRequest};
use wharf_egress::{AddressRule, Egress, EgressConfig, Live, Steps, Wire};

use crate::house::{House, grant, post};
use crate::partner::{Partner, answer};

/// Two hosts never act on one lease: until when a byte may leave goes by the clock they share.
#[tokio::test]
async fn p5_a_deadline_goes_by_the_clock_of_the_database_however_wrong_the_hosts_own_is() {
    for wrong_by in [600_000, -600_000] {
        let house = House::new().await;
        let partner = Partner::plays(vec![answer(200, "{}")]).await;
        let (grant, job) = (grant(&partner.url), house.job().await);
        let own = Arc::new(ManualClock::at(house.clock.now().millis() + wrong_by));
        let wire = Arc::new(Live::new(&EgressConfig::default()).expect("wire"));
        let door = Egress::new(Some(house.db.clone()), own, EgressConfig::default(), wire);
        let (ctx, request) = (house.ctx(&job), post(&grant, "/buy", "{}"));
        door.send(&grant, &ctx, &mut Steps::default(), request).await.expect("there is time left");
        let row = house.effect(&job.id).await;
        assert_eq!(row.state, EffectState::Succeeded);
        let until = row.send_deadline.expect("deadline");
        assert!(until > house.clock.now() && until <= ctx.deadline, "{wrong_by}: {until}");
    }
}

/// Two hosts never act on one lease: a process that stood still comes to its socket and sends nothing.
#[tokio::test]
async fn p5_no_byte_leaves_after_the_deadline() {
    let partner = Partner::plays(vec![answer(200, "{}")]).await;
    let port = partner.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("port");
    let target = Target {
        host: url::Host::Ipv4(std::net::Ipv4Addr::LOCALHOST),
        port,
        tls: false,
        address: AddressRule { allow_private: true, only_private: false },
        caps: Caps { body_bytes: 1_000, headers: 10, head_bytes: 1_000 },
        identity: None,
        authority: None,
    };
    let request = || WireRequest { method: Method::GET, path: "/".to_owned(), headers: Vec::new(), body: Bytes::new() };
    let live = Live::new(&EgressConfig::default()).expect("wire");
    let late = SentMark::until(Instant::now());
    live.exchange(&target, request(), &late).await.expect_err("too late");
    assert!(!late.is_set() && partner.lines().is_empty(), "{:?}", partner.lines());
    let in_time = SentMark::until(Instant::now() + Duration::from_secs(60));
    live.exchange(&target, request(), &in_time).await.expect("an answer");
    assert!(in_time.is_set());
}
