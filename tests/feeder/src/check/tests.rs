//! Broken histories, each of which the checker must complain about, and sound ones it must leave alone.

use super::*;

fn order(number: u64, class: Class) -> Order {
    Order { host: "a".to_owned(), lane: 0, number, class }
}

/// Accepted, sent once, heard of, done.
fn sound(number: u64, class: Class) -> Known {
    let place = i64::try_from(number).unwrap();
    let outside = class != Class::Inside;
    Known {
        accepted: true,
        sends: if outside { BTreeMap::from([(1, Some(Said::Happened))]) } else { BTreeMap::new() },
        jobs: vec![Standing::Done],
        follow_ups: if class == Class::Lookup { vec![Standing::Done] } else { Vec::new() },
        results: vec![place],
        recorded: outside,
        effects: if outside { vec![usize::try_from(number).unwrap()] } else { Vec::new() },
        ..Known::new(order(number, class))
    }
}

/// A `once` call whose answer was lost, in front of a person.
fn parked_once(number: u64) -> Known {
    Known {
        sends: BTreeMap::from([(1, Some(Said::Unknown))]),
        jobs: vec![Standing::Parked],
        results: Vec::new(),
        recorded: false,
        held: true,
        ..sound(number, Class::Once)
    }
}

fn report(orders: impl IntoIterator<Item = Known>) -> Report {
    let orders = orders.into_iter().map(|known| (known.order.name(), known)).collect();
    check(&Facts { orders, strangers: Vec::new() })
}

