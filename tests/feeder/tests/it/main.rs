//! Sieges: the host as a process that is killed, stopped and cut off, and the checker's verdict.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "helpers of tests fail and speak as tests do")]

mod crash_points;
mod hosts;
mod kills;
mod outages;
mod poison;
mod stops;
