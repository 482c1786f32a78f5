//! Applying one event to one flow, inside the transaction that finishes the event's job.

use serde_json::{Value, json};
use wharf_domain::exception::{self as codes, NewException, Severity};
use wharf_domain::ids::{FlowKey, TenantId};
use wharf_domain::port::erp::ErpEventKind;
use wharf_domain::time::Timestamp;
use wharf_store::flows::FlowRow;
use wharf_store::jobs::{JobState, NewJob};
use wharf_store::{Db, StoreError, Tx, audit, exceptions, flows, jobs};

use super::{
    ATTACH, CREATE_SHIPMENT, NOTE, RATE, READ_ORDER, Runner, SET_SHIPPING, STOPPED, VOID, actor, advance_job, command,
};
use crate::order_release::{self, Command, Event, Replayed, State, Violation};

/// Prices of a carrier that does not answer are not worth waiting for: the next carrier gets the parcel.
const RATE_ATTEMPTS: u32 = 3;
const RATE_PATIENCE_MS: i64 = 120_000;
/// What lets a stopped flow go on.
const RESUME: &str = "resume";

impl Runner {
    /// Loads the flow, lets it work out what the event means, and stores the outcome. A broken invariant stores
    /// nothing of it: the flow stops, a person is called, and this and all later events wait until the flow is resumed.
    /// The commands' jobs are `depth` deep.
    pub(super) async fn apply(
        &self,
        tx: &mut Tx,
        tenant: &TenantId,
        key: &FlowKey,
        event: Event,
        depth: u32,
    ) -> Result<(), StoreError> {
        let mut step = Applying { db: &self.db, tx, tenant, key, depth };
        let row = flows::load(step.tx, tenant, order_release::KIND, key).await?;
        let now = step.tx.now();
        let row = row.unwrap_or_else(|| FlowRow::fresh(tenant.clone(), order_release::KIND, key.clone(), now));
        let before = read_state(&row)?;
        let name = event.name();
        let event = match (row.status == STOPPED, event) {
            (false, event) => event,
            (true, event) if resumes(&event) => {
                step.clear(codes::INVARIANT_BROKEN, key.as_str(), RESUME, "").await?;
                Event::ErpChanged { kind: ErpEventKind::OrderChanged }
            }
            (true, event) => return step.put_off(event).await,
        };
        let (after, commands) = order_release::on(&self.policy(tenant), before, event.clone(), now);
        if let Err(violation) = order_release::check(&after, &commands) {
            step.stop(row, &violation).await?;
            return step.put_off(event).await;
        }
        let to = after.stage.as_str();
        let wanted: Vec<_> = commands.iter().map(Command::name).collect();
        step.note(name, json!({ "from": row.status, "to": to, "commands": wanted })).await?;
        let row = FlowRow { status: to.to_owned(), state: serde_json::to_value(&after)?, ..row };
        flows::save(step.tx, &actor(), &row).await?;
        for command in commands {
            step.carry_out(command).await?;
        }
        Ok(())
    }
}

/// One flow in one transaction.
struct Applying<'a> {
    db: &'a Db,
    tx: &'a mut Tx,
    tenant: &'a TenantId,
    key: &'a FlowKey,
    depth: u32,
}

