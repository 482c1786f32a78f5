//! How processes find the one server they share, and how it learns that they are gone.
//!
//! In the folder: `server`, the note that leads to the running server (folder, port, password); `server.lock`, held while
//! somebody reads or changes the note; `users.lock`, on which every user holds a shared lock while it lives.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::database::Access;
use crate::home::Home;
use crate::settings::Settings;

/// How long a shared server outlives its last user: the time between two runs of a person who mends a test.
pub const GRACE: Duration = Duration::from_secs(20);

/// In the target folder this program was built into, else in the folder for temporary files.
pub(crate) fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    Ok(target.map_or_else(std::env::temp_dir, Path::to_owned).join("scratch-postgres"))
}

/// Joins the running server or starts it. As long as the file is open, the server stays.
pub(crate) fn join(folder: &Path, grace: Duration) -> Result<(Home, Access, File)> {
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let (note, users) = (folder.join("server"), folder.join("users.lock"));
    let lock = lock_file(&folder.join("server.lock"))?;
    lock.lock().context("failed to lock `server.lock`")?;
    let held = lock_file(&users)?;
    held.lock_shared().context("failed to lock `users.lock`")?;
    if let Some((home, access)) = running(&note) {
        return Ok((home, access, held));
    }
    let settings = Settings::fast();
    let home = Home::create(&settings)?;
    home.watch(&users, &note, grace)?;
    let access = home.begin(&settings)?;
    write_note(&note, &home, &access)?;
    Ok((home, access, held))
}

/// What the note leads to, if it answers to the password in the note. Whatever else is there is not ours.
fn running(note: &Path) -> Option<(Home, Access)> {
    let text = std::fs::read_to_string(note).ok()?;
    let mut lines = text.lines();
    let home = Home::at(PathBuf::from(lines.next()?)).ok()?;
    let access = home.access(lines.next()?.parse().ok()?, lines.next()?.to_owned()).ok()?;
    access.query("postgres", "SELECT 1").ok()?;
    Some((home, access))
}

fn write_note(note: &Path, home: &Home, access: &Access) -> Result<()> {
    // A note of a server that is gone may be there; its rights are as good.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(note)
        .with_context(|| format!("failed to write `{}`", note.display()))?;
    writeln!(file, "{}\n{}\n{}", home.folder().display(), access.port, access.password)?;
    Ok(())
}

pub(crate) fn lock_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).open(path).with_context(|| format!("failed to open `{}`", path.display()))
}
