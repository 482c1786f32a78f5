//! `wharf:kv`: small durable state per tenant and connection. Granted by `kv_bytes` of the manifest; the store counts.

use wharf_domain::fault::{Blame, Fault, FaultKind};

use crate::bindings::wharf::kv::store;
use crate::bindings::wharf::types::types as wit;
use crate::caps::fault_to_wit;
use crate::guest::CallState;
use crate::notes::What;

const MAX_KEY_BYTES: usize = 256;

fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        let message = format!("a key has 1 to {MAX_KEY_BYTES} bytes, this one {}", key.len());
        return Err(Fault::new(FaultKind::InvalidInput, "kv.key", message, Blame::Guest));
    }
    Ok(())
}

const MAX_VALUE_BYTES: usize = 64 << 10;

fn check_value(key: &str, value: &[u8]) -> Result<(), Fault> {
    check_key(key)?;
    if value.len() > MAX_VALUE_BYTES {
        let message = format!("a value has at most {MAX_VALUE_BYTES} bytes, this one {}", value.len());
        return Err(Fault::new(FaultKind::InvalidInput, "kv.value", message, Blame::Guest));
    }
    Ok(())
}

impl store::Host for CallState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, wit::Fault>> {
        self.enter_host()?;
        let answer = match check_key(&key) {
            Ok(()) => self.place.outside(self.services.kv_get(&self.kv_scope(), &key)).await,
            Err(fault) => Err(fault),
        };
        Ok(answer.map_err(fault_to_wit))
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.enter_host()?;
        let answer = match self.take_in(key.len() + value.len()).await.and_then(|()| check_value(&key, &value)) {
            Ok(()) => self.place.outside(self.services.kv_set(&self.kv_scope(), &key, &value, ttl_ms)).await,
            Err(fault) => Err(fault),
        };
        if answer.as_ref().is_err_and(|fault| fault.code.starts_with("kv.")) {
            self.note(What::Limit { name: "kv".to_owned() }).await;
        }
        Ok(answer.map_err(fault_to_wit))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.enter_host()?;
        let answer = match check_key(&key) {
            Ok(()) => self.place.outside(self.services.kv_delete(&self.kv_scope(), &key)).await,
            Err(fault) => Err(fault),
        };
        Ok(answer.map_err(fault_to_wit))
    }
}
