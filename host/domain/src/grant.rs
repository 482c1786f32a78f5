//! What an operator granted one connection, beyond its routes. Deny by default: what is not here is not there.

use std::path::PathBuf;

/// Everything granted. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub folders: Vec<FolderGrant>,
}

/// One drop folder: what the manifest asks for, at the place the operator gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGrant {
    /// What the adapter calls it.
    pub name: String,
    /// Absolute. Never told to the adapter.
    pub path: PathBuf,
    /// May list, claim and read what is left there, and finish or reject it.
    pub read: bool,
    /// May leave files there.
    pub create: bool,
    /// What is finished is kept in the archive; else it is deleted.
    pub archive: bool,
    /// Of one file.
    pub max_file_bytes: u64,
    /// Of all files left there that nobody has taken away yet.
    pub max_bytes: u64,
    pub max_files: u32,
}
