//! `wharf:clock`: the host's clock at millisecond resolution. No grant: it tells nothing a response header would not.

use crate::bindings::wharf::clock::wall;
use crate::guest::CallState;

impl wall::Host for CallState {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.enter_host()?;
        Ok(u64::try_from(self.services.now().millis()).unwrap_or_default())
    }
}
