//! Opening a database: settings, version, soundness. For a SQLite file also the lock that keeps a second host out.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::error::{StoreError, is_damage};

/// Older versions have a bug that may damage a file whose write-ahead log is reset while being read
/// (sqlite.org/wal.html, "The WAL-reset bug").
const OLDEST_SQLITE: &str = "3.51.3";
/// `server_version_num`: the oldest release PostgreSQL itself still mends.
const OLDEST_POSTGRES: u32 = 140_000;
/// Also how long it may take to notice that a server is back: the pool tries again after a fifth of it at the latest.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;
/// How long a statement waits for another program that holds the file locked.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The log is cut back to this size after a checkpoint.
const WAL_BYTES: &str = "67108864";

pub(crate) struct Connected {
    pub(crate) writer: SqliteConnection,
    pub(crate) readers: SqlitePool,
    pub(crate) lock: File,
}

/// Opens the file for one host.
pub(crate) async fn sqlite(path: &Path) -> Result<Connected, StoreError> {
    let lock = lock(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_BYTES);
    // `query_only`: a read outside a transaction cannot become a write by mistake.
    let reading = options.clone().pragma("query_only", "ON");
    let writing = options.journal_mode(SqliteJournalMode::Wal);

    let mut writer = writing.connect().await.map_err(|err| damaged_or(path, err))?;
    check_version(&mut writer).await?;
    check_soundness(path, &mut writer).await?;
    // Connections are never closed for age: a new one would parse the schema again.
    let readers = SqlitePoolOptions::new()
        .min_connections(0)
        .max_connections(READERS)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(reading)
        .await
        .map_err(|err| damaged_or(path, err))?;
    Ok(Connected { writer, readers, lock })
}

/// Opens a PostgreSQL database, which several hosts may share. `url` is `postgres://user:password@host:port/database`,
/// with `sslmode` and the other options of libpq. `durable`: refuse a server that may lose what it has acknowledged.
pub(crate) async fn postgres(url: &str, connections: u32, durable: bool) -> Result<PgPool, StoreError> {
    let options = postgres_options(url)?;
    // One connection first: the pool would wait for a server that does not come, and not say why.
    let first = reach(&options).await?;
    if let Err(err) = first.close().await {
        tracing::debug!("the first connection did not end well: {err}");
    }
    let pool = PgPoolOptions::new()
        .min_connections(1)
        .max_connections(connections.max(2))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    check_postgres(&pool, durable).await?;
    Ok(pool)
}

/// What connections of this program have in common.
pub(crate) fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(StoreError::BadUrl("it names another kind of database".to_owned()));
    }
    let options: PgConnectOptions = url.parse().map_err(|err: sqlx::Error| StoreError::BadUrl(err.to_string()))?;
    // A commit that is acknowledged is on disk, whatever the server's default is. A transaction that hangs, because
    // its host was stopped, holds rows others wait for: the server ends it.
    Ok(options
        .application_name("wharf")
        .options([("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", "30s")])
        .options([("lock_timeout", "10s"), ("statement_timeout", "60s")])
        // A host whose machine is gone is noticed within half a minute, and not within hours.
        .options([("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")]))
}

/// One connection, or why there is none and what to do about it. Neither the error nor its source has the password.
pub(crate) async fn reach(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    match tokio::time::timeout(ACQUIRE_TIMEOUT, Box::pin(options.connect())).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(err)) => Err(unreachable(options, &err)),
        Err(_) => Err(StoreError::Unreachable {
            server: server(options),
            reason: format!("no answer within {} s", ACQUIRE_TIMEOUT.as_secs()),
            remedy: "check the host and port in `database.url` and what is between here and there",
        }),
    }
}

fn server(options: &PgConnectOptions) -> String {
    let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
    format!("{user}@{host}:{port}/{}", options.get_database().unwrap_or(user))
}

fn unreachable(options: &PgConnectOptions, err: &sqlx::Error) -> StoreError {
    let code = err.as_database_error().and_then(|err| err.code()).unwrap_or_default();
    let remedy = match (code.as_ref(), err) {
        ("28P01" | "28000", _) => {
            "check the user and password in `database.url`, and that `pg_hba.conf` of the server lets this machine in"
        }
        ("3D000", _) => "create the database with `createdb`, then run `wharf migrate`",
        ("53300", _) => "lower `database.connections` or raise `max_connections` of the server",
        ("57P03", _) => "wait until the server has started",
        (_, sqlx::Error::Tls(_)) => "check `sslmode` and `sslrootcert` in `database.url`",
        _ => "check that the server runs, and the host and port in `database.url`",
    };
    StoreError::Unreachable { server: server(options), reason: err.to_string(), remedy }
}

