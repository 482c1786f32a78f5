//! PostgreSQL's programs on this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder with `initdb`, `pg_ctl`, `postgres` and `psql`.
#[derive(Debug, Clone)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Debian's newest version, else the first folder of the path that has them.
    pub(crate) fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = debian(Path::new("/usr/lib/postgresql")).into_iter().chain(std::env::split_paths(&path));
        first_complete(folders).context(
            "PostgreSQL is not installed: `cargo xtask test` installs it, or as root \
             `apt-get install postgresql`; elsewhere put `initdb`, `pg_ctl`, `postgres` and `psql` on the PATH",
        )
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.0.join(program)
    }
}

/// Are the programs on this machine?
pub fn installed() -> bool {
    Programs::find().is_ok()
}

fn first_complete(mut folders: impl Iterator<Item = PathBuf>) -> Option<Programs> {
    let needed = ["initdb", "pg_ctl", "postgres", "psql"];
    folders.find(|folder| needed.iter().all(|program| folder.join(program).is_file())).map(Programs)
}

/// `<root>/<version>/bin`, the newest first.
fn debian(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| root.join(version.to_string()).join("bin")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_version_is_taken() {
        let root = tempfile::tempdir().unwrap();
        for (version, programs) in [
            ("9", &["initdb", "pg_ctl", "postgres", "psql"][..]),
            ("15", &["initdb", "pg_ctl", "postgres", "psql"]),
            // Only the client is installed.
            ("16", &["psql"]),
        ] {
            let bin = root.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
        }
        let found = first_complete(debian(root.path()).into_iter()).unwrap();
        assert_eq!(found.path("psql"), root.path().join("15/bin/psql"));
        assert!(first_complete(debian(&root.path().join("none")).into_iter()).is_none());
    }
}
