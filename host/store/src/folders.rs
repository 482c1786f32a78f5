//! Files adapters have left in drop folders: each name once, and no more than the connection was granted. The row stands
//! before the file is written and stays when the partner has taken it away, so a put that is repeated is known again.

use serde_json::json as value;
use wharf_domain::ctx::Actor;
use wharf_domain::ids::{ConnectionId, Digest, TenantId};

use crate::audit;
use crate::db::{Db, Tx};
use crate::error::StoreError;
use crate::row::Cols;
use crate::sql::{Text, query};

/// Whose folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderKey {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    /// As the adapter calls it.
    pub folder: String,
}

/// A file to leave there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    pub name: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What may lie in a folder at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub bytes: u64,
    pub files: u32,
}

/// What the ledger says to a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// Write it, then say so.
    New,
    /// Begun before, by somebody who may have died: it is not there.
    Begun,
    /// Whole, as [`ready`] said. It is there unless it still lies aside.
    Ready,
    /// Nothing is left to do.
    Done,
    /// The name, in whatever case, belongs to another file.
    Taken,
}

static FIND: Text = Text::new(
    "SELECT name, digest, state FROM folder_put \
     WHERE tenant = $1 AND connection = $2 AND folder = $3 AND name_key = $4 {for_update}",
);

/// Writes down that a file is about to be left.
///
/// # Errors
/// [`StoreError::OverQuota`] when it would be too much; nothing is changed then.
pub async fn reserve(
    tx: &mut Tx,
    actor: &Actor,
    at: &FolderKey,
    put: &Put,
    quota: Quota,
) -> Result<Reserved, StoreError> {
    let key = put.name.to_ascii_lowercase();
    let row = query(&FIND)
        .bind(at.tenant.as_str())
        .bind(at.connection.as_str())
        .bind(&at.folder)
        .bind(&key)
        .fetch_optional(tx.conn())
        .await?;
    if let Some(row) = row {
        let row = Cols(&row);
        if row.text("name")? != put.name || row.text("digest")? != put.digest.as_str() {
            return Ok(Reserved::Taken);
        }
        return Ok(match row.text("state")?.as_str() {
            "writing" => Reserved::Begun,
            "ready" => Reserved::Ready,
            _ => Reserved::Done,
        });
    }
    let row = query(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS used, COUNT(*) AS files FROM folder_put \
         WHERE tenant = $1 AND connection = $2 AND folder = $3 AND state <> 'gone'",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.folder)
    .fetch_one(tx.conn())
    .await?;
    let connection = || at.connection.to_string();
    let (wanted, files) = (
        Cols(&row).count::<u64>("used")?.saturating_add(put.size),
        Cols(&row).count::<u64>("files")?.saturating_add(1),
    );
    if wanted > quota.bytes {
        return Err(StoreError::OverQuota { connection: connection(), wanted, quota: quota.bytes });
    }
    if files > u64::from(quota.files) {
        return Err(StoreError::OverQuota { connection: connection(), wanted: files, quota: quota.files.into() });
    }
    let now = tx.now().millis();
    query(
        "INSERT INTO folder_put \
         (tenant, connection, folder, name_key, name, digest, size, state, actor, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'writing', $8, $9, $9)",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.folder)
    .bind(&key)
    .bind(&put.name)
    .bind(put.digest.as_str())
    .bind(i64::try_from(put.size).unwrap_or(i64::MAX))
    .bind(actor.to_string())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(Reserved::New)
}

/// The file lies aside, whole and on disk. From here on its being gone from there means that it was left.
pub async fn ready(tx: &mut Tx, _actor: &Actor, at: &FolderKey, name: &str) -> Result<(), StoreError> {
    advance(tx, at, name, "writing", "ready").await.map(|_| ())
}

/// The file is there. Leaves an audit row the first time.
pub async fn written(tx: &mut Tx, actor: &Actor, at: &FolderKey, put: &Put) -> Result<(), StoreError> {
    if advance(tx, at, &put.name, "ready", "there").await? || advance(tx, at, &put.name, "writing", "there").await? {
        let detail = value!({ "digest": put.digest.as_str(), "bytes": put.size });
        audit::append(tx, actor, &at.tenant, "file.put", &object(at, &put.name), &detail).await?;
    }
    Ok(())
}

/// The file is not there and will not be by this attempt: the name is free again.
pub async fn release(tx: &mut Tx, _actor: &Actor, at: &FolderKey, name: &str) -> Result<(), StoreError> {
    query(
        "DELETE FROM folder_put WHERE tenant = $1 AND connection = $2 AND folder = $3 AND name_key = $4 \
         AND state IN ('writing', 'ready')",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.folder)
    .bind(name.to_ascii_lowercase())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Somebody took the file away: it does not count any more.
pub async fn gone(tx: &mut Tx, _actor: &Actor, at: &FolderKey, name: &str) -> Result<(), StoreError> {
    advance(tx, at, name, "there", "gone").await.map(|_| ())
}

/// A claimed file was taken, finished or rejected: an audit row and nothing else, the folder itself is the record.
pub async fn handled(
    tx: &mut Tx,
    actor: &Actor,
    at: &FolderKey,
    name: &str,
    action: &str,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let detail = reason.map_or_else(|| value!({}), |reason| value!({ "reason": reason }));
    audit::append(tx, actor, &at.tenant, action, &object(at, name), &detail).await
}

/// Names of the files nobody was seen to take away, at most `limit`.
pub async fn there(db: &Db, at: &FolderKey, limit: u32) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "SELECT name FROM folder_put WHERE tenant = $1 AND connection = $2 AND folder = $3 AND state = 'there' \
         ORDER BY created_at LIMIT $4",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.folder)
    .bind(i64::from(limit))
    .fetch_all(db.reader())
    .await?;
    rows.iter().map(|row| Cols(row).text("name")).collect()
}

