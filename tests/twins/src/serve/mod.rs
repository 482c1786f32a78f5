//! Serving a twin on a socket of our own, because a fault may have to close the connection without an answer: the
//! accept loop is ours, the HTTP/1.1 is hyper's, the routes are axum's.

mod answer;
mod connection;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::desk::Desk;
pub use crate::desk::Seen;
use crate::scenario::{Rule, RuleCount};

/// One outside system.
pub(crate) trait Twin: Send + Sync + 'static {
    /// The partner's own routes.
    fn router(self: Arc<Self>) -> Router;
    /// Admin routes only this twin has; paths start with `/__admin/`.
    fn admin(self: Arc<Self>) -> Router;
    /// The ledger of what happened, as `GET /__admin/effects` shows it.
    fn effects(&self) -> Value;
    /// Back to the state after the start.
    fn reset(&self);
    /// How the partner words an answer of this status that came of no route (a fault, a body too large).
    fn refusal(&self, status: StatusCode) -> Response;
    /// The partner's 200 without a body.
    fn empty(&self) -> Response;
    fn habits(&self) -> Habits;
}

/// How a partner treats HTTP itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// Bytes; more is answered 413.
    pub(crate) max_body: usize,
    /// A chunked request body counts as no body.
    pub(crate) ignores_chunked: bool,
}

/// A twin that serves on the loopback interface until it is stopped or dropped.
pub struct Running {
    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub base_url: String,
    twin: Arc<dyn Twin>,
    desk: Arc<Desk>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Port 0 takes a free one. The clock is the one the twin itself uses.
pub(crate) async fn start(port: u16, twin: Arc<impl Twin>, clock: Clock) -> anyhow::Result<Running> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.with_context(|| format!("failed to listen on `{address}`"))?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let desk = Arc::new(Desk::new(clock));
    let shared: Arc<dyn Twin> = twin.clone();
    let admin = twin.clone().admin().merge(crate::admin::router(desk.clone(), shared.clone()));
    let house = connection::House {
        partner: twin.router(),
        admin,
        twin: shared.clone(),
        desk: desk.clone(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let running = Running { base_url, twin: shared, desk, stop: house.stop.clone(), tasks: house.tasks.clone() };
    house.tasks.clone().spawn(connection::accept(listener, Arc::new(house)));
    Ok(running)
}

impl Running {
    /// What `GET /__admin/effects` shows.
    pub fn effects(&self) -> Value {
        self.twin.effects()
    }

    /// Every request since the start or the last reset, admin calls left out.
    pub fn requests(&self) -> Vec<Seen> {
        self.desk.requests()
    }

    /// Replaces the fault script. The error names the rule that makes no sense.
    pub fn set_script(&self, rules: Vec<Rule>, seed: u64) -> anyhow::Result<()> {
        self.desk.set_script(rules, seed)
    }

    /// The rules of the script with how often each was met and let loose.
    pub fn script(&self) -> Vec<RuleCount> {
        self.desk.script()
    }

    /// Forgets everything that happened, the script too.
    pub fn reset(&self) {
        self.desk.reset();
        self.twin.reset();
    }

    /// Closes the socket and every connection, and returns when they are gone.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
