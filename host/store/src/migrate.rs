//! The schema, as a list of migrations that only ever grows.

use std::collections::BTreeMap;

use wharf_domain::ids::Digest;

use crate::db::{Db, Tx};
use crate::error::StoreError;

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Oldest first. A released entry is never edited: its digest is kept in the database and compared.
const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_spine", sql: include_str!("../migrations/sqlite/0001_spine.sql") }];

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migration \
     (name TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL, applied_at BIGINT NOT NULL)";

pub(crate) async fn migrate(db: &Db) -> Result<Vec<String>, StoreError> {
    let mut tx = db.begin().await?;
    sqlx::query(HISTORY).execute(tx.conn()).await?;
    tx.commit().await?;
    let applied = applied(db).await?;
    let missing = missing(MIGRATIONS, &applied)?;
    let mut names = Vec::with_capacity(missing.len());
    for migration in missing {
        let mut tx = db.begin().await?;
        apply(&mut tx, migration).await?;
        tx.commit().await?;
        tracing::info!(migration = migration.name, "applied migration `{}`", migration.name);
        names.push(migration.name.to_owned());
    }
    Ok(names)
}

pub(crate) async fn check(db: &Db) -> Result<(), StoreError> {
    let fresh: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'")
            .fetch_optional(db.reader())
            .await?;
    let applied = if fresh.is_some() { applied(db).await? } else { BTreeMap::new() };
    match missing(MIGRATIONS, &applied)?.first() {
        Some(first) => Err(StoreError::NotMigrated { missing: first.name.to_owned() }),
        None => Ok(()),
    }
}

async fn apply(tx: &mut Tx, migration: &Migration) -> Result<(), StoreError> {
    sqlx::raw_sql(migration.sql).execute(tx.conn()).await?;
    let now = tx.now().millis();
    sqlx::query("INSERT INTO schema_migration (name, digest, applied_at) VALUES ($1, $2, $3)")
        .bind(migration.name)
        .bind(Digest::of(migration.sql.as_bytes()).as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Name and digest of what the file has.
async fn applied(db: &Db) -> Result<BTreeMap<String, String>, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT name, digest FROM schema_migration ORDER BY name").fetch_all(db.reader()).await?;
    Ok(rows.into_iter().collect())
}

/// What of `known` is not applied yet; an error when the file has something this program does not.
fn missing<'m>(known: &'m [Migration], applied: &BTreeMap<String, String>) -> Result<Vec<&'m Migration>, StoreError> {
    if let Some(name) = applied.keys().find(|name| known.iter().all(|migration| migration.name != name.as_str())) {
        return Err(StoreError::NewerSchema { name: name.clone() });
    }
    let mut missing = Vec::new();
    for migration in known {
        match applied.get(migration.name) {
            None => missing.push(migration),
            Some(digest) if digest != Digest::of(migration.sql.as_bytes()).as_str() => {
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
    use crate::testing::House;

    #[tokio::test]
    async fn a_fresh_file_says_what_to_run_and_migrates_once() {
        let house = House::bare().await;
        let refused = house.db.check_schema().await.expect_err("not migrated");
        assert!(refused.to_string().contains("run `wharf migrate`"), "{refused}");
        assert_eq!(house.db.migrate().await.expect("migrate"), ["0001_spine"]);
        assert_eq!(house.db.migrate().await.expect("again"), Vec::<String>::new());
        house.db.check_schema().await.expect("fits");
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_is_left_alone() {
        let house = House::new().await;
        let mut tx = house.db.begin().await.expect("begin");
        sqlx::query("INSERT INTO schema_migration VALUES ('0099_later', 'sha256:0', 0)")
            .execute(tx.conn())
            .await
            .expect("insert");
        tx.commit().await.expect("commit");
        let refused = house.db.check_schema().await.expect_err("newer");
        assert!(matches!(refused, StoreError::NewerSchema { ref name } if name == "0099_later"), "{refused}");
        assert!(house.db.migrate().await.is_err());
    }

    #[test]
    fn a_migration_that_was_edited_is_refused() {
        let known = [Migration { name: "0001_a", sql: "SELECT 1" }];
        let applied = BTreeMap::from([("0001_a".to_owned(), Digest::of(b"SELECT 2").as_str().to_owned())]);
        let refused = missing(&known, &applied).err().expect("refused");
        assert!(matches!(refused, StoreError::ChangedMigration { .. }), "{refused}");
    }

    #[test]
    fn migrations_are_listed_in_order_and_every_file_is_listed() {
        let listed: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("folder")
            .map(|file| file.expect("file").file_name().to_string_lossy().trim_end_matches(".sql").to_owned())
            .collect();
        files.sort();
        assert_eq!(listed, files);
    }
}
