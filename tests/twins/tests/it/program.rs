//! The twins as programs: ready file, flags, the end at SIGTERM.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::client::Call;

/// The program with its base URL, once the ready file is there.
async fn launch(arguments: &[&str], folder: &std::path::Path) -> (Child, String) {
    let ready = folder.join("ready.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf-twin"))
        .args(arguments)
        .args(["--port", "0", "--ready-file"])
        .arg(&ready)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if let Ok(text) = std::fs::read_to_string(&ready) {
            let told: Value = serde_json::from_str(&text).unwrap();
            return (child, told["base_url"].as_str().unwrap().to_owned());
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not ready after half a minute");
}

async fn end(mut child: Child, url: &str) {
    let pid = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    assert!(sent.success());
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    let error = Call::new("GET", "/").wire(url).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn ups_serves_from_its_ready_file_until_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (child, url) =
        launch(&["ups", "--account", "Y9319W", "--seed", "7", "--token-ttl-s", "60"], folder.path()).await;
    let token = Call::new("POST", "/security/v1/oauth/token")
        .header("authorization", "Basic dHdpbi1jbGllbnQ6dHdpbi1zZWNyZXQ=")
        .body(b"grant_type=client_credentials");
    assert_eq!(token.send(&url).await.unwrap().json()["expires_in"], "60");
    assert_eq!(Call::new("GET", "/__admin/effects").send(&url).await.unwrap().json(), json!([]));
    end(child, &url).await;
}

#[tokio::test]
async fn odoo_serves_from_its_ready_file_until_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (child, url) = launch(&["odoo", "--bare", "--database", "other", "--admin-key", "k1"], folder.path()).await;
    assert_eq!(Call::new("GET", "/json/version").send(&url).await.unwrap().json()["version"], "19.0");
    let outbox = Call::post("/json/2/x_wharf_outbox/search_count", &json!({"domain": []}));
    let outbox = outbox.header("authorization", "bearer k1").header("x-odoo-database", "other");
    assert_eq!(outbox.send(&url).await.unwrap().status, 404, "a bare database has no outbox");
    end(child, &url).await;
}
