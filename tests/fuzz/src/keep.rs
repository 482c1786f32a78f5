//! What is left on disk, in `target/fuzz/<target>/`: the input that is being looked at, findings, and the report.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// The file that holds the input while it is looked at; it is gone when all went well.
const NOW: &str = "now";

pub(crate) struct Keep {
    folder: PathBuf,
    now: File,
}

impl Keep {
    /// Clears away what an earlier run has left, but for its findings.
    pub(crate) fn open(target: &str) -> io::Result<Self> {
        let test = std::env::current_exe()?;
        // target/<profile>/deps/<test>
        let build = test.ancestors().nth(3).ok_or_else(|| io::Error::other("the test binary has no folder"))?;
        Self::within(build.join("fuzz").join(target))
    }

    pub(crate) fn within(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        match fs::remove_file(folder.join("report.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let now = File::create(folder.join(NOW))?;
        Ok(Self { folder, now })
    }

    pub(crate) fn about_to_look_at(&mut self, input: &[u8]) -> io::Result<()> {
        self.now.seek(SeekFrom::Start(0))?;
        self.now.write_all(input)?;
        self.now.set_len(input.len() as u64)
    }

    /// Keeps a failing input under a name made of it.
    pub(crate) fn finding(&mut self, input: &[u8]) -> io::Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        let path = self.folder.join(format!("finding-{:016x}", hasher.finish()));
        fs::write(&path, input)?;
        fs::remove_file(self.folder.join(NOW))?;
        Ok(path)
    }

    /// All went well.
    pub(crate) fn report(self, executions: u64, ends: usize, took: Duration, peak: Option<u64>) -> io::Result<()> {
        let (millis, peak) = (took.as_millis(), peak.unwrap_or(0));
        let text =
            format!(r#"{{"executions":{executions},"ends":{ends},"millis":{millis},"peak_bytes":{peak}}}"#) + "\n";
        fs::write(self.folder.join("report.json"), text)?;
        fs::remove_file(self.folder.join(NOW))
    }
}

/// The most resident bytes this process ever had; `None` where the system does not tell.
pub(crate) fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// Without the message of a panic.
pub(crate) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = run();
    std::panic::set_hook(hook);
    done
}
