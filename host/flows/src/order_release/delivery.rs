//! The way of one delivery: allocation gate, parcels, service, label, write-back; and the way back when it is called
//! off. Reads from top to bottom like the process.

use wharf_domain::effect::BusinessKey;
use wharf_domain::order::{AllocationProof, Delivery, DeliveryState};
use wharf_domain::rate::RateRequest;
use wharf_domain::shipment::ShipmentRequest;

use super::label::{Choice, Consignment, Label, LabelStatus, Quote, Shop, Step, StepKind, StepStatus};
use super::policy::ServiceRule;
use super::state::{DeliveryFlow, Stage};
use super::{Command, Desk, View, names, rules, service};

/// The ledger's name for buying transport.
const BUY_LABEL: &str = "buy-label";
/// Whose reservation is the allocation proof while no WMS is connected.
const ERP_SYSTEM: &str = "odoo";

pub(super) fn proceed(flow: &mut DeliveryFlow, view: &View<'_>, desk: &mut Desk<'_>) {
    flow.note = view.hands_off.filter(|_| view.order.is_some()).map(str::to_owned);
    allocate(flow, view, desk);
    let wanted = release(flow, view, desk);
    settle_labels(flow, view, wanted.as_ref(), desk);
    if let Some(consignment) = &wanted
        && view.fresh
        && !flow.unsettled()
        && let Some(choice) = choose(flow, view, consignment, desk)
    {
        buy(flow, view, consignment, choice, desk);
    }
    write_back(flow, view, desk);
    mark(flow, view, wanted.is_some(), desk);
}

/// The gate: every line must be covered by a reservation. What has left the house stays proven.
fn allocate(flow: &mut DeliveryFlow, view: &View<'_>, desk: &Desk<'_>) {
    let Some((_, delivery)) = view.ours() else {
        flow.proof = None;
        flow.short_since = None;
        return;
    };
    let proof = proof(delivery);
    if proof.is_some() || delivery.state != DeliveryState::Done {
        flow.proof = proof;
    }
    flow.short_since = match flow.proof {
        Some(_) => None,
        None => Some(flow.short_since.unwrap_or(desk.now)),
    };
}

fn proof(delivery: &Delivery) -> Option<AllocationProof> {
    let set_aside = matches!(delivery.state, DeliveryState::Ready | DeliveryState::Done);
    Some(AllocationProof::from_reservation(ERP_SYSTEM, delivery)).filter(|proof| set_aside && proof.is_complete())
}

/// What is to be sent now: a delivery of a correct order, fully allocated, with its parcels known.
fn release(flow: &mut DeliveryFlow, view: &View<'_>, desk: &Desk<'_>) -> Option<Consignment> {
    let (order, delivery) = view.ours()?;
    if !view.valid || flow.proof.is_none() {
        return None;
    }
    flow.released = true;
    rules::consignment(order, delivery, desk.policy)
}

/// Withdraws purchases nobody wants any more and voids labels nobody will use. `wanted` is what a label should be for.
fn settle_labels(flow: &mut DeliveryFlow, view: &View<'_>, wanted: Option<&Consignment>, desk: &mut Desk<'_>) {
    let ours = view.ours().is_some();
    let newest = flow.labels.len();
    for label in &mut flow.labels {
        let last = label.generation as usize == newest;
        // Once the goods have left, a label for them is right as it is.
        let fits = ours && last && (view.shipped() || wanted == Some(&label.consignment));
        match label.status {
            LabelStatus::Asked {} if !fits => label.withdrawn = true,
            LabelStatus::Uncertain { .. } if !ours => label.withdrawn = true,
            // Another try is worth it only when something about the parcel is different.
            LabelStatus::Failed { .. } if !ours || (wanted.is_some() && !fits) => {
                label.status = LabelStatus::NotBought {};
            }
            LabelStatus::Bought {} => {
                let keep = if label.withdrawn { fits } else { ours && last };
                // The goods of a cancelled order have left: a person decides (see `problems`).
                let gone = last && view.shipped();
                if keep {
                    label.withdrawn = false;
                } else if !gone {
                    desk.commands.extend(void(label, view.id));
                }
            }
            _ => {}
        }
    }
}

/// Starts the void of a bought label.
pub(super) fn void(label: &mut Label, delivery: &str) -> Option<Command> {
    let carrier_shipment_id = label.bought.as_ref()?.carrier_shipment_id.clone();
    label.withdrawn = true;
    label.status = LabelStatus::Voiding {};
    Some(Command::Void {
        delivery: delivery.to_owned(),
        generation: label.generation,
        connection: label.choice.connection.clone(),
        carrier_shipment_id,
    })
}

/// Carrier and service. Asks every carrier the rule needs and waits for all of them; one that fails is passed over.
fn choose(flow: &mut DeliveryFlow, view: &View<'_>, consignment: &Consignment, desk: &mut Desk<'_>) -> Option<Choice> {
    if let Some(fixed) = service::fixed(desk.policy) {
        return Some(fixed);
    }
    match &flow.shop {
        Some(shop) if &shop.consignment == consignment => {
            let complete = shop.quotes.values().all(|quote| !matches!(quote, Quote::Asked {}));
            let choice = if complete { service::choose(desk.policy, shop) } else { None };
            if choice.is_some() {
                flow.shop = None;
            }
            choice
        }
        _ => {
            ask_prices(flow, view, consignment, desk);
            None
        }
    }
}

