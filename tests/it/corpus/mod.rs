//! The attack corpus as far as it needs a real guest. A test belongs to the row its name begins with; what a row must
//! come to is written in `tests/attack/corpus.toml` and nowhere else.

mod arena;
mod border;
mod canaries;
mod claims;
mod echo;
mod folders;
mod install;
mod neighbours;
mod requests;
mod state;
mod usage;
