//! The process, told as short histories: events in, stages, commands and exceptions out.

use wharf_domain::exception as codes;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::order::{DeliveryState, OrderState};
use wharf_domain::port::erp::ErpEventKind;
use wharf_domain::time::Timestamp;

use super::*;

const START: i64 = 1_700_000_000_000;

/// One flow under test. Every step is held against the invariants.
struct Case {
    policy: Policy,
    state: State,
    now: Timestamp,
    /// Commands of the last step.
    commands: Vec<Command>,
}

impl Case {
    fn new(policy: Policy) -> Self {
        let state = State::new(examples::tenant(), "42");
        Self { policy, state, now: Timestamp::from_millis(START), commands: Vec::new() }
    }

    /// A confirmed order that was read for the first time.
    fn reading(order: Order) -> Self {
        let mut desk = Self::new(examples::policy());
        desk.read(order);
        desk
    }

    fn tell(&mut self, event: Event) -> Vec<&'static str> {
        let (state, commands) = on(&self.policy, self.state.clone(), event, self.now);
        check(&state, &commands).expect("invariants");
        self.state = state;
        self.commands = commands;
        self.commands.iter().map(Command::name).collect()
    }

    /// The ERP announces a change and shows this order.
    fn read(&mut self, order: Order) -> Vec<&'static str> {
        self.tell(Event::ErpChanged { kind: ErpEventKind::OrderChanged });
        self.answer(Some(order))
    }

    fn answer(&mut self, order: Option<Order>) -> Vec<&'static str> {
        self.tell(Event::OrderRead { read: self.state.reads.asked, order: order.map(Box::new) })
    }

    fn rated(&mut self) -> Vec<&'static str> {
        let round = self.state.deliveries["7"].rounds;
        let (delivery, connection, answer) = ("7".to_owned(), examples::acme(), examples::rates());
        self.tell(Event::Rated { delivery, round, connection, answer })
    }

    fn bought(&mut self, generation: u32) -> Vec<&'static str> {
        let shipment = Box::new(examples::shipment(&self.label(generation).reference));
        self.tell(Event::LabelBought { delivery: "7".to_owned(), generation, shipment })
    }

    fn choose(&mut self, code: &str, action: &str) -> Vec<&'static str> {
        let object = self.state.raised.values().find(|e| e.code == code).expect("raised").object.clone();
        let (code, action, by) = (code.to_owned(), action.to_owned(), "kari".to_owned());
        self.tell(Event::Resolved { code, object, action, by })
    }

    fn label(&self, generation: u32) -> &Label {
        self.state.label("7", generation).expect("label")
    }

    fn raised(&self) -> Vec<&str> {
        self.state.raised.values().map(|e| e.code.as_str()).collect()
    }

    fn wrote(&mut self) {
        for step in self.state.deliveries["7"].labels.last().expect("label").steps.clone() {
            let generation = self.state.deliveries["7"].labels.len() as u32;
            self.tell(Event::WrittenBack { delivery: "7".to_owned(), generation, step: step.what });
        }
    }

    /// Up to a bought and written label.
    fn closed() -> Self {
        let mut desk = Self::reading(examples::order());
        desk.rated();
        desk.bought(1);
        desk.wrote();
        assert_eq!(desk.state.stage, Stage::Closed);
        desk
    }
}

#[test]
fn an_order_goes_from_confirmation_to_a_label_in_the_erp() {
    let mut desk = Case::new(examples::policy());
    assert_eq!(desk.tell(Event::ErpChanged { kind: ErpEventKind::OrderConfirmed }), ["read-order"]);
    assert_eq!(desk.state.stage, Stage::Received);
    assert_eq!(desk.answer(Some(examples::order())), ["rate"]);
    assert_eq!(desk.state.stage, Stage::Packed);
    assert_eq!(desk.rated(), ["create-shipment"]);
    let Command::CreateShipment { key, request, .. } = &desk.commands[0] else { panic!("{:?}", desk.commands) };
    assert_eq!(key.key, "label:order/42/WH/OUT/00007/1");
    assert_eq!((request.service.as_str(), request.parcels[0].weight_g), ("std", 1500));
    assert_eq!(desk.bought(1), ["set-shipping", "attach", "note"]);
    assert_eq!(desk.state.stage, Stage::Labelled);
    desk.wrote();
    assert_eq!((desk.state.stage, desk.raised()), (Stage::Closed, vec![]));
    let reached: Vec<_> = desk.state.deliveries["7"].reached.keys().copied().collect();
    assert_eq!(reached, Stage::WAY);
}

