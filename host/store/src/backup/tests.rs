//! Backups of either engine, restored into either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::{ConnectionId, Digest};
use wharf_domain::secret::{SecretAt, Stage};
use wharf_domain::time::Timestamp;

use super::format::{Line, Reader, Table, Writer};
use super::*;
use crate::error::StoreError;
use crate::folders::{self, FolderKey, Put, Quota};
use crate::jobs::{self, Claimer, Finish, NewJob};
use crate::kv::{self, KvKey};
use crate::secrets::{self, NewVersion};
use crate::sql::Engine;
use crate::testing::{House, START, actor, both, tenant};
use crate::{audit, migrate};

const VERSION: &str = "9.9.9";

struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(TempDir::new().expect("folder"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("a.backup")
    }
}

async fn backup(house: &House, file: &Path) -> Result<Contents, StoreError> {
    let at = Timestamp::from_millis(START);
    match house.db.engine() {
        Engine::Sqlite => save(Origin::Sqlite(&house.path()), file, at, VERSION).await,
        Engine::Postgres => save(Origin::Postgres(&house.url()), file, at, VERSION).await,
    }
}

/// Something in every table, with every kind of value.
async fn furnish(house: &House) {
    for text in [
        "INSERT INTO event VALUES ('e1', 't', 'odoo', 'k1', 'order', NULL, '{\"ü\":\"\\u0001\"}', 'host:x', 5)",
        "INSERT INTO effect (id, tenant, connection, job, step_key, route, class, state, request_digest, fence, attempt, \
         created_at, updated_at) VALUES ('f1', 't', 'c', 'j', 's', 'r', 'once', 'sending', 'd', 3, 1, 5, 6)",
        "INSERT INTO effect_history (tenant, effect, at, to_state, actor, fence) VALUES ('t', 'f1', 5, 'intent', 'a', 3)",
        "INSERT INTO flow VALUES ('t', 'order', '1', 4, 'open', '{}', 'a', 5, 6)",
        "INSERT INTO tape (tenant, job, at, actor, exchange) VALUES ('t', 'j', 5, 'a', '{}')",
        "INSERT INTO account VALUES ('t', 'c', 'n', '{}', '{}', 5)",
        "INSERT INTO budget VALUES ('t', 'c', 'odoo-writes', 0, 3, 'a', 5)",
        "INSERT INTO grant_head VALUES ('t', 'c', 1, 1)",
        "INSERT INTO grant_record VALUES ('t', 'c', 1, 'acme', '1.0.0', 'ACME', 'sha256:0', '{}', NULL, 'narrower', '[]', \
         'accepted', 'a', 5, 'a', 5, 'the first')",
        "INSERT INTO restore VALUES (1, 4, 3, 'a')",
        "INSERT INTO restore_lift VALUES ('t', 1, 5, 'a', 'looked')",
        "INSERT INTO schedule VALUES ('t', 'pull', NULL, 0, 5, 6)",
        "INSERT INTO schedule_tick VALUES ('t', 'pull', 5, 6)",
        "INSERT INTO tenant_share VALUES ('t', 3, NULL)",
        "INSERT INTO tenant_key VALUES ('t', NULL, NULL, 3, 5, 6)",
        "INSERT INTO secret VALUES ('t', 'c', 'oauth', 4, NULL, NULL)",
        "INSERT INTO exception (id, tenant, code, severity, object, owner_role, cause, actions, seen, raised_by, raised_at, \
         last_seen_at) VALUES ('x1', 't', 'c', 's', 'o', 'r', 'why', '[]', 1, 'a', 5, 5)",
    ] {
        house.run(text).await.expect(text);
    }
    let mut tx = house.db.begin().await.expect("begin");
    audit::append(&mut tx, &actor(), &tenant("t"), "a.b", "o/1", &json!({ "n": 1 })).await.expect("audit");
    let bytes: Vec<u8> = (0..=255).collect();
    let at = KvKey { tenant: tenant("t"), connection: ConnectionId::parse("c").expect("id"), key: "k".to_owned() };
    kv::set(&mut tx, &actor(), &at, &bytes, None, 1_000_000).await.expect("kv");
    let folder = FolderKey { tenant: at.tenant.clone(), connection: at.connection.clone(), folder: "out".to_owned() };
    let put = Put { name: "a.csv".to_owned(), digest: Digest::of(&bytes), size: bytes.len() as u64 };
    folders::reserve(&mut tx, &actor(), &folder, &put, Quota { bytes: 1_000_000, files: 1 }).await.expect("folder");
    secrets::add_vault_key(&mut tx, &actor(), "k1", &bytes).await.expect("vault key");
    let at = SecretAt { tenant: tenant("t"), connection: at.connection.clone(), slot: "oauth".to_owned() };
    let new = NewVersion { version: 4, stage: Stage::Current, sealed: &bytes, account: "abcd", overlap_ms: 0 };
    secrets::put(&mut tx, &actor(), &at, &new).await.expect("secret");
    for number in 0..130 {
        let job = NewJob::new(tenant("t"), format!("lane-{number}"), "kind", json!({ "number": number }));
        jobs::enqueue(&mut tx, &actor(), &job).await.expect("enqueue");
    }
    tx.commit().await.expect("commit");
    let mut claimer = Claimer::new("old-life", 60_000);
    let claimed = claimer.claim(&house.db, 3, 3).await.expect("claim");
    let [first, second, _third] = claimed.as_slice() else { panic!("three jobs: {claimed:?}") };
    let park = Finish::Park { fault: Fault::new(FaultKind::Outage, "a.b", "no luck", Blame::Host) };
    for (job, finish) in [(first, Finish::Done), (second, park)] {
        let mut tx = house.db.begin().await.expect("begin");
        jobs::finish(&mut tx, &actor(), job, &finish).await.expect("finish");
        tx.commit().await.expect("commit");
    }
}

