//! Sieges: the host as a process that is killed, stopped and cut off, and the checker's verdict.

mod crash_points;
mod hosts;
mod kills;
mod outages;
mod poison;
mod stops;