#[test]
fn label_bytes_travel_in_the_command_and_never_in_the_state() {
    let mut desk = Case::reading(examples::order());
    desk.rated();
    desk.bought(1);
    let text = serde_json::to_string(&desk.state).expect("state");
    assert!(!text.contains("XlhBXlha"), "{text}");
    assert!(text.contains(&"f".repeat(64)));
    let attached = desk.commands.iter().find_map(|command| match command {
        Command::Attach { attachment, .. } => Some(attachment),
        _ => None,
    });
    assert_eq!(attached.expect("attach").content_base64, "XlhBXlha");
    assert_eq!(serde_json::from_str::<State>(&text).expect("state"), desk.state);
}

#[test]
fn nothing_is_released_before_everything_is_set_aside() {
    let mut order = examples::order();
    order.deliveries[0] = examples::delivery("7", 1);
    let mut desk = Case::reading(order.clone());
    assert_eq!(desk.state.stage, Stage::AwaitingAllocation);
    assert_eq!(desk.raised(), [codes::ALLOC_REFUSED]);
    assert_eq!(desk.state.raised.values().next().expect("raised").severity, codes::Severity::Info);
    let at = desk.state.recheck.expect("armed");
    assert_eq!(at, desk.now.plus(300_000));

    desk.now = desk.now.plus(5 * 3_600_000);
    assert_eq!(desk.tell(Event::Timer { at }), ["read-order", "raise-exception", "start-timer"]);
    assert_eq!(desk.state.raised.values().next().expect("raised").severity, codes::Severity::Warning);
    assert_eq!(desk.tell(Event::Timer { at }), Vec::<&str>::new(), "a timer goes off once");

    order.deliveries[0] = examples::delivery("7", 2);
    assert_eq!(desk.answer(Some(order)), ["rate", "clear-exception"]);
    assert_eq!(desk.state.stage, Stage::Packed);
}

#[test]
fn goods_that_go_missing_before_the_label_are_a_pick_shortage() {
    let mut desk = Case::reading(examples::order());
    let mut short = examples::order();
    short.deliveries[0] = examples::delivery("7", 1);
    desk.read(short.clone());
    assert_eq!((desk.state.stage, desk.raised()), (Stage::AwaitingAllocation, vec![codes::PICK_SHORT]));
    assert_eq!(desk.rated(), Vec::<&str>::new(), "no label while goods are missing");
    assert_eq!(desk.read(examples::order()), ["create-shipment", "clear-exception"]);

    // The purchase is in flight when goods go missing again: its label is voided when it arrives.
    desk.read(short);
    assert!(desk.label(1).withdrawn);
    assert_eq!(desk.bought(1), ["void"]);
    desk.tell(Event::Voided { delivery: "7".to_owned(), generation: 1 });
    assert_eq!(desk.read(examples::order()), ["rate", "clear-exception"]);
    desk.rated();
    assert_eq!(desk.label(2).status, LabelStatus::Asked {});
}

#[test]
fn a_bad_address_holds_the_order_until_it_is_corrected() {
    let mut order = examples::order();
    order.ship_to.postal_code = None;
    let mut desk = Case::reading(order);
    assert_eq!((desk.state.stage, desk.state.held.as_deref()), (Stage::Held, Some(codes::ADDRESS_INVALID)));
    assert!(desk.state.raised.values().next().expect("raised").cause.contains("`ship_to.postal_code`"));
    assert_eq!(desk.read(examples::order()), ["rate", "clear-exception"]);
    assert_eq!(desk.state.stage, Stage::Packed);
}

#[test]
fn an_address_changed_before_the_label_is_checked_and_priced_again() {
    let mut desk = Case::reading(examples::order());
    let mut moved = examples::order();
    moved.ship_to.lines = vec!["Bryggen 9".to_owned()];
    assert_eq!(desk.read(moved.clone()), ["rate"], "prices for the old address are not used");
    desk.rated();
    moved.ship_to.lines.clear();
    desk.read(moved);
    assert!(desk.label(1).withdrawn);
    assert_eq!(desk.state.held.as_deref(), Some(codes::ADDRESS_INVALID));
    let event = Event::LabelNotBought { delivery: "7".to_owned(), generation: 1 };
    desk.tell(event);
    assert_eq!(desk.label(1).status, LabelStatus::NotBought {});
}

