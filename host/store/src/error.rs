//! What can go wrong between the host and its database.

use std::path::PathBuf;

use sqlx::error::DatabaseError as _;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;
use thiserror::Error;
use wharf_domain::effect::EffectState;
use wharf_domain::ids::{EffectId, FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;

/// A failure of the store. `LostLease`, `Moved` and `Stale` mean that someone else was faster: drop the work, the
/// winner does it. `Conflict` and `RolledBack` ask for the same transaction once more. `Full`, `Crowded`, `InDoubt` and
/// `Sql` may pass; the others need a person.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the database is not migrated: `{missing}` is missing; run `wharf migrate`")]
    NotMigrated { missing: String },
    #[error("the database was migrated by a newer version: `{name}` is not known here; start that version")]
    NewerSchema { name: String },
    #[error("migration `{name}` was changed after it was applied; a released migration is never edited")]
    ChangedMigration { name: String },
    #[error("the database `{}` is in use by another host (lock file `{}`); stop it first", path.display(), lock.display())]
    Locked { path: PathBuf, lock: PathBuf },
    #[error("the database `{}` is damaged: {reason}; move the file away together with its `-wal` and `-shm`, then run `wharf restore --config wharf.toml FILE` with the latest backup", path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error("SQLite {found} is too old; at least {wanted} is needed")]
    OldSqlite { found: String, wanted: &'static str },
    #[error("PostgreSQL {found} is too old; at least {wanted} is needed")]
    OldPostgres { found: String, wanted: &'static str },
    #[error("the PostgreSQL server runs with `{setting} = off`, so a commit may be lost; set it to `on`")]
    NotDurable { setting: &'static str },
    #[error("cannot reach PostgreSQL at `{server}`: {reason}; {remedy}")]
    Unreachable { server: String, reason: String, remedy: &'static str },
    #[error(
        "another live host is called `{name}`; give this one another `server.name`, or wait half a minute if that machine is gone"
    )]
    NameTaken { name: String },
    #[error("the backup `{}` cannot be used: {reason}", path.display())]
    BadBackup { path: PathBuf, reason: String },
    #[error(
        "the database is not empty: it has the table `{table}`; a backup is restored into an empty one only. {remedy}"
    )]
    NotEmpty { table: String, remedy: &'static str },
    #[error("`database.url` is no PostgreSQL URL: {0}; write `postgres://user@host:5432/name`")]
    BadUrl(String),
    #[error("two transactions waited for each other and this one gave way: nothing was written; repeat it")]
    Conflict,
    #[error("a job of kind `{kind}` is the result of more than {most} jobs that caused one another; break the chain")]
    TooDeep { kind: String, most: u32 },
    #[error("one job wants more than {most} others to follow it; let it do its work in parts")]
    TooManyFollow { most: u32 },
    #[error(
        "`{source_name}` of tenant `{tenant}` has {most} jobs waiting already; work them off or cancel some, then repeat"
    )]
    Crowded { tenant: TenantId, source_name: String, most: u32 },
    #[error("a timer of `{source_name}` would ring {}; use {rule}", asked)]
    Timer { source_name: String, asked: Timestamp, rule: &'static str },
    #[error("the jobs that were finished together could not be stored: {0}")]
    Batch(String),
    #[error("a job of kind `{kind}` has a lane, a coalesce key or a source; add it by itself")]
    NotUnordered { kind: String },
    #[error("the database is closed")]
    Closed,
    #[error("the transaction was rolled back together with others: nothing was written; repeat it")]
    RolledBack,
    #[error("the commit was cut off: nobody knows whether it was written; look before repeating it")]
    InDoubt,
    #[error("failed to use `{}`: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the disk is full: nothing was written; free space and repeat")]
    Full,
    #[error("another program holds the database file locked: nothing was written; end what it does, then repeat")]
    FileBusy,
    #[error("the lease of job `{job}` was lost: another worker has it")]
    LostLease { job: JobId },
    #[error("effect `{effect}` is `{}` by now", now.as_str())]
    Moved { effect: EffectId, now: EffectState },
    #[error("an effect may not go from `{}` to `{}`", from.as_str(), to.as_str())]
    Forbidden { from: EffectState, to: EffectState },
    #[error("flow `{key}` was changed meanwhile: it is no longer at version {expected}")]
    Stale { key: FlowKey, expected: i64 },
    #[error("the {what} `{id}` does not exist")]
    NotFound { what: &'static str, id: String },
    #[error("the {what} `{id}` is {state}: {rule}")]
    Refused { what: &'static str, id: String, state: String, rule: &'static str },
    #[error("{wanted} bytes of key-value storage are needed but `{connection}` has {quota}; raise `kv_bytes`")]
    OverQuota { connection: String, wanted: u64, quota: u64 },
    #[error("column `{column}` holds a value this version cannot read: {reason}")]
    Decode { column: &'static str, reason: String },
    #[error("failed to write a value as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the database failed: {0}")]
    Sql(#[source] sqlx::Error),
}

/// Primary result codes of SQLite (sqlite.org/rescode.html).
const SQLITE_BUSY: i32 = 5;
const SQLITE_FULL: i32 = 13;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// SQLSTATEs of PostgreSQL (appendix A of its manual).
pub(crate) const POSTGRES_LOCKED: &str = "55P03";
const POSTGRES_FULL: &str = "53100";
/// Deadlock, serialization failure, lock not available.
const POSTGRES_CONFLICT: [&str; 3] = ["40P01", "40001", POSTGRES_LOCKED];

/// The primary result code of SQLite; the extended one has more bits above the lowest eight.
fn primary_code(err: &sqlx::Error) -> Option<i32> {
    let err = err.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    err.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

/// Does this error say that the file is not a sound database?
pub(crate) fn is_damage(err: &sqlx::Error) -> bool {
    matches!(primary_code(err), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

impl From<sqlx::Error> for StoreError {
    fn from(err: sqlx::Error) -> Self {
        match primary_code(&err) {
            Some(SQLITE_FULL) => return Self::Full,
            Some(SQLITE_BUSY) => return Self::FileBusy,
            _ => {}
        }
        let postgres = err.as_database_error().and_then(|err| err.try_downcast_ref::<PgDatabaseError>());
        match postgres.map(PgDatabaseError::code) {
            Some(POSTGRES_FULL) => Self::Full,
            Some(code) if POSTGRES_CONFLICT.contains(&code) => Self::Conflict,
            _ if matches!(err, sqlx::Error::PoolClosed) => Self::Closed,
            _ => Self::Sql(err),
        }
    }
}
