//! The attack corpus as far as it needs a real guest. A test belongs to the row its name begins with; what a row must
//! come to is written in `tests/attack/corpus.toml` and nowhere else.

mod arena;
mod border;
mod canaries;
mod claims;
mod echo;
mod folders;
mod install;
#[path = "../../../host/egress/tests/it/names.rs"]
mod names;
mod neighbours;
mod requests;
#[path = "../../../host/egress/tests/it/sink.rs"]
mod sink;
mod state;
mod usage;
