//! Dying at a chosen moment: `kill -9` by one's own hand, between two steps.
//!
//! The points have the numbers of the table of crash points. Some lie between this program's own steps; those inside the
//! host's transactions are named in the host and only compiled with the feature `failpoints`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use clap::ValueEnum;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_egress::wire::{SentMark, Target, WireError, WireRequest, WireResponse};
use wharf_egress::{Live, Wire};

use crate::history::{Line, Writer};

/// Between which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// A worker has the job, nothing of it has run.
    #[value(name = "cp01")]
    Claimed,
    /// The work has begun, nothing is written down about the call.
    #[value(name = "cp02")]
    BeforeCall,
    /// The intent is in a transaction that is not committed.
    #[value(name = "cp03")]
    IntentNotCommitted,
    /// The order is on disk, whoever offered it has no answer.
    #[value(name = "cp04")]
    Accepted,
    /// The intent is on disk, the call is not written down as being sent.
    #[value(name = "cp05")]
    IntentCommitted,
    /// The call is written down as being sent, no byte has left.
    #[value(name = "cp06")]
    BeforeConnect,
    /// One byte of the request has left.
    #[value(name = "cp08")]
    PartWritten,
    /// The request is with the partner, its answer is on the way.
    #[value(name = "cp09")]
    Asked,
    /// The answer is here and not written down.
    #[value(name = "cp10")]
    Answered,
    /// The answer is written down, whoever asked has not seen it.
    #[value(name = "cp11")]
    Recorded,
    /// The work is done, the job does not say so.
    #[value(name = "cp12")]
    Worked,
    /// The job says so, and the host has not heard.
    #[value(name = "cp13")]
    FinishCommitted,
    /// It is on disk that a lookup has begun, and the partner is not asked.
    #[value(name = "cp15-started")]
    LookupStarted,
    /// The lookup has found it, and that is not on disk.
    #[value(name = "cp15-found")]
    FoundNotCommitted,
    /// The answer is here, and there was no space to write it down.
    #[value(name = "cp20")]
    NoSpace,
}

impl Point {
    /// The point's name inside the host and what happens there; `None` for a point of this program.
    pub fn inside(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::IntentNotCommitted => ("cp03_intent_not_committed", LATE_DEATH),
            Self::IntentCommitted => ("cp05_intent_committed", LATE_DEATH),
            Self::PartWritten => ("cp08_part_written", "1*return->panic(failpoint)"),
            Self::FinishCommitted => ("cp13_finish_committed", LATE_DEATH),
            Self::LookupStarted => ("cp15_reconcile_started", LATE_DEATH),
            Self::FoundNotCommitted => ("cp15_found_not_committed", LATE_DEATH),
            // The host lives to see it; whoever hears of it dies.
            Self::NoSpace => ("cp20_disk_full", "return"),
            _ => return None,
        })
    }
}

/// Dies the third time, like [`LAST`]. The panic never gets anywhere.
const LATE_DEATH: &str = "2*off->panic(failpoint)";

/// Which time a point is passed is the last one: the host is well under way by then.
const LAST: u32 = 3;
/// With the answer of a partner that takes longer than this, a request is surely with it.
const ON_THE_WAY: std::time::Duration = std::time::Duration::from_millis(150);

/// Where this process ends.
pub(crate) struct Fate {
    point: Option<Point>,
    passed: AtomicU32,
    history: Arc<Writer>,
}

tokio::task_local! {
    /// The name of the order the task works on, for the points that are not told.
    static ORDER: String;
}

impl Fate {
    /// Fails when the point is one inside the host and this program was built without them.
    pub(crate) fn new(point: Option<Point>, history: Arc<Writer>) -> anyhow::Result<Self> {
        if let Some((name, actions)) = point.and_then(Point::inside) {
            arm(name, actions)?;
            die_of_panics(point, Arc::clone(&history));
        }
        Ok(Self { point, passed: AtomicU32::new(0), history })
    }

    /// Ends the process when this is its point, with a line that names the order.
    pub(crate) fn pass(&self, point: Point, order: &str) {
        if self.point == Some(point) && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == LAST {
            die(&self.history, point, Some(order.to_owned()));
        }
    }

    /// Ends the process at the first outcome that could not be stored, when that is its point.
    pub(crate) fn not_stored(&self, order: &str) {
        if self.point == Some(Point::NoSpace) {
            die(&self.history, Point::NoSpace, Some(order.to_owned()));
        }
    }
}

/// Does the work in the name of an order.
pub(crate) async fn in_the_name_of<T>(order: String, work: impl Future<Output = T>) -> T {
    ORDER.scope(order, work).await
}

fn die(history: &Writer, point: Point, order: Option<String>) {
    // Without its line the test fails, which is all there is to do about it.
    let _written = history.write(&Line::Died { order, point });
    let _sent = kill_process(getpid(), Signal::KILL);
}

#[cfg(feature = "failpoints")]
fn arm(name: &str, actions: &str) -> anyhow::Result<()> {
    fail::cfg(name, actions).map_err(|error| anyhow::anyhow!("the point `{name}`: {error}"))
}

#[cfg(not(feature = "failpoints"))]
fn arm(name: &str, _actions: &str) -> anyhow::Result<()> {
    anyhow::bail!("this program has no point `{name}`: build it with the feature `failpoints`")
}

/// A panic of a point ends the process before anything is unwound.
fn die_of_panics(point: Option<Point>, history: Arc<Writer>) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match (panic.payload_as_str(), point) {
        (Some("failpoint"), Some(point)) => die(&history, point, ORDER.try_with(Clone::clone).ok()),
        _ => usual(panic),
    }));
}

/// The real wire with the points that lie on it.
pub(crate) struct Doomed {
    pub(crate) live: Live,
    pub(crate) fate: Arc<Fate>,
}

#[async_trait]
impl Wire for Doomed {
    async fn exchange(
        &self,
        target: &Target,
        request: WireRequest,
        sent: &SentMark,
    ) -> Result<WireResponse, WireError> {
        // Only what changes something has a body.
        let body: Option<Value> = serde_json::from_slice(&request.body).ok();
        let Some(order) = body.as_ref().and_then(|body| body["reference"].as_str()) else {
            return self.live.exchange(target, request, sent).await;
        };
        self.fate.pass(Point::BeforeConnect, order);
        let exchange = self.live.exchange(target, request, sent);
        tokio::pin!(exchange);
        let answer = match tokio::time::timeout(ON_THE_WAY, &mut exchange).await {
            Ok(answer) => answer,
            Err(_still_on_the_way) => {
                self.fate.pass(Point::Asked, order);
                exchange.await
            }
        };
        self.fate.pass(Point::Answered, order);
        answer
    }
}
