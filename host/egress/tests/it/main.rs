//! The door against partners that misbehave: real sockets on the loopback, a real ledger, a clock that stands still.

#[cfg(test)]
mod accounts;
mod clocks;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod corpus_d;
#[cfg(test)]
mod corpus_d_addresses;
#[cfg(test)]
mod corpus_d_requests;
#[cfg(test)]
mod corpus_e;
#[cfg(test)]
mod corpus_e_tls;
#[cfg(feature = "failpoints")]
#[cfg(test)]
mod crash_points;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod house;
#[cfg(test)]
mod keyed;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod names;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod partner;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod siege;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod vault;
