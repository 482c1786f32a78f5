//! What a row of the attack corpus starts from: a house with its door, names that lie, and a sink inside that nobody
//! may reach.

use std::sync::Arc;

use wharf_attack::assert_as_written;
use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::EffectState;
use wharf_domain::fault::{EffectCertainty, Fault, FaultKind};
use wharf_egress::{EgressConfig, Grant, Live, Request, Response};
use wharf_store::effects;
use wharf_store::jobs::Job;

use crate::house::{House, get, grant, post};
use crate::names::Names;
use crate::partner::{Act, Partner};
use crate::sink::Sink;

pub(crate) struct Siege {
    row: &'static str,
    pub(crate) house: House,
    pub(crate) names: Names,
    pub(crate) sink: Sink,
    pub(crate) job: Job,
}

/// Times short enough for a test that waits for their end; nothing is asserted about how long that takes.
pub(crate) fn short() -> EgressConfig {
    EgressConfig { dns_timeout_ms: 2_000, connect_timeout_ms: 2_000, ..EgressConfig::default() }
}

impl Siege {
    pub(crate) async fn of(row: &'static str) -> Self {
        Self::with(row, |_| EgressConfig::default()).await
    }

    pub(crate) async fn with(row: &'static str, config: impl FnOnce(&Sink) -> EgressConfig) -> Self {
        let (names, sink) = (Names::open().await, Sink::open().await);
        let config = config(&sink);
        let wire = Live::new(&config).expect("wire").resolving(names.stub());
        let house = House::with(config, Some(Arc::new(wire))).await;
        let job = house.job().await;
        Self { row, house, names, sink, job }
    }

    /// A grant for `host` at the port of the sink. `open`: with the operator's word for private addresses.
    pub(crate) fn grant(&self, host: &str, open: bool) -> Grant {
        let mut grant = grant(&format!("http://{host}:{}", self.sink.port));
        grant.origins[0].allow_private = open;
        grant
    }

    pub(crate) async fn send(&self, grant: &Grant, request: Request) -> Result<Response, Fault> {
        self.house.send(grant, &self.house.ctx(&self.job), request).await
    }

    /// The request is refused by `rule`, which is one the row names, and nothing outside can have changed.
    pub(crate) async fn refuses(&self, grant: &Grant, request: Request, rule: &str) -> Fault {
        let what = format!("{:?} {:?} {:?}", request.method, request.url, request.headers);
        let fault = self.send(grant, request).await.expect_err(&what);
        assert_eq!((fault.code.as_str(), fault.effect), (&*format!("egress.{rule}"), EffectCertainty::None), "{what}");
        assert_as_written(self.row, &fault.code);
        fault
    }

    /// A read of `url`, which the grant may have nothing to do with.
    pub(crate) async fn refuses_url(&self, grant: &Grant, url: &str, rule: &str) {
        self.refuses(grant, Request { url: url.to_owned(), ..get(grant, "") }, rule).await;
    }

    /// A forbidden address is refused in every way a guest can come by it: unasked, granted by an operator who did not
    /// look, and behind a granted name. `open`: also with the operator's word.
    pub(crate) async fn refuses_address(&self, spelling: &str, rule: &str, open: bool) {
        let url = format!("http://{spelling}:{}/get/1", self.sink.port);
        self.refuses_url(&self.grant("api.carrier.test", open), &url, rule).await;
        self.refuses_url(&self.grant(spelling, open), &url, rule).await;
        let granted = self.grant(spelling, open);
        self.refuses(&granted, post(&granted, "/void", "{}"), rule).await;
    }

    /// A granted name resolves to `ip`.
    pub(crate) async fn refuses_name(&self, ip: &str, rule: &str, open: bool) {
        self.names.say(vec![crate::names::ips(&[ip])]);
        let granted = self.grant("api.carrier.test", open);
        let fault = self.refuses(&granted, get(&granted, "/get/1"), rule).await;
        assert_eq!(fault.kind, FaultKind::Forbidden, "{ip}");
    }

    /// The sink was left alone.
    pub(crate) async fn held(&self) {
        assert_eq!(self.sink.connections().await, 0, "somebody reached the inside");
    }

    /// A partner that answers everything with `act`: the codes of what a read and a purchase make of it. The purchase is
    /// in doubt and nothing was sent twice.
    pub(crate) async fn suffers(&self, act: Act) -> (Fault, Fault) {
        let partner = Partner::plays(vec![act]).await;
        let granted = grant(&partner.url);
        let read = self.send(&granted, get(&granted, "/get/1")).await.expect_err("a read");
        assert_eq!(read.effect, EffectCertainty::None);
        let (bought, state) = self.buy(&granted, "/find").await;
        let bought = bought.expect_err("a purchase");
        assert_eq!((bought.kind.clone(), bought.effect), (FaultKind::OutcomeUnknown, EffectCertainty::Maybe));
        assert_eq!(state, EffectState::Uncertain, "{bought}");
        assert_eq!(partner.lines(), ["GET /get/1", "POST /find"]);
        assert_eq!(read.code, bought.code);
        assert_as_written(self.row, &read.code);
        (read, bought)
    }

    /// A purchase of a job of its own, and what the ledger says of it.
    pub(crate) async fn buy(&self, granted: &Grant, path: &str) -> (Result<Response, Fault>, EffectState) {
        let job = self.house.job().await;
        // Without a business key, which would make all of them one.
        let ctx = CallCtx { business: None, ..self.house.ctx(&job) };
        let bought = self.house.send(granted, &ctx, post(granted, path, "{}")).await;
        (bought, self.house.state(&job.id).await)
    }

    /// No effect was even intended.
    pub(crate) async fn bought_nothing(&self) {
        assert!(effects::for_job(&self.house.db, &self.job.id).await.expect("rows").is_empty());
    }
}
