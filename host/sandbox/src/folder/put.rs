//! What is left for the partner: a whole file or none, under a name that was never used. The ledger's row stands first,
//! then the file is written aside, put on disk and renamed into its place, then the row says so. Whoever dies in between
//! comes by again with the same bytes and goes on.

use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{OpenOptions, OpenOptionsExt as _};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::grant::FolderGrant;
use wharf_domain::ids::Digest;
use wharf_store::StoreError;
use wharf_store::folders::{self, Put, Quota, Reserved};

use super::place::{self, Place};
use super::{FolderAnswer, FolderScope, Folders, actor, blocking, forbidden, key, name, transient};

/// Of a folder in which a put looks for names that differ only in case.
const MAX_LOOK: usize = 100_000;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    There,
    /// Something else has the name.
    Taken,
}

pub(super) async fn put(
    folders: &Folders,
    at: &FolderScope,
    name: &str,
    content: Bytes,
) -> Result<FolderAnswer, Fault> {
    name::check(name)?;
    let limit = at.grant.max_file_bytes;
    if content.len() as u64 > limit {
        return Err(forbidden("file-size", format!("`{name}` is larger than {limit} bytes")));
    }
    let file = Put { name: name.to_owned(), digest: Digest::of(&content), size: content.len() as u64 };
    let row = Row { folders, at, file: &file };
    let ready = match reserve(folders, at, &file).await? {
        Reserved::Done => return Ok(FolderAnswer::Done),
        Reserved::Taken => return Err(taken(name)),
        Reserved::Ready => true,
        Reserved::New | Reserved::Begun => false,
    };
    if !ready {
        let temporary = format!("new-{}", folders.db.ids().next(folders.clock.now()));
        let (grant, floor, to, bytes) =
            (at.grant.clone(), folders.rules.free_percent, name.to_owned(), content.clone());
        let prepared = blocking(move || prepare(&grant, floor, &to, &temporary, &bytes)).await;
        match prepared {
            Ok(()) => row.ready().await?,
            Err(fault) => {
                row.release().await?;
                return Err(fault);
            }
        }
    }
    let (grant, to) = (at.grant.clone(), name.to_owned());
    // A failure here leaves the row: the next attempt looks what came of it.
    match blocking(move || leave(&grant, &to, &content)).await? {
        Left::There => row.written().await.map(|()| FolderAnswer::Done),
        Left::Taken => {
            row.release().await?;
            Err(taken(name))
        }
    }
}

/// The ledger's row of one put.
struct Row<'a> {
    folders: &'a Folders,
    at: &'a FolderScope,
    file: &'a Put,
}

impl Row<'_> {
    async fn ready(&self) -> Result<(), Fault> {
        let step = async {
            let mut tx = self.folders.db.begin().await?;
            folders::ready(&mut tx, &actor(self.at), &key(self.at)?, &self.file.name).await?;
            tx.commit().await
        };
        step.await.map_err(|err: StoreError| store(&err))
    }

    async fn written(&self) -> Result<(), Fault> {
        let step = async {
            let mut tx = self.folders.db.begin().await?;
            folders::written(&mut tx, &actor(self.at), &key(self.at)?, self.file).await?;
            tx.commit().await
        };
        step.await.map_err(|err: StoreError| store(&err))
    }

    async fn release(&self) -> Result<(), Fault> {
        let step = async {
            let mut tx = self.folders.db.begin().await?;
            folders::release(&mut tx, &actor(self.at), &key(self.at)?, &self.file.name).await?;
            tx.commit().await
        };
        step.await.map_err(|err: StoreError| store(&err))
    }
}

/// Room is what the grant allows, less what lies there. What the partner took away is noticed when it would be too much.
async fn reserve(folders: &Folders, at: &FolderScope, file: &Put) -> Result<Reserved, Fault> {
    match try_reserve(folders, at, file).await {
        Err(StoreError::OverQuota { .. }) => {}
        other => return other.map_err(|err| store(&err)),
    }
    let key = key(at).map_err(|err| store(&err))?;
    let names = folders::there(&folders.db, &key, at.grant.max_files).await.map_err(|err| store(&err))?;
    let grant = at.grant.clone();
    let gone = blocking(move || {
        let top = Place::open(&grant)?.top;
        let gone =
            |name: &String| matches!(top.symlink_metadata(name), Err(err) if err.kind() == io::ErrorKind::NotFound);
        Ok(names.into_iter().filter(gone).collect::<Vec<_>>())
    })
    .await?;
    let tell = async {
        let mut tx = folders.db.begin().await?;
        for name in &gone {
            folders::gone(&mut tx, &actor(at), &key, name).await?;
        }
        tx.commit().await
    };
    let told: Result<(), StoreError> = tell.await;
    told.map_err(|err| store(&err))?;
    try_reserve(folders, at, file).await.map_err(|err| store(&err))
}

