//! I and J: state, and text that others read.

use serde_json::json;
use wharf_attack::assert_as_written;

use super::arena::{Arena, small};

#[tokio::test]
async fn i1_keys_of_others() {
    let arena = Arena::new(small()).await;
    let (mine, theirs) = (arena.rogue("mine").await, arena.rogue("theirs").await);
    mine.told(&json!([{ "do": "kv-set", "key": "k", "bytes": 3 }])).await.expect("set");
    for key in ["k", "../mine/k", "mine/rogue/k", "mine\u{0}rogue\u{0}k", "\u{212a}", "K"] {
        let answer = theirs.told(&json!([{ "do": "kv-get", "key": key }])).await.expect("served");
        assert_eq!(answer, [json!({ "value": null })], "{key:?}");
    }
    let own = mine.told(&json!([{ "do": "kv-get", "key": "k" }, { "do": "kv-get", "key": "\u{212a}" }])).await;
    assert_eq!(own.expect("served"), [json!({ "value": "eHh4" }), json!({ "value": null })], "keys are bytes");
    assert_as_written("I1", "none");
}

#[tokio::test]
async fn i2_more_state_than_may_be_kept() {
    let arena = Arena::new(small()).await;
    let rogue = arena.rogue("t").await;
    let large = rogue.told(&json!([{ "do": "kv-set", "key": "k", "bytes": 65_537 }])).await.expect("refused");
    assert_as_written("I2", large[0]["code"].as_str().expect("a code"));
    let steps: Vec<_> = (0..20).map(|n| json!({ "do": "kv-set", "key": format!("k{n}"), "bytes": 60_000 })).collect();
    let answers = rogue.told(&json!(steps)).await.expect("refused");
    assert_eq!(answers[0], json!("set"));
    arena.as_written("I2", answers[19]["code"].as_str().expect("a code"), "t", "rogue").await;
    assert!(arena.count("limit_hits_total", "kv") > 1);
}

#[tokio::test]
async fn j1_log_lines_that_forge_others() {
    let arena = Arena::new(small()).await;
    let rogue = arena.rogue("t").await;
    let forged = "a\nerror: b\r\u{1b}[31mc\u{1b}]8;;http://x\u{7}\u{202e}d";
    let log = rogue.invoke(&json!([{ "do": "log", "line": forged }])).await.log;
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("info: a error: b") && !log[0].contains(char::is_control), "{log:?}");
    assert!(!log[0].contains('\u{202e}'), "{log:?}");
    let log = rogue.invoke(&json!([{ "do": "log", "line": "x".repeat(1 << 20) }])).await.log;
    assert!(log[0].len() < 1_100, "a long line is cut");
    let log = rogue.invoke(&json!([{ "do": "log", "line": "x", "times": 1_000 }])).await.log;
    assert_eq!((log.len(), log[256].as_str()), (257, "warn: 744 more lines were left out"));
    assert_eq!(rogue.ends(&json!([{ "do": "log", "line": "x", "times": 1_000_000 }])).await, "trap.hostcall-budget");
    assert_as_written("J1", "cut");
}
