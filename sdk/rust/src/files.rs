//! Drop folders: files a partner leaves, and files left for the partner. A folder is one of the manifest's `[[folders]]`.

use crate::Fault;
use crate::bindings::wharf::files::folder as host;
pub use crate::bindings::wharf::files::folder::{Entry, Page};

/// Bytes of one read across the border.
const PART: u32 = 1 << 20;

/// Files waiting, those after a name: at most 1,000, and what to give as `after` for the next ones. Panics off wasm, as
/// everything here.
pub fn waiting(folder: &str, after: Option<&str>) -> Result<Page, Fault> {
    host::waiting(folder, after)
}

/// Files in hand, also those of a call that was ended in the middle. Begin with them.
pub fn held(folder: &str) -> Result<Vec<Entry>, Fault> {
    host::held(folder)
}

/// Takes a file. None when it is gone, not at rest yet, or one of its name is in hand.
pub fn claim(folder: &str, name: &str) -> Result<Option<Entry>, Fault> {
    host::claim(folder, name)
}

/// A claimed file, whole.
pub fn read(folder: &str, name: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    loop {
        let part = host::read(folder, name, bytes.len() as u64, PART)?;
        let last = part.len() < PART as usize;
        bytes.extend(part);
        if last {
            return Ok(bytes);
        }
    }
}

/// Done with a claimed file. Finishing twice is no failure.
pub fn finish(folder: &str, name: &str) -> Result<(), Fault> {
    host::finish(folder, name)
}

/// A claimed file that cannot be used goes to the operator.
pub fn reject(folder: &str, name: &str, reason: &str) -> Result<(), Fault> {
    host::reject(folder, name, reason)
}

/// Leaves a whole file, once: the same name and bytes again change nothing, the same name for other bytes is a
/// `conflict`.
pub fn put(folder: &str, name: &str, content: &[u8]) -> Result<(), Fault> {
    host::put(folder, name, content)
}
