//! G, by a guest: what it may do with a drop folder, what it is refused, and that the refusals are written down. The rows
//! themselves, with links, pipes and races, are tried in `host/sandbox/src/folder/tests.rs`.

use serde_json::json;
use wharf_domain::grant::{Capabilities, FolderGrant};
use wharf_domain::time::{Clock, Timestamp};

use super::arena::{Arena, MANIFEST, Rogue, small, tenant};
use crate::guest;

#[tokio::test]
async fn g1_g2_g5_g7_a_guest_keeps_to_its_folder_and_to_what_it_was_granted() {
    let arena = Arena::new(small()).await;
    let adapter = arena.load(guest::rogue(MANIFEST)).await.expect("loads");
    let place = arena.folder().join("drop");
    std::fs::create_dir(&place).expect("directory");
    std::fs::write(place.join("first.csv"), "sku;qty").expect("a file");
    std::fs::write(place.join("large.csv"), "x".repeat(2_000)).expect("a file");
    std::os::unix::fs::symlink(arena.folder().join("wharf.db"), place.join("link.csv")).expect("a link");
    // The files were left just now, by the machine's clock.
    let left = std::fs::metadata(place.join("large.csv")).expect("there").modified().expect("a time");
    let now = left.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let now = Timestamp::from_millis(i64::try_from(now).expect("before the year 292 million"));
    arena.clock.advance(now.plus(60_000).since(arena.clock.now()));
    let folder = |create| FolderGrant {
        name: "orders".to_owned(),
        path: place.clone(),
        read: true,
        create,
        archive: true,
        max_file_bytes: 1_000,
        max_bytes: 2_000,
        max_files: 5,
    };
    let rogue = |connection: &str, create| {
        let more = Capabilities { folders: vec![folder(create)], ..Capabilities::default() };
        let grant = arena.grant(&adapter, "t", connection);
        Rogue { connection: arena.connect_to(&adapter, grant, more), tenant: tenant("t") }
    };
    let step =
        |op: &str, name: &str| json!({ "do": "folder", "folder": "orders", "op": op, "name": name, "content": "x" });
    let good = rogue("good", true);
    let work =
        [("waiting", ""), ("claim", "first.csv"), ("read", "first.csv"), ("finish", "first.csv"), ("put", "out.csv")];
    let told = good.told(&json!(work.map(|(op, name)| step(op, name)))).await.expect("served");
    let named = json!(["first.csv", "large.csv"]);
    assert_eq!(told, [named, json!("first.csv"), json!("sku;qty"), json!("finished"), json!("left")]);
    assert_eq!(std::fs::read_to_string(place.join("out.csv")).expect("left"), "x");

    for (index, (row, create, op, name)) in [
        ("G1", true, "put", "../wharf.db"),
        ("G1", true, "claim", "/etc/passwd"),
        ("G2", true, "claim", "link.csv"),
        ("G5", true, "claim", "large.csv"),
        ("G7", false, "put", "other.csv"),
    ]
    .into_iter()
    .enumerate()
    {
        let connection = format!("c{index}");
        let told = rogue(&connection, create).told(&json!([step(op, name)])).await.expect("told");
        arena.as_written(row, told[0]["code"].as_str().expect("a code"), "t", &connection).await;
    }
    let told = arena.rogue("t").await.told(&json!([step("claim", "first.csv")])).await.expect("told");
    arena.as_written("G7", told[0]["code"].as_str().expect("a code"), "t", "rogue").await;
    arena.serves().await;
}
