//! What was left for us: list, claim, read, finish, reject.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::FileExt as _;

use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use wharf_domain::fault::Fault;
use wharf_domain::grant::FolderGrant;
use wharf_domain::time::Timestamp;

use super::name::{self, DONE};
use super::place::{self, Place};
use super::{FolderAnswer, FolderAsk, FolderFile, MAX_READ, Rules, forbidden};

/// Files of one page, and in hand at once.
const PAGE: usize = 1_000;
/// A folder is looked through so far; the rest comes when these are gone.
const MAX_LOOK: usize = 20_000;
/// Files nobody can name that are put away in one go.
const MAX_STRANGE: usize = 100;
/// Of a reason, in characters.
const LONGEST_REASON: usize = 500;

pub(super) fn take(grant: &FolderGrant, rules: Rules, now: Timestamp, ask: &FolderAsk) -> Result<FolderAnswer, Fault> {
    let hands = Hands { grant, rules, now, place: Place::open(grant)? };
    match ask {
        FolderAsk::Waiting { after } => hands.waiting(after.as_deref()),
        FolderAsk::Held => Ok(FolderAnswer::Files(hands.held()?, None)),
        FolderAsk::Claim { name } => hands.claim(name).map(FolderAnswer::Claimed),
        FolderAsk::Read { name, offset, length } => hands.read(name, *offset, *length).map(FolderAnswer::Bytes),
        FolderAsk::Finish { name } => hands.finish(name).map(|()| FolderAnswer::Done),
        FolderAsk::Reject { name, .. } => hands.reject(name).map(|()| FolderAnswer::Done),
        FolderAsk::Put { .. } => Ok(FolderAnswer::Done),
    }
}

/// The audit's action, the file, and a reason made harmless.
pub(super) fn audited(ask: &FolderAsk) -> Option<(&'static str, String, Option<String>)> {
    match ask {
        FolderAsk::Claim { name } => Some(("file.claimed", name.clone(), None)),
        FolderAsk::Finish { name } => Some(("file.finished", name.clone(), None)),
        FolderAsk::Reject { name, reason } => {
            let shown = reason.chars().take(LONGEST_REASON).flat_map(char::escape_debug).collect();
            Some(("file.rejected", name.clone(), Some(shown)))
        }
        _ => None,
    }
}

struct Hands<'a> {
    grant: &'a FolderGrant,
    rules: Rules,
    now: Timestamp,
    place: Place,
}

