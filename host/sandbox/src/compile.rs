//! Compiling an adapter in a process of its own, under limits.
//!
//! wasmtime does not count denial of service by compiling as a flaw: one megabyte of hostile code can take gigabytes and
//! minutes. The child has a limit on memory and processor time from its first line on, no environment, no database and
//! no keys; the parent adds a limit on wall time. What comes back is machine code of our own compiler, made from bytes
//! that were validated before.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use wasmtime::component::Component;
use wasmtime::{Engine, InstanceAllocationStrategy};

use crate::engine;
use crate::limits::Limits;

/// What compiling one adapter may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time over all threads.
    pub cpu_seconds: u64,
    /// Address space.
    pub address_bytes: u64,
    pub wall: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu_seconds: 60, address_bytes: 2 << 30, wall: Duration::from_secs(90) }
    }
}

/// The program that compiles: called with these arguments and two numbers (processor seconds, bytes of address space),
/// it must call [`child`] and nothing else.
#[derive(Debug, Clone)]
pub struct Compiler {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub limits: CompileLimits,
}

/// Why there is no machine code.
#[derive(Debug, Error)]
pub(crate) enum CompileError {
    #[error("{0}")]
    Invalid(String),
    #[error("compiling it took more than {0}")]
    Budget(String),
    #[error("the compiler could not be run: {0}")]
    Start(#[from] std::io::Error),
}

/// More machine code than this comes from no adapter.
const MOST_OUTPUT: u64 = 512 << 20;
/// Longer messages of the compiler are cut.
const MOST_COMPLAINT: u64 = 4 << 10;
/// The child's exit codes: a component the compiler refuses, and memory it did not get.
const REFUSED: u8 = 3;
const NO_MEMORY: u8 = 4;

impl Compiler {
    /// Machine code for [`Component::deserialize`] by an engine of [`engine::config`].
    pub(crate) async fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        let CompileLimits { cpu_seconds, address_bytes, wall } = &self.limits;
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .args([cpu_seconds.to_string(), address_bytes.to_string()])
            .env_clear()
            .env("RAYON_NUM_THREADS", half_of_the_machine().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(std::io::Error::other("a pipe is missing").into());
        };
        let (mut code, mut complaint) = (Vec::new(), Vec::new());
        let talk = async {
            let write = async {
                // A child that ended early says why by its status.
                let _closed = stdin.write_all(bytes).await;
                drop(stdin);
            };
            let mut read = stdout.take(MOST_OUTPUT);
            let mut hear = stderr.take(MOST_COMPLAINT);
            let ((), read, heard) = tokio::join!(write, read.read_to_end(&mut code), hear.read_to_end(&mut complaint));
            read.and(heard)?;
            child.wait().await
        };
        let Ok(status) = tokio::time::timeout(*wall, talk).await else {
            return Err(CompileError::Budget(format!("{} s", wall.as_secs())));
        };
        let status = status?;
        if status.success() {
            return Ok(code);
        }
        let text = String::from_utf8_lossy(&complaint).trim().to_owned();
        match status.code() {
            Some(code) if code == i32::from(REFUSED) => Err(CompileError::Invalid(text)),
            Some(code) if code != i32::from(NO_MEMORY) => {
                Err(CompileError::Invalid(format!("the compiler gave up ({status}): {text}")))
            }
            // Its limits end it by a signal, or by an allocation that fails.
            _ => Err(CompileError::Budget(format!("{cpu_seconds} s of processor time or {} MiB", address_bytes >> 20))),
        }
    }
}

/// Threads of the compiler. The other half is for calls that are being served.
fn half_of_the_machine() -> usize {
    std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2))
}

/// How the child ends.
pub enum ChildEnd {
    Compiled,
    /// Standard error has the reason; the exit code must be the number given.
    Refused(u8),
}

/// The whole life of the child: limits itself, reads a component from standard input, writes machine code to standard
/// output.
pub fn child(cpu_seconds: u64, address_bytes: u64) -> std::io::Result<ChildEnd> {
    let both = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Core, both(0))?;
    setrlimit(Resource::Cpu, both(cpu_seconds))?;
    setrlimit(Resource::As, both(address_bytes))?;
    // Calls that are being served go first; on a machine that is all busy a tenth of it is left for this.
    nice(10)?;
    let mut bytes = Vec::new();
    std::io::stdin().take(Limits::default().component_bytes as u64 + 1).read_to_end(&mut bytes)?;
    match compile(&bytes) {
        Ok(code) => {
            std::io::stdout().write_all(&code)?;
            Ok(ChildEnd::Compiled)
        }
        Err(error) => {
            write!(std::io::stderr(), "{error:#}")?;
            let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            Ok(ChildEnd::Refused(if kind == Some(std::io::ErrorKind::OutOfMemory) { NO_MEMORY } else { REFUSED }))
        }
    }
}

fn compile(bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut config = engine::config(&Limits::default());
    // The pool reserves address space for instances, and there will be none.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Component::from_binary(&Engine::new(&config)?, bytes)?.serialize()
}
