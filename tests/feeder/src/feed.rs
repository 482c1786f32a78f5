//! Accepting orders, as a webhook does: the fact and its job in one transaction, told again until it is accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{FlowKey, TenantId};
use wharf_store::inbox::{self, Accepted, NewEvent};
use wharf_store::jobs::{self, NewJob};
use wharf_store::{Db, StoreError};

use crate::fate::{Fate, Point};
use crate::history::{Line, Writer};
use crate::order::{Class, Order};
use crate::work::ORDER;

/// A kill counts as an attempt, and here hosts live less than a second.
const MAX_ATTEMPTS: u32 = 10_000;
/// After an order that was not accepted.
const AGAIN: Duration = Duration::from_millis(50);

/// A host that is killed all the time gets less done than is offered: more than this waits for nothing.
const MOST_BACKLOG: u64 = 150;
/// Between two looks at the backlog.
const LOOK: Duration = Duration::from_millis(100);

/// One host's orders.
pub(crate) struct Feed {
    pub(crate) db: Db,
    pub(crate) history: Arc<Writer>,
    pub(crate) host: String,
    pub(crate) seed: u64,
    /// Every order is of this class.
    pub(crate) only: Option<Class>,
    pub(crate) fate: Arc<Fate>,
    /// Orders that are still to be done, as of a moment ago.
    pub(crate) backlog: AtomicU64,
    /// Between two orders of a lane.
    pub(crate) pace: Duration,
    /// Accept only what an earlier run left in doubt.
    pub(crate) nothing_new: bool,
}

/// Where an earlier run of the same host left each of its lanes: the last order, and whether it was accepted.
pub(crate) fn left_off(history: &[Line]) -> BTreeMap<u32, (Order, bool)> {
    let mut lanes = BTreeMap::new();
    for line in history {
        match line {
            Line::Invoke { order } => lanes.insert(order.lane, (order.clone(), false)),
            Line::Ok { order } => lanes.insert(order.lane, (order.clone(), true)),
            _ => None,
        };
    }
    lanes
}

/// The flow under which everything of an order is found again.
pub(crate) fn flow(order: &Order) -> FlowKey {
    FlowKey::new("order", &order.name())
}

impl Feed {
    /// Feeds one lane until it is stopped, from where it was left off; an order that is under way is seen through.
    pub(crate) async fn lane(&self, lane: u32, left: Option<(Order, bool)>, stop: &CancellationToken) -> Result<()> {
        let mut number = left.as_ref().map_or(0, |(order, _)| order.number);
        let mut in_doubt = left.filter(|(_, accepted)| !accepted).map(|(order, _)| order);
        while !stop.is_cancelled() {
            let order = match in_doubt.take() {
                Some(order) => order,
                None if self.nothing_new => return Ok(()),
                None if self.backlog.load(Ordering::Relaxed) > MOST_BACKLOG => {
                    let _stopped = tokio::time::timeout(LOOK, stop.cancelled()).await;
                    continue;
                }
                None => {
                    number += 1;
                    let order = Order::at(&self.host, lane, number, self.seed);
                    Order { class: self.only.unwrap_or(order.class), ..order }
                }
            };
            let accepted = self.offer(&order).await?;
            in_doubt = (!accepted).then_some(order);
            let pause = if accepted { self.pace } else { AGAIN };
            let _stopped = tokio::time::timeout(pause, stop.cancelled()).await;
        }
        Ok(())
    }

    /// Keeps the backlog known until it is stopped.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // What cannot be read now is read in a moment.
            if let Ok(counts) = jobs::counts(&self.db).await {
                self.backlog.store(counts.unfinished(), Ordering::Relaxed);
            }
            let _stopped = tokio::time::timeout(LOOK, stop.cancelled()).await;
        }
    }

    async fn offer(&self, order: &Order) -> Result<bool> {
        self.history.write(&Line::Invoke { order: order.clone() })?;
        let (line, accepted) = match self.accept(order).await {
            Ok(()) => {
                self.fate.pass(Point::Accepted, &order.name());
                (Line::Ok { order: order.clone() }, true)
            }
            Err((error, false)) => (Line::Fail { order: order.clone(), why: error.to_string() }, false),
            Err((error, true)) => (Line::Info { order: order.clone(), why: error.to_string() }, false),
        };
        self.history.write(&line)?;
        Ok(accepted)
    }

    /// The error says whether the order may be stored all the same.
    async fn accept(&self, order: &Order) -> Result<(), (StoreError, bool)> {
        let sure = |error| (error, false);
        let tenant = TenantId::parse(order.tenant())
            .map_err(|error| sure(StoreError::Decode { column: "tenant", reason: error.to_string() }))?;
        let payload = serde_json::to_value(order).map_err(|error| sure(error.into()))?;
        let actor = Actor::Host(self.host.clone());
        let event = NewEvent {
            tenant: tenant.clone(),
            source: "feeder".to_owned(),
            key: order.name(),
            kind: "order".to_owned(),
            flow: Some(flow(order)),
            body: Value::Null,
        };
        let mut tx = self.db.begin().await.map_err(sure)?;
        if let Accepted::Fresh(_) = inbox::accept(&mut tx, &actor, &event).await.map_err(sure)? {
            let job = NewJob::new(tenant, order.lane(), ORDER, payload);
            let job = NewJob { flow: Some(flow(order)), max_attempts: MAX_ATTEMPTS, ..job };
            jobs::enqueue(&mut tx, &actor, &job).await.map_err(sure)?;
        }
        tx.commit().await.map_err(|error| {
            let nothing = matches!(error, StoreError::Conflict | StoreError::RolledBack | StoreError::Full);
            (error, !nothing)
        })
    }
}
