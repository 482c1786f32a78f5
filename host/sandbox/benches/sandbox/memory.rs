//! Memory and start: many adapters loaded, many calls that wait.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::runtime::Builder;
use wharf_domain::manifest::Manifest;
use wharf_sandbox::{Limits, manifest};

use crate::Fallible;
use crate::clocks::resident;
use crate::hosted::{self, Hosted};

/// So many calls of one adapter, all in a request at the same time.
pub(crate) fn waiting(adapter: &[u8], calls: u32) -> Fallible<Value> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let sandbox = hosted::sandbox(hosted::limits(calls as usize), 2, None)?;
        let hosted = Arc::new(Hosted::new(adapter, sandbox).await?);
        let before = resident()?;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..calls {
            let hosted = Arc::clone(&hosted);
            running.spawn(async move { hosted.wait().await });
        }
        let all = hosted.services.waiting.acquire_many(calls);
        tokio::select! {
            all = all => drop(all?),
            // Nobody ends before the door opens, unless something went wrong.
            ended = running.join_next() => return Err(format!("a call ended early: {ended:?}").into()),
        }
        let during = resident()?;
        hosted.services.door.close();
        while running.join_next().await.is_some() {}
        let after = resident()?;
        Ok(json!({ "calls": calls, "before_kib": before, "during_kib": during, "after_kib": after }))
    })
}

/// So many adapters that differ in their version only, each compiled and loaded by itself.
pub(crate) fn start(adapter: &[u8], count: u32, cache: &Path) -> Fallible<Value> {
    let (plain, manifest) = (manifest::without(adapter)?, manifest::read(adapter)?);
    let mut files = Vec::new();
    for number in 0..count {
        let version = format!("0.{number}.0");
        files.push(manifest::embed(&plain, &Manifest { version, ..manifest.clone() })?);
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let sandbox = hosted::sandbox(Limits::default(), 2, Some(cache))?;
        let (empty, before) = (began.elapsed(), resident()?);
        let mut loaded = Vec::new();
        for bytes in &files {
            loaded.push(sandbox.load(bytes.clone()).await?);
        }
        let (seconds, after) = (began.elapsed(), resident()?);
        Ok(json!({
            "adapters": loaded.len(), "seconds": seconds.as_secs_f64(), "empty_seconds": empty.as_secs_f64(),
            "before_kib": before, "after_kib": after,
        }))
    })
}
