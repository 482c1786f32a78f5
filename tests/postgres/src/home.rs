//! The folder of one server, and what happens in it: making a cluster, starting, stopping, freezing.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use crate::account::Account;
use crate::database::Access;
use crate::programs::Programs;
use crate::settings::Settings;

/// Below the range from which a machine takes the ports of its outgoing connections: there, whoever connects to a
/// stopped server could be given the server's own port and meet itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    programs: Programs,
    account: Account,
}

impl Home {
    pub(crate) fn at(folder: PathBuf) -> Result<Self> {
        Ok(Self { folder, programs: Programs::find()?, account: Account::choose()? })
    }

    /// An empty folder only the server's user can enter.
    pub(crate) fn create(settings: &Settings) -> Result<Self> {
        let (programs, account) = (Programs::find()?, Account::choose()?);
        let parent = account.reachable(settings.folders())?;
        let folder = tempfile::Builder::new()
            .prefix("wharf-postgres-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(|| format!("failed to create a folder in `{}`", parent.display()))?;
        account.give(folder.path())?;
        Ok(Self { folder: folder.keep(), programs, account })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Of a cluster that has been made.
    pub(crate) fn access(&self, port: u16, password: String) -> Result<Access> {
        let file = self.data().join("PG_VERSION");
        let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let version = text.trim().parse().with_context(|| format!("`{}` is no version", file.display()))?;
        Ok(Access { psql: self.programs.path("psql"), port, password, version })
    }

    /// Starts the shell that ends this server after its users. It outlives us, in a session and group of its own.
    pub(crate) fn watch(&self, users: &Path, note: &Path, grace: Duration) -> Result<()> {
        let mut watcher = Command::new("setsid")
            .args(["sh", "-c", include_str!("watch.sh"), "scratch-postgres"])
            .args([users, note, &self.folder])
            .arg(grace.as_secs_f64().to_string())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start `setsid sh`: `apt-get install util-linux`")?;
        // As leader of a group `setsid` forks, and its own end is at once.
        watcher.wait().context("failed to wait for `setsid`")?;
        Ok(())
    }

    /// Makes the cluster and starts it: its port and password.
    pub(crate) fn begin(&self, settings: &Settings) -> Result<Access> {
        let password = Uuid::new_v4().simple().to_string();
        let secret = self.folder.join("password");
        std::fs::write(&secret, &password).context("failed to write the password")?;
        self.account.give(&secret)?;
        let mut initdb = self.account.command(&self.programs.path("initdb"), &self.folder);
        initdb.arg("-D").arg(self.data()).arg("--pwfile").arg(&secret);
        // `password` and not `scram`: the client's part of scram takes tens of milliseconds in an unoptimised build.
        initdb.args(["-U", "postgres", "-A", "password", "-E", "UTF8", "--no-locale", "--no-sync"]);
        self.run(&mut initdb)?;
        let file = self.data().join("postgresql.conf");
        let mut text = std::fs::read_to_string(&file).context("failed to read `postgresql.conf`")?;
        text.push_str(&settings.text());
        text.push_str("listen_addresses = '127.0.0.1'\n");
        text.push_str(&format!("unix_socket_directories = '{}'\n", self.folder.display()));
        std::fs::write(&file, text).context("failed to write `postgresql.conf`")?;
        // Between our look at a port and the server's somebody else may take it.
        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port()?;
            match self.start(port) {
                Ok(()) => return self.access(port, password),
                Err(error) if tries == 3 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Returns when it answers.
    pub(crate) fn start(&self, port: u16) -> Result<()> {
        let mut command = self.pg_ctl();
        command.args(["-w", "-t", "60", "-o", &format!("-p {port}"), "-l"]).arg(self.folder.join("log")).arg("start");
        self.run(&mut command)
    }

    /// As a crash does: no checkpoint, clients are cut off, the next start recovers from the log.
    pub(crate) fn stop(&self) -> Result<()> {
        self.run(self.pg_ctl().args(["-w", "-m", "immediate", "stop"]))
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.account.command(&self.programs.path("pg_ctl"), &self.folder);
        command.arg("-D").arg(self.data()).arg("-s");
        command
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("failed to start `{program}`"))?;
        if !output.status.success() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(10)..].join("\n");
            bail!("`{program}` ended with {}: {}{tail}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// `None` when it does not run.
    pub(crate) fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// To the server and to every process it has for its clients; they are no process group.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("the server does not run")?;
        // The server first: a stopped one has no more children.
        send(pid, signal)?;
        for child in children(pid)? {
            // It may have ended by itself meanwhile.
            send(child, signal).ok();
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("failed to delete `{}`", self.folder.display()))
    }
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process number")?;
    kill_process(target, signal).with_context(|| format!("failed to signal process {pid}"))
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let processes = std::fs::read_dir("/proc").context("failed to read `/proc`")?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(numbers.filter(|pid| parent_of(*pid) == Some(parent)).collect())
}

/// From `number (name) state parent …`; the name may hold spaces and brackets.
fn parent_of(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let (high, _) = Uuid::new_v4().as_u64_pair();
        let port = PORTS.start + u16::try_from(high % u64::from(PORTS.end - PORTS.start))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {} and {} in 100 tries", PORTS.start, PORTS.end)
}
