//! What a server promises, asked of real ones.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wharf_scratch_postgres::{Server, Settings};

/// A process that uses the shared server of the folder; ended when dropped.
struct User(Child);

impl User {
    fn of(folder: &Path) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_scratch-postgres"))
            .arg(folder)
            .arg("1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        (Self(child), url)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // SIGKILL: no destructor of the process runs.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Is there a process that works in the folder's data?
fn runs(folder: &Path) -> bool {
    let data = folder.join("data");
    let mut processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.any(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data))
}

fn within(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::yield_now();
    }
}

/// The server's own folder, from the note in the shared one.
fn home(shared: &Path) -> std::path::PathBuf {
    std::fs::read_to_string(shared.join("server")).unwrap().lines().next().unwrap().into()
}

#[test]
fn fresh_databases_are_empty_and_apart() {
    let server = Server::shared().unwrap();
    let (one, two) = (server.database().unwrap(), server.database().unwrap());
    one.query("CREATE TABLE crates (id TEXT)").unwrap();
    one.query("INSERT INTO crates VALUES ('a')").unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(one.query(tables).unwrap(), "1");
    assert_eq!(two.query(tables).unwrap(), "0");
    assert_ne!(one.url(), two.url());
}

#[test]
fn a_dropped_database_is_gone() {
    let server = Server::shared().unwrap();
    let other = server.database().unwrap();
    let database = server.database().unwrap();
    let name = database.query("SELECT current_database()").unwrap();
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(other.query(&count).unwrap(), "1");
    drop(database);
    assert_eq!(other.query(&count).unwrap(), "0");
}

#[test]
fn processes_share_one_server_that_ends_after_the_last_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, url) = User::of(folder.path());
    let (second, other) = User::of(folder.path());
    assert_eq!(url, other);
    let server = home(folder.path());
    drop(first);
    // One user is left: the watcher has the time of its grace and more to do what it must not do.
    let database = Server::shared_in(folder.path(), Duration::from_secs(1)).unwrap().database().unwrap();
    database.query("SELECT pg_sleep(2)").unwrap();
    assert!(runs(&server));
    drop(database);
    drop(second);
    within(Duration::from_secs(15), "the server ends", || !runs(&server));
    within(Duration::from_secs(15), "its folder is deleted", || !server.exists());
    assert!(!folder.path().join("server").exists());
}

#[test]
fn a_crashed_shared_server_is_replaced_and_both_end() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::shared_in(folder.path(), Duration::from_secs(1)).unwrap();
    let old = home(folder.path());
    first.stop_immediate().unwrap();
    let second = Server::shared_in(folder.path(), Duration::from_secs(1)).unwrap();
    let new = home(folder.path());
    assert_ne!(old, new);
    second.database().unwrap();
    drop((first, second));
    within(Duration::from_secs(15), "both folders are deleted", || !old.exists() && !new.exists());
    assert!(!runs(&new));
}

#[test]
fn what_was_committed_survives_an_immediate_stop_with_durable_settings() {
    let server = Server::start(&Settings::durable()).unwrap();
    let database = server.database().unwrap();
    let settings = "SELECT current_setting('fsync') || current_setting('synchronous_commit')";
    assert_eq!(database.query(settings).unwrap(), "onon");
    database.query("CREATE TABLE kept AS SELECT 42 AS answer").unwrap();
    let before = (server.port(), server.pid().unwrap());
    server.stop_immediate().unwrap();
    assert_eq!(server.pid(), None);
    assert!(database.query("SELECT 1").is_err());
    server.start_again().unwrap();
    assert_eq!(database.query("SELECT answer FROM kept").unwrap(), "42");
    assert_eq!(server.port(), before.0);
    assert_ne!(server.pid().unwrap(), before.1);
    server.restart().unwrap();
    assert_eq!(database.query("SELECT answer FROM kept").unwrap(), "42");
}

#[test]
fn a_frozen_server_keeps_its_clients_waiting_and_ends_when_dropped() {
    let server = Server::start(&Settings::fast().set("work_mem", "5MB")).unwrap();
    let database = server.database().unwrap();
    assert_eq!(database.query("SHOW work_mem").unwrap(), "5MB");
    let pid = server.pid().unwrap();
    let state = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    server.freeze().unwrap();
    within(Duration::from_secs(5), "it is frozen", || state(pid).contains(") T "));
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| database.query("SELECT 7").unwrap());
        assert!(!answer.is_finished());
        server.thaw().unwrap();
        assert_eq!(answer.join().unwrap(), "7");
    });
    server.freeze().unwrap();
    drop(server);
    within(Duration::from_secs(15), "it ends", || !state(pid).contains("postgres"));
}

#[test]
fn a_server_does_not_run_as_root() {
    let server = Server::shared().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().unwrap())).unwrap();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    assert_ne!(user.split_whitespace().next().unwrap(), "0");
}

#[test]
fn the_password_is_asked_for() {
    let server = Server::start(&Settings::fast()).unwrap();
    let url = server.url("postgres");
    let (user, place) = url.split_once('@').unwrap();
    let password = user.rsplit_once(':').unwrap().1;
    let wrong = url.replace(password, "wrong");
    assert!(place.starts_with("127.0.0.1:"));
    let ask = |url: &str| Command::new("psql").args(["-X", url, "-c", "SELECT 1"]).output().unwrap();
    assert!(ask(&url).status.success());
    let refused = ask(&wrong);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("password"));
}
