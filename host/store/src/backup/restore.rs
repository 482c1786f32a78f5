//! Putting a backup into an empty database.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wharf_domain::ctx::Actor;
use wharf_domain::ids::TenantId;

use super::catalog::{self, Kind};
use super::format::{Contents, Header, Line, Reader, Table, verify};
use crate::db::{Db, Tx};
use crate::effects::{self, Held};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Bind, Engine, built, query, script};
use crate::{audit, migrate};

/// Rows of one statement, and about how many bytes of them.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// Far more than a host can have claimed or created between the backup and its end.
const NEW_LIFE: i64 = 1 << 20;

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub contents: Contents,
    /// Migrations applied after loading, because the backup is older than this program.
    pub migrated: Vec<String>,
    /// Jobs that ran when the backup was taken; they are taken up again.
    pub interrupted: u64,
    /// What is looked up at the partners before anything is sent.
    pub held: Held,
}

/// Restores `file` into a database without tables, in one transaction: all of it is there, or nothing is. The file is
/// read twice; the first time only to check it.
pub async fn restore(db: &Db, actor: &Actor, file: &Path) -> Result<Restored, StoreError> {
    let contents = verify(file)?;
    let mut reader = Reader::open(file)?;
    let newer = newer_schema(&reader)?;
    let mut tx = db.begin().await?;
    migrate::keep_others_out(&mut tx).await?;
    refuse_unless_empty(&mut tx).await?;
    if tx.engine() == Engine::Postgres {
        script("SET LOCAL statement_timeout = 0", tx.conn()).await?;
    }
    let schema: Vec<&str> = contents.header.schema.iter().map(String::as_str).collect();
    migrate::apply_in(&mut tx, &schema).await?;
    load(&mut tx, &mut reader).await?;
    if reader.contents() != contents {
        return Err(StoreError::BadBackup { path: file.to_owned(), reason: "it was changed meanwhile".to_owned() });
    }
    migrate::apply_in(&mut tx, &newer).await?;
    let interrupted = after_restore(&mut tx, actor, &contents.header).await?;
    let held = effects::hold_after_restore(&mut tx, actor, contents.header.taken_at).await?;
    tx.commit().await?;
    Ok(Restored { contents, migrated: newer.into_iter().map(str::to_owned).collect(), interrupted, held })
}

/// What this program has beyond the backup; an error when the backup has something else.
fn newer_schema(reader: &Reader) -> Result<Vec<&'static str>, StoreError> {
    let (known, header) = (migrate::known(), reader.header());
    let unknown = header.schema.iter().enumerate().find(|(at, name)| known.get(*at) != Some(&name.as_str()));
    if let Some((_, name)) = unknown {
        return Err(reader.bad(format!(
            "its schema has `{name}`, which is not known here: restore it with Wharf {} or later",
            header.host_version
        )));
    }
    Ok(known.into_iter().skip(header.schema.len()).collect())
}

async fn refuse_unless_empty(tx: &mut Tx) -> Result<(), StoreError> {
    let engine = tx.engine();
    let Some(table) = catalog::tables(engine, tx.conn()).await?.into_iter().next() else { return Ok(()) };
    let remedy = match engine {
        Engine::Sqlite => "Stop the host and move `wharf.db`, `wharf.db-wal` and `wharf.db-shm` away, then repeat",
        Engine::Postgres => "Create a new database with `createdb`, name it in `database.url`, then repeat",
    };
    Err(StoreError::NotEmpty { table, remedy })
}

async fn load(tx: &mut Tx, reader: &mut Reader) -> Result<(), StoreError> {
    let engine = tx.engine();
    let mut missing = catalog::tables(engine, tx.conn()).await?;
    missing.retain(|table| table != "schema_migration");
    let mut current: Option<Batch> = None;
    loop {
        let line = reader.next()?;
        if let Line::Row(row) = line {
            let Some(batch) = &mut current else { return Err(reader.bad("a row stands before the first table")) };
            batch.add(&row).map_err(|reason| reader.bad(reason))?;
            if batch.is_full() {
                batch.store(tx).await?;
            }
            continue;
        }
        if let Some(mut batch) = current.take() {
            batch.store(tx).await?;
            if let Some(last) = batch.table.last {
                catalog::number_after(tx, &batch.table.table, last).await?;
            }
        }
        match line {
            Line::Table(table) => {
                let mut columns = catalog::columns(engine, tx.conn(), &table.table).await?;
                let mut saved = table.columns.clone();
                columns.sort();
                saved.sort();
                if !missing.contains(&table.table) || columns != saved {
                    return Err(reader.bad(format!("its table `{}` is not that of its schema", table.table)));
                }
                missing.retain(|name| *name != table.table);
                current = Some(Batch { table, values: Vec::new(), rows: 0, bytes: 0 });
            }
            Line::Row(_) | Line::End => break,
        }
    }
    match missing.first() {
        Some(table) => Err(reader.bad(format!("the table `{table}` is missing"))),
        None => Ok(()),
    }
}

