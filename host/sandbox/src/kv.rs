//! Where keys and values are kept: in the database, or in memory for calls that leave nothing behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_domain::ctx::Actor;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::ConnectionId;
use wharf_store::kv::{self, KvKey};
use wharf_store::{Db, StoreError};

use crate::services::KvScope;

#[derive(Clone)]
pub(crate) enum Kv {
    Durable(Db),
    /// Offline calls: nothing outlives the process.
    Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>),
}

impl Kv {
    pub(crate) async fn get(&self, at: &KvScope, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self {
            Self::Durable(db) => kv::get(db, &durable_key(at, key)?).await.map_err(|e| kv_fault(&e)),
            Self::Memory(map) => Ok(map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()),
        }
    }

    pub(crate) async fn set(&self, at: &KvScope, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Fault> {
        match self {
            Self::Durable(db) => {
                let at_key = durable_key(at, key)?;
                let expires = ttl_ms.map(|ms| db.now().plus(i64::try_from(ms).unwrap_or(i64::MAX)));
                let write = async {
                    let mut tx = db.begin().await?;
                    kv::set(&mut tx, &actor(at), &at_key, value, expires, at.quota).await?;
                    tx.commit().await
                };
                write.await.map_err(|e| kv_fault(&e))
            }
            Self::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                let others: usize = map.iter().filter(|(k, _)| *k != key).map(|(k, v)| k.len() + v.len()).sum();
                let wanted = (others + key.len() + value.len()) as u64;
                if wanted > at.quota {
                    let connection = at.connection.clone();
                    return Err(kv_fault(&StoreError::OverQuota { connection, wanted, quota: at.quota }));
                }
                map.insert(key.to_owned(), value.to_vec());
                Ok(())
            }
        }
    }

    pub(crate) async fn delete(&self, at: &KvScope, key: &str) -> Result<(), Fault> {
        match self {
            Self::Durable(db) => {
                let at_key = durable_key(at, key)?;
                let write = async {
                    let mut tx = db.begin().await?;
                    kv::delete(&mut tx, &actor(at), &at_key).await?;
                    tx.commit().await
                };
                write.await.map_err(|e| kv_fault(&e))
            }
            Self::Memory(map) => {
                map.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
                Ok(())
            }
        }
    }
}

fn actor(at: &KvScope) -> Actor {
    Actor::Host(format!("adapter/{}", at.connection))
}

fn durable_key(at: &KvScope, key: &str) -> Result<KvKey, Fault> {
    let connection = ConnectionId::parse(at.connection.clone())
        .map_err(|e| Fault::new(FaultKind::InvalidInput, "kv.connection", e.to_string(), Blame::Operator))?;
    Ok(KvKey { tenant: at.tenant.clone(), connection, key: key.to_owned() })
}

fn kv_fault(error: &StoreError) -> Fault {
    match error {
        StoreError::OverQuota { .. } => Fault::new(FaultKind::Forbidden, "kv.quota", error.to_string(), Blame::Guest),
        _ => Fault::new(FaultKind::Transient, "kv.store", error.to_string(), Blame::Host),
    }
}
