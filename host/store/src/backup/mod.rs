//! The whole database in one file, and back again, into either engine.
//!
//! A backup is a consistent snapshot: everything a moment had, nothing that came later, taken while hosts go on working.
//! The file does not depend on the engine, so a backup of a SQLite file restores into PostgreSQL and the other way
//! round. It holds what the database holds, no more: sealed values stay sealed, and secrets of the configuration are not
//! in the database.
//!
//! - [`save`] writes beside the file and renames, so that a backup is there whole or not at all.
//! - [`verify`] checks digest and counts without a database.
//! - [`restore`] takes an empty database, loads everything in one transaction under the schema the backup was made with,
//!   and brings it to this program's.

mod catalog;
mod format;
mod restore;
mod save;

#[cfg(test)]
mod tests;

pub use format::{Contents, Header, verify};
pub use restore::{Restored, restore};
pub use save::{Origin, save};

/// Every table whose rows are saved, parents before children. A test compares the list with both schemas.
const TABLES: &[&str] = &[
    "account",
    "audit",
    "budget",
    "effect",
    "effect_history",
    "event",
    "exception",
    "flow",
    "folder_put",
    "grant_head",
    "grant_record",
    "job",
    "job_attempt",
    "job_done",
    "kv",
    "restore",
    "restore_lift",
    "schedule",
    "schedule_tick",
    "secret",
    "secret_version",
    "tape",
    "tenant_key",
    "tenant_share",
    "vault_key",
];
