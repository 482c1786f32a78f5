//! What surrounds order release, simulated: an ERP with one order, two carriers with a ledger, a clock, and people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wharf_domain::exception as codes;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::ConnectionId;
use wharf_domain::order::{Delivery, DeliveryState, Order, OrderState};
use wharf_domain::port::erp::ErpEventKind;
use wharf_domain::time::Timestamp;

use super::{Command, Event, FailedCommand, Label, LabelStatus, Policy, Stage, State, StepKind, check, examples, on};
use crate::harness::{How, World};

/// One purchase the carriers know, by its business key.
#[derive(Debug, Clone)]
struct Purchase {
    delivery: String,
    tracking: String,
    void: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Warehouse {
    policy: Policy,
    state: State,
    now: Timestamp,
    /// The order as it really is.
    order: Option<Order>,
    purchases: BTreeMap<String, Purchase>,
    /// Every business key a purchase was asked for with: none may be asked for twice.
    asked: BTreeSet<String>,
    timers: Vec<Timestamp>,
    /// Open exceptions as people see them.
    open: BTreeMap<(String, String), Vec<String>>,
    /// Tracking number by delivery, as the ERP shows it.
    written: BTreeMap<String, String>,
    attached: BTreeSet<String>,
    /// Command jobs that gave up and can be replayed.
    parked: Vec<Command>,
}

impl Warehouse {
    fn changed(&self) -> Vec<Event> {
        vec![Event::ErpChanged { kind: ErpEventKind::OrderChanged }]
    }

    fn with(&mut self, change: impl FnOnce(&mut Order)) {
        if let Some(order) = &mut self.order {
            change(order);
        }
    }

    fn shipment(&self, key: &str, reference: &str) -> Event {
        let purchase = &self.purchases[key];
        let generation = key.rsplit('/').next().and_then(|n| n.parse().ok()).expect("generation");
        let shipment = Box::new(examples::shipment(reference));
        Event::LabelBought { delivery: purchase.delivery.clone(), generation, shipment }
    }

    fn create(&mut self, command: &Command, how: How) -> Vec<Event> {
        let Command::CreateShipment { delivery, generation, key, request, .. } = command else { unreachable!() };
        let (delivery, generation, known) = (delivery.clone(), *generation, self.purchases.contains_key(&key.key));
        let wanted = self.state.label(&delivery, generation).is_some_and(|label| !label.withdrawn);
        if !known && !wanted {
            return vec![Event::LabelNotBought { delivery, generation }];
        }
        let mut buy = || {
            let tracking = examples::shipment(&request.reference).tracking_number;
            let purchase = Purchase { delivery: delivery.clone(), tracking, void: false };
            self.purchases.entry(key.key.clone()).or_insert(purchase);
        };
        match how {
            How::Fine => {
                buy();
                vec![self.shipment(&key.key, &request.reference)]
            }
            How::Refused if known => vec![self.shipment(&key.key, &request.reference)],
            How::Refused => {
                self.parked.push(command.clone());
                vec![Event::LabelFailed { delivery, generation, fault: examples::refusal() }]
            }
            How::Lost { happened } => {
                if happened {
                    buy();
                }
                self.parked.push(command.clone());
                vec![Event::LabelUncertain { delivery, generation, fault: examples::unknown() }]
            }
        }
    }

    fn void(&mut self, command: &Command, how: How) -> Vec<Event> {
        let Command::Void { delivery, generation, carrier_shipment_id, .. } = command else { unreachable!() };
        let (delivery, generation) = (delivery.clone(), *generation);
        if how != How::Refused {
            let of = |p: &&mut Purchase| carrier_shipment_id.ends_with(p.tracking.trim_start_matches("TN-"));
            let bought = self.purchases.values_mut().find(of).expect("only what was bought is voided");
            bought.void = how != How::Lost { happened: false };
        }
        match how {
            How::Fine => vec![Event::Voided { delivery, generation }],
            How::Refused | How::Lost { .. } => {
                let command = FailedCommand::Void { delivery, generation };
                vec![Event::CommandFailed { command, fault: fault() }]
            }
        }
    }

