//! Breaks flows on purpose: events shuffled, doubled and late, commands failing, crashing between doing and telling,
//! answers lost. A flow takes part by a [`World`]: its surroundings, simulated. Every flow of the list is in here.

use std::collections::VecDeque;
use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;

use crate::FLOWS;
use crate::order_release::world::Warehouse;

/// One flow and everything around it.
pub(crate) trait World: Clone + Debug {
    const KIND: &'static str;
    type Event: Clone + Debug;
    type Command: Clone + Debug;

    fn new() -> Self;
    /// The outside changes by itself, and says so.
    fn change(&mut self, pick: u8) -> Vec<Self::Event>;
    /// The flow takes an event. Panics when an invariant breaks.
    fn take(&mut self, event: Self::Event) -> Vec<Self::Command>;
    /// The outside does what it is asked, or not, and answers.
    fn answer(&mut self, command: &Self::Command, how: How) -> Vec<Self::Event>;
    /// Every armed timer goes off.
    fn pass_time(&mut self) -> Vec<Self::Event>;
    /// A person picks some action of some open exception.
    fn decide(&mut self, pick: u8) -> Vec<Self::Event>;
    /// A sensible person does what can be done about everything that is open.
    fn put_right(&mut self) -> Vec<Self::Event>;
    /// What must hold when nothing is under way any more. Panics when it does not.
    fn settled(&self);
    /// What must be the same however often the same facts were told.
    fn essence(&self) -> Value;
}

/// How a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Fine,
    /// Refused for good; nothing happened.
    Refused,
    /// Nobody can tell; it happened or not.
    Lost {
        happened: bool,
    },
}

/// One thing that happens to a flow.
#[derive(Debug, Clone, Copy)]
enum Move {
    Change(u8),
    /// Some waiting event arrives, not necessarily the oldest.
    Deliver(u8),
    /// An event that was told before is told again.
    Repeat(u8),
    Answer(u8, How),
    /// Done, but the worker dies before it can say so: the command is run again later.
    Crash(u8),
    PassTime,
    Decide(u8),
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Fine),
        1 => Just(How::Refused),
        1 => any::<bool>().prop_map(|happened| How::Lost { happened }),
    ]
}

fn anything() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => any::<u8>().prop_map(Move::Change),
        6 => any::<u8>().prop_map(Move::Deliver),
        3 => any::<u8>().prop_map(Move::Repeat),
        6 => (any::<u8>(), how()).prop_map(|(pick, how)| Move::Answer(pick, how)),
        1 => any::<u8>().prop_map(Move::Crash),
        1 => Just(Move::PassTime),
        1 => any::<u8>().prop_map(Move::Decide),
    ]
}

/// A world with what is under way in it.
struct Run<W: World> {
    world: W,
    events: VecDeque<W::Event>,
    commands: VecDeque<W::Command>,
    told: Vec<W::Event>,
}

impl<W: World> Run<W> {
    fn new() -> Self {
        Self { world: W::new(), events: VecDeque::new(), commands: VecDeque::new(), told: Vec::new() }
    }

    fn tell(&mut self, event: W::Event) {
        let commands = self.world.take(event.clone());
        self.told.push(event);
        self.commands.extend(commands);
    }

    fn answer(&mut self, index: usize, how: How) {
        if let Some(command) = self.commands.remove(index) {
            let events = self.world.answer(&command, how);
            self.events.extend(events);
        }
    }

    fn make(&mut self, step: Move) {
        let pick = |pick: u8, of: usize| if of == 0 { None } else { Some(usize::from(pick) % of) };
        match step {
            Move::Change(which) => {
                let events = self.world.change(which);
                self.events.extend(events);
            }
            Move::Deliver(which) => {
                let event = pick(which, self.events.len()).and_then(|index| self.events.remove(index));
                event.into_iter().for_each(|event| self.tell(event));
            }
            Move::Repeat(which) => {
                let event = pick(which, self.told.len()).map(|index| self.told[index].clone());
                event.into_iter().for_each(|event| self.tell(event));
            }
            Move::Answer(which, how) => {
                if let Some(index) = pick(which, self.commands.len()) {
                    self.answer(index, how);
                }
            }
            Move::Crash(which) => {
                if let Some(index) = pick(which, self.commands.len()) {
                    self.world.answer(&self.commands[index].clone(), How::Fine);
                }
            }
            Move::PassTime => {
                let events = self.world.pass_time();
                self.events.extend(events);
            }
            Move::Decide(which) => {
                let events = self.world.decide(which);
                self.events.extend(events);
            }
        }
    }

    /// Everything under way comes to its end, in order and without a failure.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            if let Some(event) = self.events.pop_front() {
                self.tell(event);
            } else if !self.commands.is_empty() {
                self.answer(0, How::Fine);
            } else {
                return;
            }
        }
        panic!("the flow never comes to rest: {:?}", self.world);
    }

    /// Until time and people change nothing any more.
    fn settle(&mut self) {
        self.drain();
        for _ in 0..20 {
            let before = self.world.essence();
            let right = self.world.put_right();
            self.events.extend(right);
            self.drain();
            let timers = self.world.pass_time();
            self.events.extend(timers);
            self.drain();
            if self.world.essence() == before {
                return self.world.settled();
            }
        }
        panic!("the flow does not settle: {:?}", self.world);
    }
}

/// Whatever happens, the invariants hold after each step and the end is right.
fn survives_anything<W: World>(steps: &[Move]) {
    let mut run = Run::<W>::new();
    for step in steps {
        run.make(*step);
    }
    run.settle();
}

/// The same history twice: once told cleanly, once with every event doubled and some told again much later.
fn doubles_change_nothing<W: World>(history: &[(Move, u8)]) {
    let (mut clean, mut doubled) = (Run::<W>::new(), Run::<W>::new());
    for (step, again) in history {
        clean.make(*step);
        clean.drain();
        doubled.make(*step);
        for _ in 0..10_000 {
            if let Some(event) = doubled.events.pop_front() {
                doubled.tell(event.clone());
                doubled.tell(event);
            } else if doubled.commands.is_empty() {
                break;
            } else {
                doubled.answer(0, How::Fine);
            }
        }
        doubled.make(Move::Repeat(*again));
        doubled.drain();
    }
    clean.settle();
    doubled.settle();
    assert_eq!(clean.world.essence(), doubled.world.essence());
}

/// Every flow of the list, once per property.
macro_rules! harness {
    ($($name:ident: $world:ty),+ $(,)?) => {
        const SUBJECTS: &[&str] = &[$(<$world as World>::KIND),+];

        $(mod $name {
            use super::*;

            proptest! {
                // A fixed seed: the same run every time. `PROPTEST_RNG_SEED` and `PROPTEST_CASES` look further.
                #![proptest_config(ProptestConfig {
                    cases: 1_000,
                    rng_seed: RngSeed::Fixed(42),
                    failure_persistence: None,
                    ..ProptestConfig::default()
                })]

                #[test]
                fn survives_anything(steps in prop::collection::vec(anything(), 0..90)) {
                    super::survives_anything::<$world>(&steps);
                }

                #[test]
                fn doubled_and_late_events_change_nothing(
                    history in prop::collection::vec((any::<u8>().prop_map(Move::Change), any::<u8>()), 0..12),
                ) {
                    super::doubles_change_nothing::<$world>(&history);
                }
            }
        })+
    };
}

harness! { order_release: Warehouse }

#[test]
fn every_listed_flow_is_in_the_harness() {
    assert_eq!(SUBJECTS, FLOWS);
}