/// All rows by table, each with its columns by name, sorted.
fn rows(file: &Path) -> BTreeMap<String, Vec<String>> {
    let mut reader = Reader::open(file).expect("backup");
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current: Option<Table> = None;
    loop {
        match reader.next().expect("line") {
            Line::Table(table) => {
                tables.insert(table.table.clone(), Vec::new());
                current = Some(table);
            }
            Line::Row(row) => {
                let table = current.as_ref().expect("a table first");
                let mut named: serde_json::Map<String, Value> =
                    table.columns.iter().map(|(name, _)| name.clone()).zip(row).collect();
                if table.table == "job" {
                    // What the new life changes on purpose.
                    named.insert("lease_until".to_owned(), Value::Null);
                    let fence = named["fence"].as_i64().expect("fence") % (1 << 20);
                    named.insert("fence".to_owned(), fence.into());
                }
                if table.table == "effect" {
                    for column in ["reconcile_first", "held_epoch", "send_deadline"] {
                        named.insert(column.to_owned(), Value::Null);
                    }
                }
                let new_life = ["database.restored", "restore.held"];
                if named.get("action").is_some_and(|action| new_life.iter().any(|new| action == new))
                    || (table.table == "restore" && named["epoch"] == 2)
                {
                    continue;
                }
                tables.entry(table.table.clone()).or_default().push(Value::Object(named).to_string());
            }
            Line::End => break,
        }
    }
    tables.values_mut().for_each(|rows| rows.sort());
    tables
}

both! {
    /// A backup restores, into either engine, and the new life knows that it is one.
    async fn p10_a_backup_is_restored_into_either_engine_as_it_was(house) {
        let shelf = Shelf::new();
        furnish(&house).await;
        let taken = backup(&house, &shelf.file()).await.expect("backup");
        house.run("DELETE FROM kv").await.expect("work after the backup");
        house.run("UPDATE flow SET status = 'closed'").await.expect("work after the backup");
        assert_eq!(verify(&shelf.file()).expect("sound"), taken);
        assert!(taken.rows.values().all(|count| *count > 0), "every table is tried: {taken:?}");
        assert_eq!((taken.rows["job"], taken.rows["kv"], taken.header.host_version.as_str()), (129, 1, VERSION));

        for target in [House::bare().await, House::bare_postgres().await] {
            let restored = restore(&target.db, &actor(), &shelf.file()).await.expect("restore");
            assert_eq!((&restored.contents, restored.interrupted, restored.migrated.len()), (&taken, 1, 0));
            assert_eq!((restored.held.epoch, restored.held.effects), (2, 1), "the effect under way is looked up first");
            target.db.check_schema().await.expect("up to date");
            let again = shelf.0.path().join("again.backup");
            backup(&target, &again).await.expect("backup of the restored one");
            assert_eq!(rows(&again), rows(&shelf.file()));
            new_life(&target).await;
        }
    }
}

