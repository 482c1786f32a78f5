//! What Wharf promises, a line each. A test shows a promise by its name: `p4_…` shows promise 4, `p1_p2_…` two at once.

/// One promise.
pub(super) struct Promise {
    pub(super) number: u32,
    pub(super) words: &'static str,
    /// It is to be shown today; otherwise it belongs to work that is still to be done.
    pub(super) due: bool,
}

const fn due(number: u32, words: &'static str) -> Promise {
    Promise { number, words, due: true }
}

const fn later(number: u32, words: &'static str) -> Promise {
    Promise { number, words, due: false }
}

pub(super) const PROMISES: [Promise; 25] = [
    due(1, "What was accepted is done, waits, or is in front of a person"),
    due(2, "No label is bought twice"),
    due(3, "Whatever is uncertain is in front of a person, and nothing else is"),
    due(4, "What was answered with 2xx is on disk"),
    due(5, "Two hosts never act on one lease"),
    due(6, "Jobs that trap or hang leave the others their throughput"),
    due(7, "A tenant that floods the host does not slow the others down"),
    due(8, "A full disk refuses new work and heals by itself"),
    due(9, "An hour without the carrier burns no attempt and drains in order at a bounded pace"),
    due(10, "A restored backup does nothing twice and says what it had to learn again"),
    due(11, "A secret never leaves the host but to its partner"),
    due(12, "No forbidden address is ever dialled"),
    due(13, "Every known attack ends as it is written down"),
    due(14, "No input whatever ends the host"),
    due(15, "Compiling an adapter never slows the others down"),
    later(16, "A webhook may come often, late and out of order"),
    due(17, "A database that was restarted needs no hand"),
    due(18, "A clock that jumps fires no timer early or twice"),
    due(19, "An upgrade never widens what an adapter may do without a person's word"),
    later(20, "Whoever changes the audit log is found out"),
    later(21, "No tenant sees anything of another one"),
    due(22, "A graceful stop leaves no lease and cuts nothing off"),
    due(23, "Every secret is changed without a pause"),
    due(24, "Input that cannot be read is an exception a person sees and can mend"),
    later(25, "A long run needs no more memory, files or disk than a short one"),
];
