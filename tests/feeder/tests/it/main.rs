//! Sieges: the host as a process that is killed, stopped and cut off, and the checker's verdict.

mod hosts;
mod kills;
