//! A full disk, as SQLite itself sees it: the file may not grow beyond a number of pages. And a file that another program
//! holds locked.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::task::JoinSet;

use crate::connect::BUSY_TIMEOUT;
use crate::db::Db;
use crate::error::StoreError;
use crate::jobs::{self, NewJob};
use crate::row::Cols;
use crate::sql::query;
use crate::testing::{House, actor, tenant};

/// More than fits between two checks of the size.
const LARGE: usize = 20_000;

async fn accept(db: &Db, lane: &str, bytes: usize) -> Result<wharf_domain::ids::JobId, StoreError> {
    let mut tx = db.begin().await?;
    let job = NewJob::new(tenant("t"), lane, "kind", json!("x".repeat(bytes)));
    let id = jobs::enqueue(&mut tx, &actor(), &job).await?.id;
    tx.commit().await?;
    Ok(id)
}

/// The file may grow by so many pages from now on.
async fn room(house: &House, pages: i64) {
    let mut tx = house.db.begin().await.expect("begin");
    let row = query("SELECT page_count AS pages FROM pragma_page_count").fetch_one(tx.conn()).await.expect("pages");
    let most = Cols(&row).int("pages").expect("pages") + pages;
    // A pragma takes no binds.
    let set: &'static str = format!("PRAGMA max_page_count = {most}").leak();
    let row = query(set).fetch_one(tx.conn()).await.expect("limit");
    assert_eq!(Cols(&row).int("max_page_count").expect("most"), most, "the limit is taken");
    tx.commit().await.expect("commit");
}

async fn sound(house: &House) {
    let row = query("SELECT integrity_check AS verdict FROM pragma_integrity_check").fetch_one(house.db.reader()).await;
    assert_eq!(Cols(&row.expect("check")).text("verdict").expect("verdict"), "ok");
}

async fn there(db: &Db, id: &wharf_domain::ids::JobId) -> bool {
    jobs::get(db, id).await.expect("reads go on").is_some()
}

/// Disk full degrades, then heals: nothing accepted is lost, nothing refused is there, the file is sound, and writing
/// goes on without a restart.
#[tokio::test]
async fn p8_a_full_disk_refuses_loses_nothing_and_heals_without_a_restart() {
    let mut house = House::new().await;
    let mut accepted = vec![accept(&house.db, "before", 10).await.expect("there is space")];
    room(&house, 40).await;
    let refused = loop {
        match accept(&house.db, "a", LARGE).await {
            Ok(id) => accepted.push(id),
            Err(refused) => break refused,
        }
        assert!(accepted.len() < 100, "the disk never fills");
    };
    assert!(matches!(refused, StoreError::Full), "{refused}");
    assert!(accepted.len() > 2, "some fitted");
    assert!(matches!(accept(&house.db, "a", LARGE).await, Err(StoreError::Full)), "and again");
    sound(&house).await;
    for id in &accepted {
        assert!(there(&house.db, id).await, "accepted is kept");
    }
    assert_eq!(jobs::counts(&house.db).await.expect("counts").total(), accepted.len() as u64, "refused is not there");

    room(&house, 10_000).await;
    accepted.push(accept(&house.db, "a", LARGE).await.expect("space is back"));
    sound(&house).await;
    house.restart().await;
    assert_eq!(jobs::counts(&house.db).await.expect("counts").total(), accepted.len() as u64);
}

/// Disk full degrades, then heals: of transactions that share a commit, those that were told of success are there and
/// the others are not, also when one of them filled the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_a_group_whose_member_finds_the_disk_full_keeps_its_word_to_each() {
    let house = House::new().await;
    room(&house, 60).await;
    let (mut kept, mut full) = (BTreeSet::new(), 0);
    for round in 0..20 {
        let mut together = JoinSet::new();
        for member in 0..8 {
            let db = house.db.clone();
            // One of them is large; the others fit for a long time.
            let bytes = if member == 3 { LARGE } else { 50 };
            together.spawn(async move { accept(&db, &format!("{round}/{member}"), bytes).await });
        }
        while let Some(result) = together.join_next().await {
            match result.expect("no panic") {
                Ok(id) => {
                    kept.insert(id);
                }
                Err(StoreError::Full) => full += 1,
                Err(StoreError::RolledBack) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(full > 0 && kept.len() > 20, "{full} found it full, {} fitted", kept.len());
    sound(&house).await;
    for id in &kept {
        assert!(there(&house.db, id).await, "told of success and not there");
    }
    assert_eq!(jobs::counts(&house.db).await.expect("counts").total(), kept.len() as u64, "told of failure and there");
    room(&house, 10_000).await;
    accept(&house.db, "after", LARGE).await.expect("space is back");
}

/// Nobody waits for the patience of everybody before him: twelve that stand in line while another program holds the file
/// hear of it together, and writing goes on by itself afterwards.
#[tokio::test]
async fn p17_all_who_wait_for_a_locked_file_hear_of_it_together() {
    let house = House::new().await;
    let mut other = SqliteConnectOptions::new().filename(house.path()).connect().await.expect("opens");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("locks");
    let (mut waiting, began) = (JoinSet::new(), Instant::now());
    for n in 0..12 {
        let db = house.db.clone();
        waiting.spawn(async move { accept(&db, &n.to_string(), 10).await });
    }
    for refused in waiting.join_all().await {
        assert!(matches!(refused, Err(StoreError::FileBusy)), "{refused:?}");
    }
    // One after another they would wait twelve times as long as SQLite does.
    assert!(began.elapsed() < BUSY_TIMEOUT * 6, "{:?}", began.elapsed());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("frees");
    other.close().await.expect("closes");
    let id = accept(&house.db, "after", 10).await.expect("writing goes on");
    assert!(there(&house.db, &id).await);
    assert_eq!(jobs::counts(&house.db).await.expect("counts").total(), 1, "of what was refused nothing is there");
}