#[test]
fn an_address_changed_after_the_label_is_a_question() {
    let mut moved = examples::order();
    moved.ship_to.lines = vec!["Bryggen 9".to_owned()];
    let mut desk = Case::closed();
    desk.read(moved.clone());
    assert_eq!(desk.state.held.as_deref(), Some(codes::LABEL_OUTDATED));
    assert_eq!(desk.choose(codes::LABEL_OUTDATED, "keep"), ["clear-exception"]);
    assert_eq!(desk.state.stage, Stage::Closed);

    let mut desk = Case::closed();
    desk.read(moved);
    assert_eq!(desk.choose(codes::LABEL_OUTDATED, "relabel"), ["void", "clear-exception"]);
    let told = desk.tell(Event::Voided { delivery: "7".to_owned(), generation: 1 });
    assert_eq!(told, ["note", "rate"], "the delivery is told that its number is void");
    assert_eq!(desk.rated(), ["create-shipment"]);
}

#[test]
fn no_label_is_bought_while_a_change_is_announced_and_unread() {
    let mut desk = Case::reading(examples::order());
    desk.tell(Event::ErpChanged { kind: ErpEventKind::OrderCancelled });
    assert_eq!(desk.rated(), Vec::<&str>::new());
    let mut order = examples::order();
    order.state = OrderState::Cancelled;
    order.deliveries.clear();
    assert_eq!(desk.answer(Some(order)), Vec::<&str>::new());
    assert_eq!(desk.state.stage, Stage::Cancelled);
}

#[test]
fn changes_during_a_reading_lead_to_one_more_reading() {
    let mut desk = Case::new(examples::policy());
    let changed = || Event::ErpChanged { kind: ErpEventKind::OrderChanged };
    assert_eq!(desk.tell(changed()), ["read-order"]);
    assert_eq!(desk.tell(changed()), Vec::<&str>::new());
    assert_eq!(desk.tell(changed()), Vec::<&str>::new());
    assert_eq!(desk.answer(Some(examples::order())), ["read-order"]);
    assert_eq!(desk.answer(Some(examples::order())), ["rate"]);
    let older = Event::OrderRead { read: 1, order: None };
    assert_eq!(desk.tell(older), Vec::<&str>::new(), "an older answer replaces nothing");
    assert_eq!(desk.state.stage, Stage::Packed);
}

#[test]
fn a_cancelled_order_has_its_label_voided() {
    let mut desk = Case::closed();
    let mut order = examples::order();
    order.state = OrderState::Cancelled;
    order.deliveries.clear();
    assert_eq!(desk.read(order), ["void"]);
    assert_eq!(desk.state.stage, Stage::Cancelled);
    let voided = || Event::Voided { delivery: "7".to_owned(), generation: 1 };
    assert_eq!(desk.tell(voided()), ["note"]);
    assert_eq!(desk.tell(voided()), Vec::<&str>::new());
    assert_eq!(desk.bought(1), Vec::<&str>::new(), "the same purchase told again changes nothing");
    assert_eq!(desk.label(1).status, LabelStatus::Voided {});
}

#[test]
fn a_void_the_carrier_refuses_stays_open_until_a_person_decides() {
    let mut desk = Case::closed();
    desk.read(Order { state: OrderState::Cancelled, deliveries: vec![], ..examples::order() });
    let fault = Fault::new(FaultKind::NotCancellable, "acme.9", "the parcel is on its way", Blame::Partner);
    let command = FailedCommand::Void { delivery: "7".to_owned(), generation: 1 };
    desk.tell(Event::CommandFailed { command, fault });
    assert_eq!(desk.raised(), [codes::LABEL_NOT_VOIDED]);
    assert_eq!(desk.choose(codes::LABEL_NOT_VOIDED, "void"), ["void", "clear-exception"]);
    desk.tell(Event::Voided { delivery: "7".to_owned(), generation: 1 });
    assert_eq!(desk.raised(), Vec::<&str>::new());
}

#[test]
fn goods_that_left_before_the_cancellation_are_a_question_not_a_void() {
    let mut desk = Case::closed();
    let mut order = examples::order();
    order.state = OrderState::Cancelled;
    order.deliveries[0].state = DeliveryState::Done;
    assert_eq!(desk.read(order), ["raise-exception"]);
    assert_eq!(desk.raised(), [codes::LABEL_NOT_VOIDED]);
    assert_eq!(desk.choose(codes::LABEL_NOT_VOIDED, "write-off"), ["clear-exception"]);
    assert_eq!(desk.label(1).status, LabelStatus::WrittenOff {});
}

