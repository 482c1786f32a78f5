//! One SQL text for both engines, and what runs it.
//!
//! A statement is written once. Where the engines differ, the text holds one of a few named fragments in braces, which
//! is replaced once per engine ([`Text`]). Values are bound as integers, texts or bytes and nothing else; rows are read
//! by column name ([`crate::row::Cols`]).

use std::sync::OnceLock;

use futures::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Sqlite};

use crate::error::StoreError;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// Fragment, its SQLite text, its PostgreSQL text. SQLite has one writer: what a transaction has read stays true until
/// it ends, so there is nothing to lock.
const FRAGMENTS: [(&str, &str, &str); 8] = [
    // Rows another transaction holds are passed over.
    ("{skip_locked}", "", "FOR UPDATE SKIP LOCKED"),
    // Nobody else may change what was read.
    ("{for_update}", "", "FOR UPDATE"),
    // What was read stays as it is; others may read it too.
    ("{for_share}", "", "FOR SHARE"),
    // The elements of a JSON array, the first bind, as `e.value`.
    ("{each}", "json_each($1) AS e", "jsonb_array_elements(CAST($1 AS jsonb)) AS e(value)"),
    ("{for_update_of_job}", "", "FOR UPDATE OF job"),
    // Parts of a recorded request; absent when there is none. PostgreSQL reads no JSON with an escaped zero in it, which a
    // partner may send; within a text of it the quotes would be escaped, so no body looks like the member.
    (
        "{tape_method}",
        "json_extract(exchange, '$.request.method')",
        r#"substring(exchange FROM '"method":"([A-Z]+)"')"#,
    ),
    ("{tape_uri}", "json_extract(exchange, '$.request.uri')", r#"substring(exchange FROM '"uri":"([^"\\]*)"')"#),
    // Milliseconds since 1970 by the clock of the database; only for engines with several hosts.
    ("{clock}", "NULL", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
];

/// A statement with fragments. Lives in a `static`.
pub(crate) struct Text {
    template: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Text {
    pub(crate) const fn new(template: &'static str) -> Self {
        Self { template, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    pub(crate) fn on(&'static self, engine: Engine) -> &'static str {
        let replaced = |which: fn(&(&str, &'static str, &'static str)) -> &'static str| {
            FRAGMENTS.iter().fold(self.template.to_owned(), |text, row| text.replace(row.0, which(row)))
        };
        match engine {
            Engine::Sqlite => self.sqlite.get_or_init(|| replaced(|row| row.1)),
            Engine::Postgres => self.postgres.get_or_init(|| replaced(|row| row.2)),
        }
    }
}

/// Where the text of a query comes from.
pub(crate) enum Source {
    Plain(&'static str),
    Text(&'static Text),
    /// Put together from names the catalog of the database gave.
    Built(String),
}

impl From<&'static str> for Source {
    fn from(text: &'static str) -> Self {
        Self::Plain(text)
    }
}

impl From<&'static Text> for Source {
    fn from(text: &'static Text) -> Self {
        Self::Text(text)
    }
}

impl Source {
    fn on(&self, engine: Engine) -> SqlStr {
        match self {
            Self::Plain(text) => text.into_sql_str(),
            Self::Text(text) => AssertSqlSafe(text.on(engine)).into_sql_str(),
            Self::Built(text) => AssertSqlSafe(text.clone()).into_sql_str(),
        }
    }
}

/// A value for a `$n`.
#[derive(Debug, Clone)]
pub(crate) enum Bind {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! binds {
    ($($from:ty => |$value:ident| $bind:expr;)+) => {
        $(impl From<$from> for Bind {
            fn from($value: $from) -> Self {
                $bind
            }
        })+
    };
}

binds! {
    i64 => |value| Self::Int(Some(value));
    Option<i64> => |value| Self::Int(value);
    &str => |value| Self::Text(Some(value.to_owned()));
    String => |value| Self::Text(Some(value));
    &String => |value| Self::Text(Some(value.clone()));
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
    Option<String> => |value| Self::Text(value);
    &Option<String> => |value| Self::Text(value.clone());
    &[u8] => |value| Self::Bytes(Some(value.to_owned()));
}

/// A statement and its values.
pub(crate) struct Query {
    source: Source,
    binds: Vec<Bind>,
}

pub(crate) fn query(source: impl Into<Source>) -> Query {
    Query { source: source.into(), binds: Vec::new() }
}

/// A text that is built at run time. Only names from the catalog may go into it; values are bound.
pub(crate) fn built(text: String) -> Query {
    Query { source: Source::Built(text), binds: Vec::new() }
}

/// One row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a statement runs on: the transaction's connection, or any connection that only reads.
pub(crate) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    SqliteReaders(&'c SqlitePool),
    Postgres(&'c mut PgConnection),
    PostgresPool(&'c PgPool),
    Closed,
}

/// Expands to the query of one engine with its values bound.
macro_rules! bound {
    ($query:expr, $db:ty, $engine:expr) => {{
        let Query { source, binds } = $query;
        let mut query = sqlx::query::<$db>(source.on($engine));
        for bind in binds {
            query = match bind {
                Bind::Int(value) => query.bind(value),
                Bind::Text(value) => query.bind(value),
                Bind::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

/// Runs a method of the bound query on whichever connection it is, and wraps what comes of it. Boxed: the drivers'
/// futures are large, and every function above would carry all four of them.
macro_rules! run {
    ($query:expr, $conn:expr, $method:ident, $sqlite:expr, $postgres:expr) => {
        match $conn {
            Conn::Sqlite(conn) => Box::pin(bound!($query, Sqlite, Engine::Sqlite).$method(conn)).await.map($sqlite),
            Conn::SqliteReaders(pool) => {
                Box::pin(bound!($query, Sqlite, Engine::Sqlite).$method(pool)).await.map($sqlite)
            }
            Conn::Postgres(conn) => {
                Box::pin(bound!($query, Postgres, Engine::Postgres).$method(conn)).await.map($postgres)
            }
            Conn::PostgresPool(pool) => {
                Box::pin(bound!($query, Postgres, Engine::Postgres).$method(pool)).await.map($postgres)
            }
            Conn::Closed => Err(sqlx::Error::PoolClosed),
        }
    };
}

impl Query {
    pub(crate) fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.binds.push(value.into());
        self
    }

    /// Exactly one row.
    pub(crate) async fn fetch_one(self, conn: Conn<'_>) -> Result<Row, StoreError> {
        Ok(run!(self, conn, fetch_one, Row::Sqlite, Row::Postgres)?)
    }

    pub(crate) async fn fetch_optional(self, conn: Conn<'_>) -> Result<Option<Row>, StoreError> {
        Ok(run!(self, conn, fetch_optional, |row| row.map(Row::Sqlite), |row| row.map(Row::Postgres))?)
    }

    pub(crate) async fn fetch_all(self, conn: Conn<'_>) -> Result<Vec<Row>, StoreError> {
        Ok(run!(self, conn, fetch_all, |rows| rows.into_iter().map(Row::Sqlite).collect(), |rows| rows
            .into_iter()
            .map(Row::Postgres)
            .collect())?)
    }

    pub(crate) fn bind_all(mut self, values: impl IntoIterator<Item = Bind>) -> Self {
        self.binds.extend(values);
        self
    }

    /// Row by row, without holding more than a few of them. For one connection.
    pub(crate) async fn for_each(
        self,
        conn: Conn<'_>,
        mut each: impl FnMut(&Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match conn {
            Conn::Sqlite(conn) => {
                let mut rows = bound!(self, Sqlite, Engine::Sqlite).fetch(conn);
                while let Some(row) = rows.try_next().await? {
                    each(&Row::Sqlite(row))?;
                }
            }
            Conn::Postgres(conn) => {
                let mut rows = bound!(self, Postgres, Engine::Postgres).fetch(conn);
                while let Some(row) = rows.try_next().await? {
                    each(&Row::Postgres(row))?;
                }
            }
            Conn::SqliteReaders(_) | Conn::PostgresPool(_) | Conn::Closed => return Err(StoreError::Closed),
        }
        Ok(())
    }

    /// How many rows were changed.
    pub(crate) async fn execute(self, conn: Conn<'_>) -> Result<u64, StoreError> {
        Ok(run!(self, conn, execute, |done| done.rows_affected(), |done| done.rows_affected())?)
    }
}

/// Several statements in one text, without values.
pub(crate) async fn script(text: &'static str, conn: Conn<'_>) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(conn) => sqlx::raw_sql(text).execute(conn).await.map(drop)?,
        Conn::SqliteReaders(pool) => sqlx::raw_sql(text).execute(pool).await.map(drop)?,
        Conn::Postgres(conn) => sqlx::raw_sql(text).execute(conn).await.map(drop)?,
        Conn::PostgresPool(pool) => sqlx::raw_sql(text).execute(pool).await.map(drop)?,
        Conn::Closed => return Err(StoreError::Closed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    static CLAIM: Text = Text::new("SELECT seq FROM job, {each} {skip_locked}");

    #[test]
    fn a_text_differs_between_the_engines_only_in_its_fragments() {
        assert_eq!(CLAIM.on(Engine::Sqlite), "SELECT seq FROM job, json_each($1) AS e ");
        assert_eq!(
            CLAIM.on(Engine::Postgres),
            "SELECT seq FROM job, jsonb_array_elements(CAST($1 AS jsonb)) AS e(value) FOR UPDATE SKIP LOCKED"
        );
    }
}