async fn advance(tx: &mut Tx, at: &FolderKey, name: &str, from: &str, to: &str) -> Result<bool, StoreError> {
    let now = tx.now().millis();
    let moved = query(
        "UPDATE folder_put SET state = $6, updated_at = $7 WHERE tenant = $1 AND connection = $2 AND folder = $3 \
         AND name_key = $4 AND state = $5",
    )
    .bind(at.tenant.as_str())
    .bind(at.connection.as_str())
    .bind(&at.folder)
    .bind(name.to_ascii_lowercase())
    .bind(from)
    .bind(to)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(moved == 1)
}

fn object(at: &FolderKey, name: &str) -> String {
    format!("file/{}/{}/{name}", at.connection, at.folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, actor, both, tenant};

    const QUOTA: Quota = Quota { bytes: 10, files: 2 };

    fn at(tenant_name: &str) -> FolderKey {
        let connection = ConnectionId::parse("wms").expect("connection");
        FolderKey { tenant: tenant(tenant_name), connection, folder: "out".to_owned() }
    }

    fn file(name: &str, content: &str) -> Put {
        Put { name: name.to_owned(), digest: Digest::of(content.as_bytes()), size: content.len() as u64 }
    }

    async fn put(house: &House, at: &FolderKey, put: &Put) -> Result<Reserved, StoreError> {
        let mut tx = house.db.begin().await?;
        let reserved = reserve(&mut tx, &actor(), at, put, QUOTA).await?;
        tx.commit().await?;
        Ok(reserved)
    }

    async fn say(house: &House, at: &FolderKey, put: &Put, gone_too: bool) {
        let mut tx = house.db.begin().await.expect("begin");
        written(&mut tx, &actor(), at, put).await.expect("written");
        if gone_too {
            gone(&mut tx, &actor(), at, &put.name).await.expect("gone");
        }
        tx.commit().await.expect("commit");
    }

    both! {
        async fn a_name_is_one_file_for_ever(house) {
            let (a, other) = (file("a.csv", "1"), file("a.csv", "2"));
            assert_eq!(put(&house, &at("t"), &a).await.expect("first"), Reserved::New);
            assert_eq!(put(&house, &at("t"), &a).await.expect("after a crash"), Reserved::Begun);
            assert_eq!(put(&house, &at("t"), &other).await.expect("another"), Reserved::Taken);
            let mut tx = house.db.begin().await.expect("begin");
            ready(&mut tx, &actor(), &at("t"), "a.csv").await.expect("ready");
            tx.commit().await.expect("commit");
            assert_eq!(put(&house, &at("t"), &a).await.expect("after a crash"), Reserved::Ready);
            say(&house, &at("t"), &a, false).await;
            say(&house, &at("t"), &a, true).await;
            assert_eq!(put(&house, &at("t"), &a).await.expect("again"), Reserved::Done);
            assert_eq!(put(&house, &at("t"), &other).await.expect("another"), Reserved::Taken);
            assert_eq!(put(&house, &at("t"), &file("A.CSV", "1")).await.expect("another case"), Reserved::Taken);
            assert_eq!(put(&house, &at("u"), &other).await.expect("another tenant"), Reserved::New);
            let told = audit::for_object(&house.db, &tenant("t"), "file/wms/out/a.csv").await.expect("audit");
            assert_eq!(told.len(), 1, "{told:?}");
        }
    }

    both! {
        async fn what_lies_there_counts_and_what_was_taken_does_not(house) {
            let (a, b) = (file("a", "12345"), file("b", "12345"));
            put(&house, &at("t"), &a).await.expect("5 of 10");
            let over = put(&house, &at("t"), &file("c", "123456")).await.expect_err("11 of 10");
            assert!(matches!(over, StoreError::OverQuota { wanted: 11, quota: 10, .. }), "{over}");
            put(&house, &at("t"), &b).await.expect("10 of 10");
            let over = put(&house, &at("t"), &file("c", "")).await.expect_err("3 files of 2");
            assert!(matches!(over, StoreError::OverQuota { wanted: 3, quota: 2, .. }), "{over}");
            say(&house, &at("t"), &a, false).await;
            assert_eq!(there(&house.db, &at("t"), 10).await.expect("there"), ["a"]);
            say(&house, &at("t"), &a, true).await;
            assert!(there(&house.db, &at("t"), 10).await.expect("there").is_empty());
            put(&house, &at("t"), &file("c", "12345")).await.expect("there is room again");
            let mut tx = house.db.begin().await.expect("begin");
            release(&mut tx, &actor(), &at("t"), "c").await.expect("release");
            release(&mut tx, &actor(), &at("t"), "a").await.expect("what was written stays");
            tx.commit().await.expect("commit");
            assert_eq!(put(&house, &at("t"), &file("c", "54321")).await.expect("free again"), Reserved::New);
            assert_eq!(put(&house, &at("t"), &a).await.expect("known"), Reserved::Done);
        }
    }
}