/// The only finding of a history with one order.
fn complaint(known: Known) -> String {
    let report = report([known]);
    let found: Vec<&String> = report.findings().collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn a_sound_history_has_no_finding() {
    let classes = [Class::Lookup, Class::Natural, Class::Once, Class::Keyed];
    let orders = classes.iter().zip(1..).map(|(class, number)| sound(number, *class));
    let all = report(orders.chain([parked_once(5)]));
    assert!(all.is_clean(), "{all:?}");
    assert_eq!((all.accepted, all.done, all.parked), (5, 4, 1));
    assert_eq!(all.to_string(), "lost 0 · duplicated 0 · out of order 0 · uncertain parked 1 (expected 1)");
}

#[test]
fn an_order_in_doubt_may_be_there_or_not() {
    let offered = Known::new(order(1, Class::Once));
    assert!(report([offered, Known { accepted: false, ..sound(2, Class::Once) }]).is_clean());
}

#[test]
fn what_was_accepted_and_is_nowhere_is_lost() {
    let known = Known { accepted: true, ..Known::new(order(1, Class::Inside)) };
    assert_eq!(complaint(known), "`a-0-000001` was accepted and has no job");
}

#[test]
fn done_without_what_belongs_to_it_is_lost() {
    for (known, why) in [
        (Known { results: vec![], ..sound(1, Class::Inside) }, "its result is not stored"),
        (Known { follow_ups: vec![], ..sound(1, Class::Lookup) }, "nothing follows"),
        (Known { effects: vec![], ..sound(1, Class::Once) }, "the partner has not heard of it"),
        (Known { jobs: vec![Standing::Cancelled], results: vec![], ..sound(1, Class::Inside) }, "cancelled"),
    ] {
        let report = report([known]);
        assert!(report.lost.len() == 1 && report.lost[0].contains(why), "{report:?}");
    }
}

#[test]
fn twice_is_found_in_every_place() {
    for (known, what) in [
        (Known { jobs: vec![Standing::Done; 2], ..sound(1, Class::Inside) }, "2 jobs"),
        (Known { results: vec![1, 2], ..sound(1, Class::Inside) }, "2 results"),
        (Known { follow_ups: vec![Standing::Done; 2], ..sound(1, Class::Lookup) }, "2 follow-ups"),
        (Known { effects: vec![1, 2], ..sound(1, Class::Lookup) }, "2 effects"),
        (Known { effects: vec![1, 2], ..sound(1, Class::Once) }, "2 effects"),
        (Known { effects: vec![1, 2], ..sound(1, Class::Keyed) }, "2 effects"),
        (Known { effects: vec![1, 2], ..parked_once(1) }, "2 effects"),
        (Known { sends: BTreeMap::new(), ..sound(1, Class::Lookup) }, "no host has begun a call"),
    ] {
        let found = complaint(known);
        assert!(found.contains(what), "{found}");
    }
    let twice = Known { effects: vec![1, 2], ..sound(1, Class::Natural) };
    assert!(report([twice]).is_clean(), "an absolute value may be set twice");
}

#[test]
fn a_result_of_a_job_that_is_not_done_was_stored_too_early() {
    let known = Known { jobs: vec![Standing::Waiting], ..sound(1, Class::Inside) };
    assert_eq!(complaint(known), "`a-0-000001` has 1 results and may have 0");
}

#[test]
fn what_nobody_asked_for_is_found() {
    let facts = Facts { orders: BTreeMap::new(), strangers: vec!["a label for `x`".to_owned()] };
    assert_eq!(check(&facts).duplicated, ["nobody asked for a label for `x`"]);
}

#[test]
fn a_lane_that_went_backwards_is_found() {
    let effect_late = Known { effects: vec![9], ..sound(1, Class::Once) };
    let report_ = report([effect_late, sound(2, Class::Once)]);
    assert_eq!(report_.out_of_order, ["the effect of `a-0-000002` is before one of an earlier order of its lane"]);
    let result_late = Known { results: vec![9], ..sound(1, Class::Inside) };
    assert_eq!(report([result_late, sound(2, Class::Inside)]).out_of_order.len(), 1);
    let repeated_late = Known { effects: vec![1, 9], ..sound(1, Class::Natural) };
    assert_eq!(report([repeated_late, sound(2, Class::Natural)]).out_of_order.len(), 1, "an old value came back");
    let other_lane = Known { order: Order { lane: 1, ..order(2, Class::Once) }, ..sound(2, Class::Once) };
    let ahead = Known { effects: vec![9], ..sound(1, Class::Once) };
    assert!(report([ahead, other_lane]).is_clean(), "lanes do not wait for each other");
}

#[test]
fn an_uncertain_call_that_is_not_in_front_of_a_person_is_hidden() {
    let hidden = [
        Known { jobs: vec![Standing::Waiting], held: false, ..parked_once(1) },
        Known { held: false, ..parked_once(1) },
        Known { sends: BTreeMap::from([(1, None)]), jobs: vec![Standing::Waiting], ..parked_once(1) },
        Known {
            sends: BTreeMap::from([(1, Some(Said::Nothing)), (2, None)]),
            jobs: vec![Standing::Waiting],
            ..parked_once(1)
        },
    ];
    for known in hidden {
        assert_eq!(complaint(known), "`a-0-000001` is uncertain and hidden");
    }
}

#[test]
fn a_call_that_was_cut_off_after_its_answer_was_written_down_is_certain() {
    let known = Known { sends: BTreeMap::from([(1, None)]), ..sound(1, Class::Once) };
    assert!(report([known]).is_clean());
}

#[test]
fn what_is_parked_without_doubt_is_found() {
    let why = "`a-0-000001` is parked and nothing about it is uncertain";
    let refused = Known { sends: BTreeMap::from([(1, Some(Said::Nothing))]), effects: vec![], ..parked_once(1) };
    assert_eq!(complaint(refused), why);
    let label = Known { jobs: vec![Standing::Parked], results: vec![], follow_ups: vec![], ..sound(1, Class::Lookup) };
    assert_eq!(complaint(label), why);
}

/// The host that knew better was cut off from the database until another one had the job.
#[test]
fn what_a_host_knew_and_could_not_tell_is_uncertain() {
    let untold = Known {
        sends: BTreeMap::from([(1, Some(Said::Nothing))]),
        left_sending: Some(1),
        effects: vec![],
        ..parked_once(1)
    };
    let all = report([untold.clone()]);
    assert!(all.is_clean() && all.expected == 1, "{all:?}");
    let hidden = Known { jobs: vec![Standing::Waiting], held: false, ..untold.clone() };
    assert!(complaint(hidden).contains("is uncertain and hidden"));
    let told = Known { left_sending: None, ..untold.clone() };
    assert!(complaint(told).contains("nothing about it is uncertain"));
    let of_another_send = Known { left_sending: Some(2), ..untold.clone() };
    assert!(complaint(of_another_send).contains("nothing about it is uncertain"));
    let done_all_the_same = Known { effects: vec![1], ..untold };
    assert!(complaint(done_all_the_same).contains("nothing about it is uncertain"));
}

#[test]
fn a_label_may_be_given_up_only_after_it_was_sent_again_and_again() {
    let sent = |times: i64| Known {
        sends: (1..=times).map(|fence| (fence, None)).collect(),
        jobs: vec![Standing::Parked],
        follow_ups: vec![],
        results: vec![],
        effects: vec![],
        recorded: false,
        ..sound(1, Class::Lookup)
    };
    let given_up = report([sent(3)]);
    assert!(given_up.is_clean() && given_up.expected == 1, "{given_up:?}");
    assert!(complaint(sent(2)).contains("nothing about it is uncertain"));
    assert!(complaint(Known { effects: vec![1, 2], ..sent(3) }).contains("2 effects"));
}

#[test]
fn an_answer_that_was_heard_must_be_in_the_ledger() {
    let known = Known { recorded: false, ..sound(1, Class::Lookup) };
    assert!(complaint(known).contains("the ledger does not say so"));
}
