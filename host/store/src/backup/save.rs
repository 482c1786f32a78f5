//! Taking a backup.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use wharf_domain::time::Timestamp;

use super::TABLES;
use super::catalog::{self, Kind};
use super::format::{Contents, FORMAT, Header, Table, Writer};
use crate::error::{StoreError, is_damage};
use crate::row::Cols;
use crate::sql::{Conn, Engine, Row, built, script};
use crate::{connect, migrate};

const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The database to save.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A file. A host may be working on it: its lock is not needed, since nothing is written.
    Sqlite(&'a Path),
    /// `postgres://user:password@host:port/database`.
    Postgres(&'a str),
}

/// A connection inside a transaction that sees one moment.
enum Snapshot {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Saves everything into `file`, which is replaced when it is there. Refuses a schema other than this program's: a
/// database is backed up by the version that works on it.
pub async fn save(
    origin: Origin<'_>,
    file: &Path,
    taken_at: Timestamp,
    host_version: &str,
) -> Result<Contents, StoreError> {
    let mut snapshot = Box::pin(Snapshot::begin(origin)).await?;
    let there = catalog::tables(snapshot.engine(), snapshot.conn()).await?;
    if !there.iter().any(|table| table == "schema_migration") {
        return Err(migrate::not_migrated_at_all());
    }
    migrate::check_on(snapshot.engine(), snapshot.conn()).await?;
    let header = Header {
        wharf_backup: FORMAT,
        engine: snapshot.engine().name().to_owned(),
        schema: migrate::known().into_iter().map(str::to_owned).collect(),
        taken_at,
        host_version: host_version.to_owned(),
    };
    let partial = partial(file);
    let written = write(&mut snapshot, &partial, &header).await;
    snapshot.end().await;
    let rows = written.inspect_err(|_| {
        // What is there of it is of no use; a file that cannot be removed is harmless.
        std::fs::remove_file(&partial).ok();
    })?;
    std::fs::rename(&partial, file).map_err(|source| StoreError::File { path: file.to_owned(), source })?;
    sync_folder(file)?;
    Ok(Contents { header, rows })
}

async fn write(
    snapshot: &mut Snapshot,
    partial: &Path,
    header: &Header,
) -> Result<std::collections::BTreeMap<String, u64>, StoreError> {
    let engine = snapshot.engine();
    let mut writer = Writer::create(partial)?;
    writer.header(header)?;
    for table in TABLES {
        let columns = catalog::columns(engine, snapshot.conn(), table).await?;
        let last = catalog::last_number(engine, snapshot.conn(), table).await?;
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!("SELECT {} FROM {table}", names.join(", "));
        let kinds: Vec<Kind> = columns.iter().map(|(_, kind)| *kind).collect();
        writer.table(&Table { table: (*table).to_owned(), columns, last })?;
        let each = |row: &Row| {
            let values = kinds.iter().enumerate().map(|(index, kind)| value(row, index, *kind));
            writer.row(&values.collect::<Result<Vec<_>, _>>()?)
        };
        Box::pin(built(text).for_each(snapshot.conn(), each)).await?;
    }
    writer.finish()
}

fn value(row: &Row, index: usize, kind: Kind) -> Result<Value, StoreError> {
    let cols = Cols(row);
    Ok(match kind {
        Kind::Int => cols.int_at(index)?.map_or(Value::Null, Value::from),
        Kind::Text => cols.text_at(index)?.map_or(Value::Null, Value::from),
        Kind::Bytes => cols.bytes_at(index)?.map_or(Value::Null, |bytes| STANDARD.encode(bytes).into()),
    })
}

impl Snapshot {
    async fn begin(origin: Origin<'_>) -> Result<Self, StoreError> {
        match origin {
            Origin::Sqlite(path) => {
                let failed = |err: sqlx::Error| match is_damage(&err) {
                    true => StoreError::Corrupt { path: path.to_owned(), reason: err.to_string() },
                    false => StoreError::from(err),
                };
                // Its own words for a missing file are not helpful.
                File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
                let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
                let mut conn = options.connect().await.map_err(failed)?;
                // The moment is that of the first read.
                sqlx::raw_sql("BEGIN; SELECT 1 FROM sqlite_master").execute(&mut conn).await.map_err(failed)?;
                Ok(Self::Sqlite(conn))
            }
            Origin::Postgres(url) => {
                let mut conn = connect::reach(&connect::postgres_options(url)?).await?;
                // A large table takes as long as it takes.
                let text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
                            SET LOCAL idle_in_transaction_session_timeout = 0";
                script(text, Conn::Postgres(&mut conn)).await?;
                Ok(Self::Postgres(conn))
            }
        }
    }

    fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    async fn end(self) {
        let ended = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
        };
        if let Err(err) = ended {
            tracing::debug!("the connection that read the backup did not end well: {err}");
        }
    }
}

fn partial(file: &Path) -> PathBuf {
    let mut name = OsString::from(file.as_os_str());
    name.push(".partial");
    PathBuf::from(name)
}

/// A new name in a folder is there for good only after this.
fn sync_folder(file: &Path) -> Result<(), StoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::File { path: folder.to_owned(), source })
}