async fn check_postgres(pool: &PgPool, durable: bool) -> Result<(), StoreError> {
    let setting = async |name: &'static str| -> Result<String, StoreError> {
        Ok(sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(pool).await?)
    };
    let version = setting("server_version_num").await?;
    if version.parse::<u32>().unwrap_or(0) < OLDEST_POSTGRES {
        return Err(StoreError::OldPostgres { found: setting("server_version").await?, wanted: "14" });
    }
    for name in ["synchronous_commit", "fsync"] {
        if durable && setting(name).await? != "on" {
            return Err(StoreError::NotDurable { setting: name });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let failed = |at: &Path, source| StoreError::File { path: at.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(|err| failed(directory, err))?;
    }
    let lock_path = lock_path(path);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|err| failed(&lock_path, err))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned(), lock: lock_path }),
        Err(TryLockError::Error(err)) => Err(failed(&lock_path, err)),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".lock");
    PathBuf::from(name)
}

fn damaged_or(path: &Path, err: sqlx::Error) -> StoreError {
    if is_damage(&err) {
        return StoreError::Corrupt { path: path.to_owned(), reason: err.to_string() };
    }
    StoreError::from(err)
}

async fn check_version(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(conn).await?;
    if numbers(&found) < numbers(OLDEST_SQLITE) {
        return Err(StoreError::OldSqlite { found, wanted: OLDEST_SQLITE });
    }
    Ok(())
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Reads every page once, without the slow comparison of tables with their indexes.
async fn check_soundness(path: &Path, conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(conn).await.map_err(|err| damaged_or(path, err))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt { path: path.to_owned(), reason: verdict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Cols;
    use crate::sql::query;
    use crate::testing::House;

    #[tokio::test]
    async fn a_second_host_is_refused_until_the_first_one_closes() {
        let house = House::new().await;
        let refused = house.open_again().await.err().expect("refused");
        assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
        assert!(refused.to_string().contains("wharf.db.lock"), "{refused}");
        house.db.close().await;
        house.open_again().await.expect("free again");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_stops_the_start() {
        let house = House::bare().await;
        house.db.close().await;
        std::fs::write(house.path(), b"this was never a database, and it is longer than a header of one")
            .expect("write");
        let refused = house.open_again().await.err().expect("refused");
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
        assert!(refused.to_string().contains("`wharf restore --config"), "{refused}");
    }

    #[tokio::test]
    async fn a_damaged_page_stops_the_start() {
        let house = House::new().await;
        house.db.close().await;
        let mut bytes = std::fs::read(house.path()).expect("read");
        let half = bytes.len() / 2;
        bytes[half..half + 4096].fill(0x5a);
        std::fs::write(house.path(), bytes).expect("write");
        let refused = house.open_again().await.err().expect("refused");
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
    }

    #[tokio::test]
    async fn the_file_is_opened_with_the_settings_that_keep_it_safe() {
        let house = House::new().await;
        let mut tx = house.db.begin().await.expect("begin");
        let row = query(
            "SELECT journal_mode AS mode, synchronous AS sync, foreign_keys AS keys \
             FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys",
        );
        let row = row.fetch_one(tx.conn()).await.expect("settings");
        let cols = Cols(&row);
        let settings =
            (cols.text("mode").expect("mode"), cols.int("sync").expect("sync"), cols.int("keys").expect("keys"));
        assert_eq!(settings, ("wal".to_owned(), 2, 1));
        drop(tx);
        let refused = query("DELETE FROM job").execute(house.db.reader()).await.expect_err("reader writes");
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }

    #[tokio::test]
    async fn a_server_that_may_lose_a_commit_is_refused() {
        let house = House::bare_postgres().await;
        let refused = postgres(&house.url(), 2, true).await.expect_err("the server of the tests does not sync");
        assert!(matches!(refused, StoreError::NotDurable { setting: "fsync" }), "{refused}");
        let refused = postgres("mysql://x", 2, true).await.expect_err("no such thing");
        assert!(refused.to_string().contains("postgres://user@host:5432/name"), "{refused}");
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_is_told_with_a_remedy_and_without_the_password() {
        let house = House::bare_postgres().await;
        let good: PgConnectOptions = house.url().parse().expect("url");
        let (port, name) = (good.get_port(), good.get_database().expect("name").to_owned());
        for (url, told) in [
            (format!("postgres://postgres:s3cret@127.0.0.1:{port}/{name}"), "`pg_hba.conf`"),
            (house.url().replace(&name, "nowhere"), "`createdb`"),
            (format!("postgres://postgres:s3cret@127.0.0.1:1/{name}"), "that the server runs"),
        ] {
            let password = url.split(':').nth(2).and_then(|rest| rest.split('@').next()).expect("password");
            let refused = postgres(&url, 2, false).await.expect_err("refused");
            let text = format!("{refused} {refused:?}");
            assert!(text.contains(told) && !text.contains(password), "{text}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("3.9.0") < numbers("3.51.3"));
        assert!(numbers("3.51.10") > numbers(OLDEST_SQLITE));
    }
}
