//! What a file may be called. A name is one component of a small alphabet, and means the same on every file system.

use wharf_domain::fault::Fault;

use super::forbidden;

const LONGEST: usize = 120;

/// The host's own folders inside a drop folder.
pub(super) const CLAIMED: &str = "claimed";
pub(super) const ARCHIVE: &str = "archive";
pub(super) const QUARANTINE: &str = "quarantine";
pub(super) const PARTIAL: &str = "partial";

/// An empty file of this ending beside another says that the other is whole.
pub(super) const DONE: &str = ".done";

/// Devices under another system, with any ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// Endings of files that are still being written, or that speak of others.
const UNFINISHED: [&str; 4] = [DONE, ".part", ".filepart", ".tmp"];

/// A name that can be used. What is no name names the rule.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    match problem(text) {
        None => Ok(()),
        Some(why) => {
            let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            Err(forbidden("path", format!("`{shown}` is no file name: {why}")))
        }
    }
}

/// Is it a name, and one of a file that is whole?
pub(super) fn is_name(text: &str) -> bool {
    problem(text).is_none()
}

/// Of the alphabet, whatever it means.
pub(super) fn is_plain(text: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    text.len() <= LONGEST && text.bytes().all(alphabet)
}

fn problem(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let stem = lower.split('.').next().unwrap_or_default();
    let device = |name: &str| {
        stem.strip_prefix(name).is_some_and(|rest| match name {
            "com" | "lpt" => rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()),
            _ => rest.is_empty(),
        })
    };
    if !is_plain(text) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some("use 1 to 120 letters, digits, `.`, `-` and `_`, the first a letter or digit");
    }
    if text.ends_with('.') || DEVICES.iter().any(|name| device(name)) {
        return Some("other systems do not know it as a file");
    }
    if [CLAIMED, ARCHIVE, QUARANTINE, PARTIAL].contains(&lower.as_str()) {
        return Some("it is a folder of the host");
    }
    if UNFINISHED.iter().any(|ending| lower.ends_with(ending)) {
        return Some("its ending says that it is not a whole file");
    }
    None
}
