//! The attack corpus as far as it needs a real guest. A test belongs to the row its name begins with; what a row must
//! come to is written in `tests/attack/corpus.toml` and nowhere else.

mod arena;
mod border;
mod install;
mod state;
mod usage;
