//! The directories of a drop folder, and opening a file in one without being led elsewhere.

use std::ffi::OsStr;
use std::io;

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{Mode, OFlags, RenameFlags};
use wharf_domain::fault::Fault;
use wharf_domain::grant::FolderGrant;
use wharf_domain::time::Timestamp;

use super::name::{ARCHIVE, CLAIMED, PARTIAL, QUARANTINE};
use super::{forbidden, transient};

/// A drop folder, open. The partner writes into `top`; the rest is the host's alone.
pub(super) struct Place {
    pub(super) top: Dir,
    pub(super) claimed: Dir,
    pub(super) archive: Dir,
    pub(super) quarantine: Dir,
    pub(super) partial: Dir,
}

impl Place {
    pub(super) fn open(grant: &FolderGrant) -> Result<Self, Fault> {
        let top = Dir::open_ambient_dir(&grant.path, ambient_authority()).map_err(|err| unusable(grant, &err))?;
        let own = |name| own_dir(&top, name).map_err(|err| unusable(grant, &err));
        let (claimed, archive, quarantine, partial) = (own(CLAIMED)?, own(ARCHIVE)?, own(QUARANTINE)?, own(PARTIAL)?);
        Ok(Self { top, claimed, archive, quarantine, partial })
    }
}

/// A folder of the host. One that belongs to somebody else, or that others may write into, is a trap.
fn own_dir(top: &Dir, name: &str) -> io::Result<Dir> {
    let dir = match top.open_dir_nofollow(name) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            match rustix::fs::mkdirat(top, name, Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(err) => return Err(err.into()),
            }
            top.open_dir_nofollow(name)?
        }
        dir => dir?,
    };
    let stat = rustix::fs::fstat(&dir)?;
    let others = Mode::WGRP | Mode::WOTH;
    if stat.st_uid != rustix::process::geteuid().as_raw() || Mode::from_raw_mode(stat.st_mode).intersects(others) {
        let text = format!("`{name}` in it is not the host's alone; give it to the host's user with mode 0700");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(dir)
}

/// The path is the operator's business: the log names it, the fault does not.
fn unusable(grant: &FolderGrant, err: &io::Error) -> Fault {
    tracing::warn!("the drop folder `{}` at `{}` cannot be used: {err}", grant.name, grant.path.display());
    transient("folder", format!("folder `{}` cannot be used now", grant.name))
}

/// Opens a file for reading: what it is, is asked of what was opened. `None` when there is none.
///
/// # Errors
/// `files.type` for links, pipes, sockets, devices, directories and files of several names; it never waits for one.
pub(super) fn open(dir: &Dir, name: &str) -> Result<Option<(File, Metadata)>, Fault> {
    let mut options = OpenOptions::new();
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    options.read(true).follow(FollowSymlinks::No).custom_flags(flags);
    let file = match dir.open_with(name, &options) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => {
            return match dir.symlink_metadata(name) {
                Ok(found) if !is_one_file(&found) => Err(wrong_type(name)),
                _ => Err(failed(name, &err)),
            };
        }
    };
    let found = file.metadata().map_err(|err| failed(name, &err))?;
    if !is_one_file(&found) {
        return Err(wrong_type(name));
    }
    Ok(Some((file, found)))
}

/// A regular file under one name.
pub(super) fn is_one_file(found: &Metadata) -> bool {
    found.is_file() && found.nlink() == 1
}

/// When it was last changed, in content, name or rights: nobody can set that back.
pub(super) fn changed(found: &Metadata) -> Timestamp {
    Timestamp::from_millis(found.ctime().saturating_mul(1_000).saturating_add(found.ctime_nsec() / 1_000_000))
}

/// Moves a file in one step; nothing is ever overwritten. False when the new name is taken, or the old one is nothing.
pub(super) fn shift(from: &Dir, old: &OsStr, to: &Dir, new: &str) -> Result<bool, Fault> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Ok(()) => {
            sync(from)?;
            sync(to)?;
            Ok(true)
        }
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOENT) => Ok(false),
        Err(err) => Err(failed(new, &err.into())),
    }
}

/// Moves it under a name nobody has: the time and a number before its own.
pub(super) fn store_away(from: &Dir, old: &OsStr, to: &Dir, name: &str, now: Timestamp) -> Result<bool, Fault> {
    for number in 0..100 {
        if shift(from, old, to, &format!("{}-{number}-{name}", now.millis()))? {
            return Ok(true);
        }
        if from.symlink_metadata(old).is_err() {
            return Ok(false);
        }
    }
    Err(transient("io", format!("no free name to keep `{name}` under")))
}

/// A rename is on disk when its directory is.
pub(super) fn sync(dir: &Dir) -> Result<(), Fault> {
    // The handle itself is only a place to start from and cannot be synced.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let synced = rustix::fs::openat(dir, ".", flags, Mode::empty()).and_then(rustix::fs::fsync);
    synced.map_err(|err| failed("folder", &err.into()))
}

pub(super) fn wrong_type(name: &str) -> Fault {
    forbidden("type", format!("`{name}` is no plain file of one name; links, pipes and devices are not touched"))
}

pub(super) fn failed(name: &str, err: &io::Error) -> Fault {
    transient("io", format!("failed to work on `{name}`: {}", err.kind()))
}
