//! The schema, as a list of migrations that only ever grows.

use std::collections::BTreeMap;

use wharf_domain::ids::Digest;

use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Conn, Engine, query, script};

struct Migration {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

impl Migration {
    fn sql(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }

    fn digest(&self, engine: Engine) -> Digest {
        Digest::of(self.sql(engine).as_bytes())
    }
}

macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// Oldest first. A released entry is never edited: its digest is kept in the database and compared.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_spine"),
    migration!("0002_durable_work"),
    migration!("0003_effects"),
    migration!("0004_accounts"),
    migration!("0005_schedules"),
    migration!("0006_secrets"),
    migration!("0007_folders"),
    migration!("0008_budgets"),
    migration!("0009_grants"),
];

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migration \
     (name TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL, applied_at BIGINT NOT NULL)";

pub(crate) async fn migrate(db: &Db) -> Result<Vec<String>, StoreError> {
    let engine = db.engine();
    let mut names = Vec::new();
    loop {
        let mut tx = db.begin().await?;
        keep_others_out(&mut tx).await?;
        query(HISTORY).execute(tx.conn()).await?;
        let applied = applied(tx.conn()).await?;
        let Some(migration) = missing(engine, MIGRATIONS, &applied)?.first().copied() else {
            tx.commit().await?;
            return Ok(names);
        };
        apply(&mut tx, engine, migration).await?;
        tx.commit().await?;
        tracing::info!(migration = migration.name, "applied migration `{}`", migration.name);
        names.push(migration.name.to_owned());
    }
}

/// Two hosts that start at once: the second one finds the work done.
pub(crate) async fn keep_others_out(tx: &mut Tx) -> Result<(), StoreError> {
    match tx.engine() {
        Engine::Sqlite => Ok(()),
        Engine::Postgres => script("SELECT pg_advisory_xact_lock(7215263)", tx.conn()).await,
    }
}

/// Applies these, in the caller's transaction, to a database that has those before them.
pub(crate) async fn apply_in(tx: &mut Tx, names: &[&str]) -> Result<(), StoreError> {
    let engine = tx.engine();
    query(HISTORY).execute(tx.conn()).await?;
    for migration in MIGRATIONS.iter().filter(|migration| names.contains(&migration.name)) {
        apply(tx, engine, migration).await?;
    }
    Ok(())
}

pub(crate) fn not_migrated_at_all() -> StoreError {
    StoreError::NotMigrated { missing: known().first().copied().unwrap_or_default().to_owned() }
}

/// The names of all this program knows, oldest first.
pub(crate) fn known() -> Vec<&'static str> {
    MIGRATIONS.iter().map(|migration| migration.name).collect()
}

pub(crate) async fn check(db: &Db) -> Result<(), StoreError> {
    let look = match db.engine() {
        Engine::Sqlite => "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'",
        Engine::Postgres => "SELECT 1 AS found WHERE to_regclass('schema_migration') IS NOT NULL",
    };
    if query(look).fetch_optional(db.reader()).await?.is_none() {
        return Err(not_migrated_at_all());
    }
    check_on(db.engine(), db.reader()).await
}

/// Like [`check`], for a database that has a history.
pub(crate) async fn check_on(engine: Engine, conn: Conn<'_>) -> Result<(), StoreError> {
    match missing(engine, MIGRATIONS, &applied(conn).await?)?.first() {
        Some(first) => Err(StoreError::NotMigrated { missing: first.name.to_owned() }),
        None => Ok(()),
    }
}

async fn apply(tx: &mut Tx, engine: Engine, migration: &Migration) -> Result<(), StoreError> {
    script(migration.sql(engine), tx.conn()).await?;
    let now = tx.now().millis();
    query("INSERT INTO schema_migration (name, digest, applied_at) VALUES ($1, $2, $3)")
        .bind(migration.name)
        .bind(migration.digest(engine).as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Name and digest of what the database has.
async fn applied(conn: Conn<'_>) -> Result<BTreeMap<String, String>, StoreError> {
    let rows = query("SELECT name, digest FROM schema_migration ORDER BY name").fetch_all(conn).await?;
    rows.iter().map(|row| Ok((Cols(row).text("name")?, Cols(row).text("digest")?))).collect()
}

/// What of `known` is not applied yet; an error when the file has something this program does not.
fn missing<'m>(
    engine: Engine,
    known: &'m [Migration],
    applied: &BTreeMap<String, String>,
) -> Result<Vec<&'m Migration>, StoreError> {
    if let Some(name) = applied.keys().find(|name| known.iter().all(|migration| migration.name != name.as_str())) {
        return Err(StoreError::NewerSchema { name: name.clone() });
    }
    let mut missing = Vec::new();
    for migration in known {
        match applied.get(migration.name) {
            None => missing.push(migration),
            Some(digest) if digest != migration.digest(engine).as_str() => {
                return Err(StoreError::ChangedMigration { name: migration.name.to_owned() });
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, both};

    async fn says_what_to_run_and_migrates_once(house: House) {
        let refused = house.db.check_schema().await.expect_err("not migrated");
        assert!(refused.to_string().contains("run `wharf migrate`"), "{refused}");
        let all: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        assert_eq!(house.db.migrate().await.expect("migrate"), all);
        assert_eq!(house.db.migrate().await.expect("again"), Vec::<String>::new());
        house.db.check_schema().await.expect("fits");
    }

    #[tokio::test]
    async fn a_fresh_file_says_what_to_run_and_migrates_once() {
        says_what_to_run_and_migrates_once(House::bare().await).await;
    }

    #[tokio::test]
    async fn a_fresh_server_says_what_to_run_and_migrates_once() {
        says_what_to_run_and_migrates_once(House::bare_postgres().await).await;
    }

    both! {
        async fn a_database_of_a_newer_version_is_left_alone(house) {
            house.run("INSERT INTO schema_migration VALUES ('0099_later', 'sha256:0', 0)").await.expect("insert");
            let refused = house.db.check_schema().await.expect_err("newer");
            assert!(matches!(refused, StoreError::NewerSchema { ref name } if name == "0099_later"), "{refused}");
            assert!(house.db.migrate().await.is_err());
        }
    }

    #[test]
    fn a_migration_that_was_edited_is_refused() {
        let known = [Migration { name: "0001_a", sqlite: "SELECT 1", postgres: "SELECT 3" }];
        let applied = BTreeMap::from([("0001_a".to_owned(), Digest::of(b"SELECT 2").as_str().to_owned())]);
        let refused = missing(Engine::Sqlite, &known, &applied).err().expect("refused");
        assert!(matches!(refused, StoreError::ChangedMigration { .. }), "{refused}");
    }

    #[test]
    fn migrations_are_listed_in_order_and_every_file_of_both_engines_is_listed() {
        let listed: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        for engine in ["sqlite", "postgres"] {
            let folder = format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .expect("folder")
                .map(|file| file.expect("file").file_name().to_string_lossy().trim_end_matches(".sql").to_owned())
                .collect();
            files.sort();
            assert_eq!(listed, files, "{engine}");
        }
    }
}