#[test]
fn an_uncertain_purchase_is_never_repeated_by_itself() {
    let mut desk = Case::reading(examples::order());
    desk.rated();
    let (delivery, fault) = ("7".to_owned(), examples::unknown());
    let uncertain = Event::LabelUncertain { delivery, generation: 1, fault };
    assert_eq!(desk.tell(uncertain.clone()), ["raise-exception"]);
    assert_eq!(desk.state.held.as_deref(), Some(codes::LABEL_UNKNOWN));
    assert_eq!(desk.read(examples::order()), Vec::<&str>::new());
    desk.read(Order { state: OrderState::Cancelled, deliveries: vec![], ..examples::order() });
    assert_eq!(desk.raised(), [codes::LABEL_UNKNOWN], "a cancellation does not close the question");
    desk.read(examples::order());

    let mut found = Case { policy: desk.policy.clone(), state: desk.state.clone(), now: desk.now, commands: vec![] };
    assert_eq!(found.choose(codes::LABEL_UNKNOWN, "look-again"), ["replay"]);
    assert_eq!(found.bought(1), ["set-shipping", "attach", "note", "clear-exception"]);
    assert_eq!(found.tell(uncertain), Vec::<&str>::new(), "told late: the label is known by now");

    assert_eq!(desk.choose(codes::LABEL_UNKNOWN, "not-bought"), ["rate", "clear-exception"]);
    assert_eq!(desk.rated(), ["create-shipment"]);
    assert_eq!(desk.bought(1), ["void"], "the person was wrong: the first label turns up and goes back");
    assert_eq!(desk.bought(2), ["set-shipping", "attach", "note"]);
}

#[test]
fn a_failure_that_may_have_bought_something_is_an_uncertain_purchase() {
    let mut desk = Case::reading(examples::order());
    desk.rated();
    let fault = examples::refusal().with_effect(wharf_domain::fault::EffectCertainty::Maybe);
    desk.tell(Event::LabelFailed { delivery: "7".to_owned(), generation: 1, fault });
    assert_eq!(desk.raised(), [codes::LABEL_UNKNOWN]);
}

#[test]
fn a_refused_label_is_tried_again_when_the_parcel_is_different_or_a_person_says_so() {
    let mut refused = Case::reading(examples::order());
    refused.rated();
    refused.tell(Event::LabelFailed { delivery: "7".to_owned(), generation: 1, fault: examples::refusal() });
    assert_eq!(refused.state.held.as_deref(), Some(codes::LABEL_FAILED));
    assert_eq!(refused.read(examples::order()), Vec::<&str>::new(), "nothing is different");
    let mut moved = examples::order();
    moved.ship_to.lines = vec!["Bryggen 9".to_owned()];
    assert_eq!(refused.read(moved), ["rate", "clear-exception"]);
    refused.rated();
    refused.tell(Event::LabelFailed { delivery: "7".to_owned(), generation: 2, fault: examples::refusal() });
    assert_eq!(refused.choose(codes::LABEL_FAILED, "retry"), ["rate", "clear-exception"]);
}

#[test]
fn a_carrier_that_cannot_price_is_passed_over_and_none_is_an_exception() {
    let bolt = wharf_domain::ids::ConnectionId::parse("bolt").expect("connection");
    let mut desk = Case::new(Policy::of(vec![bolt.clone(), examples::acme()]));
    assert_eq!(desk.read(examples::order()), ["rate", "rate"]);
    let outage = Fault::new(FaultKind::Outage, "bolt.503", "the carrier is down", Blame::Partner);
    let command = |round| FailedCommand::Rate { delivery: "7".to_owned(), round, connection: bolt.clone() };
    desk.tell(Event::CommandFailed { command: command(1), fault: outage.clone() });
    assert_eq!(desk.rated(), ["create-shipment"]);
    assert_eq!(desk.label(1).choice.connection, examples::acme());

    let mut desk = Case::new(Policy::of(vec![bolt.clone()]));
    desk.read(examples::order());
    desk.tell(Event::CommandFailed { command: command(1), fault: outage });
    assert_eq!(desk.state.held.as_deref(), Some(codes::SERVICE_UNAVAILABLE));
    let at = desk.state.recheck.expect("armed");
    assert_eq!(desk.tell(Event::Timer { at })[..1], ["read-order"]);
    assert_eq!(desk.answer(Some(examples::order())), ["rate"], "carriers are asked again");
}

#[test]
fn a_delivery_somebody_else_labelled_is_left_alone() {
    let mut order = examples::order();
    order.deliveries[0].tracking_reference = Some("SOMEBODY-ELSES".to_owned());
    let mut desk = Case::reading(order.clone());
    assert_eq!((desk.state.stage, desk.commands.len()), (Stage::Closed, 0));
    assert!(desk.state.deliveries["7"].note.as_deref().expect("note").contains("not ours"));
    order.deliveries[0].tracking_reference = None;
    assert_eq!(desk.read(order), ["rate"], "it is ours again when the number is removed");

    let mut desk = Case::closed();
    let mut ours = examples::order();
    ours.deliveries[0].tracking_reference = Some(format!("TN-{}", desk.label(1).reference));
    assert_eq!(desk.read(ours), Vec::<&str>::new());
    assert_eq!((desk.state.stage, &desk.state.deliveries["7"].note), (Stage::Closed, &None));
}