    fn write(&mut self, command: &Command, how: How) -> Vec<Event> {
        let Some(super::Replayed::WriteBack { delivery, generation, step }) = command.replayed() else {
            unreachable!()
        };
        let label = self.state.label(&delivery, generation).expect("label");
        let tracking = label.bought.as_ref().expect("only a bought label is written back").tracking_number.clone();
        if how == How::Fine || how == (How::Lost { happened: true }) {
            match step {
                StepKind::Shipping {} => {
                    self.written.insert(delivery.clone(), tracking.clone());
                    let erp = self.order.iter_mut().flat_map(|o| &mut o.deliveries).find(|d| d.erp_id == delivery);
                    if let Some(known) = erp {
                        known.tracking_reference = Some(tracking);
                    }
                }
                StepKind::Attach { .. } => {
                    self.attached.insert(tracking);
                }
                StepKind::Note {} | StepKind::VoidNote {} => {}
            }
        }
        if how == How::Fine {
            return vec![Event::WrittenBack { delivery, generation, step }];
        }
        self.parked.push(command.clone());
        let command = FailedCommand::WriteBack { delivery, generation, step };
        vec![Event::CommandFailed { command, fault: fault() }]
    }

    /// Labels of a delivery that stand at the carrier and that nobody has written off.
    fn live(&self, delivery: &str) -> Vec<&str> {
        let of = |p: &&Purchase| p.delivery == delivery && !p.void && !self.written_off(p);
        self.purchases.values().filter(of).map(|p| p.tracking.as_str()).collect()
    }

    fn written_off(&self, purchase: &Purchase) -> bool {
        let labels = &self.state.deliveries[&purchase.delivery].labels;
        let of = |l: &&Label| l.bought.as_ref().is_some_and(|bought| bought.tracking_number == purchase.tracking);
        labels.iter().find(of).is_some_and(|label| label.status == (LabelStatus::WrittenOff {}))
    }

    fn valid(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.ship_to.postal_code.is_some())
    }

    fn is_open(&self, code: &str) -> bool {
        self.open.keys().any(|(open, _)| open == code)
    }

    fn resolved(code: &str, object: &str, action: &str) -> Event {
        let (code, object, action) = (code.to_owned(), object.to_owned(), action.to_owned());
        Event::Resolved { code, object, action, by: "kari".to_owned() }
    }
}

fn fault() -> Fault {
    Fault::new(FaultKind::Forbidden, "test.refused", "not today", Blame::Partner)
}

fn fully_reserved(delivery: &Delivery) -> bool {
    delivery.moves.iter().all(|m| m.reserved >= m.demand)
}

impl World for Warehouse {
    const KIND: &'static str = super::KIND;
    type Event = Event;
    type Command = Command;

    fn new() -> Self {
        let bolt = ConnectionId::parse("bolt").expect("connection");
        Self {
            policy: Policy::of(vec![examples::acme(), bolt]),
            state: State::new(examples::tenant(), "42"),
            now: Timestamp::from_millis(1_700_000_000_000),
            order: Some(Order { state: OrderState::Draft, ..examples::order() }),
            purchases: BTreeMap::new(),
            asked: BTreeSet::new(),
            timers: Vec::new(),
            open: BTreeMap::new(),
            written: BTreeMap::new(),
            attached: BTreeSet::new(),
            parked: Vec::new(),
        }
    }

