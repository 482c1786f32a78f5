//! The user a server runs as: ourselves, or somebody with fewer rights when we are root.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// `None`: this process's own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account(Option<Other>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Other {
    user: u32,
    group: u32,
}

impl Account {
    pub(crate) fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let users = std::fs::read_to_string("/etc/passwd").context("failed to read `/etc/passwd`")?;
        let other = ["postgres", "nobody"].iter().find_map(|name| entry(&users, name));
        let other = other.context(
            "PostgreSQL does not run as root, and `/etc/passwd` has no user `postgres` or `nobody`: \
             `apt-get install postgresql` makes one",
        )?;
        Ok(Self(Some(other)))
    }

    /// A command that runs as this user and sees nothing of our environment: `PGPORT` and the like are another
    /// server's.
    pub(crate) fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir(folder);
        if let Self(Some(other)) = self {
            command.uid(other.user).gid(other.group);
        }
        command
    }

    pub(crate) fn give(self, folder: &Path) -> Result<()> {
        let Self(Some(other)) = self else { return Ok(()) };
        std::os::unix::fs::chown(folder, Some(other.user), Some(other.group))
            .with_context(|| format!("failed to give `{}` to user {}", folder.display(), other.user))
    }

    /// The first of the folders this user can get into.
    pub(crate) fn reachable(self, folders: &[PathBuf]) -> Result<PathBuf> {
        let open = |folder: &Path| {
            std::fs::metadata(folder).is_ok_and(|it| it.is_dir() && it.permissions().mode() & 0o001 != 0)
        };
        let fits = |folder: &&PathBuf| folder.is_dir() && (self.0.is_none() || folder.ancestors().all(open));
        folders.iter().find(fits).cloned().with_context(|| {
            format!("none of {folders:?} can be entered by the user PostgreSQL runs as: `chmod o+x` one of them")
        })
    }
}

/// `name:password:user:group:…`
fn entry(users: &str, name: &str) -> Option<Other> {
    let mut fields = users.lines().map(|line| line.split(':')).find_map(|mut fields| {
        let found = fields.next() == Some(name);
        found.then_some(fields)
    })?;
    Some(Other { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:7::/:/bin/sh\npostgres:x:101:104:,,,:/v:/bin/sh\n";
        assert_eq!(entry(users, "postgres"), Some(Other { user: 101, group: 104 }));
        assert_eq!(entry(users, "nobody"), None);
    }

    #[test]
    fn a_folder_behind_a_closed_one_is_not_reachable_for_somebody_else() {
        let closed = tempfile::tempdir().unwrap();
        std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let inner = closed.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let folders = [inner.clone(), PathBuf::from("/")];
        let other = Account(Some(Other { user: 65534, group: 65534 }));
        assert_eq!(other.reachable(&folders).unwrap(), PathBuf::from("/"));
        assert_eq!(Account(None).reachable(&folders).unwrap(), inner);
        assert!(other.reachable(&folders[..1]).unwrap_err().to_string().contains("chmod o+x"));
    }
}
