//! Tells workers that there may be something to claim, so that nobody waits for the next poll: those of this process by
//! a bell, those of other hosts by a hint through PostgreSQL.
//!
//! A hint is never needed. It is sent after the commit and on a connection of its own, because transactions that notify
//! commit one after the other; several commits within [`PAUSE`] make one hint. What is lost with a connection is made up
//! for by ringing when a new one listens.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::sync::Notify;

use crate::error::StoreError;

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

const CHANNEL: &str = "wharf_work";
/// Between two hints of one host.
const PAUSE: Duration = Duration::from_millis(20);
/// Before another try when the database cannot be reached.
const AGAIN: Duration = Duration::from_millis(500);

/// One host's part in telling the others.
pub(crate) struct Hints {
    /// One connection to listen, one to tell.
    pool: PgPool,
    due: Notify,
    /// Our own hints are not news to us.
    sender: String,
}

impl Hints {
    /// Connects with the first use. `sender` is like nobody else's.
    pub(crate) fn new(jobs: &PgPool, sender: &str) -> Self {
        let options = jobs.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(options);
        Self { pool, due: Notify::new(), sender: sender.to_owned() }
    }

    /// Work of ours is there for everybody. Costs nothing here.
    pub(crate) fn give(&self) {
        self.due.notify_one();
    }

    pub(crate) async fn run(&self, wake: &Wake) -> Infallible {
        tokio::select! {
            never = self.tell() => never,
            never = self.hear(wake) => never,
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    async fn tell(&self) -> Infallible {
        loop {
            self.due.notified().await;
            let hint = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&self.sender);
            if let Err(err) = Box::pin(hint.execute(&self.pool)).await {
                tracing::debug!("a hint was not sent, other hosts find the work by themselves: {err}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn hear(&self, wake: &Wake) -> Infallible {
        loop {
            if let Err(err) = Box::pin(self.listen(wake)).await {
                tracing::debug!("hints of other hosts are not heard, their work is found by polling: {err}");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Until the connection is lost.
    async fn listen(&self, wake: &Wake) -> Result<(), StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        wake.notify();
        while let Some(hint) = listener.try_recv().await? {
            if hint.payload() != self.sender {
                wake.notify();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::jobs::{self, NewJob};
    use crate::testing::{House, actor, tenant};

    /// Far longer than any hint takes, and far shorter than the poll of a worker that was not told.
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn work_of_one_host_wakes_another_one_and_not_itself_twice() {
        let house = House::postgres().await;
        let other = house.open_again().await.expect("second host");
        let (never, here) = (std::future::pending::<()>(), std::future::pending::<()>());
        let story = async {
            // The first ring says that the listener is there.
            tokio::time::timeout(SOON, other.wake().notified()).await.expect("listens");
            tokio::time::timeout(SOON, house.db.wake().notified()).await.expect("listens");
            for _ in 0..3 {
                let mut tx = house.db.begin().await.expect("begin");
                jobs::enqueue(&mut tx, &actor(), &NewJob::new(tenant("t"), "lane", "kind", json!({})))
                    .await
                    .expect("enqueue");
                tx.commit().await.expect("commit");
                tokio::time::timeout(SOON, other.wake().notified()).await.expect("told");
            }
        };
        tokio::select! {
            () = story => {}
            () = house.db.run_hints(here) => panic!("the first host's hints ended"),
            () = other.run_hints(never) => panic!("the second host's hints ended"),
        }
    }

    #[tokio::test]
    async fn a_file_has_nobody_to_tell() {
        House::new().await.db.run_hints(std::future::pending()).await;
    }
}
