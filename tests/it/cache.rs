//! Compiled adapters on disk: found again, and harmless when damaged.

use wharf_sandbox::{Limits, Sandbox, SandboxConfig};

use crate::guest;

fn sandbox(dir: &std::path::Path) -> Sandbox {
    let config =
        SandboxConfig { limits: Limits::default(), cache_dir: Some(dir.to_owned()), threads: 1, compiler: None };
    Sandbox::new(config).expect("sandbox")
}

fn artifacts(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).expect("cache folder");
    entries.map(|e| e.expect("entry").path()).filter(|p| p.extension().is_some_and(|e| e == "cwasm")).collect()
}

#[tokio::test]
async fn an_adapter_is_compiled_once_and_a_cut_artifact_is_replaced() {
    let dir = tempfile::tempdir().expect("folder");
    let bytes = guest::adapter("trap");
    let first = sandbox(dir.path()).load(bytes.clone()).await.expect("compiles");
    let files = artifacts(dir.path());
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().expect("name").to_string_lossy().into_owned();
    assert!(name.starts_with(first.digest.hex()), "the name begins with the component's digest: {name}");
    let written = std::fs::metadata(&files[0]).expect("file").modified().expect("time");

    // A second process with the same engine settings finds it.
    sandbox(dir.path()).load(bytes.clone()).await.expect("loads");
    assert_eq!(std::fs::metadata(&files[0]).expect("file").modified().expect("time"), written, "not written again");

    // Power loss in the middle of a disk: the adapter still loads and the file is whole again.
    std::fs::write(&files[0], b"cut").expect("cut");
    sandbox(dir.path()).load(bytes).await.expect("compiles again");
    assert!(std::fs::metadata(&files[0]).expect("file").len() > 1_000);
}

#[tokio::test]
async fn compiled_code_is_never_accepted_as_an_adapter() {
    let dir = tempfile::tempdir().expect("folder");
    sandbox(dir.path()).load(guest::adapter("trap")).await.expect("compiles");
    let code = std::fs::read(&artifacts(dir.path())[0]).expect("artifact");
    let error = sandbox(dir.path()).load(code).await.err().expect("refused");
    assert!(matches!(error, wharf_sandbox::LoadError::Precompiled), "{error}");
}
