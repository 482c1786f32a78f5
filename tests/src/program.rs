//! A process that ends with its value.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A binary of this workspace, built by `cargo build --workspace --bins`.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test> -> target/<profile>/<name>
    let folder = test.ancestors().nth(2).context("the test binary has no folder")?;
    let path = folder.join(name);
    if !path.is_file() {
        bail!("`{}` is missing: run `cargo build --workspace --bins`, or use `cargo xtask test`", path.display());
    }
    Ok(path)
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command` with its output in `log` (appended).
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let err = out.try_clone()?;
        let child = command
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits for the file a program writes when it is ready.
    pub fn wait_for(&mut self, file: &Path) -> Result<serde_json::Value> {
        let start = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(file)
                && let Ok(json) = serde_json::from_str(&text)
            {
                return Ok(json);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status} before it was ready:\n{}", self.tail());
            }
            if start.elapsed() > Duration::from_secs(60) {
                bail!("not ready after 60 s:\n{}", self.tail());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, e.g. `STOP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        if !done.success() {
            bail!("cannot signal process {}", self.child.id());
        }
        Ok(())
    }

    /// Asks it to stop and waits; gives its exit code.
    pub fn stop(&mut self) -> Result<Option<i32>> {
        self.signal("TERM")?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(40) {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("still running 40 s after it was asked to stop:\n{}", self.tail())
    }

    /// Is it still there?
    pub fn running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