/// Leases of the old life are void, numbers go on after its own, and the audit tells.
async fn new_life(house: &House) {
    house.clock.advance(1);
    let told = audit::for_object(&house.db, &tenant("t"), "database").await.expect("audit");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].action.as_str(), &told[0].detail["taken_at"]), ("database.restored", &json!(START)));
    let mut tx = house.db.begin().await.expect("begin");
    jobs::enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), "new", "kind", json!({}))).await.expect("enqueue");
    tx.commit().await.expect("commit");
    let claimed = Claimer::new("new-life", 60_000).claim(&house.db, 200, 200).await.expect("claim");
    assert_eq!(claimed.len(), 129, "all but the parked one, and the new one: what ran before is taken up again");
    let newest = claimed.iter().map(|job| job.seq).max().expect("jobs");
    assert!(newest > 130 + (1 << 20), "a number of the old life is given again: {newest}");
    let taken_up: Vec<_> = claimed.iter().filter(|job| job.fence > 1).collect();
    assert_eq!(taken_up.len(), 1, "a job that was never claimed begins with its first fence");
    assert!(taken_up[0].fence > (1 << 20) && taken_up[0].attempt == 2, "{taken_up:?}");
}

#[tokio::test]
async fn a_file_is_backed_up_while_a_host_writes_and_also_when_none_runs() {
    let (house, shelf) = (House::new().await, Shelf::new());
    furnish(&house).await;
    backup(&house, &shelf.file()).await.expect("the host runs");
    let before = rows(&shelf.file());
    let mut tx = house.db.begin().await.expect("begin");
    audit::append(&mut tx, &actor(), &tenant("t"), "a.b", "o/2", &json!({})).await.expect("audit");
    backup(&house, &shelf.file()).await.expect("the host writes");
    assert_eq!(rows(&shelf.file()), before, "what is not committed is in no backup");
    drop(tx);
    house.db.close().await;
    backup(&house, &shelf.file()).await.expect("no host runs");
    assert_eq!(rows(&shelf.file()), before);
}

both! {
    async fn the_list_of_tables_is_that_of_the_schema(house) {
        let mut tables = catalog::tables(house.db.engine(), house.db.reader()).await.expect("tables");
        tables.retain(|table| table != "schema_migration");
        let mut listed = TABLES.to_vec();
        listed.sort_unstable();
        assert_eq!(listed, tables, "a table that is not listed in `TABLES` is in no backup");
    }
}

both! {
    async fn a_backup_goes_into_an_empty_database_only(house) {
        let shelf = Shelf::new();
        backup(&house, &shelf.file()).await.expect("backup");
        let refused = restore(&house.db, &actor(), &shelf.file()).await.expect_err("not empty");
        assert!(matches!(refused, StoreError::NotEmpty { .. }), "{refused}");
        assert!(refused.to_string().contains("then repeat"), "{refused}");
    }
}

both! {
    async fn a_database_without_our_tables_is_not_backed_up(house) {
        house.run("DELETE FROM schema_migration WHERE name = '0002_durable_work'").await.expect("an older schema");
        let shelf = Shelf::new();
        let refused = backup(&house, &shelf.file()).await.expect_err("not of this version");
        assert!(matches!(refused, StoreError::NotMigrated { .. }), "{refused}");
        house.run("DROP TABLE schema_migration").await.expect("no schema");
        let refused = backup(&house, &shelf.file()).await.expect_err("nothing to save");
        assert!(matches!(refused, StoreError::NotMigrated { .. }), "{refused}");
        assert!(!shelf.file().exists() && std::fs::read_dir(shelf.0.path()).expect("folder").count() == 0);
    }
}

#[tokio::test]
async fn a_backup_that_was_damaged_cut_or_changed_is_refused() {
    let (house, shelf) = (House::new().await, Shelf::new());
    furnish(&house).await;
    backup(&house, &shelf.file()).await.expect("backup");
    let good = std::fs::read(shelf.file()).expect("read");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(good.as_slice()), &mut text).expect("unpack");
    let pack = |text: &str| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, text.as_bytes()).expect("pack");
        out.finish().expect("pack")
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let rows: Vec<&str> = text.lines().collect();
    let trailer = rows.last().expect("trailer");
    for (what, bytes) in [
        ("a bit", flipped),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("nothing", Vec::new()),
        ("another file", b"PK\x03\x04 something else".to_vec()),
        ("a value", pack(&text.replacen("lane-7", "lane-8", 1))),
        ("a row less", pack(&(rows[..rows.len() - 2].join("\n") + "\n" + trailer + "\n"))),
        ("no trailer", pack(&(rows[..rows.len() - 1].join("\n") + "\n"))),
        ("more after the end", pack(&format!("{text}[]\n"))),
        ("another format", pack(&text.replacen("\"wharf_backup\":1", "\"wharf_backup\":2", 1))),
    ] {
        std::fs::write(shelf.file(), bytes).expect("write");
        let refused = verify(&shelf.file()).expect_err(what);
        assert!(matches!(refused, StoreError::BadBackup { .. }), "{what}: {refused}");
        let target = House::bare().await;
        restore(&target.db, &actor(), &shelf.file()).await.expect_err(what);
        assert_eq!(catalog::tables(Engine::Sqlite, target.db.reader()).await.expect("tables"), Vec::<String>::new());
    }
    std::fs::write(shelf.file(), pack(&text)).expect("write");
    verify(&shelf.file()).expect("packing again changes nothing");
}

