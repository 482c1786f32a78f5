//! Workers on a real database, through their public face.

mod lease;
mod limits;
mod random;
mod restart;
mod run;
mod verdicts;

use std::time::Duration;

/// Fails instead of hanging: what is awaited here ends by itself when the code is right.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("ends by itself")
}