    fn change(&mut self, pick: u8) -> Vec<Event> {
        match pick % 16 {
            // Most histories should be about confirmed orders.
            0..=3 => self.with(|order| order.state = OrderState::Confirmed),
            4 => self.with(|order| {
                order.state = OrderState::Cancelled;
                order.deliveries.retain(|d| d.state == DeliveryState::Done);
            }),
            5 => self.order = Some(examples::order()),
            6 => self.with(|order| order.ship_to.lines = vec![format!("Storgata {pick}")]),
            7 => self.with(|order| order.ship_to.postal_code = None),
            8 => self.with(|order| order.ship_to.postal_code = Some("5003".to_owned())),
            9 => self.with(|order| order.deliveries.iter_mut().for_each(|d| d.moves[0].reserved = 1.into())),
            10 => self.with(|order| order.deliveries.iter_mut().for_each(|d| d.moves[0].reserved = 2.into())),
            11 => self.with(|order| {
                if !order.deliveries.iter().any(|d| d.erp_id == "8") {
                    order.deliveries.push(examples::delivery("8", 2));
                }
            }),
            12 => self.with(|order| order.deliveries.retain(|d| d.erp_id != "8")),
            13 => self.with(|order| {
                if let Some(delivery) = order.deliveries.first_mut().filter(|d| fully_reserved(d)) {
                    delivery.state = DeliveryState::Done;
                }
            }),
            14 => self.with(|order| {
                if let Some(delivery) = order.deliveries.last_mut() {
                    delivery.tracking_reference = Some("SOMEBODY-ELSES".to_owned());
                }
            }),
            _ => self.with(|order| {
                if let Some(delivery) = order.deliveries.first_mut() {
                    delivery.parcels = vec![examples::parcel("A", 400), examples::parcel("B", 700)];
                }
            }),
        }
        self.changed()
    }

    fn take(&mut self, event: Event) -> Vec<Command> {
        let told = event.clone();
        let (state, commands) = on(&self.policy, self.state.clone(), event, self.now);
        if let Err(violation) = check(&state, &commands) {
            panic!("{violation}\nafter {told:?}\nin {state:#?}");
        }
        let text = serde_json::to_value(&state).expect("state");
        assert_eq!(serde_json::from_value::<State>(text).expect("state"), state, "the state survives its storage");
        self.state = state;
        let mut calls = Vec::new();
        for command in commands {
            match command {
                Command::Raise { exception } => {
                    self.open.insert((exception.code, exception.object), exception.actions);
                }
                Command::Clear { code, object, .. } => {
                    assert!(self.open.remove(&(code, object)).is_some(), "only what is open is closed");
                }
                Command::StartTimer { at } => self.timers.push(at),
                Command::Replay { what } => {
                    let of = |c: &Command| c.replayed().as_ref() == Some(&what);
                    if let Some(index) = self.parked.iter().rposition(of) {
                        calls.push(self.parked.remove(index));
                    }
                }
                call => {
                    if let Command::CreateShipment { key, .. } = &call {
                        assert!(self.asked.insert(key.key.clone()), "`{}` is asked for twice", key.key);
                    }
                    calls.push(call);
                }
            }
        }
        calls
    }

    fn answer(&mut self, command: &Command, how: How) -> Vec<Event> {
        match command {
            Command::ReadOrder { read, .. } => vec![match how {
                How::Fine => Event::OrderRead { read: *read, order: self.order.clone().map(Box::new) },
                How::Refused | How::Lost { .. } => {
                    let command = FailedCommand::ReadOrder { read: *read };
                    Event::CommandFailed { command, fault: fault() }
                }
            }],
            Command::Rate { delivery, round, connection, .. } => {
                let (delivery, round, connection) = (delivery.clone(), *round, connection.clone());
                vec![match how {
                    How::Fine => Event::Rated { delivery, round, connection, answer: examples::rates() },
                    How::Refused | How::Lost { .. } => {
                        let command = FailedCommand::Rate { delivery, round, connection };
                        Event::CommandFailed { command, fault: fault() }
                    }
                }]
            }
            Command::CreateShipment { .. } => self.create(command, how),
            Command::Void { .. } => self.void(command, how),
            Command::SetShipping { .. } | Command::Attach { .. } | Command::Note { .. } => self.write(command, how),
            other => unreachable!("{other:?} is no call"),
        }
    }

    fn pass_time(&mut self) -> Vec<Event> {
        self.now = self.now.plus(3_600_000);
        std::mem::take(&mut self.timers).into_iter().map(|at| Event::Timer { at }).collect()
    }