async fn try_reserve(folders: &Folders, at: &FolderScope, file: &Put) -> Result<Reserved, StoreError> {
    let quota = Quota { bytes: at.grant.max_bytes, files: at.grant.max_files };
    let mut tx = folders.db.begin().await?;
    let reserved = folders::reserve(&mut tx, &actor(at), &key(at)?, file, quota).await?;
    tx.commit().await?;
    Ok(reserved)
}

/// Where a whole file lies until it is left. Renaming it away is what leaves it, so its absence tells.
fn aside(name: &str) -> String {
    format!("put-{name}")
}

/// Puts the whole file on disk, beside its place.
fn prepare(grant: &FolderGrant, floor: u64, name: &str, temporary: &str, content: &[u8]) -> Result<(), Fault> {
    let place = Place::open(grant)?;
    room(&place, floor)?;
    if standing(&place, name, content)? == Some(Left::Taken) {
        return Err(taken(name));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640).follow(FollowSymlinks::No);
    let write = || -> io::Result<()> {
        let mut file = place.partial.open_with(temporary, &options)?;
        file.write_all(content)?;
        file.sync_all()?;
        place.partial.rename(temporary, &place.partial, aside(name))
    };
    if let Err(err) = write() {
        let _ = place.partial.remove_file(temporary);
        return Err(place::failed(name, &err));
    }
    place::sync(&place.partial)
}

/// Moves the whole file into its place.
fn leave(grant: &FolderGrant, name: &str, content: &[u8]) -> Result<Left, Fault> {
    let (place, from) = (Place::open(grant)?, aside(name));
    let standing = standing(&place, name, content)?;
    if standing.is_none() && place::shift(&place.partial, from.as_ref(), &place.top, name)? {
        return Ok(Left::There);
    }
    match place.partial.symlink_metadata(&from) {
        // An earlier attempt moved it and could not say so. The partner may have it already.
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Left::There),
        Err(err) => Err(place::failed(name, &err)),
        Ok(_) => {
            place.partial.remove_file(&from).map_err(|err| place::failed(name, &err))?;
            Ok(standing.unwrap_or(Left::Taken))
        }
    }
}

/// What has the name already, in any case: this very file, or another one.
fn standing(place: &Place, name: &str, content: &[u8]) -> Result<Option<Left>, Fault> {
    let entries = place.top.entries().map_err(|err| place::failed(name, &err))?;
    let mut alike = entries.take(MAX_LOOK).flatten().map(|entry| entry.file_name());
    let Some(found) = alike.find(|found| found.eq_ignore_ascii_case(name)) else {
        return Ok(None);
    };
    if found != *name {
        return Ok(Some(Left::Taken));
    }
    let same = match place::open(&place.top, name) {
        Ok(Some((file, found))) if found.len() == content.len() as u64 => {
            let mut bytes = Vec::with_capacity(content.len());
            let read = file.take(content.len() as u64 + 1).read_to_end(&mut bytes);
            read.map_err(|err| place::failed(name, &err))?;
            bytes == content
        }
        Ok(None) => return Ok(None),
        Ok(Some(_)) | Err(_) => false,
    };
    Ok(Some(if same { Left::There } else { Left::Taken }))
}

/// The queue and the audit must stay writable whatever adapters leave.
fn room(place: &Place, floor: u64) -> Result<(), Fault> {
    let disk = rustix::fs::fstatvfs(&place.top).map_err(|err| place::failed("folder", &err.into()))?;
    if disk.f_bavail.saturating_mul(100) < disk.f_blocks.saturating_mul(floor) {
        let text = format!("less than {floor} % of the disk is free; nothing is left there until there is room");
        return Err(transient("disk", text));
    }
    Ok(())
}

fn taken(name: &str) -> Fault {
    let text = format!("`{name}` was used for another file, or one that differs only in case; use another name");
    Fault::new(FaultKind::Conflict, "files.exists", text, Blame::Guest)
}

fn store(err: &StoreError) -> Fault {
    match err {
        StoreError::OverQuota { .. } => forbidden("quota", err.to_string()),
        _ => transient("store", err.to_string()),
    }
}
