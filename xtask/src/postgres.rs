//! PostgreSQL's programs, which the tests and benchmarks start throw-away servers from. Debian's package also makes a
//! cluster and starts it as a service; nobody here wants one, so it is told not to, for this installation only.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use wharf_scratch_postgres::installed;

use crate::progress::step;
use crate::run;

/// Read by the package on installation.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.d";

/// Does nothing when they are there.
pub(crate) fn install() -> Result<()> {
    if installed() {
        return Ok(());
    }
    ensure!(
        run::exists("apt-get") && rustix::process::geteuid().is_root(),
        "PostgreSQL is not installed: run `apt-get install postgresql` as root, or put `initdb`, `pg_ctl`, `postgres` \
         and `psql` on the PATH"
    );
    step("postgres: install Debian's package", || {
        run::run(run::command("apt-get").args(["-q", "update"]).stdout(Stdio::null()))?;
        let without_cluster = NoCluster::ask(Path::new(CLUSTERS))?;
        let done = run::run(
            run::command("apt-get")
                .args(["install", "-y", "-q", "--no-install-recommends", "postgresql"])
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(Stdio::null()),
        );
        drop(without_cluster);
        done
    })?;
    ensure!(installed(), "package `postgresql` is installed, but its programs are not in `/usr/lib/postgresql/*/bin`");
    Ok(())
}

/// A line of configuration, there as long as this value is: whoever installs a version later gets the usual cluster.
struct NoCluster(std::path::PathBuf);

impl NoCluster {
    fn ask(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
        let file = folder.join("wharf-no-cluster.conf");
        std::fs::write(&file, "create_main_cluster = false\n")
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for NoCluster {
    fn drop(&mut self) {
        // A file that stays costs the next version's cluster, nothing else.
        std::fs::remove_file(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_for_no_cluster_is_gone_after_the_installation() {
        let folder = tempfile::tempdir().unwrap();
        let asked = NoCluster::ask(&folder.path().join("createcluster.d")).unwrap();
        let file = asked.0.clone();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "create_main_cluster = false\n");
        drop(asked);
        assert!(!file.exists());
    }
}
