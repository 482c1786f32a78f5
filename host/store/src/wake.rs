//! Tells workers of this process that there may be something to claim, so that nobody waits for the next poll.

use tokio::sync::Notify;

/// A bell. Ringing it when nobody waits is remembered once; a wake-up without work is harmless.
#[derive(Debug, Default)]
pub struct Wake(Notify);

impl Wake {
    /// Waits for the next ring.
    pub async fn notified(&self) {
        self.0.notified().await;
    }

    /// Wakes everyone who waits now, and the next one who comes.
    pub fn notify(&self) {
        self.0.notify_waiters();
        self.0.notify_one();
    }
}