fn ask_prices(flow: &mut DeliveryFlow, view: &View<'_>, consignment: &Consignment, desk: &mut Desk<'_>) {
    flow.rounds += 1;
    let asked = service::asked(desk.policy);
    let quotes = asked.iter().map(|id| ((*id).clone(), Quote::Asked {})).collect();
    flow.shop = Some(Shop { round: flow.rounds, consignment: consignment.clone(), quotes });
    for connection in asked {
        let services = match &desk.policy.service {
            ServiceRule::Preferred { services } => {
                services.iter().filter(|s| &s.carrier == connection).map(|s| s.service.clone()).collect()
            }
            ServiceRule::Cheapest {} | ServiceRule::Fixed { .. } => Vec::new(),
        };
        let request = RateRequest {
            ship_from: consignment.ship_from.clone(),
            ship_to: consignment.ship_to.clone(),
            parcels: consignment.parcels.clone(),
            services,
            ship_date: None,
            options: Vec::new(),
        };
        let (delivery, round) = (view.id.to_owned(), flow.rounds);
        desk.commands.push(Command::Rate { delivery, round, connection: connection.clone(), request });
    }
}

/// Asks for one label, with the proof that allows it and a key that is never used again.
fn buy(flow: &mut DeliveryFlow, view: &View<'_>, consignment: &Consignment, choice: Choice, desk: &mut Desk<'_>) {
    let (Some(proof), Some(order)) = (flow.proof.clone(), view.order) else {
        return;
    };
    let generation = u32::try_from(flow.labels.len() + 1).unwrap_or(u32::MAX);
    let reference = names::reference(view.tenant, view.order_id, &flow.name, generation);
    let request = ShipmentRequest {
        reference: reference.clone(),
        service: choice.service.clone(),
        ship_from: consignment.ship_from.clone(),
        ship_to: consignment.ship_to.clone(),
        parcels: consignment.parcels.clone(),
        label: desk.policy.label.clone(),
        order_number: Some(order.number.clone()),
        options: Vec::new(),
    };
    let key = format!("label:order/{}/{}/{generation}", view.order_id, flow.name);
    desk.push(Command::CreateShipment {
        delivery: view.id.to_owned(),
        generation,
        connection: choice.connection.clone(),
        key: BusinessKey { effect_type: BUY_LABEL.to_owned(), key },
        request,
    });
    flow.labels.push(Label {
        generation,
        choice,
        reference,
        proof,
        consignment: consignment.clone(),
        status: LabelStatus::Asked {},
        withdrawn: false,
        bought: None,
        steps: Vec::new(),
        accepted: None,
    });
}

/// Tells the ERP about the label that arrived in this step, unless it goes straight back to the carrier.
fn write_back(flow: &mut DeliveryFlow, view: &View<'_>, desk: &mut Desk<'_>) {
    let arrived = desk.documents.take_if(|(delivery, _, _)| delivery == view.id);
    let Some((delivery, generation, documents)) = arrived else {
        return;
    };
    let standing = |label: &&mut Label| label.generation == generation && label.status == (LabelStatus::Bought {});
    let Some(label) = flow.labels.iter_mut().find(standing) else {
        return;
    };
    let carrier = desk.policy.erp_carrier(&label.choice.connection);
    let Some(update) = names::shipping_update(label, &delivery, &carrier) else {
        return;
    };
    let mut steps = vec![StepKind::Shipping {}];
    desk.push(Command::SetShipping { delivery: delivery.clone(), generation, update });
    for (number, document) in (1..).zip(&documents) {
        steps.push(StepKind::Attach { number });
        let attachment = names::attachment(label, &delivery, &flow.name, number, document);
        desk.push(Command::Attach { delivery: delivery.clone(), generation, number, attachment });
    }
    let step = StepKind::Note {};
    steps.push(step);
    let note = names::bought_note(label, &delivery, &carrier);
    desk.push(Command::Note { delivery, generation, step, note });
    label.steps = steps.into_iter().map(|what| Step { what, status: StepStatus::Asked {} }).collect();
}

/// How far it has come, and since when.
fn mark(flow: &mut DeliveryFlow, view: &View<'_>, packed: bool, desk: &Desk<'_>) {
    flow.stage = match (view.order, view.reading) {
        (Some(_), Some(_)) if view.hands_off.is_some() => Stage::Closed,
        (Some(_), Some(_)) => match flow.standing() {
            Some(label) if label.steps.iter().all(|step| step.status.settled()) => Stage::Closed,
            Some(_) => Stage::Labelled,
            None if !view.valid => Stage::Received,
            None if flow.proof.is_none() => Stage::AwaitingAllocation,
            None if packed => Stage::Packed,
            None => Stage::Released,
        },
        _ => Stage::Cancelled,
    };
    flow.reached.retain(|stage, _| *stage <= flow.stage);
    if flow.stage <= Stage::Closed && flow.note.is_none() {
        for stage in Stage::WAY.into_iter().filter(|stage| *stage <= flow.stage) {
            flow.reached.entry(stage).or_insert(desk.now);
        }
    }
}
