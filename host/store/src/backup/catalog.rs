//! What the catalog of a database says about tables and columns. The engines have catalogs of their own, so their
//! statements are written twice here.

use serde::{Deserialize, Serialize};

use crate::db::Tx;
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Conn, Engine, query};

/// What a column holds. The schema uses these three and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Int,
    Text,
    Bytes,
}

/// Names of all tables, in order.
pub(super) async fn tables(engine: Engine, conn: Conn<'_>) -> Result<Vec<String>, StoreError> {
    let text = match engine {
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
        }
        Engine::Postgres => {
            "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY name"
        }
    };
    let rows = query(text).fetch_all(conn).await?;
    rows.iter().map(|row| Cols(row).text("name")).collect()
}

/// A table's columns, in their order. Empty when there is no such table.
pub(super) async fn columns(engine: Engine, conn: Conn<'_>, table: &str) -> Result<Vec<(String, Kind)>, StoreError> {
    let text = match engine {
        Engine::Sqlite => "SELECT name, lower(type) AS kind FROM pragma_table_info($1) ORDER BY cid",
        Engine::Postgres => {
            "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS kind FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let rows = query(text).bind(table).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let kind = Cols(row).parse("kind", |kind| match kind {
                "integer" | "bigint" => Ok(Kind::Int),
                "text" => Ok(Kind::Text),
                "blob" | "bytea" => Ok(Kind::Bytes),
                other => Err(format!("a column of `{table}` is `{other}`, which is not portable")),
            })?;
            Ok((Cols(row).text("name")?, kind))
        })
        .collect()
}

/// The last number a table's `seq` was given; `None` for a table without one.
pub(super) async fn last_number(engine: Engine, conn: Conn<'_>, table: &str) -> Result<Option<i64>, StoreError> {
    let text = match engine {
        Engine::Sqlite => {
            "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = $1), 0) AS last FROM sqlite_master \
             WHERE type = 'table' AND name = $1 AND sql LIKE '%AUTOINCREMENT%'"
        }
        Engine::Postgres => {
            "SELECT COALESCE(pg_sequence_last_value(CAST(pg_get_serial_sequence($1, 'seq') AS regclass)), 0) AS last \
             FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'"
        }
    };
    let row = query(text).bind(table).fetch_optional(conn).await?;
    row.map(|row| Cols(&row).int("last")).transpose()
}

/// From now on a table's `seq` goes on after `last`.
pub(super) async fn number_after(tx: &mut Tx, table: &str, last: i64) -> Result<(), StoreError> {
    if last < 1 {
        return Ok(());
    }
    if tx.engine() == Engine::Postgres {
        let text = "SELECT setval(pg_get_serial_sequence($1, 'seq'), $2)";
        query(text).bind(table).bind(last).fetch_one(tx.conn()).await?;
        return Ok(());
    }
    let text = "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1";
    if query(text).bind(table).bind(last).execute(tx.conn()).await? == 0 {
        let text = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
        query(text).bind(table).bind(last).execute(tx.conn()).await?;
    }
    Ok(())
}
