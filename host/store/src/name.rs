//! A worker's name belongs to one live host. A worker that starts takes back the leases of its name, so two hosts of one
//! name would take each other's work away again and again; fences would keep that harmless and nothing would get done.
//!
//! On PostgreSQL the name is a session's advisory lock, on a connection of its own: it goes with the process or the
//! machine, and nobody has to clean up.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::connect;
use crate::error::{POSTGRES_LOCKED, StoreError};

/// Between two looks whether the lock is still there.
const LOOK: Duration = Duration::from_secs(5);

/// A name, held until this is dropped.
pub struct HeldName {
    name: String,
    /// Absent where no other host can be.
    options: Option<Arc<PgConnectOptions>>,
    /// Absent while the database cannot be reached.
    conn: Option<PgConnection>,
}

impl HeldName {
    pub(crate) fn unshared(name: &str) -> Self {
        Self { name: name.to_owned(), options: None, conn: None }
    }

    pub(crate) async fn take(name: &str, options: Arc<PgConnectOptions>) -> Result<Self, StoreError> {
        let conn = lock(name, &options).await?;
        Ok(Self { name: name.to_owned(), options: Some(options), conn: Some(conn) })
    }

    /// Takes the name again when the connection was lost, until `shutdown`. Should another host have it by then, the
    /// log says so and fences keep the two apart.
    pub async fn keep(mut self, shutdown: impl Future<Output = ()>) {
        let keeping = async {
            let Some(options) = self.options.clone() else { return };
            loop {
                tokio::time::sleep(LOOK).await;
                self.look(&options).await;
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = keeping => {}
        }
        if let Some(conn) = self.conn.take()
            && let Err(err) = conn.close().await
        {
            tracing::debug!("the name `{}` was not given back: {err}", self.name);
        }
    }

    async fn look(&mut self, options: &PgConnectOptions) {
        if let Some(conn) = &mut self.conn {
            match tokio::time::timeout(LOOK, conn.ping()).await {
                Ok(Ok(())) => return,
                _ => self.conn = None,
            }
        }
        match lock(&self.name, options).await {
            Ok(conn) => self.conn = Some(conn),
            Err(err @ StoreError::NameTaken { .. }) => tracing::error!("{err}"),
            Err(err) => tracing::debug!("the name `{}` is not locked at the moment: {err}", self.name),
        }
    }
}

/// Waits a moment: the session of a host that was just killed may not have ended yet.
async fn lock(name: &str, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut conn = connect::reach(options).await?;
    sqlx::query("SET lock_timeout = '3s'").execute(&mut conn).await?;
    let locked = sqlx::query("SELECT pg_advisory_lock(hashtextextended('wharf worker ' || $1, 0))").bind(name);
    match Box::pin(locked.execute(&mut conn)).await {
        Ok(_) => Ok(conn),
        Err(err) if err.as_database_error().and_then(|err| err.code()).as_deref() == Some(POSTGRES_LOCKED) => {
            Err(StoreError::NameTaken { name: name.to_owned() })
        }
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    #[tokio::test]
    async fn two_live_hosts_never_have_one_name() {
        let house = House::postgres().await;
        let other = house.open_again().await.expect("second host");
        let held = house.db.hold_name("host-a").await.expect("free");
        let refused = other.hold_name("host-a").await.err().expect("taken");
        assert!(refused.to_string().contains("`server.name`"), "{refused}");
        let _another = other.hold_name("host-b").await.expect("another name");
        held.keep(std::future::ready(())).await;
        other.hold_name("host-a").await.expect("given back");
    }

    #[tokio::test]
    async fn a_name_is_taken_again_when_its_connection_was_lost() {
        let house = House::postgres().await;
        let mut held = house.db.hold_name("host-a").await.expect("free");
        let options = held.options.clone().expect("PostgreSQL");
        held.conn = None;
        held.look(&options).await;
        let refused = house.db.hold_name("host-a").await.err().expect("taken");
        assert!(matches!(refused, StoreError::NameTaken { .. }), "{refused}");
    }
}
