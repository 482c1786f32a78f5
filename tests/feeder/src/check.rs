//! The checker: what hosts wrote down, what the database holds and what the partner saw, held against each other.
//!
//! Pure, and deliberately simple: it knows nothing of how the host works, only what was promised.
//!
//! - **Lost**: an accepted order that is neither done, nor waiting, nor parked; or one that is done without its effect,
//!   its stored result or its follow-up.
//! - **Duplicated**: an order with two jobs, results, follow-ups or effects; or something nobody asked for.
//! - **Out of order**: within a lane, an effect or a result after one of a later order.
//! - **Uncertain**: a `once` call was begun and nobody heard that it happened or did not, or only a host that could not
//!   write it down before others took the job over. Exactly those are parked, and labels that were sent again and again and
//!   never found.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::Said;
use crate::order::{Class, Order};

/// A label that was sent so often and is still not to be found is given up: a person must look.
const MOST_SENDS: usize = 3;

/// Where a job stands in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Done,
    /// The host will go on by itself.
    Waiting,
    Parked,
    Cancelled,
}

/// Everything that is known of one order.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    pub order: Order,
    /// A host saw its commit.
    pub accepted: bool,
    /// What every call that was begun ended with, by the fence of the job; absent when the host did not live, or did
    /// not stay, to hear it.
    pub sends: BTreeMap<i64, Option<Said>>,
    /// Jobs of the order itself.
    pub jobs: Vec<Standing>,
    pub follow_ups: Vec<Standing>,
    /// Places in the audit of its stored results, ascending.
    pub results: Vec<i64>,
    /// The ledger of the host has an effect that happened.
    pub recorded: bool,
    /// The ledger of the host has an effect that waits for a person.
    pub held: bool,
    /// The fence under which that effect was last being sent, when nobody under it wrote down how that ended.
    pub left_sending: Option<i64>,
    /// Places in the partner's ledger of the effects under its name, ascending.
    pub effects: Vec<usize>,
}

impl Known {
    pub fn new(order: Order) -> Self {
        Self {
            order,
            accepted: false,
            sends: BTreeMap::new(),
            jobs: Vec::new(),
            follow_ups: Vec::new(),
            results: Vec::new(),
            recorded: false,
            held: false,
            left_sending: None,
            effects: Vec::new(),
        }
    }

    fn is(&self, standing: Standing) -> bool {
        self.jobs.contains(&standing)
    }

    /// Was a call begun of which nobody can say what came of it?
    fn is_uncertain(&self) -> bool {
        let last = self.sends.last_key_value();
        let in_doubt = matches!(last, Some((_, None | Some(Said::Unknown)))) && !self.recorded;
        // The database was gone between "it is being sent" and the wire: the host knows, the ledger does not.
        let untold = matches!(last, Some((fence, Some(Said::Nothing))) if self.left_sending == Some(*fence))
            && self.effects.is_empty();
        match self.order.class {
            Class::Once => in_doubt || untold,
            Class::Lookup => in_doubt && self.sends.len() >= MOST_SENDS && self.is(Standing::Parked),
            Class::Keyed | Class::Natural | Class::Inside => false,
        }
    }
}

/// Everything that is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// By name.
    pub orders: BTreeMap<String, Known>,
    /// What is somewhere and belongs to no order that was ever offered.
    pub strangers: Vec<String>,
}

/// What the checker found; each finding is one sentence that names the order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub accepted: usize,
    pub done: usize,
    pub waiting: usize,
    pub parked: usize,
    /// How many must be parked.
    pub expected: usize,
    pub lost: Vec<String>,
    pub duplicated: Vec<String>,
    pub out_of_order: Vec<String>,
    /// Uncertain and not parked, or parked and not uncertain.
    pub wrongly_parked: Vec<String>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.findings().next().is_none()
    }

    pub fn findings(&self) -> impl Iterator<Item = &String> {
        self.lost.iter().chain(&self.duplicated).chain(&self.out_of_order).chain(&self.wrongly_parked)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicated, out_of_order, parked, expected, .. } = self;
        let (lost, duplicated, out_of_order) = (lost.len(), duplicated.len(), out_of_order.len());
        write!(f, "lost {lost} · duplicated {duplicated} · out of order {out_of_order} · ")?;
        write!(f, "uncertain parked {parked} (expected {expected})")
    }
}

