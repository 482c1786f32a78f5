//! The memory of a host holds every secret that is in use. The system is told to show it to nobody: no core file when the
//! process dies, and no debugger and no reader of `/proc/<pid>` that runs as the same user. Whoever is allowed to trace
//! or to measure anything (`CAP_SYS_PTRACE`, `CAP_PERFMON`) still may.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Before the first secret is read. A process it starts may be debugged again, and leaves no core file either.
pub(crate) fn memory_stays_here() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    undumpable()
}

#[cfg(target_os = "linux")]
fn undumpable() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(not(target_os = "linux"))]
fn undumpable() -> io::Result<()> {
    Ok(())
}
