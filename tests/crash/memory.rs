//! What the system shows of a running host's memory.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities};
use wharf_tests::{Program, Settings, World};

/// No core file, and nobody of the same user reads what is in the process, unless the operator wants to debug it.
#[test]
fn p11_a_hosts_memory_is_shown_to_nobody() -> Result<()> {
    // On a thread of its own, because it gives up for good what root may do.
    let looked = std::thread::spawn(|| {
        as_an_ordinary_user()?;
        look()
    });
    looked.join().map_err(|_| anyhow!("the look panicked"))?
}

fn look() -> Result<()> {
    let world = World::new(&Settings { poll_seconds: 3_600, ..Settings::default() })?;
    let mut host = world.serve()?;
    ensure!(core_limits(host.id())? == ["0", "0"], "it may leave a core file");
    ensure!(!readable(host.id())?, "another process of its user reads its environment and its memory");
    host.stop()?;

    // A process nobody has shut off, and a host that is to be debugged, are open to the same look.
    let mut other = Command::new("sleep");
    let other = Program::start(other.arg("60"), &world.file("other.log"))?;
    ensure!(readable(other.id())?, "the look itself does not work");
    world.edit_config("[server]", "[server]\ndebuggable = true")?;
    let host = world.serve()?;
    ensure!(readable(host.id())? && core_limits(host.id())? == core_limits(other.id())?, "it cannot be debugged");
    Ok(())
}

/// This thread and what it starts may trace and measure what runs as their own user, and nothing by privilege.
fn as_an_ordinary_user() -> Result<()> {
    let mut mine = capabilities(None)?;
    for one in [CapabilitySet::SYS_PTRACE, CapabilitySet::PERFMON, CapabilitySet::SYS_ADMIN] {
        if mine.effective.contains(CapabilitySet::SETPCAP) {
            remove_capability_from_bounding_set(one)?;
        }
        for set in [&mut mine.effective, &mut mine.permitted, &mut mine.inheritable] {
            set.remove(one);
        }
    }
    Ok(set_capabilities(None, mine)?)
}

/// The soft and the hard limit of core files.
fn core_limits(pid: u32) -> Result<Vec<String>> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line =
        limits.lines().find_map(|line| line.strip_prefix("Max core file size")).context("a line on core files")?;
    Ok(line.split_whitespace().take(2).map(str::to_owned).collect())
}

/// May this thread read what is in that process?
fn readable(pid: u32) -> Result<bool> {
    match File::open(format!("/proc/{pid}/environ")) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error.into()),
    }
}