/// Decides.
pub fn check(facts: &Facts) -> Report {
    let mut report = Report::default();
    for (name, known) in &facts.orders {
        report.accepted += usize::from(known.accepted);
        report.done += usize::from(known.is(Standing::Done));
        report.waiting += usize::from(known.is(Standing::Waiting));
        report.parked += usize::from(known.is(Standing::Parked));
        report.expected += usize::from(known.is_uncertain());
        lost(name, known, &mut report.lost);
        duplicated(name, known, &mut report.duplicated);
        parked(name, known, &mut report.wrongly_parked);
    }
    report.duplicated.extend(facts.strangers.iter().map(|what| format!("nobody asked for {what}")));
    order_of_lanes(facts, &mut report.out_of_order);
    report
}

fn lost(name: &str, known: &Known, found: &mut Vec<String>) {
    if known.accepted && known.jobs.is_empty() {
        found.push(format!("`{name}` was accepted and has no job"));
    }
    if known.is(Standing::Cancelled) {
        found.push(format!("`{name}` was cancelled and nobody asked for that"));
    }
    if !known.is(Standing::Done) {
        return;
    }
    if known.results.is_empty() {
        found.push(format!("`{name}` is done and its result is not stored"));
    }
    if known.order.has_follow_up() && known.follow_ups.is_empty() {
        found.push(format!("`{name}` is done and nothing follows"));
    }
    if known.order.class != Class::Inside && known.effects.is_empty() {
        found.push(format!("`{name}` is done and the partner has not heard of it"));
    }
}

fn duplicated(name: &str, known: &Known, found: &mut Vec<String>) {
    let mut most = |count: usize, most: usize, what: &str| {
        if count > most {
            found.push(format!("`{name}` has {count} {what} and may have {most}"));
        }
    };
    let done = usize::from(known.is(Standing::Done));
    most(known.jobs.len(), 1, "jobs");
    most(known.results.len(), done, "results");
    most(known.follow_ups.len(), done * usize::from(known.order.has_follow_up()), "follow-ups");
    match known.order.class {
        Class::Inside => most(known.effects.len(), 0, "effects"),
        Class::Lookup | Class::Keyed | Class::Once => most(known.effects.len(), 1, "effects"),
        // Absolute: a repeat changes nothing.
        Class::Natural => {}
    }
    if !known.effects.is_empty() && known.sends.is_empty() {
        found.push(format!("`{name}` has an effect and no host has begun a call"));
    }
}

fn parked(name: &str, known: &Known, found: &mut Vec<String>) {
    let is_parked = known.is(Standing::Parked);
    let held = known.held || known.order.class == Class::Lookup;
    match (known.is_uncertain(), is_parked && held) {
        (true, false) => found.push(format!("`{name}` is uncertain and hidden")),
        (false, _) if is_parked => found.push(format!("`{name}` is parked and nothing about it is uncertain")),
        _ => {}
    }
    let heard = known.sends.values().any(|said| *said == Some(Said::Happened));
    if heard && !known.recorded {
        found.push(format!("`{name}` was heard to have happened and the ledger does not say so"));
    }
}

fn order_of_lanes(facts: &Facts, found: &mut Vec<String>) {
    let mut lanes: BTreeMap<String, Vec<(&str, &Known)>> = BTreeMap::new();
    for (name, known) in &facts.orders {
        lanes.entry(known.order.lane()).or_default().push((name, known));
    }
    for known in lanes.values_mut() {
        known.sort_by_key(|(_, known)| known.order.number);
        let (mut last_effect, mut last_result) = (0, 0);
        for (name, known) in known {
            if known.effects.first().is_some_and(|place| *place < last_effect) {
                found.push(format!("the effect of `{name}` is before one of an earlier order of its lane"));
            }
            if known.results.first().is_some_and(|place| *place < last_result) {
                found.push(format!("the result of `{name}` is before one of an earlier order of its lane"));
            }
            last_effect = known.effects.last().copied().unwrap_or(0).max(last_effect);
            last_result = known.results.last().copied().unwrap_or(0).max(last_result);
        }
    }
}

#[cfg(test)]
mod tests;
