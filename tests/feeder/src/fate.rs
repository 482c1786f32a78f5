//! Dying at a chosen moment: `kill -9` by one's own hand, between two steps.
//!
//! The points have the numbers of the table of crash points; those that lie inside the host's own transactions are not
//! here, a random kill finds them.

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
    /// The order is on disk, whoever offered it has no answer.
    #[value(name = "cp04")]
    Accepted,
    /// The call is written down as being sent, no byte has left.
    #[value(name = "cp06")]
    BeforeConnect,
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
}

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

impl Fate {
    pub(crate) fn new(point: Option<Point>, history: Arc<Writer>) -> Self {
        Self { point, passed: AtomicU32::new(0), history }
    }

    /// Ends the process when this is its point, with a line that names the order.
    pub(crate) fn pass(&self, point: Point, order: &str) {
        if self.point == Some(point) && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == LAST {
            // Without its line the test fails, which is all there is to do about it.
            let _written = self.history.write(&Line::Died { order: order.to_owned(), point });
            let _sent = kill_process(getpid(), Signal::KILL);
        }
    }
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