impl Hands<'_> {
    fn waiting(&self, after: Option<&str>) -> Result<FolderAnswer, Fault> {
        let mut page = BTreeMap::new();
        let mut strange = Vec::new();
        for (name, found) in look(&self.place.top)? {
            match name.to_str() {
                Some(text) if name::is_name(text) => {
                    if after.is_none_or(|after| text > after) {
                        let ready = self.at_rest(text, &found);
                        page.insert(text.to_owned(), file(text, &found, ready));
                    }
                    if page.len() > PAGE + 1 {
                        page.pop_last();
                    }
                }
                Some(text) if name::is_plain(text) => {}
                _ if strange.len() < MAX_STRANGE && self.is_old(&found) => strange.push(name),
                _ => {}
            }
        }
        for name in strange {
            self.put_away_strange(&name)?;
        }
        let more = page.len() > PAGE;
        let files: Vec<FolderFile> = page.into_values().take(PAGE).collect();
        let next = files.last().filter(|_| more).map(|last| last.name.clone());
        Ok(FolderAnswer::Files(files, next))
    }

    /// Nobody can claim what has no usable name; a person sees it in the quarantine.
    fn put_away_strange(&self, name: &OsStr) -> Result<(), Fault> {
        tracing::warn!("a file called {name:?} in drop folder `{}` was put into its quarantine", self.grant.name);
        place::store_away(&self.place.top, name, &self.place.quarantine, "unnamed", self.now).map(|_| ())
    }

    fn held(&self) -> Result<Vec<FolderFile>, Fault> {
        let found = look(&self.place.claimed)?;
        let mut files: Vec<_> = found
            .iter()
            .filter_map(|(name, found)| name.to_str().filter(|text| name::is_name(text)).map(|text| (text, found)))
            .map(|(text, found)| file(text, found, true))
            .collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn claim(&self, name: &str) -> Result<Option<FolderFile>, Fault> {
        name::check(name)?;
        let Some((_, before)) = place::open(&self.place.top, name)? else {
            return Ok(None);
        };
        if !self.at_rest(name, &before) {
            return Ok(None);
        }
        if before.len() > self.grant.max_file_bytes {
            let limit = self.grant.max_file_bytes;
            place::store_away(&self.place.top, OsStr::new(name), &self.place.quarantine, name, self.now)?;
            let text = format!("`{name}` is larger than {limit} bytes; it was put into quarantine");
            return Err(forbidden("file-size", text));
        }
        let held = self.held()?;
        if held.len() >= PAGE {
            return Err(forbidden("held", format!("{PAGE} files are in hand; finish some of them")));
        }
        // Two names that differ only in case are one on the next file system: one after the other.
        if held.iter().any(|held| held.name.eq_ignore_ascii_case(name)) {
            return Ok(None);
        }
        if !place::shift(&self.place.top, OsStr::new(name), &self.place.claimed, name)? {
            return Ok(None);
        }
        // What was moved may be another thing than what was seen.
        let moved = place::open(&self.place.claimed, name);
        let after = match moved {
            Ok(Some((_, after))) => after,
            Ok(None) => return Ok(None),
            Err(fault) => {
                place::store_away(&self.place.claimed, OsStr::new(name), &self.place.quarantine, name, self.now)?;
                return Err(fault);
            }
        };
        let same = |m: &Metadata| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        if same(&before) != same(&after) {
            // Somebody is at it: back with it, and its age begins anew.
            place::shift(&self.place.claimed, OsStr::new(name), &self.place.top, name)?;
            return Ok(None);
        }
        // One that stays is older than the next file of this name, and says nothing of it.
        let _ = self.place.top.remove_file(format!("{name}{DONE}"));
        Ok(Some(file(name, &after, true)))
    }

    fn read(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, Fault> {
        name::check(name)?;
        let Some((file, found)) = place::open(&self.place.claimed, name)? else {
            return Err(forbidden("not-claimed", format!("`{name}` is not claimed; claim it first")));
        };
        let limit = self.grant.max_file_bytes;
        if found.len() > limit {
            return Err(forbidden("file-size", format!("`{name}` has grown over {limit} bytes; reject it")));
        }
        let left = found.len().saturating_sub(offset);
        let wanted = usize::try_from(left.min(u64::from(length.min(MAX_READ)))).unwrap_or_default();
        let mut bytes = vec![0; wanted];
        let file = file.into_std();
        let mut filled = 0;
        while filled < wanted {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                Err(err) => return Err(place::failed(name, &err)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn finish(&self, name: &str) -> Result<(), Fault> {
        name::check(name)?;
        if self.grant.archive {
            let to = &self.place.archive;
            return place::store_away(&self.place.claimed, OsStr::new(name), to, name, self.now).map(|_| ());
        }
        match self.place.claimed.remove_file(name) {
            Ok(()) => place::sync(&self.place.claimed),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(err) => Err(place::failed(name, &err)),
        }
    }

    fn reject(&self, name: &str) -> Result<(), Fault> {
        name::check(name)?;
        let to = &self.place.quarantine;
        place::store_away(&self.place.claimed, OsStr::new(name), to, name, self.now).map(|_| ())
    }

    /// Whole: a marker says so, or nobody has touched it for a while. A file that was renamed in was touched then.
    fn at_rest(&self, name: &str, found: &Metadata) -> bool {
        let marked = || {
            let marker = self.place.top.symlink_metadata(format!("{name}{DONE}"));
            let newer = |marker: &Metadata| place::changed(marker) >= place::changed(found);
            marker.is_ok_and(|marker| place::is_one_file(&marker) && newer(&marker))
        };
        self.is_old(found) || marked()
    }

    fn is_old(&self, found: &Metadata) -> bool {
        self.now.since(place::changed(found)) >= self.rules.rest_ms
    }
}

/// Plain files of one name, with what they are.
fn look(dir: &Dir) -> Result<Vec<(OsString, Metadata)>, Fault> {
    let entries = dir.entries().map_err(|err| place::failed("folder", &err))?;
    let mut found = Vec::new();
    for entry in entries.take(MAX_LOOK) {
        let entry = entry.map_err(|err| place::failed("folder", &err))?;
        // It may be gone by now.
        if let Ok(metadata) = entry.metadata()
            && place::is_one_file(&metadata)
        {
            found.push((entry.file_name(), metadata));
        }
    }
    Ok(found)
}

fn file(name: &str, found: &Metadata, ready: bool) -> FolderFile {
    FolderFile { name: name.to_owned(), size: found.len(), changed: place::changed(found), ready }
}