impl Applying<'_> {
    async fn carry_out(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Raise { exception } => {
                exceptions::raise(self.tx, &actor(), self.tenant, Some(self.key), &exception).await?;
            }
            Command::Clear { code, object, action, note } => self.clear(&code, &object, &action, &note).await?,
            Command::Replay { what } => self.replay(&what).await?,
            Command::StartTimer { at } => {
                let lane = format!("{}#timer", self.key);
                let job = advance_job(self.tenant, self.key, Event::Timer { at }, lane)?;
                jobs::enqueue(self.tx, &actor(), &NewJob { run_at: Some(at), ..job }).await?;
            }
            command => {
                if let Some(job) = job(self.tenant, self.key, &command, self.tx.now())? {
                    jobs::enqueue(self.tx, &actor(), &NewJob { depth: self.depth, ..job }).await?;
                }
            }
        }
        Ok(())
    }

    /// Closes the open exception of this flow, if nobody has closed it already.
    async fn clear(&mut self, code: &str, object: &str, action: &str, note: &str) -> Result<(), StoreError> {
        let known = exceptions::for_flow(self.db, self.tenant, self.key).await?;
        let open = known.iter().find(|row| row.resolution.is_none() && row.code == code && row.object == object);
        if let Some(open) = open {
            exceptions::resolve(self.tx, &actor(), &open.id, action, note).await?;
        }
        Ok(())
    }

    /// Gives the newest parked job of this command fresh attempts.
    async fn replay(&mut self, what: &Replayed) -> Result<(), StoreError> {
        let jobs_of_flow = jobs::for_flow(self.db, self.tenant, self.key).await?;
        let parked = jobs_of_flow.iter().rev().find(|job| {
            job.state == JobState::Parked
                && command::read(&job.payload).is_ok_and(|command| command.replayed().as_ref() == Some(what))
        });
        match parked {
            Some(job) => jobs::replay(self.tx, &actor(), &job.id).await,
            None => self.note("replay.nothing", json!({ "job": what })).await,
        }
    }

    /// Queues the event again: `flow.advance` waits while the flow is stopped. It starts over in depth, because it waits
    /// for a person.
    async fn put_off(&mut self, event: Event) -> Result<(), StoreError> {
        super::tell(self.tx, &actor(), self.tenant, self.key, event).await.map(|_| ())
    }

    async fn stop(&mut self, row: FlowRow, violation: &Violation) -> Result<(), StoreError> {
        let exception = NewException {
            code: codes::INVARIANT_BROKEN.to_owned(),
            severity: Severity::Critical,
            object: self.key.as_str().to_owned(),
            owner_role: "integration".to_owned(),
            cause: format!(
                "the flow would have broken a promise and was stopped before anything was done: {violation}"
            ),
            actions: vec![RESUME.to_owned()],
        };
        let state = serde_json::to_value(read_state(&row)?)?;
        flows::save(self.tx, &actor(), &FlowRow { status: STOPPED.to_owned(), state, ..row }).await?;
        exceptions::raise(self.tx, &actor(), self.tenant, Some(self.key), &exception).await?;
        self.note(STOPPED, json!({ "violation": violation.to_string() })).await
    }

    /// A line in the flow's audit.
    async fn note(&mut self, what: &str, detail: Value) -> Result<(), StoreError> {
        let action = format!("{}.{what}", order_release::KIND);
        audit::append(self.tx, &actor(), self.tenant, &action, self.key.as_str(), &detail).await
    }
}

/// Is this the event a stopped flow waits for?
pub(super) fn resumes(event: &Event) -> bool {
    matches!(event, Event::Resolved { code, action, .. } if code == codes::INVARIANT_BROKEN && action == RESUME)
}

/// The stored state; a fresh one for a flow that was never saved.
fn read_state(row: &FlowRow) -> Result<State, StoreError> {
    if row.version == 0 {
        let id = row.key.as_str();
        return Ok(State::new(row.tenant.clone(), id.strip_prefix("order/").unwrap_or(id)));
    }
    serde_json::from_value(row.state.clone())
        .map_err(|error| StoreError::Decode { column: "state", reason: error.to_string() })
}

/// The job that fulfils a command; `None` for what is done in the transaction itself.
fn job(tenant: &TenantId, key: &FlowKey, command: &Command, now: Timestamp) -> Result<Option<NewJob>, StoreError> {
    let (kind, lane) = match command {
        Command::ReadOrder { .. } => (READ_ORDER, "read"),
        Command::Rate { delivery, .. } => (RATE, delivery.as_str()),
        Command::CreateShipment { delivery, .. } => (CREATE_SHIPMENT, delivery.as_str()),
        Command::Void { delivery, .. } => (VOID, delivery.as_str()),
        Command::SetShipping { delivery, .. } => (SET_SHIPPING, delivery.as_str()),
        Command::Attach { delivery, .. } => (ATTACH, delivery.as_str()),
        Command::Note { delivery, .. } => (NOTE, delivery.as_str()),
        Command::Replay { .. } | Command::Raise { .. } | Command::Clear { .. } | Command::StartTimer { .. } => {
            return Ok(None);
        }
    };
    let mut job = NewJob::new(tenant.clone(), format!("{key}#{lane}"), kind, command::payload(command)?);
    job.flow = Some(key.clone());
    if kind == RATE {
        job.max_attempts = RATE_ATTEMPTS;
        job.deadline = Some(now.plus(RATE_PATIENCE_MS));
    }
    Ok(Some(job))
}
