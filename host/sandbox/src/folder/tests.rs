//! Attack corpus G: what the other side of a drop folder does, and what a guest asks for.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use wharf_domain::ids::{Digest, IdSource};
use wharf_domain::time::ManualClock;
use wharf_store::audit;
use wharf_store::folders::{Put, Quota};

use super::*;

struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self, _now: Timestamp) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(1, self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// A drop folder `in` beside a secret, and the host at it.
struct Yard {
    folders: Folders,
    clock: Arc<ManualClock>,
    scope: FolderScope,
    root: TempDir,
}

impl Yard {
    async fn new() -> Self {
        Self::with(Rules { free_percent: 0, ..Rules::default() }).await
    }

    async fn with(rules: Rules) -> Self {
        let root = tempfile::tempdir().expect("directory");
        std::fs::create_dir(root.path().join("in")).expect("directory");
        std::fs::write(root.path().join("secret"), "the secret").expect("secret");
        let clock = Arc::new(ManualClock::at(1_000));
        let ids = Arc::new(Counted(AtomicU64::new(1)));
        let db = Db::open(&root.path().join("wharf.db"), clock.clone(), ids).await.expect("open");
        db.migrate().await.expect("migrate");
        let grant = FolderGrant {
            name: "orders".to_owned(),
            path: root.path().join("in"),
            read: true,
            create: true,
            archive: true,
            max_file_bytes: 1_000,
            max_bytes: 2_000,
            max_files: 5,
        };
        let scope = FolderScope { tenant: TenantId::parse("t").expect("tenant"), connection: "wms".to_owned(), grant };
        Self { folders: Folders::new(db, clock.clone(), rules), clock, scope, root }
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.scope.grant.path.join(name.as_ref())
    }

    /// The other side leaves a file.
    fn drop(&self, name: impl AsRef<OsStr>, content: &str) {
        std::fs::write(self.path(name), content).expect("write");
    }

    /// It is `ms` after the last change of a file.
    fn later(&self, name: impl AsRef<OsStr>, ms: i64) {
        let found = std::fs::symlink_metadata(self.path(name)).expect("a file");
        let changed = found.ctime() * 1_000 + found.ctime_nsec() / 1_000_000;
        self.clock.advance(changed + ms - self.clock.now().millis());
    }

    async fn ask(&self, ask: FolderAsk) -> Result<FolderAnswer, Fault> {
        self.folders.run(&self.scope, ask).await
    }

    async fn claim(&self, name: &str) -> Result<Option<FolderFile>, Fault> {
        match self.ask(FolderAsk::Claim { name: name.to_owned() }).await? {
            FolderAnswer::Claimed(file) => Ok(file),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, Fault> {
        match self.ask(FolderAsk::Read { name: name.to_owned(), offset, length }).await? {
            FolderAnswer::Bytes(bytes) => Ok(bytes),
            other => panic!("{other:?}"),
        }
    }

    async fn put(&self, name: &str, content: &str) -> Result<FolderAnswer, Fault> {
        self.ask(FolderAsk::Put { name: name.to_owned(), content: Bytes::from(content.to_owned()) }).await
    }

    async fn files(&self, ask: FolderAsk) -> Vec<String> {
        match self.ask(ask).await.expect("files") {
            FolderAnswer::Files(files, _) => files.into_iter().map(|file| file.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Names in one of the host's own folders, without the time before them.
    fn kept(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).expect("folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("entry").file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).expect("a plain name")).collect();
        names.sort();
        names.into_iter().map(|name| name.splitn(3, '-').last().unwrap_or_default().to_owned()).collect()
    }
}

/// The code of a refusal, which is one the row of the corpus names.
fn rule<T: std::fmt::Debug>(row: &str, answer: Result<T, Fault>) -> String {
    let code = answer.expect_err("refused").code;
    wharf_attack::assert_as_written(row, &code);
    code
}

#[tokio::test]
async fn g1_a_name_is_one_component_of_a_small_alphabet() {
    let yard = Yard::new().await;
    for name in [
        "",
        ".",
        "..",
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        "a//b",
        "a/b",
        "./a",
        "a\0",
        "a\\b",
        "C:",
        "C:a",
        "a:b",
        "com1",
        "COM1.csv",
        "LPT9",
        "con",
        "NUL.txt",
        "aux",
        "-rf",
        ".hidden",
        "~root",
        "a b",
        "a.",
        "ä",
        "a\n",
        "a*",
        "$a",
        "\u{202e}a",
        "claimed",
        "Archive",
        "quarantine",
        "PARTIAL",
        "a.part",
        "a.tmp",
        "a.DONE",
        "a%2fb",
    ] {
        let named = || name.to_owned();
        for ask in [
            FolderAsk::Claim { name: named() },
            FolderAsk::Read { name: named(), offset: 0, length: 1 },
            FolderAsk::Finish { name: named() },
            FolderAsk::Reject { name: named(), reason: String::new() },
            FolderAsk::Put { name: named(), content: Bytes::from_static(b"x") },
        ] {
            assert_eq!(rule("G1", yard.ask(ask).await), "files.path", "{name:?}");
        }
    }
    assert_eq!(rule("G1", yard.put(&"a".repeat(121), "x").await), "files.path");
    for name in ["a", "ORDERS_2026-11-28.csv", "0.xml", "com10", "console.txt", "a..b", &"a".repeat(120)] {
        assert!(name::is_name(name), "{name}");
    }
    assert_eq!(std::fs::read_to_string(yard.root.path().join("secret")).expect("secret"), "the secret");
}

#[tokio::test]
async fn g2_a_link_leads_nowhere() {
    let yard = Yard::new().await;
    let secret = yard.root.path().join("secret");
    symlink(&secret, yard.path("soft")).expect("link");
    symlink("orders", yard.path("dangling")).expect("link");
    std::fs::hard_link(&secret, yard.path("hard")).expect("link");
    yard.later("hard", 60_000);
    for name in ["soft", "dangling", "hard"] {
        assert_eq!(rule("G2", yard.claim(name).await), "files.type", "{name}");
    }
    assert_eq!(rule("G2", yard.claim("soft/").await), "files.path");
    assert!(yard.files(FolderAsk::Waiting { after: None }).await.is_empty());
    // One that is put where a claimed file was.
    yard.drop("a", "good");
    yard.later("a", 10_000);
    yard.claim("a").await.expect("claim").expect("a file");
    std::fs::remove_file(yard.path("claimed/a")).expect("away");
    symlink(&secret, yard.path("claimed/a")).expect("link");
    assert_eq!(rule("G2", yard.read("a", 0, 100).await), "files.type");
    // A folder of the host that leads elsewhere, or that others may write into.
    let other = Yard::new().await;
    symlink(yard.root.path(), other.path("claimed")).expect("link");
    assert_eq!(rule("G2", other.claim("a").await), "files.folder");
    let open = Yard::new().await;
    std::fs::create_dir(open.path("claimed")).expect("directory");
    std::fs::set_permissions(open.path("claimed"), std::fs::Permissions::from_mode(0o777)).expect("rights");
    assert_eq!(rule("G2", open.claim("a").await), "files.folder");
}

/// Files swapped for links between every two looks. What is read is always what was left as a file.
#[tokio::test]
async fn g2_swapping_a_file_for_a_link_between_two_looks_reads_no_secret() {
    let yard = Yard::with(Rules { rest_ms: i64::MIN, free_percent: 0 }).await;
    let (stop, path, secret) = (Arc::new(AtomicBool::new(false)), yard.path("a"), yard.root.path().join("secret"));
    let (halt, aside, victim) = (stop.clone(), yard.root.path().join("aside"), secret.clone());
    let attacker = std::thread::spawn(move || {
        let mut swaps = 0_u32;
        while !halt.load(Ordering::SeqCst) {
            for kind in 0..3 {
                let _ = std::fs::remove_file(&aside);
                match kind {
                    0 => std::fs::write(&aside, "good").expect("write"),
                    1 => symlink(&victim, &aside).expect("link"),
                    _ => std::fs::hard_link(&victim, &aside).expect("link"),
                }
                let _ = std::fs::rename(&aside, &path);
                swaps += 1;
            }
        }
        swaps
    });
    let (grant, rules) = (yard.scope.grant.clone(), yard.folders.rules);
    let named = || "a".to_owned();
    for turn in 0..100_000 {
        // Kept names begin with the time: of one moment there is room for a hundred.
        let take = |ask: &FolderAsk| take::take(&grant, rules, Timestamp::from_millis(turn), ask);
        match take(&FolderAsk::Claim { name: named() }) {
            Ok(FolderAnswer::Claimed(None)) => continue,
            Err(fault) => {
                assert!(["files.type", "files.io"].contains(&fault.code.as_str()), "{fault}");
                continue;
            }
            Ok(_) => {}
        }
        let read = take(&FolderAsk::Read { name: named(), offset: 0, length: 100 }).expect("what was claimed");
        assert_eq!(read, FolderAnswer::Bytes(b"good".to_vec()));
        take(&FolderAsk::Finish { name: named() }).expect("finish");
    }
    stop.store(true, Ordering::SeqCst);
    assert!(attacker.join().expect("attacker") > 0);
    assert_eq!(std::fs::read_to_string(secret).expect("secret"), "the secret");
    for kept in std::fs::read_dir(yard.path("archive")).expect("archive") {
        assert_eq!(std::fs::read_to_string(kept.expect("entry").path()).expect("kept"), "good");
    }
}

#[tokio::test]
async fn g3_pipes_sockets_devices_and_folders_are_refused_without_waiting() {
    let yard = Yard::new().await;
    let top = std::fs::File::open(&yard.scope.grant.path).expect("folder");
    rustix::fs::mknodat(&top, "pipe", rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("pipe");
    let _socket = std::os::unix::net::UnixListener::bind(yard.path("socket")).expect("socket");
    std::fs::create_dir(yard.path("folder")).expect("folder");
    symlink("/dev/zero", yard.path("device")).expect("link");
    yard.later("pipe", 60_000);
    // Nobody writes into the pipe: opening it the usual way would wait for ever.
    for name in ["pipe", "socket", "folder", "device"] {
        assert_eq!(rule("G3", yard.claim(name).await), "files.type", "{name}");
    }
    assert!(yard.files(FolderAsk::Waiting { after: None }).await.is_empty());
    let put = yard.put("pipe", "x").await;
    assert_eq!(rule("G3", put), "files.exists");
}

#[tokio::test]
async fn g4_half_an_upload_is_not_claimed() {
    let yard = Yard::new().await;
    yard.drop("a.csv", "half");
    yard.later("a.csv", 9_999);
    assert_eq!(yard.claim("a.csv").await.expect("claim"), None);
    // It goes on: its rest begins anew, and setting its time back helps nobody.
    let file = std::fs::File::options().append(true).open(yard.path("a.csv")).expect("open");
    std::io::Write::write_all(&mut &file, b" and half").expect("write");
    file.set_modified(std::time::UNIX_EPOCH).expect("set back");
    yard.later("a.csv", 9_999);
    assert_eq!(yard.claim("a.csv").await.expect("claim"), None);
    yard.later("a.csv", 10_000);
    let claimed = yard.claim("a.csv").await.expect("claim").expect("at rest");
    assert_eq!((claimed.size, yard.read("a.csv", 0, 100).await.expect("read")), (13, b"half and half".to_vec()));

    // A marker says so at once, but only of a file that is older than itself.
    yard.drop("b.csv.done", "");
    std::thread::sleep(std::time::Duration::from_millis(20));
    yard.drop("b.csv", "half");
    yard.later("b.csv", 1);
    assert_eq!(yard.claim("b.csv").await.expect("claim"), None, "a marker of the file before");
    std::fs::rename(yard.path("b.csv.done"), yard.path("b.done")).expect("away");
    yard.drop("b.csv.done", "");
    assert!(yard.claim("b.csv").await.expect("claim").is_some());
    assert!(!yard.path("b.csv.done").exists());
    assert_eq!(yard.files(FolderAsk::Held).await, ["a.csv", "b.csv"]);
    // What is renamed in was touched then.
    std::fs::write(yard.root.path().join("c"), "whole").expect("write");
    std::fs::rename(yard.root.path().join("c"), yard.path("c")).expect("rename");
    yard.later("c", 10_000);
    assert!(yard.claim("c").await.expect("claim").is_some());
}

#[tokio::test]
async fn g5_large_many_and_unnameable_files_do_no_harm() {
    let yard = Yard::new().await;
    let large = std::fs::File::create(yard.path("large.csv")).expect("create");
    large.set_len(10 << 30).expect("10 GB of nothing");
    drop(large);
    yard.later("large.csv", 10_000);
    assert_eq!(rule("G5", yard.claim("large.csv").await), "files.file-size");
    assert_eq!(yard.kept("quarantine"), ["large.csv"]);
    let long = [b'\xff'; 255];
    for name in [&b"evil\x1b[31m"[..], "\u{202e}vsc.exe".as_bytes(), &long, b"a b"] {
        yard.drop(OsStr::from_bytes(name), "x");
    }
    yard.drop("upload.part", "x");
    for n in 0..1_500 {
        yard.drop(format!("n{n:04}"), "x");
    }
    yard.later("n1499", 10_000);
    let FolderAnswer::Files(first, next) = yard.ask(FolderAsk::Waiting { after: None }).await.expect("page") else {
        panic!("files")
    };
    assert_eq!((first.len(), next.as_deref()), (1_000, Some("n0999")));
    assert!(first.iter().all(|file| file.ready));
    let FolderAnswer::Files(second, last) = yard.ask(FolderAsk::Waiting { after: next }).await.expect("page") else {
        panic!("files")
    };
    assert_eq!((second.len(), last), (500, None));
    let names: BTreeSet<_> = first.into_iter().chain(second).map(|file| file.name).collect();
    assert_eq!(names.len(), 1_500);
    assert_eq!(yard.kept("quarantine"), ["large.csv", "unnamed", "unnamed", "unnamed", "unnamed"]);
    assert!(yard.path("upload.part").exists(), "it is being written");
}

#[tokio::test]
async fn g6_what_is_left_stays_within_its_quota_and_the_disk_keeps_room() {
    let yard = Yard::new().await;
    let kilo = "x".repeat(1_000);
    yard.put("a", &kilo).await.expect("1,000 of 2,000");
    yard.put("b", &kilo).await.expect("2,000 of 2,000");
    assert_eq!(rule("G6", yard.put("c", "x").await), "files.quota");
    assert_eq!(rule("G6", yard.put("d", &"x".repeat(1_001)).await), "files.file-size");
    std::fs::remove_file(yard.path("a")).expect("the partner takes one");
    for name in ["c", "d", "e", "f"] {
        yard.put(name, name).await.expect("there is room again");
    }
    assert_eq!(rule("G6", yard.put("g", "").await), "files.quota", "five files are all");
    assert!(!yard.path("g").exists());

    // No disk has more than everything free.
    let full = Yard::with(Rules { free_percent: 101, ..Rules::default() }).await;
    assert_eq!(rule("G6", full.put("a", "x").await), "files.disk");
    assert!(!full.path("a").exists());
    let told = full.folders.tell(&full.scope, "file.test", "a", None);
    told.await;
    let rows = audit::for_object(&full.folders.db, &full.scope.tenant, "file/wms/orders/a").await.expect("audit");
    assert_eq!(rows.len(), 1, "the audit is written all the same");
}

#[tokio::test]
async fn g7_nothing_is_overwritten_and_each_right_is_its_own() {
    let yard = Yard::new().await;
    yard.drop("theirs.csv", "theirs");
    assert_eq!(rule("G7", yard.put("theirs.csv", "ours").await), "files.exists");
    assert_eq!(rule("G7", yard.put("THEIRS.csv", "ours").await), "files.exists");
    yard.put("a.csv", "one").await.expect("left");
    yard.put("a.csv", "one").await.expect("again is no failure");
    assert_eq!(rule("G7", yard.put("a.csv", "two").await), "files.exists");
    assert_eq!(rule("G7", yard.put("A.csv", "one").await), "files.exists");
    std::fs::remove_file(yard.path("a.csv")).expect("the partner takes it");
    yard.put("a.csv", "one").await.expect("known");
    assert!(!yard.path("a.csv").exists(), "it is not left twice");
    assert_eq!(std::fs::read_to_string(yard.path("theirs.csv")).expect("theirs"), "theirs");
    // Two that differ in case are taken one after the other.
    yard.drop("x.csv", "1");
    yard.drop("X.csv", "2");
    yard.later("X.csv", 10_000);
    yard.claim("x.csv").await.expect("claim").expect("the first");
    assert_eq!(yard.claim("X.csv").await.expect("claim"), None);
    yard.ask(FolderAsk::Finish { name: "x.csv".to_owned() }).await.expect("finish");
    assert!(yard.claim("X.csv").await.expect("claim").is_some());

    let with = |read, create, archive| FolderScope {
        grant: FolderGrant { read, create, archive, ..yard.scope.grant.clone() },
        ..yard.scope.clone()
    };
    let put = || FolderAsk::Put { name: "b".to_owned(), content: Bytes::new() };
    assert_eq!(rule("G7", yard.folders.run(&with(true, false, true), put()).await), "files.not-granted");
    for ask in [FolderAsk::Held, FolderAsk::Waiting { after: None }, FolderAsk::Finish { name: "X.csv".to_owned() }] {
        assert_eq!(rule("G7", yard.folders.run(&with(false, true, true), ask).await), "files.not-granted");
    }
    let finish = FolderAsk::Finish { name: "X.csv".to_owned() };
    yard.folders.run(&with(true, false, false), finish.clone()).await.expect("deleted");
    yard.folders.run(&with(true, false, false), finish).await.expect("twice is no failure");
    assert_eq!((yard.kept("archive"), yard.files(FolderAsk::Held).await.len()), (vec!["x.csv".to_owned()], 0));
}

#[tokio::test]
async fn a_file_is_claimed_read_in_parts_and_finished_or_rejected_and_the_audit_says_so() {
    let yard = Yard::new().await;
    yard.drop("a", "0123456789");
    yard.drop("b", "bad");
    yard.later("b", 10_000);
    yard.claim("a").await.expect("claim").expect("a file");
    yard.claim("b").await.expect("claim").expect("a file");
    assert_eq!(yard.claim("a").await.expect("claim"), None, "it is in hand");
    assert_eq!(yard.read("a", 0, 4).await.expect("read"), b"0123");
    assert_eq!(yard.read("a", 8, u32::MAX).await.expect("read"), b"89");
    assert_eq!(yard.read("a", u64::MAX, 4).await.expect("read"), b"");
    assert_eq!(yard.read("c", 0, 4).await.expect_err("not claimed").code, "files.not-claimed");
    // The host died here: the next one finds them.
    let next = Folders { db: yard.folders.db.clone(), clock: yard.clock.clone(), rules: yard.folders.rules };
    let FolderAnswer::Files(held, _) = next.run(&yard.scope, FolderAsk::Held).await.expect("held") else {
        panic!("files")
    };
    assert_eq!(held.iter().map(|file| (file.name.as_str(), file.size)).collect::<Vec<_>>(), [("a", 10), ("b", 3)]);
    yard.ask(FolderAsk::Finish { name: "a".to_owned() }).await.expect("finish");
    let reason = "no\x1b[31m header".to_owned();
    yard.ask(FolderAsk::Reject { name: "b".to_owned(), reason }).await.expect("reject");
    assert_eq!((yard.kept("archive"), yard.kept("quarantine")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    let rows = audit::for_object(&yard.folders.db, &yard.scope.tenant, "file/wms/orders/b").await.expect("audit");
    assert_eq!(rows.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["file.claimed", "file.rejected"]);
    assert_eq!(rows[1].detail["reason"], "no\\u{1b}[31m header");
}

#[tokio::test]
async fn a_host_that_dies_while_leaving_a_file_leaves_it_once() {
    let file = Put { name: "a".to_owned(), digest: Digest::of(b"one"), size: 3 };
    let quota = Quota { bytes: 100, files: 5 };
    // Where it died: with the row only, with the file aside, with the file in its place, with the partner having it.
    for death in 0..4 {
        let yard = Yard::new().await;
        let (db, key) = (&yard.folders.db, key(&yard.scope).expect("key"));
        yard.files(FolderAsk::Held).await;
        let mut tx = db.begin().await.expect("begin");
        folders::reserve(&mut tx, &actor(&yard.scope), &key, &file, quota).await.expect("reserve");
        if death > 0 {
            folders::ready(&mut tx, &actor(&yard.scope), &key, "a").await.expect("ready");
        }
        tx.commit().await.expect("commit");
        match death {
            1 => std::fs::write(yard.path("partial/put-a"), "one").expect("aside"),
            2 => yard.drop("a", "one"),
            _ => {}
        }
        yard.put("a", "one").await.expect("goes on");
        assert_eq!(yard.path("a").exists(), death < 3, "{death}");
        assert!(std::fs::read_dir(yard.path("partial")).expect("partial").next().is_none(), "{death}");
        let rows = audit::for_object(db, &yard.scope.tenant, "file/wms/orders/a").await.expect("audit");
        assert_eq!(rows.len(), 1, "{death}: {rows:?}");
        assert_eq!(yard.put("a", "two").await.expect_err("there").code, "files.exists");
    }
}