#[test]
fn every_delivery_of_an_order_goes_its_own_way() {
    let mut desk = Case::closed();
    let mut order = examples::order();
    order.deliveries.push(examples::delivery("8", 0));
    desk.read(order.clone());
    assert_eq!(desk.state.stage, Stage::AwaitingAllocation, "a backorder opens the flow again");
    assert_eq!(desk.state.deliveries["7"].stage, Stage::Closed);
    order.deliveries.remove(0);
    assert!(desk.read(order).contains(&"void"), "a delivery that disappears gives its label back");
}

#[test]
fn a_write_back_that_fails_is_replayed_or_done_by_hand() {
    let mut desk = Case::reading(examples::order());
    desk.rated();
    desk.bought(1);
    let fault = Fault::new(FaultKind::Forbidden, "odoo.access-error", "no right to write", Blame::Operator);
    let step = StepKind::Attach { number: 1 };
    let command = FailedCommand::WriteBack { delivery: "7".to_owned(), generation: 1, step };
    desk.tell(Event::CommandFailed { command: command.clone(), fault: fault.clone() });
    assert_eq!((desk.state.stage, desk.raised()), (Stage::Labelled, vec![codes::WRITE_BACK_FAILED]));
    assert_eq!(desk.choose(codes::WRITE_BACK_FAILED, "retry"), ["replay", "clear-exception"]);
    desk.tell(Event::CommandFailed { command, fault });
    desk.choose(codes::WRITE_BACK_FAILED, "done-by-hand");
    desk.wrote();
    assert_eq!(desk.state.stage, Stage::Closed);
}

#[test]
fn an_order_that_cannot_be_read_is_an_exception_and_read_again_later() {
    let mut desk = Case::new(examples::policy());
    desk.tell(Event::ErpChanged { kind: ErpEventKind::OrderConfirmed });
    let fault = Fault::new(FaultKind::Forbidden, "odoo.access-error", "no right to read", Blame::Operator);
    desk.tell(Event::CommandFailed { command: FailedCommand::ReadOrder { read: 1 }, fault });
    assert_eq!(desk.state.held.as_deref(), Some(codes::ORDER_UNREADABLE));
    let at = desk.state.recheck.expect("armed");
    assert!(desk.tell(Event::Timer { at }).contains(&"read-order"));
    assert_eq!(desk.answer(Some(examples::order())), ["rate", "clear-exception"]);
}

#[test]
fn an_order_of_services_needs_nothing_and_a_deleted_one_is_cancelled() {
    let mut order = examples::order();
    order.lines.clear();
    order.deliveries.clear();
    let mut desk = Case::reading(order);
    assert_eq!((desk.state.stage, desk.raised()), (Stage::Closed, vec![]));
    desk.tell(Event::ErpChanged { kind: ErpEventKind::OrderChanged });
    desk.answer(None);
    assert_eq!(desk.state.stage, Stage::Cancelled);
}

#[test]
fn the_invariants_notice_a_label_without_proof_and_a_second_one() {
    let mut desk = Case::reading(examples::order());
    desk.rated();
    let (commands, good) = (desk.commands.clone(), desk.state.clone());
    let broken = |change: &dyn Fn(&mut DeliveryFlow)| {
        let mut state = good.clone();
        change(state.deliveries.get_mut("7").expect("delivery"));
        check(&state, &commands).expect_err("a broken promise").to_string()
    };
    assert!(broken(&|d| d.labels[0].proof.lines.clear()).contains("no complete allocation proof"));
    assert!(broken(&|d| d.labels.push(d.labels[0].clone())).contains("more than one label"));
    assert!(
        broken(&|d| {
            let mut copy = d.labels[0].clone();
            copy.status = LabelStatus::Voided {};
            d.labels.push(copy);
        })
        .contains("two labels of generation 1")
    );
    assert!(
        broken(&|d| d.labels[0].steps.push(Step { what: StepKind::Note {}, status: StepStatus::Asked {} }))
            .contains("not bought")
    );
    let twice = [commands.clone(), commands.clone()].concat();
    assert!(check(&good, &twice).expect_err("twice").to_string().contains("more than once"));
    let mut cancelled = good;
    cancelled.order = None;
    assert!(check(&cancelled, &[]).expect_err("cancelled").to_string().contains("neither voided"));
}
