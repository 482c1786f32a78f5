//! Secrets that came back in an answer: in the audit, at most once a minute for each, so that a partner who sends them
//! back all day does not fill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wharf_domain::secret::SecretAt;
use wharf_store::{Db, StoreError, secrets};

use crate::tape::actor;

const EVERY: Duration = Duration::from_secs(60);

/// When each was last written down by this host.
#[derive(Default)]
pub(crate) struct Echoes {
    last: Mutex<HashMap<SecretAt, Instant>>,
}

impl Echoes {
    /// Writes an echo down, unless the same secret's was written down a moment ago.
    pub(crate) async fn note(&self, db: &Db, at: &SecretAt, route: &str, status: u16) -> Result<(), StoreError> {
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if last.get(at).is_some_and(|last| now.duration_since(*last) < EVERY) {
                return Ok(());
            }
            last.insert(at.clone(), now);
        }
        let mut tx = db.begin().await?;
        secrets::echoed(&mut tx, &actor(), at, route, status).await?;
        tx.commit().await
    }
}
