//! Child processes. Each one gets a process group of its own, and every wait looks for Ctrl-C and SIGTERM, so that all
//! exits of a command, including the interrupted one, pass through the same `Drop`s: no process outlives its owner.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
const TURN: Duration = Duration::from_millis(50);

/// From here on SIGINT, SIGTERM and SIGHUP end waits instead of the process.
pub(crate) fn watch_signals() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("failed to watch for signals")?;
    }
    Ok(())
}

pub(crate) fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::SeqCst))
}

/// One turn of a wait: sleeps briefly, an error when the person at the keyboard wants out.
pub(crate) fn pause() -> Result<()> {
    ensure!(!interrupted(), "interrupted");
    std::thread::sleep(TURN);
    Ok(())
}

/// The repository's root.
pub(crate) fn repo() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where cargo puts the host's binaries: `CARGO_TARGET_DIR` or `target`.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo().join("target"), |dir| repo().join(dir))
}

/// A command that runs in the repository's root and reads nothing from the terminal.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repo()).stdin(Stdio::null());
    command
}

/// Is there such a program on the path?
pub(crate) fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Runs to the end; the child's output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = finish(Owned::spawn(command)?, None)?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// As [`run`], but to the end even when the person wants out: for the commands that tidy up.
pub(crate) fn run_undisturbed(command: &mut Command) -> Result<()> {
    let status = Owned::spawn(command)?.0.wait()?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// Runs to the end and gives its standard output. `limit` bounds the whole run.
pub(crate) fn capture(command: &mut Command, limit: Option<Duration>) -> Result<String> {
    capture_fed(command, "", limit)
}

/// As [`capture`], with `input` on the child's standard input.
pub(crate) fn capture_fed(command: &mut Command, input: &str, limit: Option<Duration>) -> Result<String> {
    let mut owned = Owned::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let (mut to, mut from) = match (owned.0.stdin.take(), owned.0.stdout.take()) {
        (Some(to), Some(from)) => (to, from),
        _ => bail!("`{}` has no pipes", shown(command)),
    };
    let input = input.to_owned();
    // Both ends in threads of their own: a child that fills one pipe while we wait on the other would never end.
    let feeding = std::thread::spawn(move || std::io::Write::write_all(&mut to, input.as_bytes()));
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).map(|_| text)
    });
    let status = finish(owned, limit)?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    // A child may end without having read all of its input.
    if let Ok(Err(error)) = feeding.join()
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(error).with_context(|| format!("failed to write to `{}`", shown(command)));
    }
    match reading.join() {
        Ok(text) => text.with_context(|| format!("`{}` printed what is not text", shown(command))),
        Err(_) => bail!("failed to read what `{}` printed", shown(command)),
    }
}

fn finish(mut owned: Owned, limit: Option<Duration>) -> Result<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = owned.0.try_wait()? {
            return Ok(status);
        }
        if limit.is_some_and(|limit| began.elapsed() > limit) {
            bail!("no end after {} s", began.elapsed().as_secs());
        }
        pause()?;
    }
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// A child and its whole process group, ended when dropped.
struct Owned(Child);

impl Owned {
    fn spawn(command: &mut Command) -> Result<Self> {
        command.process_group(0).spawn().map(Self).with_context(|| format!("failed to start `{}`", shown(command)))
    }

    fn signal(&self, signal: Signal) {
        // The group is gone when nobody of it is left, which is what a signal is for.
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            kill_process_group(group, signal).ok();
        }
    }

    fn ended(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if began.elapsed() > limit {
                return false;
            }
            std::thread::sleep(TURN);
        }
        true
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::TERM);
        self.ended(Duration::from_secs(15));
        // Whoever of the group is still there: the child itself, or somebody it left behind.
        self.signal(Signal::KILL);
        self.ended(Duration::from_secs(5));
    }
}

/// A server of ours: runs until dropped, its output in a file.
pub(crate) struct Service {
    name: String,
    log: PathBuf,
    child: Owned,
}

impl Service {
    pub(crate) fn start(name: &str, log: &Path, command: &mut Command) -> Result<Self> {
        let file = std::fs::File::create(log).with_context(|| format!("failed to create `{}`", log.display()))?;
        let child = Owned::spawn(command.stdout(file.try_clone()?).stderr(file))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child })
    }

    /// An error with the end of its output when it is not running any more.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.0.try_wait()? else { return Ok(()) };
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        bail!("{} ended with {status}:\n{tail}", self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A port nobody listens on just now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_service_takes_its_whole_group_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let service = Service::start("a shell", &log, command("sh").args(["-c", "sleep 300 & echo $!; wait"])).unwrap();
        let grandchild = loop {
            if let Ok(pid) = std::fs::read_to_string(&log).unwrap().trim().parse::<i32>() {
                break Pid::from_raw(pid).unwrap();
            }
            std::thread::yield_now();
        };
        assert!(rustix::process::test_kill_process(grandchild).is_ok());
        drop(service);
        // A zombie until init reaps it; what counts is that it does not run. Signals take a moment to arrive.
        let stat = format!("/proc/{}/stat", grandchild.as_raw_nonzero());
        let running =
            || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z") && !text.contains(") X"));
        let began = Instant::now();
        while running() {
            assert!(began.elapsed() < Duration::from_secs(10), "it still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_fed_in_comes_out_and_failures_name_the_command() {
        assert_eq!(capture_fed(&mut command("cat"), "wharf", None).unwrap(), "wharf");
        let error = run(command("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "`sh -c exit 3` ended with exit status: 3");
        let limit = Some(Duration::from_millis(1));
        assert!(capture(command("sleep").arg("300"), limit).is_err());
    }

    #[test]
    fn a_service_that_ended_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut service =
            Service::start("thing", &folder.path().join("log"), command("sh").args(["-c", "echo no luck; exit 1"]))
                .unwrap();
        let words = loop {
            if let Err(error) = service.check() {
                break error.to_string();
            }
        };
        assert!(words.contains("no luck") && words.starts_with("thing ended"), "{words}");
    }
}
