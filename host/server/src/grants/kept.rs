//! Adapter files that were looked at, by their digest: what was accepted can run on when the file in `adapters_dir` is
//! replaced. In the host's own `data_dir`; a file that is not there any more costs a connection its old version.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wharf_domain::ids::Digest;

pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// `folder` is the host's alone, and need not exist.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a file, whole or not at all; one that is there already is left as it is.
    pub(crate) fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.read(digest).is_ok() {
            return Ok(());
        }
        let path = self.path(digest);
        let written = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            let temporary = path.with_extension("part");
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        written().with_context(|| format!("cannot keep the adapter as `{}`", path.display()))
    }

    /// The file; an error when it is gone or is not what its name says.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let bytes =
            std::fs::read(&path).with_context(|| format!("the accepted adapter `{}` is gone", path.display()))?;
        if Digest::of(&bytes) != *digest {
            bail!("`{}` is not the adapter its name says", path.display());
        }
        Ok(bytes)
    }

    /// Removes every file but these. What cannot be removed stays, and costs room only.
    pub(crate) fn forget_others(&self, wanted: &BTreeSet<Digest>) {
        let wanted: BTreeSet<PathBuf> = wanted.iter().map(|digest| self.path(digest)).collect();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| ours(path) && !wanted.contains(path)) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "an adapter nobody needs any more was not removed");
            }
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.hex()))
    }
}

/// Nothing else is touched, whatever lies there.
fn ours(path: &Path) -> bool {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let hex = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    hex && path.extension().is_some_and(|end| end == "wasm" || end == "part")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_until_nobody_needs_it_and_is_never_taken_for_another() {
        let folder = tempfile::tempdir().expect("folder");
        let kept = Kept::new(folder.path().join("adapters"));
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert!(kept.read(&one).expect_err("not yet").to_string().contains("is gone"));
        for _ in 0..2 {
            kept.keep(&one, b"one").expect("kept");
            kept.keep(&two, b"two").expect("kept");
        }
        std::fs::write(kept.path(&two), b"twx").expect("damaged");
        assert!(kept.read(&two).expect_err("damaged").to_string().contains("not the adapter"));
        kept.keep(&two, b"two").expect("mended");
        assert_eq!(kept.read(&two).expect("there"), b"two");
        let foreign = folder.path().join("adapters/notes.txt");
        std::fs::write(&foreign, "mine").expect("written");
        kept.forget_others(&BTreeSet::from([one.clone()]));
        assert_eq!(kept.read(&one).expect("there"), b"one");
        kept.read(&two).expect_err("gone");
        assert!(foreign.is_file());
    }
}