/// Rows of one table that are stored with one statement.
struct Batch {
    table: Table,
    values: Vec<Bind>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, row: &[Value]) -> Result<(), String> {
        let columns = &self.table.columns;
        if row.len() != columns.len() {
            return Err(format!(
                "a row of `{}` has {} values for {} columns",
                self.table.table,
                row.len(),
                columns.len()
            ));
        }
        for ((name, kind), value) in columns.iter().zip(row) {
            let bind = bind(*kind, value).ok_or_else(|| format!("`{}.{name}` holds {value}", self.table.table))?;
            self.bytes += value.as_str().map_or(8, str::len);
            self.values.push(bind);
        }
        self.rows += 1;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH || self.bytes >= BATCH_BYTES
    }

    async fn store(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.rows == 0 {
            return Ok(());
        }
        let width = self.table.columns.len();
        // SQLite looks a numbered place up by its name, one after the other: with hundreds of them that is all it does.
        let place = |number: usize| match tx.engine() {
            Engine::Sqlite => "?".to_owned(),
            Engine::Postgres => format!("${number}"),
        };
        let row = |row: usize| {
            let numbers: Vec<String> = (1..=width).map(|column| place(row * width + column)).collect();
            format!("({})", numbers.join(", "))
        };
        let rows: Vec<String> = (0..self.rows).map(row).collect();
        let names: Vec<&str> = self.table.columns.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!("INSERT INTO {} ({}) VALUES {}", self.table.table, names.join(", "), rows.join(", "));
        built(text).bind_all(std::mem::take(&mut self.values)).execute(tx.conn()).await?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// `None` when the value is not of this kind.
fn bind(kind: Kind, value: &Value) -> Option<Bind> {
    let absent = value.is_null();
    Some(match kind {
        Kind::Int if absent => Bind::Int(None),
        Kind::Text if absent => Bind::Text(None),
        Kind::Bytes if absent => Bind::Bytes(None),
        Kind::Int => Bind::Int(Some(value.as_i64()?)),
        Kind::Text => Bind::Text(Some(value.as_str()?.to_owned())),
        Kind::Bytes => Bind::Bytes(Some(STANDARD.decode(value.as_str()?).ok()?)),
    })
}

/// The life of the database the backup was taken from has gone on, and nobody here knows how. Its leases are void: what
/// ran is taken up again, and fences and job numbers jump, so that what a host of the old life still holds does not fit.
/// A job that was never claimed stays one: fence 0 says that it may be replaced or withdrawn. Every tenant's audit says
/// that its past was replaced.
async fn after_restore(tx: &mut Tx, actor: &Actor, header: &Header) -> Result<u64, StoreError> {
    let interrupted = query("UPDATE job SET lease_until = 0 WHERE state = 'running'").execute(tx.conn()).await?;
    query("UPDATE job SET fence = fence + $1 WHERE fence > 0").bind(NEW_LIFE).execute(tx.conn()).await?;
    let last = catalog::last_number(tx.engine(), tx.conn(), "job").await?.unwrap_or_default();
    catalog::number_after(tx, "job", last + NEW_LIFE).await?;
    let detail = json!({ "taken_at": header.taken_at, "engine": header.engine, "host_version": header.host_version });
    for tenant in tenants(tx).await? {
        audit::append(tx, actor, &tenant, "database.restored", "database", &detail).await?;
    }
    Ok(interrupted)
}

/// Everybody something is stored for.
async fn tenants(tx: &mut Tx) -> Result<Vec<TenantId>, StoreError> {
    let text = "SELECT tenant FROM audit UNION SELECT tenant FROM event UNION SELECT tenant FROM flow \
                UNION SELECT tenant FROM job UNION SELECT tenant FROM effect ORDER BY tenant";
    let rows = query(text).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Cols(row).tenant()).collect()
}
