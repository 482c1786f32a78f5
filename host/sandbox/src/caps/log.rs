//! `wharf:log`: lines for the operator, bounded per call and stripped of control characters. No grant.

use crate::bindings::wharf::log::logger::{self, Level};
use crate::guest::CallState;

impl logger::Host for CallState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.enter_host()?;
        let name = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let (tenant, connection) = (self.ctx.tenant.clone(), self.grant.connection.clone());
        if let Some(line) = self.log.push(name, &message) {
            match level {
                Level::Debug | Level::Info => tracing::debug!(%tenant, connection, line, "adapter log"),
                Level::Warn | Level::Error => tracing::warn!(%tenant, connection, line, "adapter log"),
            }
        }
        Ok(())
    }
}
