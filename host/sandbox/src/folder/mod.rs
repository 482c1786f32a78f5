//! Drop folders on disk. The folder is its own record: what waits is in it, what is in hand is in `claimed`, and each step
//! from one to the other is one rename, so a host that dies leaves nothing half done and the same connection finds what
//! it had in hand.
//!
//! The other side of the folder is hostile: it plants links, pipes and files without end, and swaps one for another
//! between two looks. So everything is reached through the handle of a directory, by a name of one component, following
//! no link, and judged by what was opened and not by what was seen.

mod name;
mod place;
mod put;
mod take;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::grant::FolderGrant;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::time::{Clock, Timestamp};
use wharf_store::folders::{self, FolderKey};
use wharf_store::{Db, StoreError};

/// Bytes of one read.
pub(crate) const MAX_READ: u32 = 1 << 20;

/// Whose folder, and what was granted.
#[derive(Debug, Clone)]
pub struct FolderScope {
    pub tenant: TenantId,
    pub connection: String,
    pub grant: FolderGrant,
}

/// What a guest wants of a folder.
#[derive(Debug, Clone)]
pub enum FolderAsk {
    /// Files waiting, those after a name.
    Waiting {
        after: Option<String>,
    },
    /// Files in hand.
    Held,
    Claim {
        name: String,
    },
    Read {
        name: String,
        offset: u64,
        length: u32,
    },
    Finish {
        name: String,
    },
    Reject {
        name: String,
        reason: String,
    },
    Put {
        name: String,
        content: Bytes,
    },
}

/// A file as a guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFile {
    pub name: String,
    pub size: u64,
    pub changed: Timestamp,
    /// It has come to rest.
    pub ready: bool,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderAnswer {
    /// By name; the last one's name when there are more.
    Files(Vec<FolderFile>, Option<String>),
    Claimed(Option<FolderFile>),
    Bytes(Vec<u8>),
    Done,
}

/// All drop folders of the host.
#[derive(Clone)]
pub(crate) struct Folders {
    db: Db,
    clock: Arc<dyn Clock>,
    rules: Rules,
}

/// Rules that are the same for every folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Milliseconds since its last change after which a file is at rest.
    pub(crate) rest_ms: i64,
    /// Nothing is left in a folder when less of its file system is free: the host itself needs room.
    pub(crate) free_percent: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { rest_ms: 10_000, free_percent: 5 }
    }
}

impl Folders {
    pub(crate) fn new(db: Db, clock: Arc<dyn Clock>, rules: Rules) -> Self {
        Self { db, clock, rules }
    }

    /// Does what a guest asks for. Files are worked on by a thread that may block.
    pub(crate) async fn run(&self, at: &FolderScope, ask: FolderAsk) -> Result<FolderAnswer, Fault> {
        let (wanted, granted) = match &ask {
            FolderAsk::Put { .. } => ("create", at.grant.create),
            _ => ("read", at.grant.read),
        };
        if !granted {
            let name = &at.grant.name;
            let text =
                format!("folder `{name}` is not granted for this; it would need `{wanted} = true` in `[[folders]]`");
            return Err(forbidden("not-granted", text));
        }
        match ask {
            FolderAsk::Put { name, content } => put::put(self, at, &name, content).await,
            ask => {
                let told = take::audited(&ask);
                let (grant, rules, now) = (at.grant.clone(), self.rules, self.clock.now());
                let answer = blocking(move || take::take(&grant, rules, now, &ask)).await?;
                if let Some((action, name, reason)) = told
                    && answer != FolderAnswer::Claimed(None)
                {
                    self.tell(at, action, &name, reason.as_deref()).await;
                }
                Ok(answer)
            }
        }
    }

    /// The move has happened: not being able to write it down undoes nothing.
    async fn tell(&self, at: &FolderScope, action: &str, name: &str, reason: Option<&str>) {
        let write = async {
            let mut tx = self.db.begin().await?;
            folders::handled(&mut tx, &actor(at), &key(at)?, name, action, reason).await?;
            tx.commit().await
        };
        let written: Result<(), StoreError> = write.await;
        if let Err(err) = written {
            tracing::warn!(connection = %at.connection, "failed to write down `{action}` of a file: {err}");
        }
    }
}

async fn blocking<T, F>(work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Fault> + Send + 'static,
{
    let ended = |err| transient("task", format!("the work on a folder ended: {err}"));
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

fn actor(at: &FolderScope) -> Actor {
    Actor::Host(format!("adapter/{}", at.connection))
}

fn key(at: &FolderScope) -> Result<FolderKey, StoreError> {
    // A bound connection has an id; an offline one has no folders.
    let connection = ConnectionId::parse(at.connection.clone()).map_err(|_| StoreError::Conflict)?;
    Ok(FolderKey { tenant: at.tenant.clone(), connection, folder: at.grant.name.clone() })
}

/// The guest may not, or not so.
fn forbidden(code: &str, text: String) -> Fault {
    Fault::new(FaultKind::Forbidden, format!("files.{code}"), text, Blame::Guest)
}

/// It may pass; the operator can look.
fn transient(code: &str, text: String) -> Fault {
    Fault::new(FaultKind::Transient, format!("files.{code}"), text, Blame::Host)
}
