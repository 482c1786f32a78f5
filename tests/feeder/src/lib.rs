//! Proof that work is never lost and never done twice: a host that can be killed, and a checker that decides.
//!
//! `wharf-feeder host` is a real process with the real store, queue and door out, and no WebAssembly, so that it starts
//! in a blink. It accepts orders without end ([`feed`]), works on them by routes of every class of effect
//! ([`work`]), and writes down what it does ([`history`]). A [`siege`] kills it, stops it and cuts it off. Afterwards
//! [`facts`] gathers the history, the database and the partner's ledger, and the pure [`check`] decides.

pub mod check;
pub mod facts;
pub mod fate;
mod feed;
pub mod history;
pub mod host;
pub mod order;
mod partner;
pub mod proxy;
pub mod siege;
mod work;
