//! What the kernel was asked to do before an answer left, by strace.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use wharf_tests::{Program, Settings, World};

const CALLS: &str = "trace=fsync,fdatasync,write,writev,sendto,pwrite64";

/// An answer 2xx means on disk: the log of the database is synced after it was written and before the answer leaves.
#[test]
fn p4_the_log_is_synced_before_the_answer_to_a_webhook_leaves() -> Result<()> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        ensure!(std::env::var_os("CI").is_none(), "`strace` is missing: run `apt-get install strace`");
        println!("skipped: `strace` is missing; run `apt-get install strace`");
        return Ok(());
    }
    let world = World::new(&Settings { poll_seconds: 3_600, ..Settings::default() })?;
    world.edit_config("[server]", "[server]\ndebuggable = true")?;
    // An Odoo that never answers: while the first pull waits for it, the host writes for nothing but the webhooks.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    world.edit_config(world.odoo.base(), &format!("http://{}", silent.local_addr()?))?;
    let host = world.serve()?;
    assert_eq!(world.knock()?, 202, "the first knock");
    let _pull = silent.accept()?;
    let trace = world.file("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "32", "-e", CALLS, "-p", &host.id().to_string(), "-o"]).arg(&trace);
    let mut strace = Program::start(&mut strace, &world.file("strace.log"))?;
    attached(&host, &mut strace)?;
    for knock in 0..20 {
        assert_eq!(world.knock()?, 202, "knock {knock}");
    }
    strace.signal("INT")?;
    while strace.running()? {
        std::thread::sleep(Duration::from_millis(5));
    }
    let answers = synced_before_each_answer(&std::fs::read_to_string(&trace)?)?;
    assert_eq!(answers, 20, "answers that were seen leaving");
    Ok(())
}

/// Waits until the kernel says that every thread of the host is traced.
fn attached(host: &Program, strace: &mut Program) -> Result<()> {
    let tasks = format!("/proc/{}/task", host.id());
    let began = Instant::now();
    loop {
        let mut all = true;
        for task in std::fs::read_dir(Path::new(&tasks))? {
            // A thread may end while we look.
            let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            all &= !status.contains("TracerPid:\t0\n");
        }
        if all {
            return Ok(());
        }
        ensure!(strace.running()?, "strace ended:\n{}", strace.tail());
        ensure!(began.elapsed() < Duration::from_secs(20), "strace does not attach:\n{}", strace.tail());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Counts the answers 202; an error names the first one before which the log was not synced: no thread wrote to it and
/// synced it since the answer before. Whether another thread is writing just then, for something else, does not matter.
fn synced_before_each_answer(trace: &str) -> Result<usize> {
    let (mut answers, mut synced, mut threads) = (0, false, HashMap::new());
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').context("a line of strace begins with a thread")?;
        let call = call.trim_start();
        let log = call.contains("wharf.db-wal>");
        if log && call.starts_with("pwrite64(") {
            threads.insert(thread, Log::Written);
        } else if log && call.contains("sync(") && call.ends_with("<unfinished ...>") {
            threads.entry(thread).and_modify(|log| *log = Log::Syncing);
        } else if call.contains("sync") && call.contains("= 0") {
            let resumed = call.contains("resumed>") && threads.get(thread) == Some(&Log::Syncing);
            synced |= (log || resumed) && threads.remove(thread).is_some();
        } else if call.contains("\"HTTP/1.1 202") {
            if !synced {
                bail!("answer {} left before the log was synced:\n{line}", answers + 1);
            }
            (answers, synced) = (answers + 1, false);
            // What was written before this answer is not what the next one waits for.
            threads.clear();
        }
    }
    Ok(answers)
}

/// What a thread did to the log since the last answer.
#[derive(PartialEq)]
enum Log {
    Written,
    Syncing,
}

#[test]
fn an_answer_before_the_sync_is_found() {
    let write = "1 pwrite64(9</d/wharf.db-wal>, \"x\"..., 4096, 0) = 4096";
    let sync = "1 fdatasync(9</d/wharf.db-wal>) = 0";
    let answer = "2 sendto(5<TCP:[1]>, \"HTTP/1.1 202 Accepted\"..., 90, MSG_NOSIGNAL, NULL, 0) = 90";
    let (begun, done) = ("1 fdatasync(9</d/wharf.db-wal> <unfinished ...>", "1 <... fdatasync resumed>) = 0");
    assert_eq!(synced_before_each_answer(&[write, sync, answer].join("\n")).unwrap(), 1);
    assert_eq!(synced_before_each_answer(&[write, begun, done, answer].join("\n")).unwrap(), 1);
    let (other, its_sync) = (write.replace("1 pwrite", "3 pwrite"), sync.replace("1 fdata", "3 fdata"));
    assert_eq!(synced_before_each_answer(&[write, sync, &other, answer].join("\n")).unwrap(), 1);
    for early in [
        vec![write, answer, sync],
        vec![write, begun, answer, done],
        vec![answer],
        vec![sync, answer],
        vec![write, sync, answer, answer],
        vec![write, &its_sync, answer],
        vec![write, sync, &other, answer, &its_sync, answer],
    ] {
        synced_before_each_answer(&early.join("\n")).unwrap_err();
    }
}
