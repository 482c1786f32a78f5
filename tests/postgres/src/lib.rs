//! A throw-away PostgreSQL server for tests and benchmarks, from the binaries on this machine.
//!
//! Contract: nothing is asked of the machine but Debian's package `postgresql`; nobody's own server is touched; nothing
//! stays. Two ways to have one:
//!
//! - [`Server::shared`]: one fast server for all test processes of a target folder, since `initdb` for each of hundreds
//!   of tests would cost a second each. A test asks it for a [`Database`] of its own.
//! - [`Server::start`]: one for whoever stops, freezes or measures it.
//!
//! **How a shared server ends.** Every process that uses a server holds a shared lock on a file for as long as it lives;
//! the kernel gives the lock back however the process ends. A shell beside the server (`watch.sh`) waits for the
//! exclusive lock, waits for [`GRACE`] more, and when there is still nobody it stops the server and deletes its folder.
//! The same shell watches a server of one's own, with a grace of two seconds. So at most some 25 seconds after the last
//! user is gone, `kill -9` included, nothing runs any more. Whoever comes in the moment of stopping starts a new server.
//!
//! **Who may connect.** Only this machine, with a random password that is in a file of its owner's alone.
//!
//! **As root** the server runs as user `postgres` or `nobody`, since PostgreSQL refuses root.
//!
//! Text sorts by bytes (locale `C`): the only locale every machine has.

mod account;
mod database;
mod home;
mod programs;
mod server;
mod settings;
mod shared;

pub use database::Database;
pub use programs::installed;
pub use server::Server;
pub use settings::Settings;
pub use shared::GRACE;