    fn decide(&mut self, pick: u8) -> Vec<Event> {
        let actions: Vec<_> =
            self.open.iter().flat_map(|(key, actions)| actions.iter().map(move |action| (key, action))).collect();
        let Some(((code, object), action)) = actions.get(usize::from(pick) % actions.len().max(1)) else {
            return Vec::new();
        };
        // People tell the truth about what they saw at the carrier.
        let mut deliveries = self.state.deliveries.iter().filter(|(_, flow)| object.ends_with(&flow.name));
        let nothing_there = deliveries.all(|(id, _)| self.live(id).is_empty());
        let lies = matches!(action.as_str(), "voided-by-hand" | "not-bought") && !nothing_there;
        if lies { Vec::new() } else { vec![Self::resolved(code, object, action)] }
    }

    fn put_right(&mut self) -> Vec<Event> {
        let action = |code: &str| match code {
            codes::LABEL_UNKNOWN => Some("look-again"),
            codes::LABEL_FAILED | codes::WRITE_BACK_FAILED => Some("retry"),
            codes::LABEL_NOT_VOIDED => Some("void"),
            codes::LABEL_OUTDATED => Some("relabel"),
            codes::SERVICE_UNAVAILABLE | codes::ORDER_UNREADABLE => Some("recheck"),
            _ => None,
        };
        let chosen = self.open.keys().filter_map(|(code, object)| Some(Self::resolved(code, object, action(code)?)));
        chosen.collect()
    }

    fn settled(&self) {
        for code in [codes::LABEL_UNKNOWN, codes::LABEL_NOT_VOIDED, codes::WRITE_BACK_FAILED, codes::LABEL_OUTDATED] {
            assert!(!self.is_open(code), "`{code}` stays open: {self:#?}");
        }
        let confirmed = self.order.as_ref().filter(|order| order.state == OrderState::Confirmed);
        let deliveries: &[Delivery] = confirmed.map_or(&[], |order| &order.deliveries);
        for purchase in self.purchases.values() {
            let there = deliveries.iter().any(|d| d.erp_id == purchase.delivery);
            assert!(
                there || purchase.void || self.written_off(purchase),
                "a label of a called-off delivery stands: {self:#?}"
            );
        }
        if self.order.as_ref().is_none_or(|order| order.state == OrderState::Cancelled) {
            assert_eq!(self.state.stage, Stage::Cancelled, "{self:#?}");
        }
        for delivery in deliveries {
            let flow = &self.state.deliveries[&delivery.erp_id];
            let live = self.live(&delivery.erp_id);
            let standing: Vec<_> =
                flow.standing().and_then(|l| Some(l.bought.as_ref()?.tracking_number.as_str())).into_iter().collect();
            assert_eq!(live, standing, "flow and carrier disagree: {self:#?}");
            if let [tracking] = live[..] {
                assert_eq!(flow.stage, Stage::Closed, "{self:#?}");
                let by_hand = self.written.get(&delivery.erp_id).map(String::as_str) != Some(tracking);
                assert!(!by_hand || flow.labels.iter().any(|l| l.steps.iter().any(|s| s.status.settled())));
            } else if flow.note.is_none() && fully_reserved(delivery) && self.valid() {
                panic!("`{}` is ready and has no label: {self:#?}", delivery.name);
            } else if flow.note.is_none() {
                assert!(flow.stage <= Stage::AwaitingAllocation, "{self:#?}");
            }
        }
    }

    fn essence(&self) -> Value {
        let delivery = |(id, flow): (&String, &super::DeliveryFlow)| {
            let labels: Vec<_> = flow.labels.iter().map(|l| json!([l.generation, l.status, l.steps])).collect();
            json!([id, flow.stage, flow.note, flow.proof, labels])
        };
        json!({
            "stage": self.state.stage,
            "held": self.state.held,
            "deliveries": self.state.deliveries.iter().map(delivery).collect::<Vec<_>>(),
            "open": self.open.keys().collect::<Vec<_>>(),
            "purchases": self.purchases.iter().map(|(key, p)| json!([key, p.void])).collect::<Vec<_>>(),
            "written": self.written,
            "attached": self.attached,
        })
    }
}