/// A backup of the first schema with two jobs, written by hand. `id` is the second one's.
async fn of_the_first_version(house: &House, file: &Path, id: &str, schema: &[&str]) {
    let mut tx = house.db.begin().await.expect("begin");
    migrate::apply_in(&mut tx, &["0001_spine"]).await.expect("the first schema");
    tx.commit().await.expect("commit");
    let mut writer = Writer::create(file).expect("file");
    let schema = schema.iter().map(|name| (*name).to_owned()).collect();
    let (at, host_version) = (Timestamp::from_millis(START), "0.0.1".to_owned());
    writer
        .header(&Header { wharf_backup: 1, engine: "sqlite".to_owned(), schema, taken_at: at, host_version })
        .expect("header");
    for table in catalog::tables(Engine::Sqlite, house.db.reader()).await.expect("tables") {
        if table == "schema_migration" {
            continue;
        }
        let columns = catalog::columns(Engine::Sqlite, house.db.reader(), &table).await.expect("columns");
        let last = catalog::last_number(Engine::Sqlite, house.db.reader(), &table).await.expect("last");
        writer.table(&Table { table: table.clone(), columns: columns.clone(), last: last.map(|_| 7) }).expect("table");
        let texts = |id: &str| json!({ "id": id, "tenant": "t", "lane": "l", "kind": "k", "payload": "{}", "state": "ready", "actor": "a" });
        for (seq, id) in [(3, "019bc0de-0000-7000-8000-000000000001"), (4, id)].iter().filter(|_| table == "job") {
            let value = |(name, kind): &(String, catalog::Kind)| match kind {
                catalog::Kind::Int if name == "seq" => json!(seq),
                catalog::Kind::Int if name == "lease_until" || name == "finished_at" => Value::Null,
                catalog::Kind::Int => json!(1),
                _ => texts(id)[name.as_str()].clone(),
            };
            writer.row(&columns.iter().map(value).collect::<Vec<_>>()).expect("row");
        }
    }
    writer.finish().expect("finish");
}

const SECOND: &str = "019bc0de-0000-7000-8000-000000000002";

#[tokio::test]
async fn an_older_backup_is_loaded_into_its_own_schema_and_then_migrated() {
    let (old, shelf) = (House::bare().await, Shelf::new());
    of_the_first_version(&old, &shelf.file(), SECOND, &["0001_spine"]).await;
    for target in [House::bare().await, House::bare_postgres().await] {
        let restored = restore(&target.db, &actor(), &shelf.file()).await.expect("restore");
        assert_eq!(restored.migrated, migrate::known()[1..]);
        target.db.check_schema().await.expect("up to date");
        let claimed = Claimer::new("new-life", 60_000).claim(&target.db, 9, 9).await.expect("claim");
        assert_eq!(claimed.iter().map(|job| job.seq).collect::<Vec<_>>(), [3], "the first of the lane");
    }
}

#[tokio::test]
async fn a_newer_backup_names_the_version_that_reads_it() {
    let (old, shelf) = (House::bare().await, Shelf::new());
    of_the_first_version(&old, &shelf.file(), SECOND, &["0001_spine", "0002_something_else"]).await;
    let target = House::bare().await;
    let refused = restore(&target.db, &actor(), &shelf.file()).await.expect_err("newer");
    assert!(refused.to_string().contains("Wharf 0.0.1 or later"), "{refused}");
}

#[tokio::test]
async fn a_restore_that_fails_half_way_leaves_nothing_and_can_be_repeated() {
    let (old, shelf) = (House::bare().await, Shelf::new());
    // The same job twice: the database refuses the second one.
    of_the_first_version(&old, &shelf.file(), "019bc0de-0000-7000-8000-000000000001", &["0001_spine"]).await;
    for target in [House::bare().await, House::bare_postgres().await] {
        restore(&target.db, &actor(), &shelf.file()).await.expect_err("twice");
        let tables = catalog::tables(target.db.engine(), target.db.reader()).await.expect("tables");
        assert_eq!(tables, Vec::<String>::new());
        let good = Shelf::new();
        of_the_first_version(&House::bare().await, &good.file(), SECOND, &["0001_spine"]).await;
        restore(&target.db, &actor(), &good.file()).await.expect("the same database, another backup");
    }
}
